#include "unit.h"

#include <pthread.h>

#include "upstream/transactions.h"

#define T0 1000000ull

static const struct bytes ann = {(const uint8_t *)"ann", 3};
static const struct bytes bob = {(const uint8_t *)"bob", 3};
static const uint8_t lsid[16] = {1, 2, 3};
static const uint8_t other_lsid[16] = {1, 2, 4};

static void test_only_the_owner_finds(void **state)
{
	struct transactions *t = transactions_new();
	server_id server;

	(void)state;
	assert_true(transactions_start(t, ann, lsid, 5, T0));
	assert_int_equal(transactions_find(t, ann, lsid, 5, T0, &server), TRANSACTION_OPEN);
	assert_int_equal(server, SERVER_ANY);
	transactions_placed(t, ann, lsid, 5, 3);
	transactions_placed(t, bob, lsid, 5, 4);
	transactions_placed(t, ann, lsid, 6, 4);
	assert_int_equal(transactions_find(t, ann, lsid, 5, T0, &server), TRANSACTION_OPEN);
	assert_int_equal(server, 3);
	assert_int_equal(transactions_find(t, bob, lsid, 5, T0, &server), TRANSACTION_NONE);
	assert_int_equal(server, SERVER_ANY);
	assert_int_equal(transactions_find(t, ann, other_lsid, 5, T0, &server), TRANSACTION_NONE);
	assert_int_equal(transactions_find(t, ann, lsid, 4, T0, &server), TRANSACTION_NONE);
	assert_int_equal(transactions_find(t, ann, lsid, 6, T0, &server), TRANSACTION_NONE);
	transactions_free(t);
}

static void test_numbers_only_rise(void **state)
{
	struct transactions *t = transactions_new();
	server_id server;

	(void)state;
	assert_true(transactions_start(t, ann, lsid, 5, T0));
	transactions_placed(t, ann, lsid, 5, 3);
	assert_false(transactions_start(t, ann, lsid, 5, T0));
	assert_false(transactions_start(t, ann, lsid, 4, T0));
	assert_true(transactions_start(t, bob, lsid, 4, T0));
	assert_true(transactions_start(t, ann, lsid, 6, T0));
	assert_int_equal(transactions_find(t, ann, lsid, 5, T0, &server), TRANSACTION_NONE);
	assert_int_equal(transactions_find(t, ann, lsid, 6, T0, &server), TRANSACTION_OPEN);
	assert_int_equal(server, SERVER_ANY);
	assert_int_equal(transactions_count(t), 2);
	transactions_free(t);
}

static void test_the_ended_stay_a_while(void **state)
{
	struct transactions *t = transactions_new();
	server_id server;

	(void)state;
	transactions_start(t, ann, lsid, 5, T0);
	transactions_placed(t, ann, lsid, 5, 3);
	transactions_ended(t, ann, lsid, 5, T0);
	assert_int_equal(transactions_find(t, ann, lsid, 5, T0, &server), TRANSACTION_ENDED);
	assert_int_equal(server, 3);
	transactions_expire(t, T0 + TRANSACTION_IDLE_US - 1);
	assert_int_equal(transactions_count(t), 1);
	transactions_expire(t, T0 + TRANSACTION_IDLE_US);
	assert_int_equal(transactions_count(t), 0);
	transactions_free(t);
}

static void test_use_renews(void **state)
{
	struct transactions *t = transactions_new();
	uint64_t later = T0 + TRANSACTION_IDLE_US - 1;
	server_id server;

	(void)state;
	transactions_start(t, ann, lsid, 5, T0);
	assert_int_equal(transactions_find(t, ann, lsid, 5, later, &server), TRANSACTION_OPEN);
	transactions_expire(t, T0 + TRANSACTION_IDLE_US);
	assert_int_equal(transactions_count(t), 1);
	/* Too late even where nobody has expired it yet. */
	assert_int_equal(transactions_find(t, ann, lsid, 5, later + TRANSACTION_IDLE_US, &server),
		TRANSACTION_NONE);
	transactions_free(t);
}

static void test_limit_of_a_user(void **state)
{
	struct transactions *t = transactions_new();
	uint8_t session[16] = {0};

	(void)state;
	for (uint32_t i = 0; i < TRANSACTIONS_PER_USER; i++) {
		store_u32(session, i);
		assert_true(transactions_start(t, ann, session, 1, T0));
	}
	assert_false(transactions_start(t, ann, lsid, 1, T0));
	assert_true(transactions_start(t, bob, lsid, 1, T0));
	assert_true(transactions_start(t, ann, session, 2, T0));
	transactions_ended(t, ann, session, 2, T0);
	assert_true(transactions_start(t, ann, lsid, 1, T0));
	assert_int_equal(transactions_count(t), TRANSACTIONS_PER_USER + 1);
	transactions_free(t);
}

static void *work(void *context)
{
	struct transactions *t = context;
	uint8_t session[16] = {0};
	server_id server;

	for (int64_t i = 1; i < 3000; i++) {
		session[0] = (uint8_t)(i % 7);
		(void)transactions_start(t, ann, session, i, T0 + (uint64_t)i);
		transactions_placed(t, ann, session, i, 3);
		(void)transactions_find(t, ann, session, i, T0 + (uint64_t)i, &server);
		transactions_ended(t, ann, session, i, T0 + (uint64_t)i);
		if (i % 100 == 0)
			transactions_expire(t, T0 + (uint64_t)i + TRANSACTION_IDLE_US);
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct transactions *t = transactions_new();
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, t), 0);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(transactions_count(t) <= 7);
	transactions_free(t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_owner_finds),
		cmocka_unit_test(test_numbers_only_rise),
		cmocka_unit_test(test_the_ended_stay_a_while),
		cmocka_unit_test(test_use_renews),
		cmocka_unit_test(test_limit_of_a_user),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
