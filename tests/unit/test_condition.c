#include "unit.h"

#include <bson/bson.h>

#include "query/condition.h"
#include "query/match.h"

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

static struct conditions read_conditions(const char *json)
{
	struct conditions c;
	struct fault why;

	conditions_init(&c, &arena);
	if (!conditions_read(&c, bson_of(json), FAULT_STATISTICS, &why))
		fail_msg("%s: %s", json, why.what);
	return c;
}

typedef void put_fn(struct buf *out, struct bytes name, const struct conditions *c,
	const struct condition *part);

static struct bytes written(put_fn *put, const struct conditions *c, const struct condition *part)
{
	struct element filter;
	struct bytes copy;
	struct buf out;
	size_t begun;

	buf_init(&out, DOC_MAX_LEN);
	begun = doc_begin(&out);
	put(&out, bytes_str("f"), c, part);
	doc_end(&out, begun);
	copy = arena_copy(&arena, buf_bytes(&out));
	buf_fini(&out);
	assert_true(doc_find(copy, "f", &filter));
	return filter.value;
}

static bool fits(struct bytes filter, struct bytes doc)
{
	struct fault why;

	assert_true(match_check(filter, &why));
	return match_document(filter, doc);
}

static const struct {
	const char *filter;
	size_t parts;
} filters[] = {
	{"{}", 0},
	{"{\"a\": 1}", 1},
	{"{\"a\": 1, \"b\": 2}", 2},
	{"{\"a\": {\"$gt\": 0, \"$lte\": 2}}", 2},
	{"{\"a\": {\"$ne\": 1}}", 1},
	/* $in decides about as much as each of its values under $or, and more under $and. */
	{"{\"a\": {\"$in\": [1, 2]}}", 3},
	{"{\"a\": {\"$nin\": [1, 2]}}", 2},
	{"{\"$or\": [{\"a\": 1}, {\"b\": 2}]}", 3},
	{"{\"$or\": [{\"a\": 1, \"b\": 1}, {\"b\": 2}]}", 5},
	{"{\"a\": 1, \"$or\": [{\"b\": {\"$lt\": 1}}, {\"b\": {\"$gt\": 1}}]}", 4},
	{"{\"$nor\": [{\"a\": 1, \"b\": 1}]}", 3},
	{"{\"$nor\": [{\"a\": 1}, {\"b\": 1}]}", 2},
	{"{\"$or\": [{\"$nor\": [{\"a\": 1}, {\"b\": 1}]}, {\"b\": 2}]}", 5},
	{"{\"a\": {\"$not\": {\"$gt\": 0, \"$lt\": 2}}, \"b\": {\"$exists\": true}}", 4},
	{"{\"$and\": [{\"$or\": [{\"a\": 0}, {\"$or\": [{\"b\": 0}, {\"c\": 0}]}]}, {\"c\": "
	 "{\"$ne\": 1}}]}",
		5},
	{"{\"$and\": [{\"a\": 1}, {\"$and\": [{\"b\": 1}, {\"c\": {\"$in\": [0, 2]}}]}]}", 5},
};

/* Documents in which each of three fields is 0, 1, 2 or not there. */
static struct bytes sample(unsigned i)
{
	struct bytes copy;
	struct buf out;
	size_t begun;

	buf_init(&out, 4096);
	begun = doc_begin(&out);
	for (unsigned k = 0; k < 3; k++, i /= 4)
		if (i % 4 < 3)
			doc_put_int32(&out, bytes_of(&"abc"[k], 1), (int32_t)(i % 4));
	doc_end(&out, begun);
	copy = arena_copy(&arena, buf_bytes(&out));
	buf_fini(&out);
	return copy;
}

static void test_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(filters); i++) {
		struct conditions c = read_conditions(filters[i].filter);
		const struct condition *parts[CONDITION_PARTS];
		size_t n = conditions_parts(&c, parts);
		struct bytes own = bson_of(filters[i].filter);
		struct bytes whole = written(conditions_put, &c, NULL);

		if (n != filters[i].parts)
			fail_msg("%s: %zu parts", filters[i].filter, n);
		for (unsigned d = 0; d < 64; d++)
			assert_int_equal(fits(whole, sample(d)), fits(own, sample(d)));
		for (size_t p = 0; p < n; p++) {
			struct bytes without = written(conditions_put, &c, parts[p]);
			struct bytes decided = written(conditions_put_decided, &c, parts[p]);

			for (unsigned d = 0; d < 64; d++)
				assert_int_equal(fits(decided, sample(d)),
					fits(own, sample(d)) != fits(without, sample(d)));
		}
	}
}

/* What no part is asked for decides about no less than some part that is: of all ways to leave
 * something out, the smallest that matters is a part's. */
static size_t count_decided(const struct conditions *c, const struct condition *part)
{
	struct bytes decided = written(conditions_put_decided, c, part);
	size_t n = 0;

	for (unsigned d = 0; d < 64; d++)
		n += fits(decided, sample(d));
	return n;
}

static void check_below(const struct conditions *c, const struct condition *node, size_t least)
{
	assert_true(count_decided(c, node) >= least);
	for (const struct condition *child = node->first; child; child = child->next)
		check_below(c, child, least);
}

static void test_parts_are_enough(void **state)
{
	(void)state;
	for (size_t i = 1; i < COUNT_OF(filters); i++) {
		struct conditions c = read_conditions(filters[i].filter);
		const struct condition *parts[CONDITION_PARTS];
		size_t n = conditions_parts(&c, parts), least = 64;

		for (size_t p = 0; p < n; p++) {
			size_t decided = count_decided(&c, parts[p]);

			least = decided < least ? decided : least;
		}
		check_below(&c, &c.root, least);
	}
}

static void test_hashes(void **state)
{
	static const char *const same[][2] = {
		{"{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}"},
		{"{\"a\": 1}", "{\"a\": {\"$eq\": 1}}"},
		{"{\"a\": 1}", "{\"a\": {\"$in\": [1]}}"},
		{"{\"a\": 1}", "{\"a\": {\"$numberLong\": \"1\"}}"},
		{"{\"a\": 1}", "{\"a\": {\"$numberDouble\": \"1.0\"}}"},
		{"{\"a\": 1}", "{\"$and\": [{\"a\": 1}]}"},
		{"{\"a\": 1}", "{\"$and\": [{\"a\": 1}, {\"a\": 1}]}"},
		{"{\"a\": 1, \"b\": 2}", "{\"$and\": [{\"$and\": [{\"b\": 2}]}, {\"a\": 1}]}"},
		{"{\"a\": {\"$in\": [1, 2]}}", "{\"a\": {\"$in\": [2, 1, 2]}}"},
		{"{\"a\": {\"$in\": [1, 2]}}", "{\"$or\": [{\"a\": 2}, {\"a\": 1}]}"},
		{"{\"a\": {\"$ne\": 1}}", "{\"$nor\": [{\"a\": 1}]}"},
		{"{\"a\": {\"$ne\": 1}}", "{\"a\": {\"$not\": {\"$eq\": 1}}}"},
		{"{\"a\": {\"$nin\": [1, 2]}}",
			"{\"$nor\": [{\"$or\": [{\"a\": 2}, {\"a\": 1}]}]}"},
		{"{\"a\": {\"$gt\": 1, \"$lt\": 3}}",
			"{\"$and\": [{\"a\": {\"$lt\": 3}}, {\"a\": {\"$gt\": 1}}]}"},
	};
	static const char *const different[] = {"{}", "{\"a\": 1}", "{\"a\": 2}", "{\"b\": 1}",
		"{\"a\": \"1\"}", "{\"a\": {\"$gt\": 1}}", "{\"a\": {\"$gte\": 1}}",
		"{\"a\": {\"$ne\": 1}}", "{\"a\": 1, \"b\": 1}",
		"{\"$or\": [{\"a\": 1}, {\"b\": 1}]}", "{\"$nor\": [{\"a\": 1}, {\"b\": 1}]}",
		"{\"a\": {\"$exists\": true}}", "{\"a\": true}", "{\"a\": 1.5}", "{\"a\": null}",
		"{\"ab\": 1}"};
	uint8_t hashes[COUNT_OF(different)][CONDITION_HASH_LEN];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(same); i++) {
		struct conditions a = read_conditions(same[i][0]), b = read_conditions(same[i][1]);

		conditions_hash(&a, hashes[0]);
		conditions_hash(&b, hashes[1]);
		if (memcmp(hashes[0], hashes[1], CONDITION_HASH_LEN) != 0)
			fail_msg("%s is not %s", same[i][0], same[i][1]);
	}
	for (size_t i = 0; i < COUNT_OF(different); i++) {
		struct conditions c = read_conditions(different[i]);

		conditions_hash(&c, hashes[i]);
		for (size_t k = 0; k < i; k++)
			if (memcmp(hashes[i], hashes[k], CONDITION_HASH_LEN) == 0)
				fail_msg("%s is as %s", different[i], different[k]);
	}
}

static void test_fixed(void **state)
{
	static const struct {
		const char *filter;
		bool fixed;
	} cases[] = {
		{"{\"a\": 1}", true},
		{"{\"b\": 2, \"$and\": [{\"a\": 1}]}", true},
		{"{\"a\": {\"$in\": [1]}}", true},
		{"{\"a\": {\"$in\": [1, 2]}}", false},
		{"{\"a\": {\"$gte\": 1}}", false},
		{"{\"a\": {\"$ne\": 1}}", false},
		{"{\"$or\": [{\"a\": 1}, {\"b\": 1}]}", false},
		{"{\"b\": 1}", false},
		{"{}", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct conditions c = read_conditions(cases[i].filter);

		if (conditions_fix(&c, bytes_str("a")) != cases[i].fixed)
			fail_msg("%s", cases[i].filter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_conditions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_parts_are_enough, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hashes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fixed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
