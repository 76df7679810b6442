#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <config.h>

#include "cli/args.h"
#include "util/utf8.h"

#define TEXT_MAX 1024u

static const struct command {
	const char *name;
	cli_fn *function;
	const char *summary, *help;
} commands[] = {
#define CLI_COMMAND(name, function, summary, help) {name, function, summary, help},
#include "cli/commands.def"
#undef CLI_COMMAND
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void say(const char *command, const char *format, va_list args, const char *ending)
	__attribute__((format(printf, 2, 0)));
static void say(const char *command, const char *format, va_list args, const char *ending)
{
	char raw[TEXT_MAX], text[TEXT_MAX];

	vsnprintf(raw, sizeof(raw), format, args);
	utf8_printable(bytes_str(raw), text, sizeof(text));
	fprintf(stderr, "mongoward%s%s: %s%s\n", *command ? " " : "", command, text, ending);
}

int cli_usage(const char *command, const char *format, ...)
{
	char ending[64];
	va_list args;

	snprintf(ending, sizeof(ending), " (see `mongoward%s%s --help`)", *command ? " " : "",
		command);
	va_start(args, format);
	say(command, format, args, ending);
	va_end(args);
	return CLI_BAD;
}

int cli_fail(enum cli_exit code, const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, format, args, "");
	va_end(args);
	return (int)code;
}

int cli_complain(const struct complaints *complaints)
{
	fwrite(complaints->lines.at, 1, complaints->lines.len, stderr);
	if (complaints->count > COMPLAINTS_MAX)
		fprintf(stderr, "and %zu more\n", complaints->count - COMPLAINTS_MAX);
	return CLI_BAD;
}

static int help_all(void)
{
	puts("mongoward: what a driver's user may not see never reaches the driver, what the\n"
	     "database's operator may not see never reaches MongoDB, and every access is on "
	     "record.\n"
	     "\n"
	     "Usage: mongoward COMMAND ...\n");
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].summary);
	puts("\n"
	     "`mongoward COMMAND --help` tells more, with an example.  Manual: mongoward(1),\n"
	     "mongoward.yaml(5).  Exit codes: 0 done, 1 the answer is no, 2 bad usage or input,\n"
	     "3 something could not be reached.");
	return CLI_OK;
}

int cli_help(const char *command)
{
	const struct command *c = find(command);

	if (!c)
		return help_all();
	printf("%s\n\n%s", c->summary, c->help);
	return CLI_OK;
}

int cli_version(int argc, char **argv)
{
	enum args_end end = args_parse("version", argc, argv, NULL, 0);

	if (end != ARGS_GO_ON)
		return args_exit(end);
	puts(PACKAGE_STRING);
	return CLI_OK;
}

/* A full disk or a closed pipe behind standard output is no success. */
static int flushed(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	return code == CLI_OK ? cli_fail(CLI_UNREACHABLE, "", "standard output cannot be written")
			      : code;
}

/* Keys and patients' values would stand in a core dump.  The leak sanitizer traces its own
 * process, which this forbids. */
static void forbid_core_dumps(void)
{
#ifndef __SANITIZE_ADDRESS__
	const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

int cli_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	const struct command *c;

	forbid_core_dumps();
	if (!name)
		return cli_usage("", "a command is missing");
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return flushed(help_all());
	if (strcmp(name, "help") == 0)
		return flushed(cli_help(argc > 2 ? argv[2] : ""));
	if (strcmp(name, "--version") == 0)
		name = "version";
	c = find(name);
	if (!c)
		return cli_usage("", "unknown command '%s'", name);
	return flushed(c->function(argc - 1, argv + 1));
}
