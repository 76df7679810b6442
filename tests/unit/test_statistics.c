#include "noise_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include <bson/bson.h>

#include "transform/statistics.h"
#include "util/memory.h"

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static struct bytes bson_of(const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	struct bytes copy;

	if (!doc)
		fail_msg("%s: %s", json, error.message);
	copy = arena_copy(&arena, bytes_of(bson_get_data(doc), doc->len));
	bson_destroy(doc);
	return copy;
}

/* ------------------------------------------------------------------ loading */

#define HEAD                                                                     \
	"mongoward: 1\nclasses: {identity: {}, medical: {}}\ncollections:\n"     \
	"  db.c: {subject: [{of: [card]}], fields: {card: {class: identity}}}\n" \
	"  db.d: {fields: {x: {class: medical}}}\n"                              \
	"views: {db.v: {from: db.c, fields: {x: {of: x}}}}\n"
#define GRANT(rest)    HEAD "roles: {a: {grants: [{" rest "}]}}\n"
#define LIMITS(limits) GRANT("namespace: db.c, do: [read], statistics: " limits)

static const struct {
	const char *text, *complaint; /* NULL: none */
	uint32_t min_group, per_day;
} policies[] = {
	{LIMITS("{}"), NULL, 11, 50},
	{LIMITS("{min_group: 2}"), NULL, 2, 50},
	{LIMITS("{min_group: 100000, queries_per_day: 1}"), NULL, 100000, 1},
	{LIMITS("{queries_per_day: 10000}"), NULL, 11, 10000},
	{LIMITS("{min_group: 1}"), "a whole number from 2 to 100000 is expected", 0, 0},
	{LIMITS("{min_group: 100001}"), "a whole number from 2 to 100000 is expected", 0, 0},
	{LIMITS("{queries_per_day: 0}"), "a whole number from 1 to 10000 is expected", 0, 0},
	{LIMITS("{queries_per_day: 10001}"), "a whole number from 1 to 10000 is expected", 0, 0},
	{LIMITS("{epsilon: 1}"), "unknown key 'epsilon'", 0, 0},
	{LIMITS("true"), "a mapping is expected", 0, 0},
	{GRANT("namespace: db.c, do: [read, update], statistics: {}"),
		"who gets statistics only can only read", 0, 0},
	{GRANT("namespace: db.c, do: [read, metadata], statistics: {}"),
		"who gets statistics only can only read", 0, 0},
	{GRANT("namespace: db.c, do: [read], change: [medical], statistics: {}"),
		"who gets statistics only can only read", 0, 0},
	{GRANT("namespace: db.d, do: [read], statistics: {}"),
		"statistics of db.d would not know its patients apart", 0, 0},
	{GRANT("namespace: db.e, do: [read], statistics: {}"),
		"statistics are of a collection that the policy describes", 0, 0},
	{GRANT("namespace: db.v, do: [read], statistics: {}"),
		"statistics are of a collection that the policy describes", 0, 0},
	{GRANT("namespace: \"db.*\", do: [read], statistics: {}"),
		"statistics are of a collection that the policy describes", 0, 0},
};

static void test_loading(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(policies); i++) {
		struct complaints complaints;
		struct policy *p;

		complaints_init(&complaints);
		p = policy_load_text("p.yaml", bytes_str(policies[i].text), &complaints);
		buf_put_u8(&complaints.lines, 0);
		if (policies[i].complaint ? p || !strstr((const char *)complaints.lines.at,
							 policies[i].complaint)
					  : !p)
			fail_msg("%s: %s", policies[i].text, (const char *)complaints.lines.at);
		if (p) {
			const struct grant *g = &p->roles[0].grants[0];

			assert_int_equal(g->statistics.min_group, policies[i].min_group);
			assert_int_equal(g->statistics.per_day, policies[i].per_day);
		}
		policy_unref(p);
		complaints_fini(&complaints);
	}
}

/* ------------------------------------------------------------------ answers */

/* What is asked in these tests: {n: $sum: 1, s: $sum: x, a: $avg: x, d: $stdDevPop: x}. */
static struct statistic outputs[] = {
	{STATISTIC_COUNT, BYTES_LITERAL("n"), 0},
	{STATISTIC_SUM, BYTES_LITERAL("s"), 0},
	{STATISTIC_AVERAGE, BYTES_LITERAL("a"), 0},
	{STATISTIC_DEVIATION, BYTES_LITERAL("d"), 0},
};
static struct bytes x_path[] = {BYTES_LITERAL("x")};
static bool squares[] = {true};

static struct statistics asked_by(size_t nparts)
{
	return (struct statistics){
		.limits = {.min_group = 11, .per_day = 5},
		.ns = bytes_str("db.c"),
		.outputs = outputs,
		.noutputs = COUNT_OF(outputs),
		.paths = x_path,
		.squares = squares,
		.npaths = 1,
		.nparts = nparts,
	};
}

/* A group of `s` subjects with one document and the number 10 each, but for what is said. */
struct shape {
	int s, only, most, documents, numbers;
	double most_of_sum, sum;
};
#define PLAIN(subjects)                                                                  \
	{                                                                                \
		.s = (subjects), .only = (subjects), .most = 1, .documents = (subjects), \
		.numbers = (subjects), .most_of_sum = 10, .sum = 10.0 * (subjects)       \
	}

static char *document_of(const struct shape *g, int key, int in_match, int decided, int salt)
{
	return memory_format(
		"{\"view\": [{\"s\": 1000, \"r\": 999999999}], \"match\": [{\"s\": %d, "
		"\"r\": 900000000}], \"d0\": [%s], \"groups\": [{\"_id\": %d, \"s\": %d, "
		"\"r\": %d, \"o\": %d, \"p\": %d, \"n\": %d, \"h\": %d, \"t0\": %f, "
		"\"b0\": %f, \"m0\": %f, \"c0\": %d, \"d0\": %d, \"e0\": 1, \"q0\": %f, "
		"\"y0\": %f}]}",
		in_match, decided ? "{\"s\": 500, \"r\": 77}" : "", key, g->s, 1000 + salt, g->only,
		900 + salt, g->documents, g->most, g->sum, fabs(g->sum), g->most_of_sum, g->numbers,
		g->numbers, 10 * g->sum, 10 * g->most_of_sum);
}

static bool answer(struct master *m, const struct statistics *asked, const char *json,
	struct rows *rows, struct disclosure *d, struct fault *why)
{
	struct transform t = {.master = m};

	rows->arena = &arena;
	*d = (struct disclosure){0};
	return answer_statistics(&t, asked, bson_of(json), rows, d, why);
}

/* How many of 400 such groups, of other patients each, are told; the last row stays. */
static int told(const struct statistics *asked, const struct shape *g, int in_match, int decided,
	struct bytes *row, struct moments *count, struct moments *sum)
{
	struct master *m = master_of(3);
	int n = 0;

	for (int salt = 0; salt < 400; salt++) {
		char *json = document_of(g, 1, in_match, decided, salt);
		struct rows rows;
		struct disclosure d;
		struct element e;
		struct fault why;

		assert_true(answer(m, asked, json, &rows, &d, &why));
		assert_true(d.asked);
		n += (int)rows.n;
		if (rows.n) {
			*row = rows.list[0];
			assert_true(doc_find(*row, "n", &e));
			moments_add(count, load_i32(e.value.at) - g->documents);
			if (doc_find(*row, "s", &e) && e.type == TYPE_DOUBLE)
				moments_add(sum, load_double(e.value.at) - g->sum);
		}
		free(json);
	}
	master_free(m);
	return n;
}

enum telling { NEVER, SOMETIMES, ALWAYS };

static void test_who_is_told(void **state)
{
	static const struct {
		const char *what;
		struct shape g;
		int in_match;
		enum telling telling;
	} cases[] = {
		{"one", PLAIN(1), 500, NEVER},
		{"too few", PLAIN(10), 500, NEVER},
		{"just enough", PLAIN(11), 500, SOMETIMES},
		{"enough but for noise", PLAIN(14), 500, SOMETIMES},
		{"enough", PLAIN(19), 500, ALWAYS},
		{"nobody in other groups", PLAIN(300), 300, NEVER},
		{"one in other groups", PLAIN(300), 301, NEVER},
		{"few in other groups", PLAIN(300), 310, NEVER},
		{"hardly enough in other groups", PLAIN(300), 313, SOMETIMES},
		{"enough in other groups", PLAIN(300), 319, ALWAYS},
		{"all in other groups, too",
			{.s = 300,
				.only = 0,
				.most = 1,
				.documents = 300,
				.numbers = 300,
				.most_of_sum = 10,
				.sum = 3000},
			300, ALWAYS},
		{"one has half",
			{.s = 50,
				.only = 50,
				.most = 51,
				.documents = 100,
				.numbers = 50,
				.most_of_sum = 10,
				.sum = 500},
			500, NEVER},
		{"one has nearly half",
			{.s = 50,
				.only = 50,
				.most = 45,
				.documents = 100,
				.numbers = 50,
				.most_of_sum = 10,
				.sum = 500},
			500, SOMETIMES},
		{"one has a third",
			{.s = 50,
				.only = 50,
				.most = 33,
				.documents = 100,
				.numbers = 50,
				.most_of_sum = 10,
				.sum = 500},
			500, ALWAYS},
	};
	struct statistics asked = asked_by(0);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct moments count = {0}, sum = {0};
		struct bytes row;
		int n = told(&asked, &cases[i].g, cases[i].in_match, 0, &row, &count, &sum);
		enum telling telling = !n ? NEVER : n == 400 ? ALWAYS : SOMETIMES;

		if (telling != cases[i].telling)
			fail_msg("%s: %d of 400", cases[i].what, n);
		if (n)
			assert_true(count.least + cases[i].g.documents >= 11);
	}
	/* Where there can be no other group, nobody is looked for in one. */
	asked.one_group = true;
	{
		struct moments count = {0}, sum = {0};
		const struct shape g = PLAIN(300);
		struct bytes row;

		assert_int_equal(told(&asked, &g, 300, 0, &row, &count, &sum), 400);
	}
}

static void test_parts_decide(void **state)
{
	const struct shape g = PLAIN(300);
	struct statistics asked = asked_by(1);
	struct moments count = {0}, sum = {0};
	struct bytes row;

	(void)state;
	assert_int_equal(told(&asked, &g, 500, 1, &row, &count, &sum), 400);
	/* A part that decides about nobody is as one that decides about few. */
	assert_int_equal(told(&asked, &g, 500, 0, &row, &count, &sum), 0);
}

static void test_numbers(void **state)
{
	const struct shape g = PLAIN(300);
	struct statistics asked = asked_by(0);
	struct moments count = {0}, sum = {0};
	struct element e;
	struct bytes row;

	(void)state;
	assert_int_equal(told(&asked, &g, 500, 0, &row, &count, &sum), 400);
	moments_check(&count, 4, NOISE_WHOLE_MAX);
	/* As much as one patient can have at the most, in the same units. */
	moments_check(&sum, 100 * (4 + 1.0 / 6), 10 * (NOISE_WHOLE_MAX + 1));
	assert_true(doc_find(row, "a", &e) && fabs(load_double(e.value.at) - 10) < 0.7);
	assert_true(doc_find(row, "d", &e) && load_double(e.value.at) < 5);
	assert_true(doc_find(row, "_id", &e) && load_i32(e.value.at) == 1);
}

static void test_withheld(void **state)
{
	static const struct {
		const char *what;
		struct shape g;
		enum telling telling;
	} cases[] = {
		{"all numbers", PLAIN(300), ALWAYS},
		{"one number",
			{.s = 300,
				.only = 300,
				.most = 1,
				.documents = 300,
				.numbers = 1,
				.most_of_sum = 10,
				.sum = 10},
			NEVER},
		{"few numbers",
			{.s = 300,
				.only = 300,
				.most = 1,
				.documents = 300,
				.numbers = 10,
				.most_of_sum = 10,
				.sum = 100},
			NEVER},
		{"some numbers",
			{.s = 300,
				.only = 300,
				.most = 1,
				.documents = 300,
				.numbers = 30,
				.most_of_sum = 10,
				.sum = 300},
			ALWAYS},
		{"one has most",
			{.s = 300,
				.only = 300,
				.most = 1,
				.documents = 300,
				.numbers = 300,
				.most_of_sum = 501,
				.sum = 1000},
			NEVER},
		{"one has much",
			{.s = 300,
				.only = 300,
				.most = 1,
				.documents = 300,
				.numbers = 300,
				.most_of_sum = 450,
				.sum = 1000},
			SOMETIMES},
		{"nothing but zeros",
			{.s = 300,
				.only = 300,
				.most = 1,
				.documents = 300,
				.numbers = 300,
				.most_of_sum = 0,
				.sum = 0},
			NEVER},
	};
	struct statistics asked = asked_by(0);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct moments count = {0}, sum = {0};
		struct element e;
		struct bytes row;
		enum telling telling;

		assert_int_equal(told(&asked, &cases[i].g, 500, 0, &row, &count, &sum), 400);
		telling = sum.n == 0 ? NEVER : sum.n == 400 ? ALWAYS : SOMETIMES;
		if (telling != cases[i].telling)
			fail_msg("%s: %.0f of 400", cases[i].what, sum.n);
		for (size_t k = 1; telling == NEVER && k < COUNT_OF(outputs); k++)
			assert_true(doc_find_name(row, outputs[k].name, &e) && e.type == TYPE_NULL);
	}
}

static void test_answers_are_lasting(void **state)
{
	const struct shape g = PLAIN(300);
	struct master *m = master_of(4);
	struct statistics asked = asked_by(0);
	char *json = document_of(&g, 1, 500, 0, 7), *moved = document_of(&g, 1, 500, 0, 8);
	struct rows first, second;
	struct disclosure a, b;
	struct fault why;

	(void)state;
	assert_true(answer(m, &asked, json, &first, &a, &why));
	assert_true(answer(m, &asked, json, &second, &b, &why));
	assert_true(bytes_equal(first.list[0], second.list[0]));
	assert_memory_equal(&a.question, &b.question, sizeof(a.question));
	assert_memory_equal(&a.answer, &b.answer, sizeof(a.answer));
	assert_true(answer(m, &asked, moved, &second, &b, &why));
	assert_memory_equal(&a.question, &b.question, sizeof(a.question));
	assert_memory_not_equal(&a.answer, &b.answer, sizeof(a.answer));
	/* Another accumulator beside it draws nothing anew. */
	asked.noutputs = 1;
	assert_true(answer(m, &asked, json, &second, &b, &why));
	assert_memory_equal(&a.answer, &b.answer, sizeof(a.answer));
	{
		struct element n, same;

		assert_true(doc_find(first.list[0], "n", &n));
		assert_true(doc_find(second.list[0], "n", &same));
		assert_true(bytes_equal(n.value, same.value));
	}
	free(json);
	free(moved);
	master_free(m);
}

static void test_garbage(void **state)
{
#define GROUPS(group) "{\"view\": [], \"match\": [{\"s\": 90, \"r\": 90}], \"groups\": [" group "]}"
	static const char *const replies[] = {
		"{}",
		"{\"view\": [], \"groups\": []}",
		"{\"view\": [], \"match\": 1, \"groups\": []}",
		"{\"view\": [{\"s\": -1, \"r\": 1}], \"match\": [], \"groups\": []}",
		"{\"view\": [{\"s\": 1, \"r\": 0.5}], \"match\": [], \"groups\": []}",
		"{\"view\": [{\"s\": 1}], \"match\": [], \"groups\": []}",
		"{\"view\": [1], \"match\": [], \"groups\": []}",
		GROUPS("1"),
		GROUPS("{}"),
		GROUPS("{\"_id\": 1, \"s\": 20, \"r\": 20, \"o\": 20, \"p\": 20, \"n\": 20}"),
		GROUPS("{\"_id\": 1, \"s\": 20, \"r\": 20, \"o\": 91, \"p\": 20, \"n\": 20, \"h\": "
		       "1}"),
		GROUPS("{\"_id\": 1, \"s\": 20, \"r\": 20, \"o\": 20, \"p\": 91, \"n\": 20, \"h\": "
		       "1}"),
		GROUPS("{\"_id\": 1, \"s\": 20, \"r\": 20, \"o\": 20, \"p\": 20, \"n\": "
		       "{\"$numberLong\": \"1125899906842625\"}, \"h\": 1}"),
		GROUPS("{\"_id\": 1, \"s\": 20, \"r\": 20, \"o\": 20, \"p\": 20, \"n\": 20, \"h\": "
		       "1, "
		       "\"t0\": \"x\", \"b0\": 1, \"m0\": 1, \"c0\": 1, \"d0\": 1, \"e0\": 1, "
		       "\"q0\": 1, "
		       "\"y0\": 1}"),
		GROUPS("{\"_id\": 1, \"s\": 20, \"r\": 20, \"o\": 20, \"p\": 20, \"n\": 20, \"h\": "
		       "1, "
		       "\"t0\": {\"$numberDouble\": \"Infinity\"}, \"b0\": 1, \"m0\": 1, \"c0\": "
		       "1, "
		       "\"d0\": 1, \"e0\": 1, \"q0\": 1, \"y0\": 1}"),
	};
	struct master *m = master_of(5);
	struct statistics asked = asked_by(0), parts = asked_by(1);
	struct disclosure d;
	struct fault why;
	struct rows rows;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(replies); i++) {
		if (answer(m, &asked, replies[i], &rows, &d, &why))
			fail_msg("%s", replies[i]);
		assert_int_equal(why.code, FAULT_UPSTREAM_GARBAGE);
		assert_false(d.asked);
	}
	assert_true(answer(m, &asked, GROUPS(""), &rows, &d, &why) && !rows.n);
	/* A part of the filter of which nothing is said. */
	assert_false(answer(m, &parts, GROUPS(""), &rows, &d, &why));
	master_free(m);
}

static void test_too_many_groups(void **state)
{
	struct master *m = master_of(6);
	struct statistics asked = asked_by(0);
	struct disclosure d;
	struct fault why;
	struct rows rows;
	struct buf text;

	(void)state;
	asked.npaths = asked.noutputs = 0;
	for (int n = STATISTICS_GROUPS_MAX; n <= STATISTICS_GROUPS_MAX + 1; n++) {
		buf_init(&text, 1u << 24);
		buf_put_str(&text, "{\"view\": [], \"match\": [{\"s\": 1000000, \"r\": 1000000}], "
				   "\"groups\": [");
		for (int i = 0; i < n; i++)
			buf_put_format(&text,
				"%s{\"_id\": %d, \"s\": 30, \"r\": %d, \"o\": 30, \"p\": 9, \"n\": "
				"30, "
				"\"h\": 1}",
				i ? "," : "", i, i);
		buf_put_str(&text, "]}");
		buf_put_u8(&text, 0);
		assert_int_equal(answer(m, &asked, (const char *)text.at, &rows, &d, &why),
			n == STATISTICS_GROUPS_MAX);
		if (n == STATISTICS_GROUPS_MAX)
			assert_int_equal(rows.n, n);
		else
			assert_int_equal(why.code, FAULT_STATISTICS_GROUPS);
		buf_fini(&text);
	}
	master_free(m);
}

/* --------------------------------------------------------------------- rows */

static void test_rows(void **state)
{
	/* A server's order of types, and then of values. */
	static const char *const in_order[] = {"{\"_id\": null}", "{\"_id\": -1.5}", "{\"_id\": 1}",
		"{\"_id\": {\"$numberLong\": \"2\"}}", "{\"_id\": \"a\"}", "{\"_id\": \"b\"}",
		"{\"_id\": {\"a\": 1}}", "{\"_id\": {\"a\": 2}}", "{\"_id\": {\"a\": 2, \"b\": 1}}",
		"{\"_id\": {\"b\": 1}}", "{\"_id\": [1]}", "{\"_id\": false}", "{\"_id\": true}",
		"{\"_id\": {\"$date\": \"2020-01-01T00:00:00Z\"}}"};
	struct row_field by_n = {.from = "n", .descending = true};
	struct row_field by_part = {.from = "_id.a"};
	struct row_field fields[] = {
		{.name = BYTES_LITERAL("name"), .from = "_id.a"},
		{.name = BYTES_LITERAL("n"), .from = "n"},
		{.name = BYTES_LITERAL("none"), .from = "_id.z"},
	};
	struct row_step steps[] = {
		{.kind = ROWS_SORT, .fields = &by_part, .nfields = 1},
		{.kind = ROWS_SORT, .fields = &by_n, .nfields = 1},
		{.kind = ROWS_SKIP, .n = 1},
		{.kind = ROWS_LIMIT, .n = 2},
		{.kind = ROWS_PROJECT, .fields = fields, .nfields = COUNT_OF(fields)},
	};
	struct statistics asked = {.steps = steps, .nsteps = 0};
	struct bytes list[COUNT_OF(in_order)];
	struct rows rows = {.list = list, .n = COUNT_OF(list), .arena = &arena};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(list); i++)
		list[i] = bson_of(in_order[(i * 5) % COUNT_OF(list)]);
	step_rows(&rows, &asked);
	for (size_t i = 0; i < COUNT_OF(list); i++)
		assert_true(bytes_equal(rows.list[i], bson_of(in_order[i])));
	/* Sorted by the first part, equal n keep that order; then one is left out, two stay. */
	list[0] = bson_of("{\"_id\": {\"a\": \"z\"}, \"n\": 5}");
	list[1] = bson_of("{\"_id\": {\"a\": \"y\"}, \"n\": 5}");
	list[2] = bson_of("{\"_id\": {\"a\": \"x\"}, \"n\": 9}");
	list[3] = bson_of("{\"_id\": {\"a\": \"w\"}, \"n\": 1}");
	rows = (struct rows){.list = list, .n = 4, .arena = &arena};
	asked.nsteps = COUNT_OF(steps);
	step_rows(&rows, &asked);
	assert_int_equal(rows.n, 2);
	assert_true(bytes_equal(rows.list[0], bson_of("{\"name\": \"y\", \"n\": 5}")));
	assert_true(bytes_equal(rows.list[1], bson_of("{\"name\": \"z\", \"n\": 5}")));
	/* More to skip than there is. */
	steps[0] = (struct row_step){.kind = ROWS_SKIP, .n = INT64_MAX};
	asked.nsteps = 1;
	step_rows(&rows, &asked);
	assert_int_equal(rows.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_loading, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_parts_decide, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_withheld, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answers_are_lasting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_garbage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_groups, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rows, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
