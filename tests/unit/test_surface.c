#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "query/commands.h"
#include "query/operators.h"
#include "util/file.h"
#include "util/memory.h"

/* The tables against the reference list of MongoDB's surface (5.0 to 8.0): no command,
 * stage, operator or variable is without a decision, and the tables name nothing that
 * MongoDB does not have. */

#define FIELDS 3

struct reference {
	struct buf text;
	char *rest;
};

static void open_reference(struct reference *r, const char *name)
{
	const char *folder = getenv("srcdir");
	char *path = memory_format("%s/tests/data/reference/%s", folder ? folder : ".", name);

	buf_init(&r->text, 1u << 20);
	if (!file_read(path, &r->text))
		fail_msg("cannot read %s", path);
	buf_put_u8(&r->text, 0);
	r->rest = (char *)r->text.at;
	(void)strsep(&r->rest, "\n"); /* the names of the columns */
	free(path);
}

static bool next_row(struct reference *r, char *fields[FIELDS])
{
	char *line;

	while ((line = strsep(&r->rest, "\n"))) {
		if (!*line)
			continue;
		for (size_t i = 0; i < FIELDS; i++)
			fields[i] = line ? strsep(&line, "\t") : NULL;
		return true;
	}
	return false;
}

/* Tools take "no such command" for an answer here (code 59), and nothing else. */
static bool is_answered_as_unknown(const char *name)
{
	return strcmp(name, "isdbgrid") == 0 || strcmp(name, "atlasVersion") == 0;
}

static void test_commands(void **state)
{
	struct reference r;
	char *fields[FIELDS];
	size_t rows = 0, missing = 0;

	(void)state;
	open_reference(&r, "commands.tsv");
	while (next_row(&r, fields)) {
		struct bytes name = bytes_str(fields[0]);

		/* Opcodes and descriptions of the reference list are no names of commands. */
		if (strchr(fields[0], ' ') || strncmp(fields[0], "OP_", 3) == 0)
			continue;
		rows++;
		if (!command_look_up(name) && !command_is_refused(name) &&
			!is_answered_as_unknown(fields[0])) {
			fprintf(stderr, "no decision about the command %s\n", fields[0]);
			missing++;
		}
	}
	assert_int_equal(missing, 0);
	assert_true(rows > 400);
	buf_fini(&r.text);
}

static bool is_decided(const char *kind, struct bytes name)
{
	static const struct {
		const char *kind, *name;
	} refused[] = {
#define REFUSED_OPERATOR(kind, name) {#kind, name},
#include "query/refused_operators.def"
#undef REFUSED_OPERATOR
	};
	char upper[32] = "";
	bool known = false;

	for (size_t i = 0; kind[i] && i < sizeof(upper) - 1; i++)
		upper[i] = kind[i] >= 'a' && kind[i] <= 'z' ? (char)(kind[i] - 32) : kind[i];
	if (strcmp(kind, "query") == 0)
		known = filter_operator(name) || logical_operator(name);
	else if (strcmp(kind, "update") == 0)
		known = update_operator(name);
	else if (strcmp(kind, "stage") == 0)
		known = stage_operator(name);
	else if (strcmp(kind, "expression") == 0)
		known = expression_operator(name);
	else if (strcmp(kind, "accumulator") == 0)
		known = accumulator_operator(name);
	else if (strcmp(kind, "system_variable") == 0)
		known = system_variable(name);
	for (size_t i = 0; i < COUNT_OF(refused); i++)
		if (strcmp(upper, refused[i].kind) == 0 && bytes_equal_str(name, refused[i].name)) {
			if (known)
				fprintf(stderr, "both understood and refused: %s %s\n", kind,
					refused[i].name);
			return !known;
		}
	return known;
}

static void test_operators(void **state)
{
	struct reference r;
	char *fields[FIELDS];
	size_t rows = 0, missing = 0;

	(void)state;
	open_reference(&r, "stages_and_operators.tsv");
	while (next_row(&r, fields)) {
		bool variable = strcmp(fields[1], "system_variable") == 0;
		const char *name = fields[0] + (variable ? 2 : 0);

		if (fields[0][0] != '$' || strchr(fields[0], ' ') ||
			strcmp(fields[1], "projection") == 0)
			continue;
		rows++;
		if (!is_decided(fields[1], bytes_str(name))) {
			fprintf(stderr, "no decision about the %s %s\n", fields[1], fields[0]);
			missing++;
		}
	}
	assert_int_equal(missing, 0);
	assert_true(rows > 400);
	buf_fini(&r.text);
}

static bool reference_has(const char *file, const char *name)
{
	struct reference r;
	char *fields[FIELDS];
	bool found = false;

	open_reference(&r, file);
	while (!found && next_row(&r, fields)) {
		char *rest = fields[0], *word;

		while (!found && (word = strsep(&rest, " ,/")))
			found = strcmp(word, name) == 0;
		rest = fields[1];
		while (!found && rest && (word = strsep(&rest, " ,/")))
			found = strcmp(word, name) == 0;
	}
	buf_fini(&r.text);
	return found;
}

static void test_nothing_made_up(void **state)
{
	static const char *const commands[] = {
#define COMMAND(id, name, aliases, on, action, how, fields) name,
#include "query/commands.def"
#undef COMMAND
	};
	static const char *const operators[] = {
#define FILTER(name, treatment)      name,
#define LOGICAL(name, treatment)     name,
#define EXPRESSION(name, treatment)  name,
#define ACCUMULATOR(name, treatment) name,
#define UPDATE(name, treatment)      name,
#define STAGE(name, treatment)       name,
#define VARIABLE(name, treatment)    "$$" name,
#include "query/operators.def"
	};
	size_t missing = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (!reference_has("commands.tsv", commands[i])) {
			fprintf(stderr, "MongoDB has no command %s\n", commands[i]);
			missing++;
		}
	for (size_t i = 0; i < COUNT_OF(operators); i++)
		if (!reference_has("stages_and_operators.tsv", operators[i])) {
			fprintf(stderr, "MongoDB has no %s\n", operators[i]);
			missing++;
		}
	assert_int_equal(missing, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_nothing_made_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
