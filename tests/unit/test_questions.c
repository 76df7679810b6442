#include "unit.h"

#include <stdio.h>

#include "session/inside.h"

#define DAY_US (24ll * 3600 * 1000000)

static struct token number(uint64_t n)
{
	struct token t = {{0}};

	store_u64(t.bytes, n);
	return t;
}

static bool note(struct questions *q, const char *user, uint64_t question, uint64_t data,
	uint32_t per_day, int64_t now_us)
{
	struct token a = number(question), b = number(data);

	return questions_note(q, bytes_str(user), &a, &b, per_day, now_us);
}

static bool may(
	struct questions *q, const char *user, uint64_t question, uint32_t per_day, int64_t now_us)
{
	struct token a = number(question);

	return questions_may_ask(q, bytes_str(user), &a, per_day, now_us);
}

static void test_questions(void **state)
{
	struct questions *q = questions_new();
	int64_t now = 20000 * DAY_US;

	(void)state;
	for (uint64_t i = 1; i <= 3; i++) {
		assert_true(may(q, "ana", i, 3, now));
		assert_true(note(q, "ana", i, 1, 3, now));
	}
	/* The fourth is one too many; those that were asked stay. */
	assert_false(may(q, "ana", 4, 3, now));
	assert_false(note(q, "ana", 4, 1, 3, now));
	assert_true(may(q, "ana", 2, 3, now) && note(q, "ana", 2, 1, 3, now));
	/* What was asked counts again once its data have changed. */
	assert_true(may(q, "ana", 2, 3, now));
	assert_false(note(q, "ana", 2, 2, 3, now));
	/* Another user, a grant that gives more, the last instant of the day, and the next. */
	assert_true(note(q, "bea", 4, 1, 3, now));
	assert_true(note(q, "ana", 4, 1, 4, now));
	assert_false(note(q, "ana", 5, 1, 4, now + DAY_US - 1));
	assert_true(may(q, "ana", 5, 4, now + DAY_US));
	assert_true(note(q, "ana", 5, 1, 1, now + DAY_US));
	assert_false(note(q, "ana", 1, 1, 1, now + DAY_US));
	questions_free(q);
}

static void test_questions_are_bounded(void **state)
{
	struct questions *q = questions_new();
	int64_t now = 20000 * DAY_US;
	uint64_t noted = 0;
	char name[32];

	(void)state;
	for (unsigned user = 0; user < 10000; user++) {
		snprintf(name, sizeof(name), "u%u", user);
		for (uint64_t i = 0; i < 105; i++)
			noted += note(q, name, i, 1, 1000, now);
	}
	assert_int_equal(noted, 1u << 20);
	/* A day that is over makes room. */
	assert_true(note(q, "another", 1, 1, 1000, now + DAY_US));
	questions_free(q);
	q = questions_new();
	for (unsigned user = 0; user <= 10000; user++) {
		snprintf(name, sizeof(name), "u%u", user);
		assert_int_equal(note(q, name, 1, 1, 1000, now), user < 10000);
	}
	assert_true(note(q, "u10000", 1, 1, 1000, now + DAY_US));
	questions_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_questions_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
