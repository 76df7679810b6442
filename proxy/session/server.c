#include "session/inside.h"

#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "util/log.h"
#include "util/memory.h"

struct snapshot *snapshot_new(
	struct policy *policy, struct users *users, struct keyring *keyring, struct net_tls *tls)
{
	static atomic_ullong last_number;
	struct snapshot *s = memory_new(sizeof(*s));

	*s = (struct snapshot){
		.policy = policy,
		.users = users,
		.keyring = keyring,
		.tls = tls,
		.number = atomic_fetch_add(&last_number, 1) + 1,
		.references = 1,
	};
	return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
	__atomic_add_fetch(&s->references, 1, __ATOMIC_RELAXED);
	return s;
}

void snapshot_unref(struct snapshot *s)
{
	if (!s || __atomic_sub_fetch(&s->references, 1, __ATOMIC_ACQ_REL))
		return;
	policy_unref(s->policy);
	users_unref(s->users);
	keyring_unref(s->keyring);
	if (s->tls)
		net_tls_unref(s->tls);
	free(s);
}

struct snapshot *server_snapshot(struct server *s)
{
	struct snapshot *snapshot;

	pthread_mutex_lock(&s->snapshot_lock);
	snapshot = snapshot_ref(s->snapshot);
	pthread_mutex_unlock(&s->snapshot_lock);
	return snapshot;
}

/* An accepted socket on its way to its worker. */
struct arrival {
	struct worker *worker;
	int fd;
};

static void welcome(void *context)
{
	struct arrival *a = context;
	struct worker *w = a->worker;
	const struct snapshot *now = worker_snapshot(w);

	count(w, METRIC_ACCEPTED, 1);
	if (atomic_load(&w->server->draining) || !session_open(w, a->fd, now->tls)) {
		close(a->fd);
		atomic_fetch_sub(&w->nsessions, 1);
	}
	free(a);
}

static size_t count_sessions(const struct server *s)
{
	size_t n = 0;

	for (unsigned i = 0; i < s->config.workers; i++)
		n += atomic_load(&s->workers[i].nsessions);
	return n;
}

/* On the acceptor's thread: to the worker with the fewest. */
static void accepted(void *context, int fd)
{
	struct server *s = context;
	struct worker *fewest = &s->workers[0];
	struct arrival *a;

	for (unsigned i = 1; i < s->config.workers; i++)
		if (atomic_load(&s->workers[i].nsessions) < atomic_load(&fewest->nsessions))
			fewest = &s->workers[i];
	if (count_sessions(s) >= s->config.connections) {
		count(fewest, METRIC_TURNED_AWAY, 1);
		log_warning("server", "over %zu connections: one was turned away",
			s->config.connections);
		close(fd);
		return;
	}
	atomic_fetch_add(&fewest->nsessions, 1);
	a = memory_new(sizeof(*a));
	*a = (struct arrival){fewest, fd};
	net_loop_post(fewest->loop, welcome, a);
}

struct server *server_new(const struct server_config *config, const struct server_parts *parts,
	struct snapshot *snapshot, struct fault *why)
{
	struct server *s = memory_new(sizeof(*s));

	s->config = *config;
	s->parts = *parts;
	s->snapshot = snapshot;
	pthread_mutex_init(&s->snapshot_lock, NULL);
	pthread_mutex_init(&s->user_lock, NULL);
	map_init(&s->user_counts);
	s->throttle = throttle_new();
	s->cursors = cursors_new();
	s->transactions = transactions_new();
	s->budget = budget_new(config->memory);
	s->usage = usage_new();
	s->questions = questions_new();
	randombytes_buf(s->service_id, sizeof(s->service_id));
	atomic_store(&s->next_connection, 1);
	s->workers = memory_array(config->workers, sizeof(*s->workers));
	for (unsigned i = 0; i < config->workers; i++)
		worker_init(&s->workers[i], s);
	s->listener = net_listener_new(config->listen, accepted, s, why);
	if (s->listener)
		return s;
	server_free(s);
	return NULL;
}

bool server_start(struct server *s, struct fault *why)
{
	for (unsigned i = 0; i < s->config.workers; i++)
		if (!worker_start(&s->workers[i]))
			return fault_set(why, FAULT_INTERNAL, "a worker's thread cannot start");
	return net_listener_start(s->listener, why);
}

const char *server_address(const struct server *s)
{
	return net_listener_address(s->listener);
}

static void check_all_rights(void *context)
{
	struct worker *w = context;
	const struct snapshot *now = worker_snapshot(w);
	struct session *next;

	for (struct session *s = w->sessions; s; s = next) {
		next = s->next;
		session_check_rights(s, now);
	}
}

void server_replace(struct server *s, struct snapshot *snapshot)
{
	struct snapshot *before;

	pthread_mutex_lock(&s->snapshot_lock);
	before = s->snapshot;
	s->snapshot = snapshot;
	atomic_fetch_add(&s->generation, 1);
	pthread_mutex_unlock(&s->snapshot_lock);
	snapshot_unref(before);
	for (unsigned i = 0; i < s->config.workers; i++)
		net_loop_post(s->workers[i].loop, check_all_rights, &s->workers[i]);
}

static void close_idle(void *context)
{
	struct worker *w = context;
	struct session *next;

	for (struct session *s = w->sessions; s; s = next) {
		next = s->next;
		if (!s->exchange)
			session_close(s, "the proxy is shutting down");
	}
	worker_stop_if_empty(w);
}

struct last_call {
	struct worker *worker;
	uint64_t grace_us;
};

static void set_last_call(void *context)
{
	struct last_call *last = context;

	close_idle(last->worker);
	net_timer_set(last->worker->last_call, last->grace_us);
	free(last);
}

void server_drain(struct server *s, uint64_t grace_us)
{
	net_listener_stop(s->listener);
	atomic_store(&s->draining, true);
	for (unsigned i = 0; i < s->config.workers; i++) {
		struct worker *w = &s->workers[i];
		struct last_call *last = memory_new(sizeof(*last));

		*last = (struct last_call){w, grace_us};
		net_loop_post(w->loop, set_last_call, last);
	}
	for (unsigned i = 0; i < s->config.workers; i++) {
		if (s->workers[i].started)
			pthread_join(s->workers[i].thread, NULL);
		s->workers[i].started = false;
	}
}

void server_free(struct server *s)
{
	const struct map_entry *e;

	if (!s)
		return;
	if (s->listener)
		net_listener_free(s->listener);
	for (unsigned i = 0; i < s->config.workers; i++)
		worker_fini(&s->workers[i]);
	free(s->workers);
	for (size_t i = 0; (e = map_next(&s->user_counts, &i));)
		free(e->value);
	map_fini(&s->user_counts);
	transactions_free(s->transactions);
	cursors_free(s->cursors);
	throttle_free(s->throttle);
	budget_free(s->budget);
	usage_free(s->usage);
	questions_free(s->questions);
	snapshot_unref(s->snapshot);
	pthread_mutex_destroy(&s->snapshot_lock);
	pthread_mutex_destroy(&s->user_lock);
	free(s);
}

static const struct {
	const char *name, *help;
	bool gauge;
} metric_rows[METRIC_COUNT] = {
#define METRIC(id, name, help) {name, help, false},
#define GAUGE(id, name, help)  {name, help, true},
#include "session/metrics.def"
#undef METRIC
#undef GAUGE
};

size_t server_metrics(struct server *s, struct metric_value out[METRIC_MAX])
{
	_Static_assert((int)METRIC_COUNT <= METRIC_MAX, "all metrics fit");

	for (size_t m = 0; m < METRIC_COUNT; m++) {
		out[m] = (struct metric_value){
			metric_rows[m].name, metric_rows[m].help, metric_rows[m].gauge, 0};
		for (unsigned i = 0; i < s->config.workers; i++)
			out[m].value += atomic_load(&s->workers[i].metrics[m]);
	}
	return METRIC_COUNT;
}

/* Upper bounds in microseconds, from a tenth of a millisecond to half a minute. */
static const uint64_t latency_bounds[LATENCY_BUCKETS] = {
	100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 250000, 1000000, 30000000};

void note_latency(struct worker *w, uint64_t us)
{
	size_t i = 0;

	/* Each is counted once; whoever reads adds up. */
	while (i < LATENCY_BUCKETS && us > latency_bounds[i])
		i++;
	if (i < LATENCY_BUCKETS)
		add_relaxed(&w->latency[i], 1);
	add_relaxed(&w->latency[LATENCY_BUCKETS], 1);
	add_relaxed(&w->latency[LATENCY_BUCKETS + 1], us);
}

void server_latency(struct server *s, struct latency *out)
{
	*out = (struct latency){0};
	memcpy(out->bounds_us, latency_bounds, sizeof(latency_bounds));
	for (unsigned i = 0; i < s->config.workers; i++) {
		const struct worker *w = &s->workers[i];

		for (size_t b = 0; b < LATENCY_BUCKETS; b++)
			for (size_t below = 0; below <= b; below++)
				out->counts[b] += atomic_load(&w->latency[below]);
		out->total += atomic_load(&w->latency[LATENCY_BUCKETS]);
		out->sum_us += atomic_load(&w->latency[LATENCY_BUCKETS + 1]);
	}
}
