/* policy_schema.h - `mongoward policy schema`: the language of policy files, for editors. */
#ifndef PROXY_CLI_POLICY_SCHEMA_H
#define PROXY_CLI_POLICY_SCHEMA_H

#include "cli/cli.h"

cli_fn cli_policy_schema;

#endif
