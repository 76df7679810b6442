#include "unit.h"

#include "util/bytes.h"
#include "util/clock.h"

static const struct {
	int64_t us;
	const char *text;
} cases[] = {
	{0, "1970-01-01T00:00:00.000000Z"},
	{1, "1970-01-01T00:00:00.000001Z"},
	{-1, "1969-12-31T23:59:59.999999Z"},
	{INT64_C(86399999999), "1970-01-01T23:59:59.999999Z"},
	{INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
	{INT64_C(951868800123456), "2000-03-01T00:00:00.123456Z"},
	{INT64_C(1795425164018231), "2026-11-23T09:12:44.018231Z"},
	{INT64_C(4107542399000010), "2100-02-28T23:59:59.000010Z"},
	{INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"},
	{INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
};

static void test_format(void **state)
{
	char text[CLOCK_TS_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		clock_format(cases[i].us, text);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_format)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
