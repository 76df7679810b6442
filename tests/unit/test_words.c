#include "unit.h"

#include "util/words.h"

static void test_few(void **state)
{
	static const int one = 1, two = 2;
	struct words w = {0};

	(void)state;
	assert_null(words_find(&w, bytes_str("a")));
	words_add(&w, bytes_str("a"), &one);
	words_add(&w, bytes_str(""), &two);
	assert_ptr_equal(words_find(&w, bytes_str("a")), &one);
	assert_ptr_equal(words_find(&w, bytes_of(NULL, 0)), &two);
	assert_null(words_find(&w, bytes_of("a\0", 2)));
	words_add(&w, bytes_str("a"), &two);
	assert_ptr_equal(words_find(&w, bytes_str("a")), &two);
	assert_int_equal(w.count, 2);
	words_fini(&w);
	assert_null(words_find(&w, bytes_str("a")));
}

/* Names of every length up to 20, that differ in one byte at each place. */
static void test_many(void **state)
{
	static char names[20 * 21 / 2 * 26][20];
	struct words w = {0};
	size_t n = 0;

	(void)state;
	for (size_t len = 1; len <= 20; len++) {
		for (size_t at = 0; at < len; at++) {
			for (char c = 'b'; c <= 'z'; c++, n++) {
				memset(names[n], 'a', len);
				names[n][at] = c;
				assert_null(words_find(&w, bytes_of(names[n], len)));
				words_add(&w, bytes_of(names[n], len), names[n]);
			}
		}
	}
	assert_int_equal(w.count, n);
	n = 0;
	for (size_t len = 1; len <= 20; len++) {
		for (size_t at = 0; at < len * 25; at++, n++)
			assert_ptr_equal(words_find(&w, bytes_of(names[n], len)), names[n]);
		assert_null(words_find(&w, bytes_of("aaaaaaaaaaaaaaaaaaaa", len)));
	}
	words_fini(&w);
	assert_null(words_find(&w, bytes_str("a")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
