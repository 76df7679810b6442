#include "net/inside.h"

#include <stdlib.h>

#include "util/memory.h"

/* Fifty years: what is asked for beyond that must not overflow. */
#define FOREVER_US (UINT64_C(1000000) * 3600 * 24 * 365 * 50)

struct net_timer {
	struct event event;
	net_fn *fn;
	void *context;
};

static void on_time(evutil_socket_t fd, short what, void *context)
{
	struct net_timer *t = context;

	(void)fd;
	(void)what;
	t->fn(t->context);
}

struct net_timer *net_timer_new(struct net_loop *l, net_fn *fn, void *context)
{
	struct net_timer *t = memory_new(sizeof(*t));

	t->fn = fn;
	t->context = context;
	evtimer_assign(&t->event, l->base, on_time, t);
	return t;
}

void net_timer_free(struct net_timer *t)
{
	if (!t)
		return;
	evtimer_del(&t->event);
	free(t);
}

void net_timer_set(struct net_timer *t, uint64_t after_us)
{
	uint64_t us = after_us < FOREVER_US ? after_us : FOREVER_US;
	struct timeval after = {
		.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};

	evtimer_add(&t->event, &after);
}

void net_timer_clear(struct net_timer *t)
{
	evtimer_del(&t->event);
}
