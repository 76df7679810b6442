#include "unit.h"

#include "util/utf8.h"

/* Table 3-7 of Unicode 15: the well-formed sequences, byte by byte. */
static const struct {
	size_t length;
	struct {
		uint8_t low, high;
	} byte[4];
} well_formed[] = {
	{1, {{0x00, 0x7f}}},
	{2, {{0xc2, 0xdf}, {0x80, 0xbf}}},
	{3, {{0xe0, 0xe0}, {0xa0, 0xbf}, {0x80, 0xbf}}},
	{3, {{0xe1, 0xec}, {0x80, 0xbf}, {0x80, 0xbf}}},
	{3, {{0xed, 0xed}, {0x80, 0x9f}, {0x80, 0xbf}}},
	{3, {{0xee, 0xef}, {0x80, 0xbf}, {0x80, 0xbf}}},
	{4, {{0xf0, 0xf0}, {0x90, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}},
	{4, {{0xf1, 0xf3}, {0x80, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}},
	{4, {{0xf4, 0xf4}, {0x80, 0x8f}, {0x80, 0xbf}, {0x80, 0xbf}}},
};

/* Length of the character at the front, or 0 and the longest beginning of one. */
static size_t expected_character(const uint8_t *at, size_t len, size_t *bad)
{
	*bad = len ? 1 : 0;
	for (size_t row = 0; row < COUNT_OF(well_formed); row++) {
		size_t n = 0;

		while (n < len && n < well_formed[row].length &&
			at[n] >= well_formed[row].byte[n].low &&
			at[n] <= well_formed[row].byte[n].high)
			n++;
		if (n == well_formed[row].length)
			return n;
		if (n > *bad)
			*bad = n;
	}
	return 0;
}

static bool expected_valid(const uint8_t *at, size_t len)
{
	size_t bad;

	for (size_t i = 0, n; i < len; i += n) {
		n = expected_character(at + i, len - i, &bad);
		if (!n)
			return false;
	}
	return true;
}

static void compare(const uint8_t *at, size_t len)
{
	size_t bad, expected_bad;
	size_t n = utf8_character(bytes_of(at, len), &bad);
	size_t expected = expected_character(at, len, &expected_bad);

	if (n != expected || (!n && bad != expected_bad) ||
		utf8_valid(bytes_of(at, len)) != expected_valid(at, len))
		fail_msg("%02x %02x %02x %02x of %zu bytes", at[0], at[1], at[2], at[3], len);
}

static void test_all_short(void **state)
{
	(void)state;
	for (uint32_t v = 0; v < 1u << 24; v++) {
		const uint8_t at[4] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

		if (!(v & 0xffff))
			compare(at, 1);
		if (!(v & 0xff))
			compare(at, 2);
		/* ASCII in front of two bytes says nothing new, but for a few. */
		if (at[0] >= 0x7e)
			compare(at, 3);
	}
}

static void test_long(void **state)
{
	static const uint8_t edges[] = {
		0x00, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xff};

	(void)state;
	for (uint32_t v = 0x7e00; v < 1u << 16; v++)
		for (size_t third = 0; third < COUNT_OF(edges); third++)
			for (size_t fourth = 0; fourth < COUNT_OF(edges); fourth++) {
				const uint8_t at[4] = {
					(uint8_t)(v >> 8), (uint8_t)v, edges[third], edges[fourth]};

				compare(at, 4);
			}
}

static void test_nothing(void **state)
{
	size_t bad = 9;

	(void)state;
	assert_true(utf8_valid(bytes_of(NULL, 0)));
	assert_int_equal(utf8_character(bytes_of(NULL, 0), &bad), 0);
	assert_int_equal(bad, 0);
}

static const struct {
	const char *text;
	size_t size;
	const char *expected;
} printable[] = {
	{"", 4, ""},
	{"abc", 4, "abc"},
	{"abcd", 4, "…"},
	{"abcd", 5, "abcd"},
	{"abcde", 5, "a…"},
	{"été", 6, "été"},
	{"étés", 6, "é…"},
	{"étés", 5, "…"},
	{"\x1b[31m", 32, "?[31m"},
	{"a\tb\nc\x7f", 32, "a?b?c?"},
	{"a\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0z", 32, "a???\xc2\xa0z"},
	{"a\xff\xfe", 32, "a\xef\xbf\xbd\xef\xbf\xbd"},
	{"\xf0\x90\x80z", 32, "\xef\xbf\xbdz"},
	{"\xff", 4, "\xef\xbf\xbd"},
	{"\xff\xff", 4, "…"},
	{"\xff\xff", 6, "…"},
	{"\xf0\x9f\x98\x80", 5, "\xf0\x9f\x98\x80"},
	{"\xf0\x9f\x98\x80", 4, "…"},
};

static void test_printable(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(printable); i++) {
		char out[32];
		size_t n = utf8_printable(bytes_str(printable[i].text), out, printable[i].size);

		assert_string_equal(out, printable[i].expected);
		assert_int_equal(n, strlen(out));
		assert_true(n < printable[i].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_short),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
