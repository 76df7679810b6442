#include "upstream/pool.h"

#include <stdlib.h>

#include "upstream/pool_inside.h"
#include "util/log.h"
#include "util/memory.h"

/* -------------------------------------------------------------------- calls */

static struct upstream_call *take_call(struct upstream_pool *p)
{
	struct upstream_call *call = TAILQ_FIRST(&p->spare);

	if (!call)
		return memory_new(sizeof(*call));
	TAILQ_REMOVE(&p->spare, call, link);
	return call;
}

void pool_release_call(struct upstream_call *call)
{
	free(call->long_preference);
	call->long_preference = NULL;
	TAILQ_INSERT_HEAD(&call->pool->spare, call, link);
}

static void keep_preference(struct upstream_call *call, struct bytes preference)
{
	uint8_t *at = call->preference;

	call->long_preference = NULL;
	if (!preference.len)
		return;
	if (preference.len > PREFERENCE_SIZE)
		at = call->long_preference = memory_new(preference.len);
	memcpy(at, preference.at, preference.len);
	call->want.preference = bytes_of(at, preference.len);
}

/* Out of the list that it waits in. */
static void withdraw(struct upstream_call *call)
{
	struct upstream_pool *p = call->pool;
	struct pool_lane *lane;

	switch (call->state) {
	case CALL_HOMELESS:
		TAILQ_REMOVE(&p->homeless, call, link);
		p->nwaiting--;
		return;
	case CALL_WAITING:
		lane = &call->slot->lanes[call->want.awaiting ? LANE_AWAITING : LANE_ORDINARY];
		TAILQ_REMOVE(&lane->waiting, call, link);
		lane->nwaiting--;
		p->nwaiting--;
		return;
	case CALL_SENT:
		call->conn->call = NULL;
		call->conn = NULL;
		return;
	case CALL_FINISHED:
		TAILQ_REMOVE(&p->finished, call, link);
		return;
	}
}

static void flush_finished(struct upstream_pool *p)
{
	struct upstream_call *call;

	while ((call = TAILQ_FIRST(&p->finished))) {
		const struct upstream_answer answer = {
			.result = call->result, .server = call->server};
		upstream_done_fn *done = call->done;
		void *done_context = call->context;

		TAILQ_REMOVE(&p->finished, call, link);
		pool_release_call(call);
		done(done_context, &answer);
	}
}

void pool_finish(struct upstream_call *call, enum upstream_result result)
{
	struct upstream_pool *p = call->pool;

	withdraw(call);
	call->state = CALL_FINISHED;
	call->result = result;
	call->server = call->slot ? call->slot->id : call->want.server;
	TAILQ_INSERT_TAIL(&p->finished, call, link);
	net_timer_set(p->soon, 0);
}

/* -------------------------------------------------------------------- slots */

static void look_at_topology(struct upstream_pool *p)
{
	unsigned now = atomic_load_explicit(&p->upstream->generation, memory_order_acquire);

	if (p->topology && p->generation == now)
		return;
	topology_unref(p->topology);
	p->topology = upstream_topology(p->upstream);
	p->generation = now;
}

static struct pool_slot *slot_of(struct upstream_pool *p, server_id id)
{
	struct pool_slot *slot;

	if (id > p->nslots) {
		p->slots = memory_resize(p->slots, id, sizeof(struct pool_slot *));
		memset(p->slots + p->nslots, 0, (id - p->nslots) * sizeof(struct pool_slot *));
		p->nslots = id;
	}
	slot = p->slots[id - 1];
	if (slot)
		return slot;
	slot = p->slots[id - 1] = memory_new(sizeof(*slot));
	slot->id = id;
	for (size_t i = 0; i < LANES; i++) {
		TAILQ_INIT(&slot->lanes[i].idle);
		TAILQ_INIT(&slot->lanes[i].waiting);
	}
	return slot;
}

/* The least busy of those that fit. */
static struct pool_slot *choose(struct upstream_pool *p, const struct upstream_want *want)
{
	const struct selection limits = {
		p->upstream->target.threshold_us, p->upstream->target.heartbeat_us};
	struct pool_slot *best = NULL;
	uint8_t fit[SERVERS_MAX];
	size_t n, load, least = SIZE_MAX;

	look_at_topology(p);
	n = topology_select(p->topology, &limits, want, fit);
	for (size_t i = 0; i < n; i++) {
		struct pool_slot *slot = slot_of(p, p->topology->servers[fit[i]].id);

		load = slot->busy + slot->lanes[LANE_ORDINARY].nwaiting +
		       slot->lanes[LANE_AWAITING].nwaiting;
		if (load < least) {
			least = load;
			best = slot;
		}
	}
	return best;
}

/* --------------------------------------------------------------------- room */

static size_t share(const struct upstream_pool *p, size_t of)
{
	size_t pools = atomic_load_explicit(&p->upstream->npools, memory_order_relaxed);
	size_t mine = of / (pools ? pools : 1);

	return mine ? mine : 1;
}

/* Every worker has its share of pool_max, so that none can starve another. */
static size_t room(const struct upstream_pool *p, size_t lane)
{
	const struct upstream_config *c = &p->upstream->config;

	return share(p, lane == LANE_AWAITING ? c->awaiting_max : c->pool_max);
}

/* A connection to another server that nobody uses makes room. */
static bool make_room(struct upstream_pool *p, size_t lane)
{
	for (size_t i = 0; i < p->nslots; i++) {
		struct pool_lane *other = p->slots[i] ? &p->slots[i]->lanes[lane] : NULL;
		struct pool_conn *c = other ? TAILQ_LAST(&other->idle, conns) : NULL;

		if (c && !other->nwaiting) {
			pool_conn_close(c, UPSTREAM_LOST, NULL);
			return true;
		}
	}
	return false;
}

static void open_for(struct upstream_pool *p, struct pool_slot *slot, size_t lane)
{
	struct pool_lane *l = &slot->lanes[lane];
	const struct server *s;

	look_at_topology(p);
	s = topology_server(p->topology, slot->id);
	if (!s || !server_is_up(s) || p->closing)
		return;
	while (l->opening < l->nwaiting && l->opening < POOL_OPENING_MAX) {
		if (p->open[lane] >= room(p, lane) && !make_room(p, lane))
			return;
		pool_conn_open(p, s, slot, l);
	}
}

void pool_open_more(struct upstream_pool *p)
{
	for (size_t i = 0; i < p->nslots; i++)
		for (size_t lane = 0; p->slots[i] && lane < LANES; lane++)
			if (p->slots[i]->lanes[lane].nwaiting)
				open_for(p, p->slots[i], lane);
}

/* ------------------------------------------------------------------ placing */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !b || a < b ? a : b;
}

static void wait_for_server(struct upstream_call *call)
{
	struct upstream_pool *p = call->pool;

	call->state = CALL_HOMELESS;
	call->slot = NULL;
	call->expires_us = call->select_until_us;
	TAILQ_INSERT_TAIL(&p->homeless, call, link);
	p->nwaiting++;
	pool_arm(p, call->expires_us);
}

static void wait_for_connection(struct upstream_call *call, size_t lane)
{
	struct upstream_pool *p = call->pool;
	struct pool_lane *l = &call->slot->lanes[lane];

	call->state = CALL_WAITING;
	call->expires_us = sooner(net_loop_now_us(p->loop) + p->upstream->config.pool_wait_us,
		call->want.deadline_us);
	TAILQ_INSERT_TAIL(&l->waiting, call, link);
	l->nwaiting++;
	p->nwaiting++;
	pool_arm(p, call->expires_us);
	open_for(p, call->slot, lane);
}

static void place(struct upstream_call *call)
{
	struct upstream_pool *p = call->pool;
	size_t lane = call->want.awaiting ? LANE_AWAITING : LANE_ORDINARY;
	struct pool_conn *c;

	call->slot = choose(p, &call->want);
	if (!call->slot) {
		wait_for_server(call);
		return;
	}
	c = TAILQ_FIRST(&call->slot->lanes[lane].idle);
	if (c)
		pool_conn_send(c, call);
	else
		wait_for_connection(call, lane);
}

static void place_homeless(struct upstream_pool *p)
{
	struct calls moved = TAILQ_HEAD_INITIALIZER(moved);
	struct upstream_call *call;

	p->placing = false;
	TAILQ_CONCAT(&moved, &p->homeless, link);
	while ((call = TAILQ_FIRST(&moved))) {
		TAILQ_REMOVE(&moved, call, link);
		p->nwaiting--;
		place(call);
	}
}

/* A timer, not a deferred call: it is forgotten with the pool. */
static void on_soon(void *context)
{
	struct upstream_pool *p = context;

	if (p->placing)
		place_homeless(p);
	flush_finished(p);
}

static void begin_selection(struct upstream_call *call)
{
	const struct upstream_pool *p = call->pool;

	call->select_until_us = sooner(
		net_loop_now_us(p->loop) + p->upstream->config.select_us, call->want.deadline_us);
}

static void go_back(struct upstream_call *call)
{
	withdraw(call);
	wait_for_server(call);
	call->pool->placing = true;
	net_timer_set(call->pool->soon, 0);
}

void pool_call_again(struct upstream_call *call)
{
	begin_selection(call);
	go_back(call);
}

/* What waits for a connection to this server may go to another. */
static void evacuate(struct pool_slot *slot)
{
	for (size_t i = 0; i < LANES; i++) {
		struct upstream_call *call;

		while ((call = TAILQ_FIRST(&slot->lanes[i].waiting)))
			go_back(call);
	}
}

void pool_server_failed(struct upstream_pool *p, struct pool_slot *slot)
{
	upstream_server_failed(p, slot->id);
	evacuate(slot);
}

void upstream_server_failed(struct upstream_pool *p, server_id server)
{
	if (server == SERVER_ANY)
		return;
	pthread_mutex_lock(&p->upstream->lock);
	upstream_mark(p->upstream, server, true);
	pthread_mutex_unlock(&p->upstream->lock);
}

/* A connection is free: the first that waits has it. */
void pool_serve(struct upstream_pool *p, struct pool_lane *lane)
{
	struct pool_conn *c = TAILQ_FIRST(&lane->idle);
	struct upstream_call *call = TAILQ_FIRST(&lane->waiting);

	if (!c || !call)
		return;
	TAILQ_REMOVE(&lane->waiting, call, link);
	lane->nwaiting--;
	p->nwaiting--;
	pool_conn_send(c, call);
}

/* --------------------------------------------------------------------- news */

/* Connections of its pool_min that a worker has ready before anybody asks. */
static void warm_up(struct upstream_pool *p)
{
	const struct upstream_want want = {.write = true};
	size_t wanted = p->upstream->config.pool_min ? share(p, p->upstream->config.pool_min) : 0;
	struct pool_slot *slot = wanted ? choose(p, &want) : NULL;
	const struct server *s = slot ? topology_server(p->topology, slot->id) : NULL;

	while (s && p->open[LANE_ORDINARY] < wanted &&
		p->open[LANE_ORDINARY] < room(p, LANE_ORDINARY) &&
		slot->lanes[LANE_ORDINARY].opening < POOL_OPENING_MAX)
		pool_conn_open(p, s, slot, &slot->lanes[LANE_ORDINARY]);
}

static void leave_servers(struct upstream_pool *p)
{
	for (size_t i = 0; i < p->nslots; i++) {
		struct pool_slot *slot = p->slots[i];
		const struct server *s = slot ? topology_server(p->topology, slot->id) : NULL;

		if (!slot || (s && server_is_up(s)))
			continue;
		evacuate(slot);
		for (size_t lane = 0; lane < LANES; lane++)
			while (!TAILQ_EMPTY(&slot->lanes[lane].idle))
				pool_conn_close(
					TAILQ_FIRST(&slot->lanes[lane].idle), UPSTREAM_LOST, NULL);
	}
}

static struct pool_conn *next_salting(struct upstream_pool *p)
{
	struct pool_conn *c;

	TAILQ_FOREACH(c, &p->conns, all)
	if (c->state == CONN_SALTING && c->asks)
		return c;
	return NULL;
}

/* Whatever one of them does may close others: so each time from the front. */
static void go_on_logging_in(struct upstream_pool *p)
{
	struct pool_conn *c;

	TAILQ_FOREACH(c, &p->conns, all)
	c->asks = true;
	while ((c = next_salting(p))) {
		c->asks = false;
		pool_login_go_on(c);
	}
}

static void take_news(void *context)
{
	struct upstream_pool *p = context;

	atomic_store(&p->posted, false);
	look_at_topology(p);
	leave_servers(p);
	place_homeless(p);
	go_on_logging_in(p);
	warm_up(p);
}

void pool_post_news(struct upstream_pool *p)
{
	if (!atomic_exchange(&p->posted, true))
		net_loop_post(p->loop, take_news, p);
}

/* ------------------------------------------------------------------- public */

struct upstream_pool *upstream_pool_new(struct upstream *u, struct net_loop *l)
{
	struct upstream_pool *p = memory_new(sizeof(*p));

	p->upstream = u;
	p->loop = l;
	TAILQ_INIT(&p->conns);
	TAILQ_INIT(&p->homeless);
	TAILQ_INIT(&p->finished);
	TAILQ_INIT(&p->spare);
	p->timer = net_timer_new(l, pool_on_timer, p);
	p->soon = net_timer_new(l, on_soon, p);
	upstream_add_pool(u, p);
	return p;
}

/* Nobody is left without an answer. */
static void finish_all(struct upstream_pool *p)
{
	struct upstream_call *call;
	struct pool_conn *c;

	while ((c = TAILQ_FIRST(&p->conns)))
		pool_conn_close(c, UPSTREAM_LOST, NULL);
	for (size_t i = 0; i < p->nslots; i++)
		if (p->slots[i])
			evacuate(p->slots[i]);
	while ((call = TAILQ_FIRST(&p->homeless)))
		pool_finish(call, UPSTREAM_NO_SERVER);
	flush_finished(p);
}

void upstream_pool_free(struct upstream_pool *p)
{
	struct upstream_call *call;

	if (!p)
		return;
	p->closing = true;
	upstream_remove_pool(p->upstream, p);
	finish_all(p);
	while ((call = TAILQ_FIRST(&p->spare))) {
		TAILQ_REMOVE(&p->spare, call, link);
		free(call);
	}
	for (size_t i = 0; i < p->nslots; i++)
		free(p->slots[i]);
	free(p->slots);
	while (p->nbuffers)
		free(p->buffers[--p->nbuffers]);
	net_timer_free(p->timer);
	net_timer_free(p->soon);
	topology_unref(p->topology);
	free(p);
}

struct upstream_call *upstream_send(struct upstream_pool *p, uint8_t *message, size_t len,
	const struct upstream_want *want, upstream_done_fn *done, void *context)
{
	struct upstream_call *call = take_call(p);

	call->pool = p;
	call->message = message;
	call->len = len;
	call->want = *want;
	keep_preference(call, want->preference);
	call->done = done;
	call->context = context;
	call->slot = NULL;
	call->conn = NULL;
	call->tries = 0;
	begin_selection(call);
	if (p->closing || p->nwaiting >= POOL_WAITING_MAX) {
		wait_for_server(call);
		pool_finish(call, UPSTREAM_NO_ROOM);
	} else {
		place(call);
	}
	return call;
}

void upstream_call_drop(struct upstream_call *call)
{
	if (!call)
		return;
	withdraw(call);
	pool_release_call(call);
}

void upstream_pool_numbers(const struct upstream_pool *p, struct upstream_pool_numbers *n)
{
	*n = p->numbers;
	n->open = p->open[LANE_ORDINARY] + p->open[LANE_AWAITING];
	n->awaiting = p->open[LANE_AWAITING];
	n->waiting = p->nwaiting;
	n->busy = 0;
	for (size_t i = 0; i < p->nslots; i++)
		n->busy += p->slots[i] ? p->slots[i]->busy : 0;
}
