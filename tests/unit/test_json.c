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

/* Each byte, at each place of texts around the eight bytes that are looked at together. */
static void test_each_byte(void **state)
{
	struct buf one, whole;

	(void)state;
	buf_init(&one, 1000);
	buf_init(&whole, 1000);
	for (unsigned byte = 0; byte < 0x80; byte++) {
		buf_clear(&one);
		json_put_string(&one, bytes_of(&(const uint8_t){(uint8_t)byte}, 1));
		for (size_t len = 1; len <= 18; len++) {
			for (size_t at = 0; at < len; at++) {
				uint8_t text[18];
				struct bytes rest;

				memset(text, 'a', sizeof(text));
				text[at] = (uint8_t)byte;
				buf_clear(&whole);
				json_put_string(&whole, bytes_of(text, len));
				assert_int_equal(whole.len, one.len + len - 1);
				rest = bytes_from(buf_bytes(&whole), 1 + at);
				assert_memory_equal(rest.at, one.at + 1, one.len - 2);
				assert_int_equal(whole.at[whole.len - 1], '"');
			}
		}
	}
	buf_fini(&one);
	buf_fini(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings), cmocka_unit_test(test_each_byte)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
