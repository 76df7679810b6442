/* The files that a log is parted into: what they are called, what they begin and end with, and
 * that the chain goes on over their ends (docs/audit-format.md, "Lines and files"). */
#include "audit_log_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "audit/line.h"
#include "audit/line_file.h"
#include "util/memory.h"

#define FILES_MAX 400
#define RECORD    800u /* bytes of a line, and more */

static char names[FILES_MAX][64];
static size_t nfiles;
static uint64_t unclosed; /* starts without a stop behind them */

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The folder's files in the order of their names; nothing else is in it but the lock. */
static void list_files(void)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	assert_non_null(d);
	nfiles = 0;
	while ((e = readdir(d))) {
		const char *end = strrchr(e->d_name, '.');

		if (!end || strcmp(end, ".jsonl") != 0)
			continue;
		assert_true(nfiles < FILES_MAX && strlen(e->d_name) < sizeof(names[0]));
		strcpy(names[nfiles++], e->d_name);
	}
	closedir(d);
	qsort(names, nfiles, sizeof(names[0]), by_name);
}

/* What the lines have led to so far. */
struct walk {
	struct line_parser parser;
	uint64_t seq; /* of the next line */
	uint8_t prev[LINE_HASH_LEN];
	uint64_t covered; /* the first seq that no checkpoint covers */
	uint64_t part;    /* of a record whose last part is to come; else 0 */
	uint64_t records, checkpoints, starts, stops;
};

static void expect_line(struct walk *w, const struct line *line)
{
	uint64_t part = line_count(line, LINE_KEY_part);

	assert_int_equal(line->seq, w->seq++);
	assert_memory_equal(line->prev, w->prev, LINE_HASH_LEN);
	memcpy(w->prev, line->hash, LINE_HASH_LEN);
	assert_int_equal(part, part ? w->part + 1 : 0);
	assert_true(part || !w->part);
	w->part = line_has(line, LINE_KEY_last) ? 0 : part;
	if (line->event == LINE_CHECKPOINT) {
		assert_int_equal(line_count(line, LINE_KEY_from), w->covered);
		w->covered = line->seq;
		w->checkpoints++;
	}
	w->records += line->event == LINE_ACCESS && part <= 1;
	w->starts += line->event == LINE_START;
	w->stops += line->event == LINE_STOP;
}

/* Walks one file; its size. */
static size_t expect_file(struct walk *w, size_t i)
{
	char path[200], expected[64];
	struct line_file f;
	struct bytes text;
	struct line line = {.event = LINE_EVENTS};
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
	/* Named by the first seq that is in it. */
	snprintf(expected, sizeof(expected), "mw-1-%012llu.jsonl", (unsigned long long)w->seq);
	assert_string_equal(names[i], expected);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(line_file_open(&f, path));
	while (line_file_next(&f, &text) == LINE_READ_ONE) {
		if (!line_parse(&w->parser, text, &line))
			fail_msg("%s:%llu: %s", path, (unsigned long long)f.line, w->parser.why);
		expect_line(w, &line);
	}
	assert_true(f.taken == (uint64_t)st.st_size && f.line > 0);
	/* All of a record is in one file, and the last line signs it. */
	assert_int_equal(w->part, 0);
	assert_int_equal(line.event, LINE_CHECKPOINT);
	line_file_close(&f);
	return (size_t)st.st_size;
}

/* Walks all files, which hold so many records; the longest of them but the last. */
static size_t expect_files(uint64_t records)
{
	static const uint8_t seed[32] = {7};
	uint8_t pk[32], sk[64];
	struct walk w = {.seq = 0};
	size_t longest = 0;
	struct stat st;

	crypto_sign_seed_keypair(pk, sk, seed);
	line_hash(bytes_of(pk, sizeof(pk)), w.prev);
	line_parser_init(&w.parser);
	list_files();
	for (size_t i = 0; i < nfiles; i++) {
		size_t size = expect_file(&w, i);

		longest = size > longest && i + 1 < nfiles ? size : longest;
	}
	line_parser_fini(&w.parser);
	assert_int_equal(w.records, records);
	assert_int_equal(w.starts, w.stops + unclosed);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	expect_verified(0);
	return longest;
}

static void write_one_by_one(const struct audit_config *config, unsigned n)
{
	struct audit *a = open_fine(config);
	struct audit_ring *r = audit_ring_new(a, NULL, NULL);
	struct outcome o = {0};

	for (unsigned i = 1; i <= n; i++) {
		submit(r, &o, AUDIT_ACCESS, 0);
		settle(r, &o, i);
	}
	assert_int_equal(atomic_load(&o.durable), n);
	audit_ring_free(r);
	audit_close(a);
}

static void test_by_size(void **state)
{
	unsigned records = 0;

	(void)state;
	for (int mode = AUDIT_STRICT; mode <= AUDIT_NONE; mode++) {
		struct audit_config config = config_of((enum audit_durability)mode);
		size_t before = records ? nfiles : 0, longest;

		config.rotate_size = 8000;
		write_one_by_one(&config, 100);
		records += 100;
		longest = expect_files(records);
		assert_true(nfiles >= before + 100 * 400 / 8000);
		/* Full, a record behind it, and a checkpoint. */
		assert_true(longest >= config.rotate_size);
		assert_true(longest < config.rotate_size + 2 * RECORD);
	}
}

static void test_not_at_all(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);

	(void)state;
	write_some(&config, 500);
	write_some(&config, 500);
	expect_files(1000);
	assert_int_equal(nfiles, 1);
}

/* A file of exactly that size is full, one of a byte less is not. */
static void test_both_sides_of_the_size(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	char path[200];
	struct stat st;

	(void)state;
	write_one_by_one(&config, 5);
	list_files();
	snprintf(path, sizeof(path), "%s/%s", folder, names[0]);
	assert_int_equal(stat(path, &st), 0);
	config.rotate_size = (uint64_t)st.st_size + 1;
	write_one_by_one(&config, 0);
	expect_files(5);
	assert_int_equal(nfiles, 1);
	assert_int_equal(stat(path, &st), 0);
	config.rotate_size = (uint64_t)st.st_size;
	write_one_by_one(&config, 0);
	expect_files(5);
	assert_int_equal(nfiles, 2);
}

static void test_by_age(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);

	(void)state;
	config.rotate_age_us = 1; /* each batch finds the file too old */
	write_one_by_one(&config, 10);
	expect_files(10);
	/* `start` and `stop` have no file of their own. */
	assert_int_equal(nfiles, 11);
	config.rotate_age_us = UINT64_C(3600) * 1000 * 1000;
	write_one_by_one(&config, 10);
	expect_files(20);
	assert_int_equal(nfiles, 11);
}

/* Whatever is written at once is in one file, however long it is. */
static void test_parts_stay_together(void **state)
{
	struct audit_config config = config_of(AUDIT_FLUSH);
	struct subject_token *subjects = memory_array(20000, sizeof(*subjects));
	struct audit_record record = {.event = AUDIT_ACCESS,
		.request = bytes_str("00112233445566778899aabbccddeeff"),
		.subjects = subjects,
		.nsubjects = 20000};
	struct outcome o = {0};
	struct audit_ring *r;
	struct audit *a;

	(void)state;
	for (size_t i = 0; i < record.nsubjects; i++)
		store_u32(subjects[i].token.bytes, (uint32_t)i);
	config.rotate_size = 100000;
	a = open_fine(&config);
	r = audit_ring_new(a, NULL, NULL);
	for (unsigned i = 1; i <= 10; i++) {
		submit_as_it_is(r, &o, &record);
		settle(r, &o, i);
	}
	audit_ring_free(r);
	audit_close(a);
	assert_true(expect_files(10) > 20000 * 35);
	assert_int_equal(nfiles, 10);
	free(subjects);
}

/* Killed with a full file whose last lines nothing signs: they are signed in it. */
static void test_start_after_a_kill(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	char log[200], saved[200], saved_witness[200];
	struct outcome o = {0};
	struct audit_ring *r;
	struct audit *a;
	struct stat st;

	(void)state;
	snprintf(log, sizeof(log), "%s/mw-1-000000000000.jsonl", folder);
	snprintf(saved, sizeof(saved), "%s/saved", root);
	snprintf(saved_witness, sizeof(saved_witness), "%s/saved.witness", root);
	config.checkpoint_every_us = 3600000000;
	a = open_fine(&config);
	r = audit_ring_new(a, NULL, NULL);
	submit(r, &o, AUDIT_ACCESS, 0);
	submit(r, &o, AUDIT_ACCESS, 0);
	settle(r, &o, 2);
	copy_file(log, saved, SIZE_MAX);
	copy_file(witness, saved_witness, SIZE_MAX);
	audit_ring_free(r);
	audit_close(a);
	copy_file(saved, log, SIZE_MAX);
	copy_file(saved_witness, witness, SIZE_MAX);
	assert_int_equal(stat(log, &st), 0);
	config.rotate_size = (uint64_t)st.st_size;
	write_one_by_one(&config, 1);
	unclosed = 1;
	expect_files(3);
	assert_int_equal(nfiles, 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_by_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_at_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_both_sides_of_the_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_by_age, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_parts_stay_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_start_after_a_kill, set_up, tear_down),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
