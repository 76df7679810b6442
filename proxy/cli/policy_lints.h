/* policy_lints.h - the warnings of `policy check`, printed. */
#ifndef PROXY_CLI_POLICY_LINTS_H
#define PROXY_CLI_POLICY_LINTS_H

#include "policy/lint.h"

/* `file:line:column: warning: what (what to do) [name]`, each a line on standard error. */
void lints_print(const struct lints *lints);
/* The same as a JSON array on standard output, without an end of line. */
void lints_print_json(const struct lints *lints);

#endif
