/* policy_explain.h - `mongoward policy explain`: what a policy makes of one command. */
#ifndef PROXY_CLI_POLICY_EXPLAIN_H
#define PROXY_CLI_POLICY_EXPLAIN_H

int cli_policy_explain(int argc, char **argv);

#endif
