#include "unit.h"

#include "session/glass.h"

#define DAY_US (24ll * 3600 * 1000000)
#define NOON   (20000 * DAY_US + DAY_US / 2)

static struct glass *glass;
static const struct break_glass rules = {.per_day = 3, .unreviewed_max = 2};

static int set_up(void **state)
{
	(void)state;
	glass = glass_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	glass_free(glass);
	return 0;
}

static enum fault_code begin(const char *user, const char *id, int64_t now_us)
{
	struct fault why = {.code = FAULT_NONE};

	if (glass_begin(glass, &rules, bytes_str(user), bytes_str(id), now_us, &why))
		assert_int_equal(why.code, FAULT_NONE);
	return why.code;
}

static bool review(const char *id, const char *by)
{
	return glass_review(glass, bytes_str(id), bytes_str(by));
}

static void test_not_before_the_log_was_read(void **state)
{
	(void)state;
	assert_int_equal(begin("u", "1", NOON), FAULT_GLASS_UNTRUSTED);
	assert_int_equal(glass_unreviewed(glass), 0);
	glass_trust(glass, true);
	assert_int_equal(begin("u", "1", NOON), FAULT_NONE);
	glass_trust(glass, false);
	assert_int_equal(begin("u", "2", NOON), FAULT_GLASS_UNTRUSTED);
}

static void test_unreviewed(void **state)
{
	(void)state;
	glass_trust(glass, true);
	assert_int_equal(begin("u", "1", NOON), FAULT_NONE);
	assert_int_equal(begin("u", "2", NOON), FAULT_NONE);
	assert_int_equal(begin("u", "3", NOON), FAULT_GLASS_LIMIT);
	assert_int_equal(begin("u", "3", NOON + 9 * DAY_US), FAULT_GLASS_LIMIT);
	assert_int_equal(begin("v", "4", NOON), FAULT_NONE);
	assert_int_equal(glass_unreviewed(glass), 3);
	/* Not by oneself, not of what never was, not twice. */
	assert_false(review("1", "u"));
	assert_false(review("7", "a"));
	assert_true(review("1", "a"));
	assert_false(review("1", "a"));
	assert_int_equal(begin("u", "3", NOON), FAULT_NONE);
	assert_int_equal(begin("u", "5", NOON), FAULT_GLASS_LIMIT);
}

static void test_per_day(void **state)
{
	(void)state;
	glass_trust(glass, true);
	for (int i = 0; i < 3; i++) {
		const char id[] = {(char)('0' + i), '\0'};

		assert_int_equal(begin("u", id, NOON), FAULT_NONE);
		assert_true(review(id, "a"));
	}
	assert_int_equal(begin("u", "3", NOON + DAY_US / 2 - 1), FAULT_GLASS_LIMIT);
	assert_int_equal(begin("u", "3", NOON - 5 * DAY_US), FAULT_GLASS_LIMIT);
	assert_int_equal(begin("u", "3", NOON + DAY_US / 2), FAULT_NONE);
	/* After the clock has gone back, uses count for the newest day. */
	assert_true(review("3", "a"));
	assert_int_equal(begin("u", "4", NOON), FAULT_NONE);
	assert_true(review("4", "a"));
	assert_int_equal(begin("u", "5", NOON), FAULT_NONE);
	assert_true(review("5", "a"));
	assert_int_equal(begin("u", "6", NOON), FAULT_GLASS_LIMIT);
	assert_int_equal(begin("u", "6", NOON + DAY_US), FAULT_GLASS_LIMIT);
	assert_int_equal(begin("u", "6", NOON + 2 * DAY_US), FAULT_NONE);
}

static void test_what_the_log_says(void **state)
{
	(void)state;
	glass_note_use(glass, bytes_str("u"), bytes_str("1"), NOON - DAY_US);
	glass_note_use(glass, bytes_str("u"), bytes_str("2"), NOON);
	glass_note_use(glass, bytes_str("u"), bytes_str("3"), NOON);
	assert_true(review("1", "a"));
	assert_true(review("3", "a"));
	glass_trust(glass, true);
	assert_int_equal(begin("u", "4", NOON), FAULT_NONE);
	/* Three today, of which two wait. */
	assert_int_equal(begin("u", "5", NOON), FAULT_GLASS_LIMIT);
	assert_true(review("2", "a"));
	assert_int_equal(begin("u", "5", NOON), FAULT_GLASS_LIMIT);
	assert_int_equal(begin("u", "5", NOON + DAY_US), FAULT_NONE);
}

/* Lines that are missing could be uses: somebody must have said that they are not. */
static void test_gaps(void **state)
{
	(void)state;
	glass_trust(glass, true);
	glass_note_gap(glass, bytes_str("gap:7"));
	assert_int_equal(begin("u", "1", NOON), FAULT_GLASS_UNTRUSTED);
	assert_int_equal(glass_unreviewed(glass), 1);
	assert_true(review("gap:7", "u"));
	assert_int_equal(begin("u", "1", NOON), FAULT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_not_before_the_log_was_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unreviewed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_per_day, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_the_log_says, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gaps, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
