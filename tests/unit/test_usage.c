#include "unit.h"

#include <stdio.h>

#include "session/inside.h"

#define DAY_US    (24ll * 3600 * 1000000)
#define MINUTE_US (60ll * 1000000)
#define NOON      (20000 * DAY_US + DAY_US / 2)

static struct usage *usage;

static int set_up(void **state)
{
	(void)state;
	usage = usage_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	usage_free(usage);
	return 0;
}

static enum fault_code begin(
	const struct role_limits *limits, const char *user, const char *role, int64_t now_us)
{
	struct fault why = {.code = FAULT_NONE};

	if (usage_begin(usage, limits, bytes_str(user), bytes_str(role), now_us, &why))
		assert_int_equal(why.code, FAULT_NONE);
	return why.code;
}

static bool documents(
	const struct role_limits *limits, const char *user, int64_t now_us, uint64_t n, bool anyway)
{
	return usage_documents(usage, limits, bytes_str(user), bytes_str("r"), now_us, n, anyway);
}

static void test_commands(void **state)
{
	const struct role_limits limits = {.commands_per_minute = 3};

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(begin(&limits, "u", "r", NOON + i), FAULT_NONE);
	assert_int_equal(begin(&limits, "u", "r", NOON + MINUTE_US - 1), FAULT_LIMIT_COMMANDS);
	/* Each user and each role for itself. */
	assert_int_equal(begin(&limits, "v", "r", NOON), FAULT_NONE);
	assert_int_equal(begin(&limits, "u", "s", NOON), FAULT_NONE);
	/* A clock that goes back gives nothing back; the next minute does. */
	assert_int_equal(begin(&limits, "u", "r", NOON - DAY_US), FAULT_LIMIT_COMMANDS);
	assert_int_equal(begin(&limits, "u", "r", NOON + MINUTE_US), FAULT_NONE);
	assert_true(documents(&limits, "u", NOON, UINT64_MAX, false));
}

static void test_documents(void **state)
{
	const struct role_limits limits = {.documents_per_day = 10};

	(void)state;
	assert_int_equal(begin(&limits, "u", "r", NOON), FAULT_NONE);
	assert_false(documents(&limits, "u", NOON, 11, false));
	assert_false(documents(&limits, "u", NOON, UINT64_MAX, false));
	assert_true(documents(&limits, "u", NOON, 9, false));
	assert_false(documents(&limits, "u", NOON, 2, false));
	assert_int_equal(begin(&limits, "u", "r", NOON), FAULT_NONE);
	assert_true(documents(&limits, "u", NOON, 1, false));
	assert_int_equal(begin(&limits, "u", "r", NOON), FAULT_LIMIT_DOCUMENTS);
	assert_int_equal(begin(&limits, "v", "r", NOON), FAULT_NONE);
	/* Yesterday is today's; tomorrow begins anew. */
	assert_int_equal(begin(&limits, "u", "r", NOON - DAY_US), FAULT_LIMIT_DOCUMENTS);
	assert_int_equal(begin(&limits, "u", "r", NOON + DAY_US / 2 - 1), FAULT_LIMIT_DOCUMENTS);
	assert_int_equal(begin(&limits, "u", "r", NOON + DAY_US / 2), FAULT_NONE);
	assert_true(documents(&limits, "u", NOON + DAY_US / 2, 10, false));
}

/* What a write tells is told; it counts all the same. */
static void test_anyway(void **state)
{
	const struct role_limits limits = {.documents_per_day = 2};

	(void)state;
	assert_true(documents(&limits, "u", NOON, 5, true));
	assert_int_equal(begin(&limits, "u", "r", NOON), FAULT_LIMIT_DOCUMENTS);
}

/* Old entries go; those of today stay, however many. */
static void test_many_users(void **state)
{
	const struct role_limits limits = {.documents_per_day = 1};
	char name[16];

	(void)state;
	for (int day = 0; day < 3; day++) {
		for (int i = 0; i < 5000; i++) {
			snprintf(name, sizeof(name), "u%d", i);
			assert_true(documents(&limits, name, NOON + day * DAY_US, 1, false));
		}
		for (int i = 0; i < 5000; i++) {
			snprintf(name, sizeof(name), "u%d", i);
			assert_int_equal(begin(&limits, name, "r", NOON + day * DAY_US),
				FAULT_LIMIT_DOCUMENTS);
		}
	}
}

static void test_long_names(void **state)
{
	const struct role_limits limits = {.documents_per_day = 1};
	char role[2048] = "";

	(void)state;
	memset(role, 'r', sizeof(role) - 1);
	assert_int_equal(begin(&limits, "u", role, NOON), FAULT_LIMIT_DOCUMENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_documents, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_anyway, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_users, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_names, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
