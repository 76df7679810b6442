#include "net/inside.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/memory.h"

/* Deferred work may defer more; after so many rounds the others have their turn. */
#define ROUNDS_MAX 8

static void add_task(struct net_tasks *t, net_fn *fn, void *context)
{
	memory_grow(&t->at, t->n, &t->capacity, sizeof(*t->at));
	t->at[t->n++] = (struct net_task){fn, context};
}

/* Runs what is in the list now: what is added meanwhile goes into a new one. */
static void run_tasks(struct net_tasks tasks)
{
	for (size_t i = 0; i < tasks.n; i++)
		tasks.at[i].fn(tasks.at[i].context);
}

static void wake(struct net_loop *l)
{
	uint64_t one = 1;

	/* It fails only when the counter is full: then the loop is awake anyway. */
	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static bool run_posted(struct net_loop *l)
{
	struct net_tasks tasks;

	pthread_mutex_lock(&l->lock);
	tasks = l->posted;
	l->posted = (struct net_tasks){0};
	pthread_mutex_unlock(&l->lock);
	run_tasks(tasks);
	free(tasks.at);
	return tasks.n != 0;
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) > 0)
		run_posted(context);
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	/* One thread uses a base; others come in by the eventfd. */
	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return base;
}

struct net_loop *net_loop_new(void)
{
	struct net_loop *l = memory_new(sizeof(*l));

	l->now_us = memory_new(sizeof(*l->now_us));
	pthread_mutex_init(&l->lock, NULL);
	l->base = new_base();
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!l->base || l->wake_fd < 0 ||
		event_assign(&l->wake, l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l) < 0 ||
		event_add(&l->wake, NULL) < 0) {
		/* As with memory: without its loops the process cannot be. */
		log_error("net", "no event loop can be had: out of descriptors?");
		abort();
	}
	return l;
}

/* False: nothing was deferred. */
static bool run_deferred(struct net_loop *l)
{
	struct net_tasks tasks = l->deferred;

	if (!tasks.n)
		return false;
	l->deferred = (struct net_tasks){0};
	run_tasks(tasks);
	if (l->deferred.at) {
		free(tasks.at);
	} else {
		tasks.n = 0;
		l->deferred = tasks;
	}
	return true;
}

/* True: something is left for the next tick. */
static bool end_tick(struct net_loop *l)
{
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		/* Again after each round: what was deferred may have given them work. */
		for (size_t i = 0; i < l->nhooks; i++)
			l->hooks[i].fn(l->hooks[i].context);
		if (!run_deferred(l))
			return false;
	}
	return true;
}

void net_loop_free(struct net_loop *l)
{
	if (!l)
		return;
	net_drop_lingering(l);
	while (run_deferred(l))
		;
	event_del(&l->wake);
	close(l->wake_fd);
	event_base_free(l->base);
	pthread_mutex_destroy(&l->lock);
	free(l->posted.at);
	free(l->deferred.at);
	free(l->now_us);
	free(l);
}

void net_loop_run(struct net_loop *l)
{
	bool more = end_tick(l);

	while (!atomic_load(&l->stopping) || l->lingering) {
		*l->now_us = 0;
		event_base_loop(l->base, EVLOOP_ONCE | (more ? EVLOOP_NONBLOCK : 0));
		more = end_tick(l);
	}
	/* What was posted before the stop is not lost. */
	while (run_posted(l) || more)
		more = end_tick(l);
	atomic_store(&l->stopping, false);
}

void net_loop_stop(struct net_loop *l)
{
	atomic_store(&l->stopping, true);
	wake(l);
}

struct event_base *net_loop_base(struct net_loop *l)
{
	return l->base;
}

uint64_t net_loop_now_us(const struct net_loop *l)
{
	if (!*l->now_us)
		*l->now_us = clock_monotonic_us();
	return *l->now_us;
}

void net_loop_post(struct net_loop *l, net_fn *fn, void *context)
{
	bool first;

	pthread_mutex_lock(&l->lock);
	first = l->posted.n == 0;
	add_task(&l->posted, fn, context);
	/* Within the lock: once the loop has run the task it may be freed. */
	if (first)
		wake(l);
	pthread_mutex_unlock(&l->lock);
}

void net_loop_defer(struct net_loop *l, net_fn *fn, void *context)
{
	add_task(&l->deferred, fn, context);
}

void net_loop_each_tick(struct net_loop *l, net_fn *fn, void *context)
{
	if (l->nhooks == NET_HOOKS_MAX) {
		log_error("net", "more than %u hooks of a loop", NET_HOOKS_MAX);
		abort();
	}
	l->hooks[l->nhooks++] = (struct net_task){fn, context};
}
