#include "unit.h"

#include "util/json.h"

#define WHOLE SIZE_MAX

static const struct {
	const char *text;
	size_t len;
	size_t max; /* WHOLE: not cut */
	const char *expected;
} cases[] = {
	{LITERAL(""), WHOLE, "\"\""},
	{LITERAL("abc"), WHOLE, "\"abc\""},
	{LITERAL("\"\\/"), WHOLE, "\"\\\"\\\\/\""},
	{LITERAL("\0\x01\n\x1f\x20\x7f"), WHOLE, "\"\\u0000\\u0001\\u000a\\u001f \x7f\""},
	{LITERAL("été\xf0\x9f\x98\x80"), WHOLE, "\"été\xf0\x9f\x98\x80\""},
	{LITERAL("a\xff\xc3"), WHOLE, "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
	{LITERAL("\xed\xa0\x80"), WHOLE, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	{LITERAL("\xf0\x90\x80z"), WHOLE, "\"\xef\xbf\xbdz\""},
	{LITERAL("abcd"), 4, "\"abcd\""},
	{LITERAL("abcde"), 4, "\"a…\""},
	{LITERAL("éé"), 4, "\"éé\""},
	{LITERAL("ééé"), 5, "\"é…\""},
	{LITERAL("ééé"), 4, "\"…\""},
	{LITERAL("\xff\xff"), 5, "\"…\""},
	{LITERAL("\xff\xff"), 6, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	{LITERAL("\"\"\"\""), 4, "\"\\\"\\\"\\\"\\\"\""},
	{LITERAL("\"\"\"\"\""), 4, "\"\\\"…\""},
	{LITERAL("abc"), 3, "\"abc\""},
	{LITERAL("abcd"), 3, "\"…\""},
	{LITERAL("abc"), 2, "\"\""},
	{LITERAL("abc"), 0, "\"\""},
	{LITERAL(""), 0, "\"\""},
};

static void test_strings(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct bytes text = bytes_of(cases[i].text, cases[i].len);

		buf_clear(&out);
		if (cases[i].max == WHOLE)
			json_put_string(&out, text);
		else
			json_put_string_cut(&out, text, cases[i].max);
		buf_put_u8(&out, 0);
		assert_string_equal((const char *)out.at, cases[i].expected);
	}
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_strings)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
