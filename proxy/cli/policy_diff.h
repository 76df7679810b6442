/* policy_diff.h - `mongoward policy diff`. */
#ifndef PROXY_CLI_POLICY_DIFF_H
#define PROXY_CLI_POLICY_DIFF_H

int cli_policy_diff(int argc, char **argv);

#endif
