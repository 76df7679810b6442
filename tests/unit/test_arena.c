#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/arena.h"

static bool is_zero(const uint8_t *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (at[i])
			return false;
	return true;
}

/* Pieces of every size around a block's end are aligned, zeroed and apart. */
static void test_pieces(void **state)
{
	struct arena a;
	size_t used = 0;

	(void)state;
	arena_init(&a);
	assert_non_null(arena_alloc(&a, 0));
	for (int round = 0; round < 3; round++) {
		uint8_t *before = NULL;
		size_t before_size = 0;

		for (size_t size = 0; size < 20000; size += 1 + size / 7) {
			uint8_t *piece = arena_alloc(&a, size);

			assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
			assert_true(is_zero(piece, size));
			memset(piece, 0xee, size);
			for (size_t i = 0; i < before_size; i++)
				assert_int_equal(before[i], 0xdd);
			memset(piece, 0xdd, size);
			before = piece;
			before_size = size;
			used += size;
			assert_int_equal(a.used, used);
		}
		arena_reset(&a);
		used = 0;
		assert_int_equal(a.used, 0);
	}
	arena_fini(&a);
	assert_null(a.blocks);
}

static void test_copies(void **state)
{
	struct arena a;
	struct bytes copy;

	(void)state;
	arena_init(&a);
	copy = arena_copy(&a, bytes_of("a\0b", 3));
	assert_true(bytes_equal(copy, bytes_of("a\0b", 3)));
	assert_int_equal(copy.at[3], 0);
	assert_int_equal(arena_copy(&a, bytes_of(NULL, 0)).len, 0);
	assert_string_equal(arena_text(&a, bytes_str("abc")), "abc");
	assert_string_equal(arena_text(&a, bytes_of(NULL, 0)), "");
	assert_string_equal(arena_format(&a, "%d %s", 7, "x"), "7 x");
	assert_string_equal(arena_format(&a, "%s", ""), "");
	assert_true(is_zero(arena_array(&a, 3, 5), 15));
	assert_non_null(arena_array(&a, 0, 5));
	assert_non_null(arena_array(&a, 5, 0));
	arena_fini(&a);
}

static void take_too_many(struct arena *a)
{
	(void)arena_array(a, SIZE_MAX / 2, 3);
}

static void take_too_much(struct arena *a)
{
	(void)arena_alloc(a, SIZE_MAX - 8);
}

/* What overflows ends the process instead of giving a short piece. */
static void test_overflow(void **state)
{
	static void (*const takes[])(struct arena *) = {take_too_many, take_too_much};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(takes); i++) {
		int status = 0;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			struct arena a;

			signal(SIGABRT, SIG_DFL);
			arena_init(&a);
			takes[i](&a);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
