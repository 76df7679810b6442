/* policy_seal.h - `mongoward policy seal`. */
#ifndef PROXY_CLI_POLICY_SEAL_H
#define PROXY_CLI_POLICY_SEAL_H

#include "cli/cli.h"
#include "policy/policy.h"

cli_fn cli_policy_seal;

/* How many of the policy's own tests fail, each with a complaint; keys are made for it. */
size_t policy_test_offline(struct policy *p, struct complaints *complaints);

#endif
