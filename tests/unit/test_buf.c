#include "unit.h"

#include "util/buf.h"

static void test_puts(void **state)
{
	static const char expected[] = "\x01\x02\0\0\0\x03\0\0\0\0\0\0\0text 7-x";
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_put(&b, bytes_of(NULL, 0));
	assert_null(b.at);
	buf_put_u8(&b, 1);
	buf_put_u32(&b, 2);
	buf_put_u64(&b, 3);
	buf_put_str(&b, "text");
	buf_put_format(&b, " %d-%s", 7, "x");
	assert_false(b.failed);
	assert_true(bytes_equal(buf_bytes(&b), bytes_of(expected, sizeof(expected) - 1)));
	buf_fini(&b);
}

/* The limit holds for each way to write: `max` bytes fit, one more does not. */
static void test_limit(void **state)
{
	(void)state;
	for (size_t max = 0; max < 600; max++) {
		struct buf b;

		buf_init(&b, max);
		for (size_t i = 0; i < max; i++)
			buf_put_u8(&b, (uint8_t)i);
		assert_false(b.failed);
		assert_int_equal(b.len, max);
		assert_true(b.capacity <= max);
		buf_put_u8(&b, 0);
		assert_true(b.failed);
		assert_int_equal(b.len, max);
		for (size_t i = 0; i < max; i++)
			assert_int_equal(b.at[i], (uint8_t)i);
		buf_clear(&b);
		assert_false(b.failed);
		buf_put_format(&b, "%*s", (int)max, "");
		assert_int_equal(b.failed, false);
		assert_int_equal(b.len, max);
		buf_put_format(&b, "x");
		assert_true(b.failed);
		buf_fini(&b);
	}
}

static void test_failure_sticks(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	buf_put_str(&b, "ab");
	buf_put_str(&b, "too long");
	buf_put_str(&b, "c");
	buf_put_u8(&b, 'c');
	buf_put_format(&b, "c");
	assert_null(buf_reserve(&b, 0));
	assert_true(b.failed);
	assert_true(bytes_equal_str(buf_bytes(&b), "ab"));
	buf_patch_u32(&b, 0, 7);
	assert_true(bytes_equal_str(buf_bytes(&b), "ab"));
	buf_fini(&b);
}

static void test_reserve(void **state)
{
	struct buf b;
	uint8_t *room;

	(void)state;
	buf_init(&b, 10);
	assert_non_null(buf_reserve(&b, 0));
	room = buf_reserve(&b, 10);
	assert_non_null(room);
	memset(room, 'x', 10);
	assert_int_equal(b.len, 0);
	buf_commit(&b, 10);
	assert_int_equal(b.len, 10);
	assert_null(buf_reserve(&b, 1));
	assert_true(b.failed);
	buf_clear(&b);
	assert_null(buf_reserve(&b, SIZE_MAX));
	buf_fini(&b);
}

static void test_patch(void **state)
{
	static const struct {
		size_t offset;
		bool done;
	} cases[] = {{0, true}, {1, true}, {2, false}, {5, false}, {6, false}, {SIZE_MAX, false}};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_clear(&b);
		buf_put_str(&b, "abcde");
		buf_patch_u32(&b, cases[i].offset, 0);
		assert_int_equal(memchr(b.at, 0, b.len) != NULL, cases[i].done);
	}
	buf_clear(&b);
	buf_put_str(&b, "abc");
	buf_patch_u32(&b, 0, 0);
	assert_true(bytes_equal_str(buf_bytes(&b), "abc"));
	buf_fini(&b);
}

static void test_consume(void **state)
{
	static const struct {
		size_t n;
		const char *left;
	} cases[] = {{0, "abc"}, {1, "bc"}, {2, "c"}, {3, ""}, {4, ""}, {SIZE_MAX, ""}};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_consume(&b, 1);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_clear(&b);
		buf_put_str(&b, "abc");
		buf_consume(&b, cases[i].n);
		assert_true(bytes_equal_str(buf_bytes(&b), cases[i].left));
	}
	buf_fini(&b);
}

static void test_memory(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_put_str(&b, "abc");
	buf_shrink(&b, b.capacity);
	assert_non_null(b.at);
	assert_int_equal(b.len, 0);
	buf_shrink(&b, b.capacity - 1);
	assert_null(b.at);
	assert_int_equal(b.max, 1000);
	buf_wipe(&b);
	buf_put_str(&b, "again");
	assert_true(bytes_equal_str(buf_bytes(&b), "again"));
	buf_wipe(&b);
	assert_int_equal(b.len, 0);
	assert_null(b.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_puts),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_failure_sticks),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_patch),
		cmocka_unit_test(test_consume),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
