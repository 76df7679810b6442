#include "upstream_fixture.h"

#include <stdlib.h>

#include <bson/bson.h>

#include "util/clock.h"
#include "util/memory.h"

/* A loop's time is that of the beginning of its tick. */
#define TICK_US (20 * MS)

static struct stage stage;
static struct upstream_config config;
static const struct upstream_want primary = {.write = true};
static const struct upstream_want awaiting = {.write = true, .awaiting = true};

static int begin(void **state)
{
	(void)state;
	config = fixture_config();
	return 0;
}

static int end(void **state)
{
	(void)state;
	stage_end(&stage);
	return 0;
}

static void start(size_t nfakes)
{
	stage_begin(&stage, &config, nfakes);
	stage_publish(&stage);
}

static struct upstream_pool_numbers numbers(void)
{
	struct upstream_pool_numbers n;

	upstream_pool_numbers(stage.pool, &n);
	return n;
}

/* The answer that a server has kept back. */
static void answer(struct fake_conn *c)
{
	fake_say(c, "{\"ok\": 1, \"n\": 0}");
}

static void expect_answered(struct asked *a)
{
	STAGE_UNTIL(&stage, a->done);
	assert_int_equal(a->result, UPSTREAM_ANSWERED);
}

/* ------------------------------------------------------------------- limits */

static void test_one_connection_serves_many(void **state)
{
	(void)state;
	start(1);
	for (unsigned i = 0; i < 5; i++) {
		struct asked a;

		ask_primary(&stage, &a);
		expect_answered(&a);
		assert_int_equal(a.n, a.asked_n);
		assert_int_equal(a.server, 1);
		asked_fini(&a);
	}
	assert_int_equal(stage.fakes[0].nconns, 1);
	assert_int_equal(numbers().opened, 1);
	assert_int_equal(numbers().answered, 5);
	assert_int_equal(numbers().lost, 0);
	assert_int_equal(numbers().busy, 0);
}

static void test_pool_max(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct asked a[4];

	(void)state;
	config.pool_max = 3;
	start(1);
	f->command = fake_ignore;
	for (size_t i = 0; i < COUNT_OF(a); i++)
		ask_primary(&stage, &a[i]);
	assert_int_equal(numbers().waiting, 4);
	STAGE_UNTIL(&stage, f->commands == 3);
	stage_idle(&stage);
	assert_int_equal(f->nconns, 3);
	assert_int_equal(f->commands, 3);
	assert_int_equal(numbers().busy, 3);
	assert_int_equal(numbers().waiting, 1);
	/* The first that comes free has it. */
	answer(&f->conns[1]);
	STAGE_UNTIL(&stage, f->commands == 4);
	assert_int_equal(f->conns[1].messages, 3);
	assert_int_equal(numbers().waiting, 0);
	for (size_t i = 0; i < 3; i++)
		answer(&f->conns[i]);
	for (size_t i = 0; i < COUNT_OF(a); i++) {
		expect_answered(&a[i]);
		asked_fini(&a[i]);
	}
	assert_int_equal(f->nconns, 3);
}

/* Each worker has its share, and one at least. */
static void test_pools_share(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct upstream_pool *others[4];
	struct asked a[3];

	(void)state;
	config.pool_max = 4;
	start(1);
	f->command = fake_ignore;
	others[0] = upstream_pool_new(stage.upstream, stage.loop);
	for (size_t i = 0; i < COUNT_OF(a); i++)
		ask_primary(&stage, &a[i]);
	STAGE_UNTIL(&stage, f->commands == 2);
	stage_idle(&stage);
	assert_int_equal(f->nconns, 2);
	for (size_t i = 0; i < COUNT_OF(a); i++)
		asked_fini(&a[i]);
	for (size_t i = 1; i < COUNT_OF(others); i++)
		others[i] = upstream_pool_new(stage.upstream, stage.loop);
	/* None of the connections that are there already is closed for it. */
	assert_int_equal(numbers().open, 2);
	for (size_t i = 0; i < COUNT_OF(others); i++)
		upstream_pool_free(others[i]);
}

static void test_awaiting_ones_are_apart(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct asked waits[2], a;

	(void)state;
	config.pool_max = config.awaiting_max = 1;
	start(1);
	f->command = fake_ignore;
	ask(&stage, &waits[0], &awaiting, 0);
	ask(&stage, &waits[1], &awaiting, 0);
	STAGE_UNTIL(&stage, f->commands == 1);
	stage_idle(&stage);
	assert_int_equal(f->nconns, 1);
	assert_int_equal(numbers().awaiting, 1);
	f->command = fake_answer;
	ask_primary(&stage, &a);
	expect_answered(&a);
	assert_int_equal(f->nconns, 2);
	assert_int_equal(waits[0].done + waits[1].done, 0);
	answer(&f->conns[0]);
	expect_answered(&waits[0]);
	expect_answered(&waits[1]);
	assert_int_equal(f->nconns, 2);
	asked_fini(&a);
	asked_fini(&waits[0]);
	asked_fini(&waits[1]);
}

static void test_few_log_in_at_once(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct asked a[POOL_OPENING_MAX + 2];

	(void)state;
	start(1);
	f->login = fake_ignore;
	f->command = fake_ignore;
	for (size_t i = 0; i < COUNT_OF(a); i++)
		ask_primary(&stage, &a[i]);
	STAGE_UNTIL(&stage, f->nconns == POOL_OPENING_MAX && f->conns[3].messages);
	stage_idle(&stage);
	assert_int_equal(f->nconns, POOL_OPENING_MAX);
	/* One is there: the next may come. */
	fake_say(&f->conns[0], "{\"ok\": 1, \"maxWireVersion\": 17}");
	STAGE_UNTIL(&stage, f->nconns == POOL_OPENING_MAX + 1);
	for (size_t i = 1; i < POOL_OPENING_MAX + 1; i++) {
		STAGE_UNTIL(&stage, f->conns[i].messages);
		fake_say(&f->conns[i], "{\"ok\": 1, \"maxWireVersion\": 17}");
	}
	STAGE_UNTIL(&stage, f->nconns == COUNT_OF(a) && f->conns[COUNT_OF(a) - 1].messages);
	fake_say(&f->conns[COUNT_OF(a) - 1], "{\"ok\": 1, \"maxWireVersion\": 17}");
	STAGE_UNTIL(&stage, f->commands == COUNT_OF(a));
	for (size_t i = 0; i < COUNT_OF(a); i++)
		asked_fini(&a[i]);
}

static void test_wait_queue_max(void **state)
{
	struct asked *a = memory_array(POOL_WAITING_MAX + 2, sizeof(*a));

	(void)state;
	stage_begin(&stage, &config, 0);
	for (size_t i = 0; i < POOL_WAITING_MAX + 1; i++)
		ask_primary(&stage, &a[i]);
	assert_int_equal(numbers().waiting, POOL_WAITING_MAX);
	STAGE_UNTIL(&stage, a[POOL_WAITING_MAX].done);
	assert_int_equal(a[POOL_WAITING_MAX].result, UPSTREAM_NO_ROOM);
	assert_int_equal(a[POOL_WAITING_MAX].server, SERVER_ANY);
	stage_idle(&stage);
	for (size_t i = 0; i < POOL_WAITING_MAX; i++)
		assert_int_equal(a[i].done, 0);
	/* Who goes makes room. */
	upstream_call_drop(a[77].call);
	a[77].call = NULL;
	ask_primary(&stage, &a[POOL_WAITING_MAX + 1]);
	stage_idle(&stage);
	assert_int_equal(a[POOL_WAITING_MAX + 1].done, 0);
	upstream_pool_free(stage.pool);
	stage.pool = NULL;
	for (size_t i = 0; i < POOL_WAITING_MAX + 2; i++) {
		assert_int_equal(a[i].done, i != 77);
		if (i != 77 && i != POOL_WAITING_MAX)
			assert_int_equal(a[i].result, UPSTREAM_NO_SERVER);
		asked_fini(&a[i]);
	}
	free(a);
}

static void test_room_is_made(void **state)
{
	static const struct upstream_want first = {.server = 1}, second = {.server = 2};
	struct fake *one = &stage.fakes[0], *two = &stage.fakes[1];
	struct asked a, b;

	(void)state;
	config.pool_max = 1;
	start(2);
	ask(&stage, &a, &first, 0);
	expect_answered(&a);
	asked_fini(&a);
	/* An idle one goes. */
	ask(&stage, &b, &second, 0);
	expect_answered(&b);
	assert_int_equal(b.server, 2);
	asked_fini(&b);
	STAGE_UNTIL(&stage, one->nopen == 0);
	assert_int_equal(numbers().open, 1);
	/* A busy one stays until it is answered. */
	two->command = fake_ignore;
	ask(&stage, &b, &second, 0);
	ask(&stage, &a, &first, 0);
	STAGE_UNTIL(&stage, two->commands == 2);
	stage_idle(&stage);
	assert_int_equal(one->nconns, 1);
	assert_int_equal(numbers().waiting, 1);
	answer(&two->conns[0]);
	expect_answered(&b);
	expect_answered(&a);
	assert_int_equal(one->nconns, 2);
	STAGE_UNTIL(&stage, two->nopen == 0);
	asked_fini(&a);
	asked_fini(&b);
}

static void test_least_busy_is_chosen(void **state)
{
	struct upstream_want nearest = {0};
	bson_t *mode = BCON_NEW("mode", BCON_UTF8("nearest"));
	struct asked a[6];

	(void)state;
	start(3);
	nearest.preference = bytes_of(bson_get_data(mode), mode->len);
	for (size_t i = 0; i < 3; i++)
		stage.fakes[i].command = fake_ignore;
	for (size_t i = 0; i < COUNT_OF(a); i++)
		ask(&stage, &a[i], &nearest, 0);
	for (size_t i = 0; i < 3; i++)
		STAGE_UNTIL(&stage, stage.fakes[i].commands == 2);
	for (size_t i = 0; i < COUNT_OF(a); i++)
		asked_fini(&a[i]);
	bson_destroy(mode);
}

/* One that is longer than what is kept without allocation; it may change behind the call. */
static void test_preference_is_kept(void **state)
{
	static const size_t paddings[] = {0, 1, 200, 201, 5000};
	struct asked a;

	(void)state;
	stage_begin(&stage, &config, 2);
	for (size_t i = 0; i < COUNT_OF(paddings); i++) {
		uint8_t *pad = memory_array(paddings[i] + 1, 1), *copy;
		bson_t *mode = BCON_NEW("mode", BCON_UTF8("secondary"), "x",
			BCON_BIN(BSON_SUBTYPE_BINARY, pad, (uint32_t)paddings[i]));
		struct upstream_want want = {0};

		copy = memcpy(memory_new(mode->len), bson_get_data(mode), mode->len);
		want.preference = bytes_of(copy, mode->len);
		ask(&stage, &a, &want, 0);
		memset(copy, 0xff, mode->len);
		free(copy);
		bson_destroy(mode);
		free(pad);
		stage_publish(&stage);
		expect_answered(&a);
		assert_int_equal(a.server, 2);
		asked_fini(&a);
		upstream_publish(stage.upstream, topology_new(0));
	}
}

/* -------------------------------------------------------------------- times */

static void test_wait_for_connection_ends(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct asked held, late, dropped;

	(void)state;
	config.pool_max = 1;
	config.pool_wait_us = 60 * MS;
	start(1);
	f->command = fake_ignore;
	ask_primary(&stage, &held);
	STAGE_UNTIL(&stage, f->commands == 1);
	ask_primary(&stage, &late);
	ask_primary(&stage, &dropped);
	asked_fini(&dropped);
	STAGE_UNTIL(&stage, late.done);
	assert_int_equal(late.result, UPSTREAM_NO_ROOM);
	assert_int_equal(late.server, 1);
	assert_true(late.done_us - late.began_us >= config.pool_wait_us - TICK_US);
	assert_int_equal(held.done, 0);
	asked_fini(&late);
	/* In time. */
	ask_primary(&stage, &late);
	f->command = fake_answer;
	answer(&f->conns[0]);
	expect_answered(&held);
	expect_answered(&late);
	assert_int_equal(numbers().waiting, 0);
	asked_fini(&held);
	asked_fini(&late);
}

static void test_wait_for_server_ends(void **state)
{
	struct asked late, in_time;

	(void)state;
	config.select_us = 60 * MS;
	stage_begin(&stage, &config, 1);
	ask_primary(&stage, &late);
	STAGE_UNTIL(&stage, late.done);
	assert_int_equal(late.result, UPSTREAM_NO_SERVER);
	assert_true(late.done_us - late.began_us >= config.select_us - TICK_US);
	ask_primary(&stage, &in_time);
	stage_publish(&stage);
	expect_answered(&in_time);
	asked_fini(&late);
	asked_fini(&in_time);
}

/* Each wait ends with the call's own time, too. */
static void test_deadlines(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct upstream_want want = primary;
	struct asked a, b;

	(void)state;
	config.pool_max = 1;
	stage_begin(&stage, &config, 1);
	want.deadline_us = clock_monotonic_us() + 30 * MS;
	ask(&stage, &a, &want, 0);
	STAGE_UNTIL(&stage, a.done);
	assert_int_equal(a.result, UPSTREAM_NO_SERVER);
	assert_true(a.done_us >= want.deadline_us);
	asked_fini(&a);
	stage_publish(&stage);
	f->command = fake_ignore;
	ask_primary(&stage, &b);
	STAGE_UNTIL(&stage, f->commands == 1);
	want.deadline_us = clock_monotonic_us() + 30 * MS;
	ask(&stage, &a, &want, 0);
	STAGE_UNTIL(&stage, a.done);
	assert_int_equal(a.result, UPSTREAM_NO_ROOM);
	assert_true(a.done_us >= want.deadline_us);
	assert_int_equal(b.done, 0);
	asked_fini(&a);
	asked_fini(&b);
}

static void test_deadline_of_an_answer(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct upstream_want want = primary;
	struct asked a;

	(void)state;
	start(1);
	f->command = fake_ignore;
	want.deadline_us = clock_monotonic_us() + 40 * MS;
	ask(&stage, &a, &want, 0);
	STAGE_UNTIL(&stage, a.done);
	assert_int_equal(a.result, UPSTREAM_TIMED_OUT);
	assert_int_equal(a.server, 1);
	assert_true(a.done_us >= want.deadline_us);
	/* Its answer could come for another. */
	STAGE_UNTIL(&stage, f->nopen == 0);
	assert_false(stage_is_down(&stage, 1));
	asked_fini(&a);
	f->command = fake_answer;
	want.deadline_us = clock_monotonic_us() + 20000 * MS;
	ask(&stage, &a, &want, 0);
	expect_answered(&a);
	assert_int_equal(f->nconns, 2);
	asked_fini(&a);
}

static void test_idle_ones_are_closed(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct asked a;

	(void)state;
	config.pool_idle_us = 40 * MS;
	start(1);
	ask_primary(&stage, &a);
	expect_answered(&a);
	assert_int_equal(f->nopen, 1);
	STAGE_UNTIL(&stage, f->nopen == 0);
	assert_true(clock_monotonic_us() - a.done_us >= config.pool_idle_us - TICK_US);
	assert_int_equal(numbers().open, 0);
	asked_fini(&a);
}

/* So many are there before anybody asks, and stay. */
static void test_pool_min(void **state)
{
	struct fake *f = &stage.fakes[0];
	uint64_t began_us;

	(void)state;
	config.pool_min = 2;
	config.pool_idle_us = 10 * MS;
	start(1);
	STAGE_UNTIL(&stage, numbers().opened == 2);
	began_us = clock_monotonic_us();
	STAGE_UNTIL(&stage, clock_monotonic_us() - began_us > 5 * config.pool_idle_us);
	assert_int_equal(f->nconns, 2);
	assert_int_equal(f->nopen, 2);
}

static void test_pool_min_is_within_max(void **state)
{
	struct fake *f = &stage.fakes[0];

	(void)state;
	config.pool_min = 10;
	config.pool_max = 2;
	start(1);
	STAGE_UNTIL(&stage, numbers().opened == 2);
	stage_idle(&stage);
	assert_int_equal(f->nconns, 2);
}

/* ----------------------------------------------------------------- dropping */

static void test_drop(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct asked a, b;

	(void)state;
	config.pool_max = 1;
	stage_begin(&stage, &config, 1);
	/* While it waits for a server. */
	ask_primary(&stage, &a);
	asked_fini(&a);
	assert_int_equal(numbers().waiting, 0);
	stage_publish(&stage);
	stage_idle(&stage);
	assert_int_equal(f->nconns, 0);
	/* While it waits for a connection. */
	f->command = fake_ignore;
	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, f->commands == 1);
	ask_primary(&stage, &b);
	asked_fini(&b);
	assert_int_equal(numbers().waiting, 0);
	/* Once it is sent: its answer is not the next one's. */
	asked_fini(&a);
	ask_primary(&stage, &b);
	stage_idle(&stage);
	assert_int_equal(f->commands, 1);
	f->command = fake_answer;
	answer(&f->conns[0]);
	expect_answered(&b);
	assert_int_equal(b.n, b.asked_n);
	assert_int_equal(a.done, 0);
	assert_int_equal(f->nconns, 1);
	asked_fini(&b);
}

/* It has ended, and nobody was told yet. */
static void test_drop_finished(void **state)
{
	struct asked a, b;

	(void)state;
	start(1);
	stage.fakes[0].command = fake_ignore;
	ask_primary(&stage, &a);
	ask_primary(&stage, &b);
	STAGE_UNTIL(&stage, stage.fakes[0].commands == 2);
	pool_finish(a.call, UPSTREAM_LOST);
	asked_fini(&a);
	stage_idle(&stage);
	assert_int_equal(a.done, 0);
	assert_int_equal(b.done, 0);
	asked_fini(&b);
}

static void test_pool_ends_in_each_state(void **state)
{
	struct fake *f = &stage.fakes[0];
	struct asked sent, waits, homeless;
	struct upstream_want nowhere = {.server = 99};

	(void)state;
	config.pool_max = 1;
	start(1);
	f->command = fake_ignore;
	ask_primary(&stage, &sent);
	STAGE_UNTIL(&stage, f->commands == 1);
	ask_primary(&stage, &waits);
	ask(&stage, &homeless, &nowhere, 0);
	upstream_pool_free(stage.pool);
	stage.pool = NULL;
	assert_int_equal(sent.result, UPSTREAM_LOST);
	assert_int_equal(waits.result, UPSTREAM_NO_SERVER);
	assert_int_equal(homeless.result, UPSTREAM_NO_SERVER);
	assert_int_equal(sent.done + waits.done + homeless.done, 3);
	asked_fini(&sent);
	asked_fini(&waits);
	asked_fini(&homeless);
	STAGE_UNTIL(&stage, f->nopen == 0);
}

static void test_request_ids_stay_positive(void **state)
{
	static const int32_t expected[] = {INT32_MAX - 1, INT32_MAX, 1, 2};

	(void)state;
	start(1);
	stage.pool->last_request_id = INT32_MAX - 3; /* the login has the next one */
	for (size_t i = 0; i < COUNT_OF(expected); i++) {
		struct asked a;

		ask_primary(&stage, &a);
		expect_answered(&a);
		assert_int_equal(stage.fakes[0].conns[0].request_id, expected[i]);
		asked_fini(&a);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {CASE(test_one_connection_serves_many),
		CASE(test_pool_max), CASE(test_pools_share), CASE(test_awaiting_ones_are_apart),
		CASE(test_few_log_in_at_once), CASE(test_wait_queue_max), CASE(test_room_is_made),
		CASE(test_least_busy_is_chosen), CASE(test_preference_is_kept),
		CASE(test_wait_for_connection_ends), CASE(test_wait_for_server_ends),
		CASE(test_deadlines), CASE(test_deadline_of_an_answer),
		CASE(test_idle_ones_are_closed), CASE(test_pool_min),
		CASE(test_pool_min_is_within_max), CASE(test_drop), CASE(test_drop_finished),
		CASE(test_pool_ends_in_each_state), CASE(test_request_ids_stay_positive)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
