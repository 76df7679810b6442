/* Records that are too long for one line, or for any. */
#include "audit_fixture.h"

#include "audit/record.h"
#include "util/memory.h"

#define REQUEST "00112233445566778899aabbccddeeff"

static struct batch batch;
static struct record_scratch scratch;
static struct line_parser parser;
static struct buf whole;

static int begin(void **state)
{
	(void)state;
	batch_init(&batch);
	record_scratch_init(&scratch);
	line_parser_init(&parser);
	buf_init(&whole, 2 * LINE_MAX_LEN);
	return 0;
}

static int end(void **state)
{
	(void)state;
	batch_fini(&batch);
	record_scratch_fini(&scratch);
	line_parser_fini(&parser);
	buf_fini(&whole);
	return 0;
}

static void put_u32(uint8_t *at, size_t n)
{
	store_u32(at, (uint32_t)n);
}

/* Subject i is made of i / `repeats`; those of odd numbers are of an _id. */
static struct subject_token *make_subjects(size_t n, size_t repeats)
{
	struct subject_token *all = memory_array(n + 1, sizeof(*all));

	for (size_t i = 0; i < n; i++) {
		put_u32(all[i].token.bytes, i / repeats);
		all[i].of_id = i / repeats % 2;
	}
	return all;
}

static struct token *make_searched(size_t n)
{
	struct token *all = memory_array(n + 1, sizeof(*all));

	for (size_t i = 0; i < n; i++)
		put_u32(all[i].bytes, i);
	return all;
}

static struct audit_record access_of(const struct subject_token *subjects, size_t nsubjects,
	const struct token *searched, size_t nsearched)
{
	return (struct audit_record){
		.event = AUDIT_ACCESS,
		.conn = 12345678901234567890u % INT64_MAX,
		.user = bytes_str("u"),
		.request = bytes_str(REQUEST),
		.command = bytes_str("find"),
		.subjects = subjects,
		.nsubjects = nsubjects,
		.searched = searched,
		.nsearched = nsearched,
	};
}

/* Each token of a list comes at its place. */
static size_t follow(struct bytes list, bool subjects, size_t next)
{
	struct bytes element;

	while (list.len && line_next_string(&list, &element)) {
		uint8_t token[TOKEN_LEN], expected[TOKEN_LEN] = {0};
		bool of_id = element.at[1] == '~';

		put_u32(expected, next);
		assert_int_equal(of_id, subjects && next % 2);
		element = bytes_of(element.at + 1 + of_id, element.len - 2 - of_id);
		assert_true(line_unhex(element, token, sizeof(token)));
		assert_memory_equal(token, expected, sizeof(token));
		next++;
	}
	return next;
}

/* The record at the front of the batch: so many parts, so many tokens. */
static void expect_parts(size_t nparts, size_t nsubjects, size_t nsearched)
{
	size_t subjects = 0, searched = 0;
	struct line line;

	assert_int_equal(batch.npieces, nparts);
	assert_int_equal(batch.pieces[0].more, nparts - 1);
	for (size_t i = 0; i < nparts; i++) {
		assert_true(batch.pieces[i].len <= PIECE_MAX);
		judge_piece(&batch, i, &parser, &whole, &line);
		assert_int_equal(line.event, LINE_ACCESS);
		assert_int_equal(line_has(&line, LINE_KEY_part), nparts > 1);
		assert_int_equal(line_has(&line, LINE_KEY_last), nparts > 1 && i == nparts - 1);
		assert_int_equal(line_has(&line, LINE_KEY_user), i == 0);
		assert_true(bytes_equal_str(line_raw_text(&line, LINE_KEY_request), REQUEST));
		if (nparts > 1)
			assert_int_equal(line_count(&line, LINE_KEY_part), i + 1);
		subjects = follow(line.values[LINE_KEY_subjects], true, subjects);
		searched = follow(line.values[LINE_KEY_searched], false, searched);
	}
	assert_int_equal(subjects, nsubjects);
	assert_int_equal(searched, nsearched);
}

static size_t count_parts(size_t nsubjects, size_t repeats, size_t nsearched)
{
	struct subject_token *subjects = make_subjects(nsubjects, repeats);
	struct token *searched = make_searched(nsearched);
	struct audit_record r = access_of(subjects, nsubjects, searched, nsearched);
	size_t parts;

	batch_clear(&batch);
	assert_true(record_put(&batch, &scratch, &r, 0, NULL, NULL));
	parts = batch.npieces;
	expect_parts(parts, (nsubjects + repeats - 1) / repeats, nsearched);
	free(subjects);
	free(searched);
	return parts;
}

static void test_as_many_as_it_takes(void **state)
{
	static const struct {
		size_t nsubjects, repeats, nsearched;
	} cases[] = {
		{0, 1, 0},
		{1, 1, 0},
		{0, 1, 1},
		{3, 1, 2},
		{10000, 1, 0},
		{10000, 1, 10000},
		{0, 1, 10000},
		{10000, 10, 3},
		{100000, 2, 0},
		{20000, 20000, 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		size_t n = (cases[i].nsubjects + cases[i].repeats - 1) / cases[i].repeats +
			   cases[i].nsearched;
		size_t parts =
			count_parts(cases[i].nsubjects, cases[i].repeats, cases[i].nsearched);

		/* Each is well filled: a token takes 35 or 36 bytes. */
		assert_true(parts >= (n * 35 + PIECE_MAX - 1) / PIECE_MAX);
		assert_true(parts <= 1 + n * 36 / (PIECE_MAX - 300));
	}
}

/* One more than fits, of each list, in the first line and in the second. */
static void test_just_too_many(void **state)
{
	size_t most;

	(void)state;
	for (size_t parts = 1; parts <= 2; parts++) {
		for (most = 1750 * parts; count_parts(most + 1, 1, 0) == parts; most++)
			;
		assert_int_equal(count_parts(most, 1, 0), parts);
		assert_int_equal(count_parts(most + 1, 1, 0), parts + 1);
		for (most = 1750 * parts; count_parts(0, 1, most + 1) == parts; most++)
			;
		assert_int_equal(count_parts(0, 1, most), parts);
		assert_int_equal(count_parts(0, 1, most + 1), parts + 1);
	}
}

/* The first line has no room for more; those that are left were all named in it. */
static void test_only_repeated_ones_are_left(void **state)
{
	struct subject_token *all;
	struct audit_record r;
	size_t most;

	(void)state;
	for (most = 1750; count_parts(most + 1, 1, 0) == 1; most++)
		;
	all = make_subjects(most + 100, 1);
	for (size_t i = 0; i < 100; i++)
		all[most + i] = all[i];
	r = access_of(all, most + 100, NULL, 0);
	batch_clear(&batch);
	assert_true(record_put(&batch, &scratch, &r, 0, NULL, NULL));
	expect_parts(batch.npieces, most, 0);
	assert_true(batch.npieces <= 2);
	free(all);
}

/* A token of an _id is another than the same of a subject. */
static void test_the_same_bytes(void **state)
{
	static const struct subject_token all[] = {{.token = {{9}}},
		{.token = {{9}}, .of_id = true}, {.token = {{9}}}, {.token = {{9}}, .of_id = true}};
	static const char expected[] = "\"subjects\":[\"09000000000000000000000000000000\","
				       "\"~09000000000000000000000000000000\"],";
	struct audit_record r = access_of(all, 4, NULL, 0);
	struct bytes text;

	(void)state;
	assert_true(record_put(&batch, &scratch, &r, 0, NULL, NULL));
	text = batch_text(&batch, &batch.pieces[0]);
	assert_true(text.len > strlen(expected));
	assert_true(bytes_equal_str(bytes_from(text, text.len - strlen(expected)), expected));
}

/* Only results name them. */
static void test_lists_of_other_events(void **state)
{
	struct subject_token *subjects = make_subjects(10000, 1);
	struct token *searched = make_searched(10000);

	(void)state;
	for (enum audit_event event = AUDIT_INTENT; event <= AUDIT_ADMIN; event++) {
		struct audit_record r = access_of(subjects, 10000, searched, 10000);

		r.event = event;
		batch_clear(&batch);
		assert_true(record_put(&batch, &scratch, &r, 0, NULL, NULL));
		assert_int_equal(batch.npieces > 1, event == AUDIT_OUTCOME);
	}
	free(subjects);
	free(searched);
}

/* -------------------------------------------------------------------- limits */

static void on_done(void *context, bool durable)
{
	(void)context;
	(void)durable;
}

/* A record whose names alone have so many bytes, 250 a role. */
static struct audit_record named(struct bytes *roles, size_t nroles, size_t shape_len)
{
	static uint8_t role[250], shape[AUDIT_SHAPE_MAX];
	struct audit_record r = access_of(NULL, 0, NULL, 0);

	memset(role, 'r', sizeof(role));
	memset(shape, 's', sizeof(shape));
	memcpy(shape, "{\"", 2);
	if (shape_len)
		memcpy(shape + shape_len - 4, "\":1}", 4);
	for (size_t i = 0; i < nroles; i++)
		roles[i] = bytes_of(role, sizeof(role));
	r.roles = roles;
	r.nroles = nroles;
	r.shape = bytes_of(shape, shape_len);
	return r;
}

/* What its line has no room for is the shape first; then there is no record at all. */
static void test_names_fill_a_line(void **state)
{
	static struct bytes roles[300];
	bool shortened = false, refused = false;
	struct line line;

	(void)state;
	for (size_t n = 150; n < COUNT_OF(roles); n++) {
		struct audit_record r = named(roles, n, AUDIT_SHAPE_MAX);

		batch_clear(&batch);
		if (!record_put(&batch, &scratch, &r, 0, on_done, NULL)) {
			/* Not before a line is nearly full of names. */
			assert_true((n + 1) * 253 > PIECE_MAX - 1000);
			assert_int_equal(batch.npieces, 0);
			assert_int_equal(batch.nwaiters, 0);
			assert_int_equal(batch.text.len, 0);
			refused = true;
			continue;
		}
		assert_false(refused);
		assert_int_equal(batch.npieces, 1);
		assert_int_equal(batch.nwaiters, 1);
		judge_piece(&batch, 0, &parser, &whole, &line);
		assert_true(!shortened || line.values[LINE_KEY_shape].len < 20);
		shortened = line.values[LINE_KEY_shape].len < 20;
		assert_int_equal(shortened, n * 253 + AUDIT_SHAPE_MAX > PIECE_MAX - 500);
	}
	assert_true(shortened && refused);
}

/* No part of a record that does not fit is in the batch, and a shorter one still is. */
static void test_batch_is_full(void **state)
{
	struct subject_token *subjects = make_subjects(10000, 1);
	struct audit_record r = access_of(subjects, 10000, NULL, 0);
	size_t n = 0, len = 0, npieces = 0, one;

	(void)state;
	while (record_put(&batch, &scratch, &r, 0, on_done, NULL)) {
		assert_int_equal(batch.nwaiters, ++n);
		len = batch.text.len;
		npieces = batch.npieces;
		/* Who waits is noted with the first of a record's parts. */
		assert_true(batch.pieces[npieces - npieces / n].waited);
		assert_false(batch.pieces[npieces - 1].waited);
	}
	one = len / n;
	assert_true(len <= BATCH_MAX && len + one > BATCH_MAX);
	assert_int_equal(batch.text.len, len);
	assert_int_equal(batch.npieces, npieces);
	assert_int_equal(batch.nwaiters, n);
	r.nsubjects = (BATCH_MAX - len) / 40;
	assert_true(record_put(&batch, &scratch, &r, 0, NULL, NULL));
	assert_int_equal(batch.nwaiters, n);
	free(subjects);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {CASE(test_as_many_as_it_takes),
		CASE(test_just_too_many), CASE(test_only_repeated_ones_are_left),
		CASE(test_the_same_bytes), CASE(test_lists_of_other_events),
		CASE(test_names_fill_a_line), CASE(test_batch_is_full)};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
