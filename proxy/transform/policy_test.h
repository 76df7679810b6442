/* policy_test.h - runs the tests that stand in policy files. */
#ifndef PROXY_TRANSFORM_POLICY_TEST_H
#define PROXY_TRANSFORM_POLICY_TEST_H

#include "keys/master.h"
#include "policy/policy.h"

/* Runs all tests of a policy and returns how many failed; each failure is a complaint that
 * names the test.  `vault` is the namespace of the key vault. */
size_t policy_run_tests(struct policy *p, const struct master *m, struct bytes vault,
	struct complaints *complaints);

#endif
