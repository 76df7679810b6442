#include "unit.h"

#include "auth/throttle.h"
#include "util/memory.h"

#define MINUTE_US (60ull * 1000 * 1000)
#define START_US  (1000 * MINUTE_US)

static const struct bytes here = {(const uint8_t *)"10.0.0.1", 8};
static const struct bytes there = {(const uint8_t *)"10.0.0.2", 8};
static const struct bytes ann = {(const uint8_t *)"ann", 3};
static const struct bytes bob = {(const uint8_t *)"bob", 3};

static void fail_times(struct throttle *t, struct bytes user, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		throttle_failed(t, here, user, START_US);
}

static void test_delay_doubles(void **state)
{
	static const uint32_t delays[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
	struct throttle *t = throttle_new();

	(void)state;
	fail_times(t, ann, THROTTLE_FREE - 1);
	assert_int_equal(throttle_delay_ms(t, here, ann, START_US), 0);
	for (size_t i = 0; i < COUNT_OF(delays); i++) {
		fail_times(t, ann, 1);
		assert_int_equal(throttle_delay_ms(t, here, ann, START_US), delays[i]);
	}
	throttle_free(t);
}

static void test_other_address_is_free(void **state)
{
	struct throttle *t = throttle_new();

	(void)state;
	fail_times(t, ann, 20);
	assert_int_equal(throttle_delay_ms(t, there, ann, START_US), 0);
	assert_int_equal(throttle_delay_ms(t, here, bob, START_US), THROTTLE_DELAY_MAX_MS);
	throttle_free(t);
}

static void test_success_forgets_no_address(void **state)
{
	struct throttle *t = throttle_new();

	(void)state;
	fail_times(t, ann, THROTTLE_FREE);
	throttle_succeeded(t, here, ann);
	throttle_succeeded(t, here, bytes_of("", 0));
	assert_int_equal(throttle_delay_ms(t, here, ann, START_US), 100);
	throttle_free(t);
}

static void test_failures_leak_by_the_minute(void **state)
{
	struct throttle *t = throttle_new();

	(void)state;
	fail_times(t, ann, THROTTLE_FREE);
	assert_int_equal(throttle_delay_ms(t, here, ann, START_US + MINUTE_US - 1), 100);
	assert_int_equal(throttle_delay_ms(t, here, ann, START_US + MINUTE_US), 0);
	/* Time that goes back takes nothing away and adds nothing. */
	fail_times(t, ann, THROTTLE_FREE);
	assert_int_equal(throttle_delay_ms(t, here, ann, 0), 100);
	throttle_free(t);
}

static void test_oldest_is_forgotten(void **state)
{
	struct throttle *t = throttle_new();

	(void)state;
	fail_times(t, bytes_of("", 0), THROTTLE_FREE);
	for (uint32_t i = 0; i < 9999; i++)
		throttle_failed(t, bytes_of(&i, sizeof(i)), bytes_of("", 0), START_US);
	assert_int_equal(throttle_delay_ms(t, here, ann, START_US), 100);
	throttle_failed(t, there, bytes_of("", 0), START_US);
	assert_int_equal(throttle_delay_ms(t, here, ann, START_US), 0);
	throttle_free(t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delay_doubles),
		cmocka_unit_test(test_other_address_is_free),
		cmocka_unit_test(test_success_forgets_no_address),
		cmocka_unit_test(test_failures_leak_by_the_minute),
		cmocka_unit_test(test_oldest_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
