/* cli.h - the subcommands of `mongoward`.
 *
 * Each is a function of its own argv (argv[0] is the subcommand) that returns an exit
 * code.  Rows in commands.def; main() looks them up.  `--help` prints the row's text.
 */
#ifndef PROXY_CLI_CLI_H
#define PROXY_CLI_CLI_H

#include "util/complaint.h"

enum cli_exit {
	CLI_OK = 0,
	CLI_NO = 1,          /* the answer is no: tests failed, log altered, drift found */
	CLI_BAD = 2,         /* bad usage or bad input; nothing changed */
	CLI_UNREACHABLE = 3, /* could not reach what it needs */
};

typedef int cli_fn(int argc, char **argv);

#define CLI_COMMAND(name, function, summary, help) cli_fn function;
#include "cli/commands.def"
#undef CLI_COMMAND

/* The whole program but its name. */
int cli_main(int argc, char **argv);

/* "mongoward audit: WHAT (see `mongoward audit --help`)\n" on standard error; returns CLI_BAD. */
int cli_usage(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);
/* "mongoward audit: WHAT\n" on standard error; returns `code`. */
int cli_fail(enum cli_exit code, const char *command, const char *format, ...) PRINTF_LIKE(3, 4);
/* Prints the complaints on standard error; returns CLI_BAD. */
int cli_complain(const struct complaints *complaints);
/* Prints the help of a command's row. */
int cli_help(const char *command);

#endif
