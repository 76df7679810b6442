#include "upstream/upstream.h"

#include <stdlib.h>

#include "upstream/inside.h"
#include "upstream/pool_inside.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/memory.h"

static pthread_once_t mongoc_once = PTHREAD_ONCE_INIT;
static _Thread_local bool reading_uri; /* its texts may hold secrets: nothing is logged */

static void pass_log(
	mongoc_log_level_t level, const char *domain, const char *message, void *user_data)
{
	(void)user_data;
	/* Sessions that a client leaves behind end by themselves. */
	if (reading_uri || strstr(message, "\"endSessions\""))
		return;
	switch (level) {
	case MONGOC_LOG_LEVEL_ERROR:
	case MONGOC_LOG_LEVEL_CRITICAL:
	case MONGOC_LOG_LEVEL_WARNING:
		log_warning("upstream", "%s: %s", domain, message);
		return;
	case MONGOC_LOG_LEVEL_MESSAGE:
	case MONGOC_LOG_LEVEL_INFO:
		log_info("upstream", "%s: %s", domain, message);
		return;
	case MONGOC_LOG_LEVEL_DEBUG:
	case MONGOC_LOG_LEVEL_TRACE: /* may print whole messages */
		return;
	}
}

static void start_mongoc(void)
{
	mongoc_init();
	mongoc_log_set_handler(pass_log, NULL);
}

static void wake_pools(void *context)
{
	upstream_wake_pools(context);
}

struct upstream *upstream_make(const struct upstream_config *config, struct fault *why)
{
	struct upstream *u = memory_new(sizeof(*u));
	bool read;

	pthread_once(&mongoc_once, start_mongoc);
	u->config = *config;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->changed, NULL);
	map_init(&u->ids);
	u->topology = topology_new(0);
	u->times = times_new();
	atomic_store(&u->generation, 1);
	reading_uri = true;
	read = target_read(&u->target, config, why);
	reading_uri = false;
	u->config.uri = u->config.password = NULL;
	if (read)
		u->salts = salts_new(&u->target);
	if (u->salts) {
		salts_set_ready(u->salts, wake_pools, u);
		return u;
	}
	if (read)
		fault_set(why, FAULT_INTERNAL, "no memory can be had for secrets");
	upstream_free(u);
	return NULL;
}

struct upstream *upstream_new(const struct upstream_config *config, struct fault *why)
{
	struct upstream *u = upstream_make(config, why);

	if (!u || upstream_start(u, why))
		return u;
	upstream_free(u);
	return NULL;
}

void upstream_free(struct upstream *u)
{
	const struct map_entry *e;

	if (!u)
		return;
	upstream_stop(u);
	salts_free(u->salts);
	target_fini(&u->target);
	topology_unref(u->topology);
	times_free(u->times);
	for (size_t i = 0; (e = map_next(&u->ids, &i));)
		free(e->value);
	map_fini(&u->ids);
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

/* -------------------------------------------------------------------- state */

struct topology *upstream_topology(struct upstream *u)
{
	struct topology *t;

	pthread_mutex_lock(&u->lock);
	t = topology_ref(u->topology);
	pthread_mutex_unlock(&u->lock);
	return t;
}

struct named_id {
	server_id id;
	char text[HOST_TEXT_MAX];
};

server_id upstream_id_of(struct upstream *u, const char *text)
{
	struct named_id *n = map_get(&u->ids, bytes_str(text));

	if (n)
		return n->id;
	if (u->ids.count >= IDS_MAX)
		return SERVER_ANY;
	n = memory_new(sizeof(*n));
	snprintf(n->text, sizeof(n->text), "%s", text);
	n->id = (server_id)u->ids.count + 1;
	map_set(&u->ids, bytes_str(n->text), n);
	return n->id;
}

static void note_facts(struct upstream *u)
{
	struct upstream_facts *f = &u->facts;

	f->servers = u->topology->nservers;
	f->servers_up = 0;
	f->writable = false;
	for (size_t i = 0; i < u->topology->nservers; i++) {
		const struct server *s = &u->topology->servers[i];
		bool first = f->servers_up == 0;

		if (!server_is_up(s))
			continue;
		f->servers_up++;
		f->writable |= s->writable;
		/* What all of them can do. */
		f->max_wire_version = first || s->max_wire < f->max_wire_version
					      ? s->max_wire
					      : f->max_wire_version;
		f->min_wire_version = first || s->min_wire > f->min_wire_version
					      ? s->min_wire
					      : f->min_wire_version;
		f->max_bson_size =
			first || s->max_bson < f->max_bson_size ? s->max_bson : f->max_bson_size;
		f->max_message_size = first || s->max_message < f->max_message_size
					      ? s->max_message
					      : f->max_message_size;
		f->max_write_batch = first || s->max_batch < f->max_write_batch
					     ? s->max_batch
					     : f->max_write_batch;
	}
}

static void publish_locked(struct upstream *u, struct topology *t)
{
	topology_unref(u->topology);
	u->topology = t;
	note_facts(u);
	atomic_fetch_add(&u->generation, 1);
	pthread_cond_broadcast(&u->changed);
	for (struct upstream_pool *p = u->pools; p; p = p->next)
		pool_post_news(p);
}

void upstream_publish(struct upstream *u, struct topology *t)
{
	pthread_mutex_lock(&u->lock);
	publish_locked(u, t);
	pthread_mutex_unlock(&u->lock);
}

void upstream_mark(struct upstream *u, server_id id, bool down)
{
	for (size_t i = 0; i < u->topology->nservers; i++) {
		struct topology *t;

		if (u->topology->servers[i].id != id || u->topology->servers[i].down == down)
			continue;
		t = topology_copy(u->topology);
		t->servers[i].down = down;
		log_info("upstream", "%s is %s", t->servers[i].text,
			down ? "down until it has been looked at" : "up again");
		publish_locked(u, t);
		break;
	}
	if (down) {
		u->doubts = true;
		pthread_cond_broadcast(&u->changed);
	}
}

void upstream_facts(struct upstream *u, struct upstream_facts *facts)
{
	pthread_mutex_lock(&u->lock);
	*facts = u->facts;
	pthread_mutex_unlock(&u->lock);
}

static struct timespec deadline_in(uint64_t timeout_us)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += (time_t)(timeout_us / 1000000);
	at.tv_nsec += (long)(timeout_us % 1000000) * 1000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	return at;
}

bool upstream_wait(struct upstream *u, uint64_t timeout_us)
{
	struct timespec until = deadline_in(timeout_us);
	bool known;

	pthread_mutex_lock(&u->lock);
	while (!u->facts.known && pthread_cond_timedwait(&u->changed, &u->lock, &until) == 0)
		;
	known = u->facts.known;
	pthread_mutex_unlock(&u->lock);
	return known;
}

mongoc_client_t *upstream_pop(struct upstream *u, uint64_t timeout_us)
{
	struct timespec until = deadline_in(timeout_us);
	mongoc_client_pool_t *clients;

	pthread_mutex_lock(&u->lock);
	while (!u->clients && !u->stopping &&
		pthread_cond_timedwait(&u->changed, &u->lock, &until) == 0)
		;
	clients = u->clients;
	pthread_mutex_unlock(&u->lock);
	return clients ? mongoc_client_pool_pop(clients) : NULL;
}

/* -------------------------------------------------------------------- pools */

void upstream_add_pool(struct upstream *u, struct upstream_pool *p)
{
	pthread_mutex_lock(&u->lock);
	p->next = u->pools;
	u->pools = p;
	atomic_fetch_add(&u->npools, 1);
	pthread_mutex_unlock(&u->lock);
}

void upstream_remove_pool(struct upstream *u, struct upstream_pool *p)
{
	struct upstream_pool **at = &u->pools;

	pthread_mutex_lock(&u->lock);
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	atomic_fetch_sub(&u->npools, 1);
	pthread_mutex_unlock(&u->lock);
}

void upstream_wake_pools(struct upstream *u)
{
	pthread_mutex_lock(&u->lock);
	for (struct upstream_pool *p = u->pools; p; p = p->next)
		pool_post_news(p);
	pthread_mutex_unlock(&u->lock);
}
