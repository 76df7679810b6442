#include "unit.h"

#include "util/reader.h"

static const struct {
	const char *a, *b;
	int order;
	bool starts; /* a starts with b */
} pairs[] = {
	{"", "", 0, true},
	{"", "a", -1, false},
	{"a", "", 1, true},
	{"a", "a", 0, true},
	{"a", "b", -1, false},
	{"ab", "a", 1, true},
	{"a", "ab", -1, false},
	{"b", "ab", 1, false},
	{"\x7f", "\x80", -1, false},
};

static void test_compare(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		struct bytes a = bytes_str(pairs[i].a), b = bytes_str(pairs[i].b);
		int order = bytes_compare(a, b);

		assert_int_equal((order > 0) - (order < 0), pairs[i].order);
		assert_int_equal(bytes_equal(a, b), pairs[i].order == 0);
		assert_int_equal(bytes_start_with(a, b), pairs[i].starts);
	}
	assert_true(bytes_equal(bytes_of(NULL, 0), bytes_of(NULL, 0)));
	assert_true(bytes_equal_str(bytes_of(NULL, 0), ""));
	assert_true(bytes_start_with(bytes_of(NULL, 0), bytes_of(NULL, 0)));
	assert_int_equal(bytes_compare(bytes_of(NULL, 0), bytes_of(NULL, 0)), 0);
}

static void test_ascii(void **state)
{
	(void)state;
	assert_true(bytes_are_ascii(bytes_of(NULL, 0)));
	assert_true(bytes_are_ascii(bytes_of("\0\x01 az\x7f", 6)));
	for (unsigned i = 0x80; i <= 0xff; i++) {
		uint8_t text[] = {'a', (uint8_t)i, 'b'};

		assert_false(bytes_are_ascii(bytes_of(text, 3)));
		assert_false(bytes_are_ascii(bytes_of(text + 1, 1)));
		assert_true(bytes_are_ascii(bytes_of(text, 1)));
	}
}

static void test_cut(void **state)
{
	static const struct {
		size_t at;
		const char *head, *from;
	} cases[] = {{0, "", "abc"}, {1, "a", "bc"}, {2, "ab", "c"}, {3, "abc", ""},
		{SIZE_MAX, "abc", ""}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_true(
			bytes_equal_str(bytes_head(bytes_str("abc"), cases[i].at), cases[i].head));
		assert_true(
			bytes_equal_str(bytes_from(bytes_str("abc"), cases[i].at), cases[i].from));
	}
	assert_int_equal(bytes_from(bytes_of(NULL, 0), 0).len, 0);
	assert_int_equal(bytes_from(bytes_of(NULL, 0), 9).len, 0);
}

static void test_numbers(void **state)
{
	static const uint8_t le[] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t one_and_a_half[] = {0, 0, 0, 0, 0, 0, 0xf8, 0x3f};
	uint8_t out[8];

	(void)state;
	assert_true(load_u32(le) == 0xfffffffe);
	assert_true(load_u64(le) == 0xfffffffffffffffe);
	assert_true(load_i32(le) == -2);
	assert_true(load_i64(le) == -2);
	assert_true(load_double(one_and_a_half) == 1.5);
	store_u64(out, 0x0807060504030201);
	for (uint8_t i = 0; i < 8; i++)
		assert_int_equal(out[i], i + 1);
	store_u32(out, 0xfffefdfc);
	assert_true(load_u64(out) == 0x08070605fffefdfc);
}

static void test_hex(void **state)
{
	static const char *const wanted = "00090a0f10999aa0f0ff7f80";
	static const uint8_t all[] = {0, 9, 10, 15, 16, 0x99, 0x9a, 0xa0, 0xf0, 0xff, 0x7f, 0x80};

	(void)state;
	for (size_t from = 0; from <= sizeof(all); from++) {
		for (size_t len = 0; len <= sizeof(all) - from; len++) {
			char out[2 * sizeof(all) + 1];

			memset(out, '-', sizeof(out));
			bytes_hex(bytes_of(all + from, len), out);
			assert_memory_equal(out, wanted + 2 * from, 2 * len);
			assert_int_equal(out[2 * len], '-');
		}
	}
}

static void test_reader(void **state)
{
	struct reader r = reader_of(bytes_of("\x01\x02\0\0\0\x03\0\0\0\0\0\0\0ab\0rest", 20));

	(void)state;
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_peek_u32(&r), 2);
	assert_int_equal(reader_u32(&r), 2);
	assert_int_equal(reader_u64(&r), 3);
	assert_true(bytes_equal_str(reader_name(&r), "ab"));
	assert_true(bytes_equal_str(reader_take(&r, 4), "rest"));
	assert_false(r.failed);
	assert_int_equal(reader_take(&r, 0).len, 0);
	assert_false(r.failed);
}

static void read_u8(struct reader *r)
{
	assert_int_equal(reader_u8(r), 0);
}

static void read_u32(struct reader *r)
{
	assert_int_equal(reader_u32(r), 0);
}

static void peek_u32(struct reader *r)
{
	assert_int_equal(reader_peek_u32(r), 0);
}

static void read_u64(struct reader *r)
{
	assert_true(reader_u64(r) == 0);
}

static void read_name(struct reader *r)
{
	assert_int_equal(reader_name(r).len, 0);
}

static void take_too_much(struct reader *r)
{
	assert_int_equal(reader_take(r, SIZE_MAX).len, 0);
}

/* One byte too few; and after that nothing is read, not even what would fit. */
static void test_reader_fails_for_good(void **state)
{
	static const struct {
		void (*read)(struct reader *);
		struct bytes from;
	} cases[] = {
		{read_u8, {(const uint8_t *)"", 0}},
		{read_u32, {(const uint8_t *)"\1\1\1", 3}},
		{peek_u32, {(const uint8_t *)"\1\1\1", 3}},
		{read_u64, {(const uint8_t *)"\1\1\1\1\1\1\1", 7}},
		{read_name, {(const uint8_t *)"abc", 3}},
		{take_too_much, {(const uint8_t *)"abc", 3}},
		{read_u8, {NULL, 0}},
		{read_name, {NULL, 0}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct reader r = reader_of(cases[i].from);

		cases[i].read(&r);
		assert_true(r.failed);
		assert_int_equal(r.left.len, cases[i].from.len);
		assert_int_equal(reader_take(&r, 0).len, 0);
		assert_int_equal(reader_u8(&r), 0);
		assert_int_equal(reader_name(&r).len, 0);
		assert_true(r.failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_ascii),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_reader_fails_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
