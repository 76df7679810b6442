#include "session/inside.h"

#include <stdlib.h>

#include <sodium.h>

#define HOUSEKEEPING_US (1000ull * 1000)

void add_relaxed(atomic_ullong *number, uint64_t n)
{
	atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + n,
		memory_order_relaxed);
}

void count(struct worker *w, enum metric m, uint64_t n)
{
	add_relaxed(&w->metrics[m], n);
}

void set_gauge(struct worker *w, enum metric m, uint64_t n)
{
	atomic_store_explicit(&w->metrics[m], n, memory_order_relaxed);
}

void worker_random(struct worker *w, uint8_t *out, size_t n)
{
	if (w->random_left < n) {
		randombytes_buf(w->random, sizeof(w->random));
		w->random_left = sizeof(w->random);
	}
	w->random_left -= n;
	memcpy(out, w->random + w->random_left, n);
}

const struct snapshot *worker_snapshot(struct worker *w)
{
	unsigned now = atomic_load_explicit(&w->server->generation, memory_order_acquire);

	if (w->snapshot && w->generation == now)
		return w->snapshot;
	snapshot_unref(w->snapshot);
	w->snapshot = server_snapshot(w->server);
	w->generation = now;
	return w->snapshot;
}

static void drop_transforms_but(struct worker *w, const struct keyring *keyring)
{
	for (size_t i = 0; i < TRANSFORMS_MAX; i++) {
		if (!w->transforms[i] || transform_keyring(w->transforms[i]) == keyring)
			continue;
		transform_free(w->transforms[i]);
		w->transforms[i] = NULL;
	}
}

struct transform *worker_transform(struct worker *w, struct policy *p)
{
	struct keyring *keyring = worker_snapshot(w)->keyring;
	struct transform *found = NULL;
	size_t i = 0;

	if (w->transforms[0] && transform_policy(w->transforms[0]) == p &&
		transform_keyring(w->transforms[0]) == keyring)
		return w->transforms[0];
	drop_transforms_but(w, keyring);
	for (; i < TRANSFORMS_MAX - 1; i++)
		if (w->transforms[i] && transform_policy(w->transforms[i]) == p)
			break;
	found = w->transforms[i];
	if (!found || transform_policy(found) != p) {
		transform_free(found);
		found = transform_new(p, keyring, w->server->parts.master);
	}
	memmove(&w->transforms[1], &w->transforms[0], i * sizeof(w->transforms[0]));
	w->transforms[0] = found;
	return found;
}

static void wake_for_audit(void *context);

static void collect_audit(void *context)
{
	struct worker *w = context;

	audit_ring_collect(w->ring);
}

/* From the audit writer's thread. */
static void wake_for_audit(void *context)
{
	struct worker *w = context;

	net_loop_post(w->loop, collect_audit, w);
}

static void commit_audit(void *context)
{
	struct worker *w = context;

	/* Where this thread writes the log itself, the answers go out at once; what they let
	 * begin is committed, too, since nothing else may wake this loop. */
	do {
		audit_ring_commit(w->ring);
		audit_ring_collect(w->ring);
	} while (!audit_ring_is_idle(w->ring));
}

static void note_pool(struct worker *w)
{
	struct upstream_pool_numbers n;

	upstream_pool_numbers(w->pool, &n);
	set_gauge(w, METRIC_UPSTREAM_OPEN, n.open);
	set_gauge(w, METRIC_UPSTREAM_BUSY, n.busy);
	set_gauge(w, METRIC_UPSTREAM_WAITING, n.waiting);
	set_gauge(w, METRIC_CONNECTIONS, atomic_load(&w->nsessions));
}

static void keep_house(void *context)
{
	struct worker *w = context;
	uint64_t now_us = net_loop_now_us(w->loop);

	note_pool(w);
	relations_expire(w->relations, now_us);
	/* One of the workers is enough for what all share. */
	if (w == w->server->workers) {
		cursors_expire(w->server->cursors, now_us, kill_upstream_cursor, w);
		transactions_expire(w->server->transactions, now_us);
		set_gauge(w, METRIC_GLASS_UNREVIEWED, glass_unreviewed(w->server->parts.glass));
	}
	net_timer_set(w->housekeeping, HOUSEKEEPING_US);
}

/* The time for commands in flight is over. */
static void close_all(void *context)
{
	struct worker *w = context;

	while (w->sessions)
		session_close(w->sessions, "the proxy is shutting down");
	net_loop_stop(w->loop);
}

void worker_stop_if_empty(struct worker *w)
{
	if (!w->sessions && !w->in_flight && atomic_load(&w->server->draining))
		net_loop_stop(w->loop);
}

void worker_init(struct worker *w, struct server *s)
{
	w->server = s;
	w->loop = net_loop_new();
	w->pool = upstream_pool_new(s->parts.upstream, w->loop);
	w->relations = relations_new(w);
	w->ring = audit_ring_new(s->parts.audit, wake_for_audit, w);
	buf_init(&w->text, TEXT_MAX);
	w->housekeeping = net_timer_new(w->loop, keep_house, w);
	w->last_call = net_timer_new(w->loop, close_all, w);
	net_loop_each_tick(w->loop, commit_audit, w);
}

static void *run(void *context)
{
	struct worker *w = context;

	net_timer_set(w->housekeeping, HOUSEKEEPING_US);
	net_loop_run(w->loop);
	return NULL;
}

bool worker_start(struct worker *w)
{
	w->started = pthread_create(&w->thread, NULL, run, w) == 0;
	return w->started;
}

void worker_fini(struct worker *w)
{
	if (!w->loop)
		return;
	net_timer_free(w->housekeeping);
	net_timer_free(w->last_call);
	relations_free(w->relations);
	upstream_pool_free(w->pool);
	audit_ring_free(w->ring);
	for (size_t i = 0; i < TRANSFORMS_MAX; i++)
		transform_free(w->transforms[i]);
	while (w->spare) {
		struct exchange *x = w->spare;

		w->spare = x->next_spare;
		arena_fini(&x->arena);
		buf_wipe(&x->sent);
		buf_wipe(&x->reply);
		free(x);
	}
	buf_wipe(&w->text);
	snapshot_unref(w->snapshot);
	net_loop_free(w->loop);
}
