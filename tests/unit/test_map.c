#include "unit.h"

#include <stdlib.h>

#include "util/map.h"

#define KEYS 5000u

static struct bytes key_of(uint32_t *numbers, size_t i)
{
	return bytes_of(&numbers[i], sizeof(numbers[i]));
}

static void test_small(void **state)
{
	int one, two;
	struct map m;
	size_t position = 0;

	(void)state;
	map_init(&m);
	assert_null(map_get(&m, bytes_str("a")));
	assert_null(map_remove(&m, bytes_str("a")));
	assert_null(map_next(&m, &position));
	assert_null(map_set(&m, bytes_str("a"), &one));
	assert_ptr_equal(map_get(&m, bytes_str("a")), &one);
	assert_ptr_equal(map_set(&m, bytes_str("a"), &two), &one);
	assert_int_equal(m.count, 1);
	assert_null(map_set(&m, bytes_of(NULL, 0), &one));
	assert_ptr_equal(map_get(&m, bytes_str("")), &one);
	assert_null(map_get(&m, bytes_of("a\0", 2)));
	assert_ptr_equal(map_remove(&m, bytes_str("a")), &two);
	assert_null(map_get(&m, bytes_str("a")));
	assert_int_equal(m.count, 1);
	map_fini(&m);
}

/* Against a plain array: any order of sets and removes gives the same content. */
static void test_against_array(void **state)
{
	static uint32_t numbers[KEYS];
	static void *expected[KEYS];
	size_t count = 0;
	struct map m;

	(void)state;
	srandom(1);
	map_init(&m);
	for (uint32_t i = 0; i < KEYS; i++)
		numbers[i] = i;
	for (int step = 0; step < 100000; step++) {
		size_t i = (size_t)random() % KEYS;
		bool removes = random() % 5 < (step < 50000 ? 2 : 3);
		void *before = removes ? map_remove(&m, key_of(numbers, i))
				       : map_set(&m, key_of(numbers, i), &numbers[i]);

		assert_ptr_equal(before, expected[i]);
		expected[i] = removes ? NULL : &numbers[i];
		count += (size_t)!removes - (size_t)(before != NULL);
		assert_int_equal(m.count, count);
	}
	for (size_t i = 0; i < KEYS; i++)
		assert_ptr_equal(map_get(&m, key_of(numbers, i)), expected[i]);
	for (size_t position = 0; map_next(&m, &position);)
		count--;
	assert_int_equal(count, 0);
	map_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_against_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
