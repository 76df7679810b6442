#include "upstream_fixture.h"

#include <stdlib.h>

#include <bson/bson.h>

#include "net/inside.h"
#include "upstream/reply_frame.h"
#include "util/clock.h"
#include "util/memory.h"
#include "wire/doc.h"

#define FEW_US (60 * MS)

static struct stage stage;
static struct fake *const one = &stage.fakes[0];
static struct upstream_config config;
static const struct upstream_want primary = {.write = true};
static struct buf raw; /* what a server says, but for the number that it answers */
static int32_t raw_offset;

static int begin(void **state)
{
	(void)state;
	config = fixture_config();
	buf_init(&raw, REPLY_FRAME_MAX + 1000);
	raw_offset = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	stage_end(&stage);
	buf_fini(&raw);
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

static void expect(struct asked *a, enum upstream_result result)
{
	STAGE_UNTIL(&stage, a->done);
	assert_int_equal(a->result, result);
	asked_fini(a);
}

/* Asks, and is answered as one should be. */
static void expect_works(void)
{
	struct asked a;

	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, a.done);
	assert_int_equal(a.n, a.asked_n);
	expect(&a, UPSTREAM_ANSWERED);
}

/* ------------------------------------------------------------------ answers */

static void put_raw(uint32_t len, int32_t opcode, const char *rest, size_t rest_len)
{
	buf_clear(&raw);
	buf_put_u32(&raw, len);
	buf_put_u32(&raw, 4711);
	buf_put_u32(&raw, 0);
	buf_put_u32(&raw, (uint32_t)opcode);
	buf_put(&raw, bytes_of(rest, rest_len));
}

static void say_raw(struct fake_conn *c, struct bytes message)
{
	(void)message;
	store_u32(raw.at + 8, (uint32_t)(c->request_id + raw_offset));
	fake_say_bytes(c, buf_bytes(&raw));
}

#define EMPTY "\x05\x00\x00\x00\x00"
#define PLAIN "\x00\x00\x00\x00\x00" EMPTY

static void test_garbage(void **state)
{
	static const struct {
		uint32_t len;
		int32_t opcode, offset;
		const char *rest;
		size_t rest_len;
	} cases[] = {
		{FRAME_HEADER_LEN - 1, OPCODE_MSG, 0, LITERAL(PLAIN)},
		{FRAME_HEADER_LEN, OPCODE_MSG, 0, LITERAL("")},
		{0, OPCODE_MSG, 0, LITERAL(PLAIN)},
		{REPLY_FRAME_MAX + 1, OPCODE_MSG, 0, LITERAL(PLAIN)},
		{UINT32_MAX, OPCODE_MSG, 0, LITERAL(PLAIN)},
		{26, OPCODE_REPLY, 0, LITERAL(PLAIN)},
		{26, OPCODE_COMPRESSED, 0, LITERAL(PLAIN)},
		{26, OPCODE_MSG, 1, LITERAL(PLAIN)},
		{26, OPCODE_MSG, -1, LITERAL(PLAIN)},
		{26, OPCODE_MSG, 0, LITERAL("\x02\x00\x00\x00\x00" EMPTY)},
		{26, OPCODE_MSG, 0, LITERAL("\x04\x00\x00\x00\x00" EMPTY)},
		{26, OPCODE_MSG, 0, LITERAL("\x00\x00\x00\x00\x02" EMPTY)},
		{26, OPCODE_MSG, 0, LITERAL("\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00")},
		{26, OPCODE_MSG, 0, LITERAL(PLAIN "\x00")},
		{26, OPCODE_MSG, 0, LITERAL(PLAIN PLAIN)},
		{25, OPCODE_MSG, 0, LITERAL(PLAIN)},
	};

	(void)state;
	start(1);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct asked a;

		put_raw(cases[i].len, cases[i].opcode, cases[i].rest, cases[i].rest_len);
		raw_offset = cases[i].offset;
		one->command = say_raw;
		ask_primary(&stage, &a);
		expect(&a, UPSTREAM_GARBAGE);
		STAGE_UNTIL(&stage, one->nopen == 0);
		/* It lies, but it is there. */
		assert_false(stage_is_down(&stage, 1));
		one->command = fake_answer;
		expect_works();
		assert_int_equal(one->nconns, i + 2);
	}
}

static void say_both(struct fake_conn *c, struct bytes message)
{
	fake_answer(c, message);
	fake_answer(c, message);
}

/* A second answer is nobody's, whenever it comes. */
static void test_answers_that_nobody_asked_for(void **state)
{
	struct asked a;

	(void)state;
	start(1);
	expect_works();
	fake_say(&one->conns[0], "{\"ok\": 1, \"n\": 1}");
	STAGE_UNTIL(&stage, one->nopen == 0);
	assert_false(stage_is_down(&stage, 1));
	one->command = say_both;
	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, a.done && one->nopen == 0);
	asked_fini(&a);
	one->command = fake_answer;
	expect_works();
	assert_int_equal(one->nconns, 3);
}

/* A whole answer of `len` bytes. */
static void put_long(uint32_t len)
{
	size_t doc, content = len - FRAME_HEADER_LEN - 5 - 5 - 8;
	uint8_t *pad = memory_array(content + 1, 1);

	put_raw(len, OPCODE_MSG, "\x00\x00\x00\x00\x00", 5);
	doc = doc_begin(&raw);
	doc_put_binary(&raw, NAME("b"), 0, bytes_of(pad, content));
	doc_end(&raw, doc);
	assert_int_equal(raw.len, len);
	free(pad);
}

static void test_lengths(void **state)
{
	static const uint32_t lens[] = {34, POOL_BUFFER - 1, POOL_BUFFER, POOL_BUFFER + 1,
		2 * POOL_BUFFER, 1000000, FRAME_MESSAGE_MAX, REPLY_FRAME_MAX};

	(void)state;
	start(1);
	one->command = say_raw;
	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		struct asked a;

		put_long(lens[i]);
		ask_primary(&stage, &a);
		STAGE_UNTIL(&stage, a.done);
		assert_int_equal(a.answer_len, lens[i]);
		expect(&a, UPSTREAM_ANSWERED);
	}
	one->command = fake_answer;
	expect_works();
	assert_int_equal(one->nconns, 1);
}

static void test_answers_in_pieces(void **state)
{
	struct asked a;

	(void)state;
	start(1);
	one->command = fake_ignore;
	put_raw(26, OPCODE_MSG, PLAIN, 10);
	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, one->commands == 1);
	store_u32(raw.at + 8, (uint32_t)one->conns[0].request_id);
	for (size_t i = 0; i < raw.len; i++) {
		assert_int_equal(a.done, 0);
		fake_say_bytes(&one->conns[0], bytes_of(raw.at + i, 1));
		stage_tick(&stage);
	}
	expect(&a, UPSTREAM_ANSWERED);
	one->command = fake_answer;
	expect_works();
	assert_int_equal(one->nconns, 1);
}

/* ------------------------------------------------------------------ closing */

static void say_half_of_hello(struct fake_conn *c, struct bytes message)
{
	(void)message;
	put_raw(100, OPCODE_MSG, PLAIN, 10);
	say_raw(c, message);
	fake_close(c);
}

static void close_at_once(struct fake_conn *c, struct bytes message)
{
	(void)message;
	fake_close(c);
}

static void reset_at_once(struct fake_conn *c, struct bytes message)
{
	(void)message;
	fake_reset(c);
}

/* The server is marked down, and the call waits until it is up again. */
static void test_closes_while_logging_in(void **state)
{
	static fake_fn *const ways[] = {close_at_once, reset_at_once, say_half_of_hello};
	struct asked a, b;

	(void)state;
	start(1);
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		one->login = ways[i];
		ask_primary(&stage, &a);
		STAGE_UNTIL(&stage, stage_is_down(&stage, 1));
		ask_primary(&stage, &b);
		stage_idle(&stage);
		assert_int_equal(a.done + b.done, 0);
		assert_int_equal(numbers().waiting, 2);
		assert_int_equal(numbers().open, 0);
		one->login = fake_log_in;
		stage_publish(&stage);
		expect(&a, UPSTREAM_ANSWERED);
		expect(&b, UPSTREAM_ANSWERED);
		while (!TAILQ_EMPTY(&stage.pool->conns))
			pool_conn_close(TAILQ_FIRST(&stage.pool->conns), UPSTREAM_LOST, NULL);
	}
}

static void publish_addresses(const struct fake *first, const struct fake *second)
{
	struct topology *t = upstream_topology(stage.upstream), *changed = topology_copy(t);
	struct server *s = &changed->servers[0];

	memcpy(&s->addresses[0], &first->at, sizeof(first->at));
	memcpy(&s->addresses[1], &second->at, sizeof(second->at));
	s->address_len[1] = s->address_len[0];
	s->naddresses = 2;
	s->down = false;
	topology_unref(t);
	upstream_publish(stage.upstream, changed);
}

/* Nobody listens at the first address of a name: the other is tried next. */
static void test_refuses_connections(void **state)
{
	struct asked a;

	(void)state;
	start(2);
	fake_leave(one);
	publish_addresses(one, &stage.fakes[1]);
	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, stage_is_down(&stage, 1));
	assert_int_equal(a.done, 0);
	publish_addresses(one, &stage.fakes[1]);
	expect(&a, UPSTREAM_ANSWERED);
	assert_int_equal(one->nconns, 0);
	assert_int_equal(stage.fakes[1].nconns, 1);
}

static void say_half(struct fake_conn *c, struct bytes message)
{
	put_raw(100, OPCODE_MSG, PLAIN, 10);
	say_raw(c, message);
	fake_close(c);
}

static void say_part_of_header(struct fake_conn *c, struct bytes message)
{
	(void)message;
	fake_say_bytes(c, bytes_of("\x1a\x00\x00\x00", 4));
	fake_close(c);
}

/* What was sent may have been carried out; what waits goes elsewhere. */
static void test_closes_while_busy(void **state)
{
	static fake_fn *const ways[] = {close_at_once, reset_at_once, say_half, say_part_of_header};
	struct asked a, waits;

	(void)state;
	config.pool_max = 1;
	start(1);
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		one->command = ways[i];
		ask_primary(&stage, &a);
		ask_primary(&stage, &waits);
		STAGE_UNTIL(&stage, a.done);
		assert_int_equal(a.server, 1);
		expect(&a, UPSTREAM_LOST);
		assert_int_equal(numbers().lost, i + 1);
		assert_true(stage_is_down(&stage, 1));
		stage_idle(&stage);
		assert_int_equal(waits.done, 0);
		assert_int_equal(numbers().waiting, 1);
		one->command = fake_answer;
		stage_publish(&stage);
		expect(&waits, UPSTREAM_ANSWERED);
	}
}

static void test_closes_while_idle(void **state)
{
	(void)state;
	start(1);
	for (unsigned i = 0; i < 2; i++) {
		expect_works();
		assert_int_equal(one->nconns, i + 1);
		if (i)
			fake_reset(&one->conns[i]);
		else
			fake_close(&one->conns[i]);
		STAGE_UNTIL(&stage, numbers().open == 0);
		assert_false(stage_is_down(&stage, 1));
	}
	expect_works();
	assert_int_equal(numbers().lost, 0);
}

static struct asked hasty;

/* At the end of a tick, before owners are told what failed in it. */
static void ask_when_broken(void *context)
{
	const struct pool_conn *c = TAILQ_FIRST(&stage.pool->conns);

	(void)context;
	if (c && c->state == CONN_IDLE && c->net->state == NET_FAILED && !hasty.message)
		ask_primary(&stage, &hasty);
}

/* The connection is dead already, and the pool does not know: nothing of it was sent. */
static void test_dead_one_is_replaced_silently(void **state)
{
	(void)state;
	for (unsigned reset = 0; reset < 2; reset++) {
		start(1);
		memset(&hasty, 0, sizeof(hasty));
		net_loop_each_tick(stage.loop, ask_when_broken, NULL);
		expect_works();
		if (reset)
			fake_reset(&one->conns[0]);
		else
			fake_close(&one->conns[0]);
		STAGE_UNTIL(&stage, hasty.message);
		STAGE_UNTIL(&stage, hasty.done || stage_is_down(&stage, 1));
		assert_int_equal(hasty.done, 0);
		stage_publish(&stage);
		expect(&hasty, UPSTREAM_ANSWERED);
		assert_int_equal(numbers().lost, 0);
		if (!reset)
			stage_end(&stage);
	}
}

static void log_in_and_read_no_more(struct fake_conn *c, struct bytes message)
{
	fake_log_in(c, message);
	net_conn_pause(c->net, true);
}

static bool is_half_sent(void)
{
	const struct pool_conn *c = TAILQ_FIRST(&stage.pool->conns);

	return c && c->state == CONN_BUSY && net_conn_unsent(c->net);
}

static void end_input(struct fake_conn *c)
{
	assert_int_equal(shutdown(c->net->fd, SHUT_WR), 0);
}

/* A part of a message is executed by nobody: again, but not for ever. */
static void test_closes_while_being_sent_to(void **state)
{
	static void (*const ways[])(struct fake_conn * c) = {end_input, fake_close, fake_reset};
	size_t next = 0;

	(void)state;
	start(1);
	for (unsigned over = 0; over < 2; over++)
		for (size_t way = 0; way < COUNT_OF(ways); way++) {
			struct asked a;

			one->login = log_in_and_read_no_more;
			ask(&stage, &a, &primary, 30u * 1000 * 1000);
			for (unsigned i = 0; i < POOL_TRIES_MAX - 1 + over; i++) {
				STAGE_UNTIL(&stage, is_half_sent());
				assert_int_equal(one->nconns, next + 1);
				ways[way](&one->conns[next]);
				STAGE_UNTIL(&stage, stage_is_down(&stage, 1));
				fake_close(&one->conns[next++]);
				one->login =
					i + 2 < POOL_TRIES_MAX + over ? one->login : fake_log_in;
				stage_publish(&stage);
			}
			expect(&a, over ? UPSTREAM_LOST : UPSTREAM_ANSWERED);
			assert_int_equal(numbers().lost, 0);
			one->login = fake_log_in;
			expect_works();
			fake_close(&one->conns[next]);
			STAGE_UNTIL(&stage, numbers().open == 0);
			next = one->nconns;
		}
}

/* -------------------------------------------------------------------- times */

static void test_login_takes_too_long(void **state)
{
	uint64_t began_us;
	struct asked a;

	(void)state;
	config.uri = PLAIN_URI "&connectTimeoutMS=60";
	start(1);
	one->login = fake_ignore;
	began_us = clock_monotonic_us();
	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, stage_is_down(&stage, 1));
	assert_true(clock_monotonic_us() - began_us > FEW_US / 2);
	STAGE_UNTIL(&stage, one->nopen == 0);
	assert_int_equal(a.done, 0);
	one->login = fake_log_in;
	stage_publish(&stage);
	expect(&a, UPSTREAM_ANSWERED);
	/* The time of a login is not that of a connection. */
	began_us = clock_monotonic_us();
	STAGE_UNTIL(&stage, clock_monotonic_us() - began_us > 2 * FEW_US);
	expect_works();
	assert_int_equal(one->nconns, 2);
}

/* The kernel lets nobody in where nobody takes what has come. */
static void test_connecting_takes_too_long(void **state)
{
	int filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct asked a;

	(void)state;
	config.uri = PLAIN_URI "&connectTimeoutMS=60";
	stage_begin(&stage, &config, 1);
	event_del(one->accepts);
	assert_int_equal(listen(one->fd, 0), 0);
	assert_int_equal(connect(filler, (struct sockaddr *)&one->at, sizeof(one->at)), 0);
	stage_publish(&stage);
	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, !TAILQ_EMPTY(&stage.pool->conns));
	assert_int_equal(TAILQ_FIRST(&stage.pool->conns)->state, CONN_CONNECTING);
	STAGE_UNTIL(&stage, stage_is_down(&stage, 1));
	assert_int_equal(numbers().open, 0);
	assert_int_equal(a.done, 0);
	assert_int_equal(listen(one->fd, FAKE_CONNS_MAX), 0);
	event_add(one->accepts, NULL);
	STAGE_UNTIL(&stage, one->nconns);
	stage_publish(&stage);
	expect(&a, UPSTREAM_ANSWERED);
	close(filler);
}

/* --------------------------------------------------------------------- down */

static void test_down_at_once(void **state)
{
	bson_t *mode = BCON_NEW("mode", BCON_UTF8("primaryPreferred"));
	struct upstream_want want = {.preference = bytes_of(bson_get_data(mode), mode->len)};
	struct asked a, busy;

	(void)state;
	start(2);
	ask(&stage, &a, &want, 0);
	STAGE_UNTIL(&stage, a.done);
	assert_int_equal(a.server, 1);
	asked_fini(&a);
	one->command = fake_ignore;
	ask(&stage, &busy, &want, 0);
	STAGE_UNTIL(&stage, one->commands == 2);
	/* Nothing of these is a server. */
	upstream_server_failed(stage.pool, SERVER_ANY);
	upstream_server_failed(stage.pool, 99);
	assert_false(stage_is_down(&stage, 1));
	upstream_server_failed(stage.pool, 1);
	assert_true(stage_is_down(&stage, 1));
	assert_false(stage_is_down(&stage, 2));
	ask(&stage, &a, &want, 0);
	expect(&a, UPSTREAM_ANSWERED);
	assert_int_equal(a.server, 2);
	/* What is under way there may still end well. */
	assert_int_equal(busy.done, 0);
	fake_say(&one->conns[0], "{\"ok\": 1}");
	expect(&busy, UPSTREAM_ANSWERED);
	one->command = fake_answer;
	stage_publish(&stage);
	ask(&stage, &a, &want, 0);
	STAGE_UNTIL(&stage, a.done);
	assert_int_equal(a.server, 1);
	asked_fini(&a);
	bson_destroy(mode);
}

/* Idle connections are left, and what waits for one goes elsewhere. */
static void test_down_ones_are_left(void **state)
{
	bson_t *mode = BCON_NEW("mode", BCON_UTF8("primaryPreferred"));
	struct upstream_want want = {.preference = bytes_of(bson_get_data(mode), mode->len)};
	struct asked held, waits;

	(void)state;
	config.pool_max = 1;
	start(2);
	expect_works();
	upstream_server_failed(stage.pool, 1);
	STAGE_UNTIL(&stage, one->nopen == 0);
	stage_publish(&stage);
	one->command = fake_ignore;
	ask(&stage, &held, &want, 0);
	STAGE_UNTIL(&stage, one->commands == 2);
	ask(&stage, &waits, &want, 0);
	stage_idle(&stage);
	assert_int_equal(waits.done, 0);
	upstream_server_failed(stage.pool, 1);
	stage_idle(&stage);
	/* Its place in the pool is held. */
	assert_int_equal(waits.done, 0);
	assert_int_equal(stage.fakes[1].nconns, 0);
	fake_say(&one->conns[1], "{\"ok\": 1}");
	expect(&held, UPSTREAM_ANSWERED);
	STAGE_UNTIL(&stage, waits.done);
	assert_int_equal(waits.server, 2);
	expect(&waits, UPSTREAM_ANSWERED);
	bson_destroy(mode);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {CASE(test_garbage),
		CASE(test_answers_that_nobody_asked_for), CASE(test_lengths),
		CASE(test_answers_in_pieces), CASE(test_closes_while_logging_in),
		CASE(test_refuses_connections), CASE(test_closes_while_busy),
		CASE(test_closes_while_idle), CASE(test_dead_one_is_replaced_silently),
		CASE(test_closes_while_being_sent_to), CASE(test_login_takes_too_long),
		CASE(test_connecting_takes_too_long), CASE(test_down_at_once),
		CASE(test_down_ones_are_left)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
