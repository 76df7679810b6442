/* pool_conn.c - one connection upstream: opened, logged in, and then one command after
 * the other, each with one answer. */
#include <stdlib.h>

#include "upstream/pool_inside.h"
#include "upstream/reply_frame.h"
#include "util/log.h"
#include "util/memory.h"

/* ------------------------------------------------------------------ buffers */

static void take_buffer(struct pool_conn *c)
{
	struct upstream_pool *p = c->pool;

	c->buffer = p->nbuffers ? p->buffers[--p->nbuffers] : memory_array(POOL_BUFFER, 1);
	c->capacity = POOL_BUFFER;
	c->have = c->need = 0;
}

static void give_buffer(struct upstream_pool *p, uint8_t *buffer, size_t capacity)
{
	if (buffer && capacity == POOL_BUFFER && p->nbuffers < POOL_BUFFERS_MAX)
		p->buffers[p->nbuffers++] = buffer;
	else
		free(buffer);
}

static void drop_buffer(struct pool_conn *c)
{
	give_buffer(c->pool, c->buffer, c->capacity);
	c->buffer = NULL;
	c->capacity = c->have = c->need = 0;
}

/* ------------------------------------------------------------------- ending */

/* The call that was in flight, if any: lost, or on another connection as if nothing were. */
static void leave_call(struct pool_conn *c, enum upstream_result result, bool sent)
{
	struct upstream_call *call = c->call;

	if (!call)
		return;
	/* A part of a message is executed by nobody. */
	if (!sent && result == UPSTREAM_LOST && ++call->tries < POOL_TRIES_MAX)
		pool_call_again(call);
	else
		pool_finish(call, result);
	if (result == UPSTREAM_LOST)
		c->pool->numbers.lost += sent;
}

void pool_conn_close(struct pool_conn *c, enum upstream_result result, const char *why)
{
	struct upstream_pool *p = c->pool;
	struct pool_slot *slot = c->slot;
	struct pool_lane *lane = c->lane;
	enum conn_state state = c->state;
	bool sent = net_conn_unsent(c->net) == 0;

	if (why)
		log_info("upstream", "connection to %s closed: %s", c->text, why);
	TAILQ_REMOVE(&p->conns, c, all);
	p->open[lane - slot->lanes]--;
	switch (state) {
	case CONN_CONNECTING:
	case CONN_LOGIN:
	case CONN_SALTING:
		lane->opening--;
		break;
	case CONN_IDLE:
		TAILQ_REMOVE(&lane->idle, c, idle);
		break;
	case CONN_BUSY:
		slot->busy--;
		leave_call(c, result, sent);
		break;
	}
	net_conn_close(c->net, 0);
	drop_buffer(c);
	pool_login_free(c->login);
	free(c);
}

/* What ended is told to discovery, too: it was the server's fault. */
static void fail(struct pool_conn *c, enum upstream_result result, const char *why)
{
	struct upstream_pool *p = c->pool;
	struct pool_slot *slot = c->slot;
	enum conn_state state = c->state;

	pool_conn_close(c, result, why);
	/* An idle connection may end for many reasons. */
	if (state != CONN_IDLE)
		pool_server_failed(p, slot);
	pool_open_more(p);
}

static void end_by_garbage(struct pool_conn *c, const char *why)
{
	struct upstream_pool *p = c->pool;

	if (c->state != CONN_BUSY && c->state != CONN_IDLE) {
		fail(c, UPSTREAM_GARBAGE, why);
		return;
	}
	pool_conn_close(c, UPSTREAM_GARBAGE, why);
	pool_open_more(p);
}

/* ------------------------------------------------------------------ sending */

void pool_conn_write(struct pool_conn *c, uint8_t *message, size_t len)
{
	struct upstream_pool *p = c->pool;

	p->last_request_id = p->last_request_id == INT32_MAX ? 1 : p->last_request_id + 1;
	c->request_id = p->last_request_id;
	store_u32(message + 4, (uint32_t)c->request_id);
	net_conn_write(c->net, bytes_of(message, len), false);
}

void pool_conn_send(struct pool_conn *c, struct upstream_call *call)
{
	TAILQ_REMOVE(&c->lane->idle, c, idle);
	c->state = CONN_BUSY;
	c->slot->busy++;
	c->call = call;
	c->deadline_us = call->want.deadline_us;
	call->state = CALL_SENT;
	call->conn = c;
	call->slot = c->slot;
	if (c->deadline_us)
		pool_arm(c->pool, c->deadline_us);
	pool_conn_write(c, call->message, call->len);
}

void pool_conn_become_idle(struct pool_conn *c)
{
	struct upstream_pool *p = c->pool;

	c->state = CONN_IDLE;
	c->deadline_us = net_loop_now_us(p->loop) + p->upstream->config.pool_idle_us;
	TAILQ_INSERT_HEAD(&c->lane->idle, c, idle);
	pool_arm(p, c->deadline_us);
	pool_serve(p, c->lane);
	/* Others may wait for room rather than for this server. */
	if (c->state == CONN_IDLE && p->nwaiting)
		pool_open_more(p);
}

/* Logged in. */
void pool_conn_ready(struct pool_conn *c)
{
	struct upstream_pool *p = c->pool;

	pool_login_free(c->login);
	c->login = NULL;
	c->lane->opening--;
	p->numbers.opened++;
	pool_conn_become_idle(c);
	/* Another one may log in instead. */
	if (p->nwaiting)
		pool_open_more(p);
}

/* ---------------------------------------------------------------- receiving */

static void answer_call(struct pool_conn *c, uint8_t *message, size_t len, struct bytes body)
{
	struct upstream_call *call = c->call;
	const struct upstream_answer answer = {
		.result = UPSTREAM_ANSWERED,
		.server = c->slot->id,
		.message = message,
		.len = len,
		.document = message + (body.at - message),
		.document_len = body.len,
	};
	upstream_done_fn *done = call ? call->done : NULL;
	void *context = call ? call->context : NULL;

	c->call = NULL;
	c->slot->busy--;
	c->pool->numbers.answered++;
	if (call)
		pool_release_call(call);
	pool_conn_become_idle(c);
	/* From here on `c` may be closed or busy again. */
	if (done)
		done(context, &answer);
}

/* False: `c` is no more. */
static bool take_answer(struct pool_conn *c)
{
	struct upstream_pool *p = c->pool;
	uint8_t *buffer = c->buffer;
	size_t capacity = c->capacity, len = c->need;
	struct fault why;
	struct bytes body;

	if (c->have > c->need || !reply_frame_body(bytes_of(buffer, len), &body, &why)) {
		end_by_garbage(c, c->have > c->need ? "more bytes than an answer has" : why.detail);
		return false;
	}
	c->buffer = NULL;
	c->capacity = c->have = c->need = 0;
	if (c->login)
		pool_login_reply(c, body);
	else
		answer_call(c, buffer, len, body);
	give_buffer(p, buffer, capacity);
	return false;
}

static bool measure(struct pool_conn *c)
{
	struct fault why;

	c->need = reply_frame_length(c->buffer, c->request_id, &why);
	if (!c->need) {
		end_by_garbage(c, why.detail);
		return false;
	}
	if (c->need > c->capacity) {
		c->buffer = memory_resize(c->buffer, c->need, 1);
		c->capacity = c->need;
	}
	return true;
}

static void on_readable(void *owner)
{
	struct pool_conn *c = owner;

	for (;;) {
		bool expected = c->state == CONN_BUSY || c->state == CONN_LOGIN;
		size_t n;

		if (!c->buffer)
			take_buffer(c);
		n = net_conn_read(
			c->net, c->buffer + c->have, (c->need ? c->need : c->capacity) - c->have);
		if (!n)
			break;
		if (!expected) {
			end_by_garbage(c, "bytes that nobody asked for");
			return;
		}
		c->have += n;
		if (!c->need && c->have >= FRAME_HEADER_LEN && !measure(c))
			return;
		if (c->need && c->have >= c->need && !take_answer(c))
			return;
	}
	if (!c->have)
		drop_buffer(c);
}

/* ------------------------------------------------------------------ opening */

static void on_opened(void *owner)
{
	struct pool_conn *c = owner;

	c->state = CONN_LOGIN;
	if (!pool_login_begin(c))
		fail(c, UPSTREAM_LOST, "logging in cannot begin");
}

static void on_drained(void *owner)
{
	(void)owner;
}

static void on_closed(void *owner, const char *why)
{
	struct pool_conn *c = owner;

	if (c->state == CONN_CONNECTING)
		c->slot->next_address++; /* another one may be reachable */
	fail(c, UPSTREAM_LOST, why);
}

void pool_conn_open(struct upstream_pool *p, const struct server *s, struct pool_slot *slot,
	struct pool_lane *lane)
{
	static const struct net_conn_events events = {
		on_opened, on_readable, on_drained, on_closed};
	struct pool_conn *c = memory_new(sizeof(*c));
	size_t address = slot->next_address % s->naddresses;

	c->pool = p;
	c->slot = slot;
	c->lane = lane;
	c->state = CONN_CONNECTING;
	snprintf(c->text, sizeof(c->text), "%s", s->text);
	c->deadline_us = net_loop_now_us(p->loop) + p->upstream->target.connect_us;
	pool_arm(p, c->deadline_us);
	TAILQ_INSERT_TAIL(&p->conns, c, all);
	lane->opening++;
	p->open[lane - slot->lanes]++;
	c->net = net_conn_connect(p->loop, (const struct sockaddr *)&s->addresses[address],
		s->address_len[address], p->upstream->target.tls, s->host, &events, c);
}
