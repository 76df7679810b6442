/* args.h - a subcommand's arguments, by a table of what it understands.
 *
 * "--name VALUE" and "--name=VALUE" are the same; a value that begins with "--" needs the
 * second form.  "--" ends the options; "-" is a value.  What begins with one dash is refused.
 * `--help` (`-h`) prints the command's help, wherever it stands.  Each mistake is one line.
 */
#ifndef PROXY_CLI_ARGS_H
#define PROXY_CLI_ARGS_H

#include "util/bytes.h"

/* Values in the order given; the texts are borrowed from argv. */
struct args_list {
	const char **at;
	size_t count, capacity;
};

/* One row.  A name that begins with "--" is an option, and may be left out; any other is a
 * positional argument, which is needed unless it is optional.  Exactly one of the three
 * pointers is set: what they point to holds its default (NULL, false, an empty list). */
struct arg {
	const char *name;
	const char **value;
	bool *flag;             /* an option without a value */
	struct args_list *list; /* an option given any number of times, or, as the last
	                         * positional, all that are left */
	bool optional;          /* of a positional; a list may then be empty */
};

enum args_end {
	ARGS_GO_ON,
	ARGS_HELP,  /* the help was asked for, and is printed */
	ARGS_WRONG, /* something was wrong, and is printed */
};

/* Lists are empty again unless it returns ARGS_GO_ON. */
enum args_end args_parse(
	const char *command, int argc, char **argv, const struct arg *args, size_t n);
/* The exit code of an end that is not ARGS_GO_ON. */
int args_exit(enum args_end end);
void args_list_fini(struct args_list *list);

#endif
