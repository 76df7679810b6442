#include "noise_fixture.h"

static void test_noise(void **state)
{
	struct master *m = master_of(1), *other = master_of(2);
	struct noise_source source = {.master = m, .ns = bytes_str("db.c")}, changed;
	struct token answer = {{0}}, later = {{1}};
	struct moments whole = {0}, real = {0}, layer = {0};
	size_t same = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct subject_set set = {20 + i % 50, 1000003ll * i};
		struct noise a, b;

		noise_of(&source, &answer, &set, "x", bytes_str("p"), i % 7, &a);
		noise_of(&source, &answer, &set, "x", bytes_str("p"), i % 7, &b);
		assert_memory_equal(&a, &b, sizeof(a));
		moments_add(&whole, (double)a.whole);
		moments_add(&real, a.real);
		assert_true(a.share >= 0 && a.share < 1 && fabs(a.real - (double)a.whole) <= 1);
		/* Another question about the same patients shares one of two layers. */
		changed = source;
		store_u64(changed.question.bytes, (uint64_t)i + 1);
		noise_of(&changed, &answer, &set, "x", bytes_str("p"), i % 7, &b);
		moments_add(&layer, (double)(a.whole - b.whole));
		assert_true(a.share == b.share);
		same += a.whole == b.whole;
		/* So does the same question once something has changed. */
		noise_of(&source, &later, &set, "x", bytes_str("p"), i % 7, &b);
		assert_true(a.share == b.share && a.real != b.real);
	}
	moments_check(&whole, 4, NOISE_WHOLE_MAX);
	moments_check(&real, 4 + 1.0 / 6, NOISE_WHOLE_MAX + 1);
	moments_check(&layer, 4, NOISE_WHOLE_MAX);
	/* So equal answers are no more than one in five. */
	assert_true(same > 3500 && same < 4500);
	changed = source;
	changed.master = other;
	for (int i = 0; i < 5; i++) {
		const struct subject_set set = {30, 5000 + (i == 1)}, base = {30, 5000};
		struct noise a, b;

		changed = source;
		changed.master = i == 4 ? other : m;
		changed.ns = bytes_str(i == 0 ? "db.d" : "db.c");
		noise_of(&source, &answer, &base, "sum", bytes_str("p"), 1, &a);
		noise_of(&changed, &answer, &set, i == 2 ? "squares" : "sum",
			bytes_str(i == 3 ? "q" : "p"), 1, &b);
		assert_true(a.share != b.share && a.real != b.real);
	}
	master_free(m);
	master_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_noise)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
