/* pool_expire.c - one timer for all that ends: waits, answers, logins, idle connections.  It
 * is set to the first of them; a command that is answered in time never touches it. */
#include "upstream/pool_inside.h"

void pool_arm(struct upstream_pool *p, uint64_t at_us)
{
	uint64_t now_us = net_loop_now_us(p->loop);

	if (p->timer_us && p->timer_us <= at_us)
		return;
	p->timer_us = at_us;
	net_timer_set(p->timer, at_us > now_us ? at_us - now_us : 0);
}

static void expire_calls(
	struct calls *calls, uint64_t now_us, enum upstream_result result, uint64_t *next_us)
{
	struct upstream_call *call, *following;

	for (call = TAILQ_FIRST(calls); call; call = following) {
		following = TAILQ_NEXT(call, link);
		if (call->expires_us <= now_us)
			pool_finish(call, result);
		else if (call->expires_us < *next_us)
			*next_us = call->expires_us;
	}
}

static void expire_waiting(struct upstream_pool *p, uint64_t now_us, uint64_t *next_us)
{
	expire_calls(&p->homeless, now_us, UPSTREAM_NO_SERVER, next_us);
	for (size_t i = 0; i < p->nslots; i++)
		for (size_t lane = 0; p->slots[i] && lane < LANES; lane++)
			expire_calls(&p->slots[i]->lanes[lane].waiting, now_us, UPSTREAM_NO_ROOM,
				next_us);
}

static bool is_spare(const struct upstream_pool *p, const struct pool_conn *c)
{
	size_t pools = atomic_load(&p->upstream->npools);

	return c->lane == &c->slot->lanes[LANE_AWAITING] ||
	       p->open[LANE_ORDINARY] > p->upstream->config.pool_min / (pools ? pools : 1);
}

/* Closes one that is over its time; false when there is none. */
static void expire_conn(struct upstream_pool *p, struct pool_conn *c, uint64_t now_us)
{
	struct pool_slot *slot = c->slot;

	switch (c->state) {
	case CONN_CONNECTING:
		slot->next_address++;
		pool_conn_close(c, UPSTREAM_LOST, "no connection in time");
		pool_server_failed(p, slot);
		return;
	case CONN_LOGIN:
	case CONN_SALTING:
		pool_conn_close(c, UPSTREAM_LOST, "not logged in in time");
		pool_server_failed(p, slot);
		return;
	case CONN_BUSY:
		pool_conn_close(c, UPSTREAM_TIMED_OUT, "no answer in time");
		return;
	case CONN_IDLE:
		if (is_spare(p, c))
			pool_conn_close(c, UPSTREAM_LOST, NULL);
		else
			c->deadline_us = now_us + p->upstream->config.pool_idle_us;
		return;
	}
}

void pool_on_timer(void *context)
{
	struct upstream_pool *p = context;
	uint64_t now_us = net_loop_now_us(p->loop), next_us = UINT64_MAX;
	struct pool_conn *c, *following;

	p->timer_us = 0;
	expire_waiting(p, now_us, &next_us);
	for (c = TAILQ_FIRST(&p->conns); c; c = following) {
		following = TAILQ_NEXT(c, all);
		if (!c->deadline_us)
			continue;
		if (c->deadline_us <= now_us)
			expire_conn(p, c, now_us);
		else if (c->deadline_us < next_us)
			next_us = c->deadline_us;
	}
	if (p->nwaiting)
		pool_open_more(p);
	if (next_us != UINT64_MAX)
		pool_arm(p, next_us);
}
