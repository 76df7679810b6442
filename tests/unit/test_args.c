#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"

#define WORDS_MAX 8

/* A command of one word, an optional one, an option, a repeated one and a flag. */
static const struct {
	const char *name;
	const char *words[WORDS_MAX];
	enum args_end end;
	const char *said; /* on standard error, or the values */
} cases[] = {
	{"a word", {"a"}, ARGS_GO_ON, "a - - 0"},
	{"two words", {"a", "b"}, ARGS_GO_ON, "a b - 0"},
	{"an option and its value", {"--file", "f", "a"}, ARGS_GO_ON, "a - f 0"},
	{"an option behind the word", {"a", "--file", "f"}, ARGS_GO_ON, "a - f 0"},
	{"an equals sign", {"a", "--file=f=g"}, ARGS_GO_ON, "a - f=g 0"},
	{"a dash is a value", {"a", "--file", "-"}, ARGS_GO_ON, "a - - 0"},
	{"a dash is a word", {"-"}, ARGS_GO_ON, "- - - 0"},
	{"a value with dashes", {"a", "--file=--json"}, ARGS_GO_ON, "a - --json 0"},
	{"a flag", {"--json", "a"}, ARGS_GO_ON, "a - - 1"},
	{"an option twice or thrice", {"a", "--role", "r", "--role=s"}, ARGS_GO_ON, "a - - 0 r s"},
	{"the end of options", {"--", "--json"}, ARGS_GO_ON, "--json - - 0"},
	{"help", {"--help"}, ARGS_HELP, ""},
	{"help in short", {"-h"}, ARGS_HELP, ""},
	{"help behind a mistake", {"--nonsense", "--help"}, ARGS_HELP, ""},
	{"no help behind the end", {"--", "--help"}, ARGS_GO_ON, "--help - - 0"},
	{"nothing", {NULL}, ARGS_WRONG, "mongoward x: WORD is missing"},
	{"an unknown option", {"a", "--nonsense"}, ARGS_WRONG,
		"mongoward x: unknown option '--nonsense'"},
	{"an unknown option with a value", {"a", "--password=s3cret"}, ARGS_WRONG,
		"mongoward x: unknown option '--password'"},
	{"an abbreviation", {"a", "--fil", "f"}, ARGS_WRONG, "mongoward x: unknown option '--fil'"},
	{"a short option", {"a", "-f"}, ARGS_WRONG, "mongoward x: unknown option '-f'"},
	{"a value is missing", {"a", "--file"}, ARGS_WRONG,
		"mongoward x: a value is missing for '--file'"},
	{"an option instead of a value", {"a", "--file", "--json"}, ARGS_WRONG,
		"mongoward x: a value is missing for '--file'"},
	{"an empty value", {"a", "--file="}, ARGS_WRONG,
		"mongoward x: a value is missing for '--file'"},
	{"an empty value behind", {"a", "--role", ""}, ARGS_WRONG,
		"mongoward x: a value is missing for '--role'"},
	{"a flag with a value", {"a", "--json=yes"}, ARGS_WRONG,
		"mongoward x: no value is wanted for '--json'"},
	{"an option twice", {"a", "--file", "f", "--file", "g"}, ARGS_WRONG,
		"mongoward x: given twice: '--file'"},
	{"a flag twice", {"a", "--json", "--json"}, ARGS_WRONG,
		"mongoward x: given twice: '--json'"},
	{"too many words", {"a", "b", "c"}, ARGS_WRONG, "mongoward x: too many words: 'c'"},
	{"an empty word", {""}, ARGS_WRONG, "mongoward x: an empty word instead of 'WORD'"},
};

/* What is said while `f` runs, on descriptor `fd`. */
struct capture {
	int fd, saved, pipe[2];
};

static void capture_begin(struct capture *c, int fd)
{
	c->fd = fd;
	assert_int_equal(pipe(c->pipe), 0);
	fflush(NULL);
	c->saved = dup(fd);
	dup2(c->pipe[1], fd);
	close(c->pipe[1]);
}

static void capture_end(struct capture *c, char *out, size_t size)
{
	ssize_t n;

	fflush(NULL);
	dup2(c->saved, c->fd);
	close(c->saved);
	n = read(c->pipe[0], out, size - 1);
	close(c->pipe[0]);
	out[n > 0 ? n : 0] = '\0';
}

static const char *text(const char *value)
{
	return value ? value : "-";
}

static void check(size_t i)
{
	const char *word = NULL, *second = NULL, *file = NULL;
	struct args_list roles = {0};
	bool json = false;
	const struct arg args[] = {
		{.name = "--file", .value = &file},
		{.name = "WORD", .value = &word},
		{.name = "SECOND", .value = &second, .optional = true},
		{.name = "--role", .list = &roles},
		{.name = "--json", .flag = &json},
	};
	char *argv[WORDS_MAX + 1] = {strdup("x")};
	char out[512], got[512], help[8192];
	struct capture errors, output;
	int argc = 1, n;

	for (; argc <= WORDS_MAX && cases[i].words[argc - 1]; argc++)
		argv[argc] = strdup(cases[i].words[argc - 1]);
	capture_begin(&errors, STDERR_FILENO);
	capture_begin(&output, STDOUT_FILENO);
	enum args_end end = args_parse("x", argc, argv, args, COUNT_OF(args));
	capture_end(&output, help, sizeof(help));
	capture_end(&errors, out, sizeof(out));
	assert_int_equal(end, cases[i].end);
	if (end == ARGS_GO_ON) {
		n = snprintf(got, sizeof(got), "%s %s %s %d", text(word), text(second), text(file),
			json);
		for (size_t k = 0; k < roles.count; k++)
			n += snprintf(got + n, sizeof(got) - (size_t)n, " %s", roles.at[k]);
		assert_string_equal(got, cases[i].said);
	} else {
		assert_int_equal(args_exit(end), end == ARGS_HELP ? CLI_OK : CLI_BAD);
		assert_int_equal(strncmp(out, cases[i].said, strlen(cases[i].said)), 0);
		assert_int_equal(*out != 0, end == ARGS_WRONG);
		assert_int_equal(*help != 0, end == ARGS_HELP);
		if (end == ARGS_WRONG) /* one line */
			assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
		assert_int_equal(roles.count, 0);
		assert_null(roles.at);
	}
	args_list_fini(&roles);
	while (argc)
		free(argv[--argc]);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		print_message("%s\n", cases[i].name);
		check(i);
	}
}

static void test_all_that_are_left(void **state)
{
	const char *word = NULL;
	struct args_list files = {0};
	const struct arg args[] = {
		{.name = "WORD", .value = &word},
		{.name = "FILE", .list = &files},
	};
	char w[] = "verify", a[] = "a", b[] = "b", c[] = "c";
	char *argv[] = {w, w, a, b, c, NULL};
	struct capture errors;
	char out[512];

	(void)state;
	assert_int_equal(args_parse("audit", 5, argv, args, 2), ARGS_GO_ON);
	assert_string_equal(word, "verify");
	assert_int_equal(files.count, 3);
	assert_string_equal(files.at[2], "c");
	args_list_fini(&files);
	word = NULL;
	capture_begin(&errors, STDERR_FILENO);
	assert_int_equal(args_parse("audit", 2, argv, args, 2), ARGS_WRONG);
	capture_end(&errors, out, sizeof(out));
	assert_string_equal(
		out, "mongoward audit: FILE is missing (see `mongoward audit --help`)\n");
}

/* Every row of commands.def: a summary of one line, a usage line, an example, and a way to
 * ask for it. */
static void test_help_of_each_command(void **state)
{
	static const char *const names[] = {
#define CLI_COMMAND(name, function, summary, help) name,
#include "cli/commands.def"
#undef CLI_COMMAND
	};
	char out[8192], program[] = "mongoward", name[32], help[] = "--help";
	char *argv[] = {program, name, help, NULL};
	struct capture output;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(name, sizeof(name), "%s", names[i]);
		capture_begin(&output, STDOUT_FILENO);
		assert_int_equal(cli_main(3, argv), CLI_OK);
		capture_end(&output, out, sizeof(out));
		assert_non_null(strstr(out, "\n\nUsage: mongoward "));
		assert_non_null(strstr(out, "\nExample:\n  "));
		assert_int_equal(out[strlen(out) - 1], '\n');
	}
}

static void test_unknown_command(void **state)
{
	char program[] = "mongoward", name[] = "nonsense\n";
	char *argv[] = {program, name, NULL};
	struct capture errors;
	char out[512];

	(void)state;
	capture_begin(&errors, STDERR_FILENO);
	assert_int_equal(cli_main(2, argv), CLI_BAD);
	capture_end(&errors, out, sizeof(out));
	assert_non_null(strstr(out, "unknown command 'nonsense"));
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
	capture_begin(&errors, STDERR_FILENO);
	assert_int_equal(cli_main(1, argv), CLI_BAD);
	capture_end(&errors, out, sizeof(out));
	assert_string_equal(out, "mongoward: a command is missing (see `mongoward --help`)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_all_that_are_left),
		cmocka_unit_test(test_help_of_each_command),
		cmocka_unit_test(test_unknown_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
