/* discovery.c - watches the deployment: one thread publishes what libmongoc's monitors see,
 * another looks at servers that failed, since a look can block for seconds. */
#include <netdb.h>
#include <stdlib.h>

#include "upstream/inside.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/memory.h"
#include "wire/doc.h"

#define RETRY_FIRST_MS 100u
#define RETRY_LAST_MS  10000u                /* of SRV records */
#define LOOK_LAST_MS   1000u                 /* at a server that is down */
#define RESOLVE_US     (60ull * 1000 * 1000) /* names are looked up anew */
#define REFRESH_MS     5000u                 /* round trips and lastWrite come without an event */

/* libmongoc tells of a change before its clients see it: so news are looked at again. */
static const uint64_t looks_ms[] = {5, 50, 500, REFRESH_MS};

/* ---------------------------------------------------------------- callbacks */

/* On libmongoc's threads, with its locks held: only tells. */
static void tell(struct upstream *u)
{
	pthread_mutex_lock(&u->lock);
	u->news = true;
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->lock);
}

static void on_topology(const mongoc_apm_topology_changed_t *event)
{
	tell(mongoc_apm_topology_changed_get_context(event));
}

static void on_server(const mongoc_apm_server_changed_t *event)
{
	tell(mongoc_apm_server_changed_get_context(event));
}

static void on_failure(const mongoc_apm_server_heartbeat_failed_t *event)
{
	const mongoc_host_list_t *host = mongoc_apm_server_heartbeat_failed_get_host(event);
	struct upstream *u = mongoc_apm_server_heartbeat_failed_get_context(event);
	bson_error_t error;

	mongoc_apm_server_heartbeat_failed_get_error(event, &error);
	/* One that was cancelled has no text: this process does not want to know any more. */
	if (error.message[0])
		log_warning(
			"upstream", "%s does not answer: %s", host->host_and_port, error.message);
	tell(u);
}

/* ------------------------------------------------------------------ reading */

static bool wait_ms(struct upstream *u, uint64_t ms)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += (time_t)(ms / 1000);
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	return pthread_cond_timedwait(&u->changed, &u->lock, &at) == 0;
}

static const struct {
	const char *name;
	enum server_kind kind;
} kinds[] = {
	{"RSPrimary", SERVER_PRIMARY},
	{"RSSecondary", SERVER_SECONDARY},
	{"Mongos", SERVER_MONGOS},
	{"Standalone", SERVER_STANDALONE},
};

static enum server_kind kind_of(const mongoc_server_description_t *d, bool single)
{
	const char *type = mongoc_server_description_type(d);

	if (strcmp(type, "Unknown") == 0 || strcmp(type, "PossiblePrimary") == 0)
		return SERVER_UNKNOWN;
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (strcmp(type, kinds[i].name) == 0)
			return single ? SERVER_DIRECT : kinds[i].kind;
	return SERVER_UNKNOWN;
}

static int32_t hello_int(struct bytes hello, const char *name, int32_t otherwise)
{
	struct element e;
	int64_t n;

	return doc_find(hello, name, &e) && element_int(&e, &n) && n > 0 && n <= INT32_MAX
		       ? (int32_t)n
		       : otherwise;
}

static bool hello_truth(struct bytes hello, const char *name)
{
	struct element e;

	return doc_find(hello, name, &e) && element_truth(&e);
}

static void read_hello(struct server *s, struct bytes hello)
{
	struct element e;

	s->min_wire = hello_int(hello, "minWireVersion", 0);
	s->max_wire = hello_int(hello, "maxWireVersion", 0);
	s->max_bson = hello_int(hello, "maxBsonObjectSize", (int32_t)DOC_MAX_LEN);
	s->max_message = hello_int(hello, "maxMessageSizeBytes", 48000000);
	s->max_batch = hello_int(hello, "maxWriteBatchSize", 100000);
	s->writable = hello_truth(hello, "isWritablePrimary") || hello_truth(hello, "ismaster");
	if (doc_find_path(hello, "lastWrite.lastWriteDate", &e) && e.type == TYPE_DATE)
		s->last_write_ms = load_i64(e.value.at);
	if (doc_find(hello, "tags", &e) && e.type == TYPE_DOCUMENT)
		s->tags = bytes_of(
			memcpy(memory_new(e.value.len), e.value.at, e.value.len), e.value.len);
}

static void read_description(struct server *s, const mongoc_server_description_t *d, bool single)
{
	const mongoc_host_list_t *host = mongoc_server_description_host(d);
	const bson_t *hello = mongoc_server_description_hello_response(d);
	int64_t rtt_ms = mongoc_server_description_round_trip_time(d);

	snprintf(s->host, sizeof(s->host), "%s", host->host);
	snprintf(s->text, sizeof(s->text), "%s", host->host_and_port);
	s->mongoc_id = mongoc_server_description_id(d);
	s->kind = kind_of(d, single);
	s->rtt_us = rtt_ms > 0 ? (uint64_t)rtt_ms * 1000 : 0;
	s->last_update_us = mongoc_server_description_last_update_time(d);
	if (s->kind != SERVER_UNKNOWN)
		read_hello(s, bytes_of(bson_get_data(hello), hello->len));
}

/* ---------------------------------------------------------------- addresses */

static void resolve(struct server *s, uint16_t port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found;
	char service[8];
	int rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(s->host, service, &hints, &found);
	if (rc) {
		log_warning("upstream", "%s is not resolved: %s", s->text, gai_strerror(rc));
		return;
	}
	for (const struct addrinfo *a = found; a && s->naddresses < ADDRESSES_MAX; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(s->addresses[0]))
			continue;
		memcpy(&s->addresses[s->naddresses], a->ai_addr, a->ai_addrlen);
		s->address_len[s->naddresses++] = a->ai_addrlen;
	}
	freeaddrinfo(found);
}

static void find_addresses(
	struct server *s, uint16_t port, const struct topology *before, bool anew)
{
	const struct server *old = topology_server(before, s->id);

	if ((anew || !old || !old->naddresses) && s->kind != SERVER_UNKNOWN)
		resolve(s, port);
	/* Old ones are better than none. */
	if (s->naddresses || !old)
		return;
	memcpy(s->addresses, old->addresses, sizeof(s->addresses));
	memcpy(s->address_len, old->address_len, sizeof(s->address_len));
	s->naddresses = old->naddresses;
}

static bool is_single(const struct upstream *u, size_t n)
{
	return n == 1 && !mongoc_uri_get_srv_hostname(u->target.uri) &&
	       (mongoc_uri_get_option_as_bool(u->target.uri, MONGOC_URI_DIRECTCONNECTION, false) ||
		       (!mongoc_uri_get_replica_set(u->target.uri) &&
			       !mongoc_uri_has_option(u->target.uri, MONGOC_URI_DIRECTCONNECTION)));
}

static struct topology *read_topology(struct upstream *u, mongoc_client_t *client, bool anew)
{
	struct topology *before = upstream_topology(u), *t;
	mongoc_server_description_t **all;
	const char *source = mongoc_uri_get_auth_source(mongoc_client_get_uri(client));
	size_t n;

	all = mongoc_client_get_server_descriptions(client, &n);
	t = topology_new(n < SERVERS_MAX ? n : SERVERS_MAX);
	snprintf(t->auth_source, sizeof(t->auth_source), "%s", source ? source : "admin");
	for (size_t i = 0; i < t->nservers; i++) {
		struct server *s = &t->servers[i];

		read_description(s, all[i], is_single(u, n));
		pthread_mutex_lock(&u->lock);
		s->id = upstream_id_of(u, s->text);
		pthread_mutex_unlock(&u->lock);
		if (s->id == SERVER_ANY)
			s->kind = SERVER_UNKNOWN;
		find_addresses(s, mongoc_server_description_host(all[i])->port, before, anew);
	}
	mongoc_server_descriptions_destroy_all(all, n);
	topology_unref(before);
	return t;
}

/* Marks that were made meanwhile stay: only the checker takes them away. */
static void publish_reading(struct upstream *u, struct topology *t)
{
	struct topology *now = upstream_topology(u);

	for (size_t i = 0; i < t->nservers; i++) {
		const struct server *old = topology_server(now, t->servers[i].id);

		t->servers[i].down = old && old->down;
	}
	topology_unref(now);
	upstream_publish(u, t);
}

/* ------------------------------------------------------------------ watcher */

static mongoc_client_pool_t *make_clients(struct upstream *u)
{
	mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();
	bson_error_t error = {0};
	mongoc_client_pool_t *clients = mongoc_client_pool_new_with_error(u->target.uri, &error);

	if (clients) {
		mongoc_client_pool_set_error_api(clients, MONGOC_ERROR_API_VERSION_2);
		mongoc_apm_set_topology_changed_cb(callbacks, on_topology);
		mongoc_apm_set_server_changed_cb(callbacks, on_server);
		mongoc_apm_set_server_heartbeat_failed_cb(callbacks, on_failure);
		mongoc_client_pool_set_apm_callbacks(clients, callbacks, u);
	} else {
		log_warning("upstream", "the deployment is not found: %s", error.message);
	}
	mongoc_apm_callbacks_destroy(callbacks);
	return clients;
}

/* SRV records may be out of reach at a start: again and again, ever more slowly. */
static bool find_clients(struct upstream *u)
{
	uint64_t retry_ms = RETRY_FIRST_MS;
	mongoc_client_pool_t *clients;

	while (!(clients = make_clients(u))) {
		bool stopping;

		pthread_mutex_lock(&u->lock);
		if (!u->stopping)
			wait_ms(u, retry_ms);
		stopping = u->stopping;
		pthread_mutex_unlock(&u->lock);
		if (stopping)
			return false;
		retry_ms = retry_ms * 2 < RETRY_LAST_MS ? retry_ms * 2 : RETRY_LAST_MS;
	}
	pthread_mutex_lock(&u->lock);
	u->clients = clients;
	u->news = true;
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->lock);
	return true;
}

static void *watch(void *context)
{
	struct upstream *u = context;
	uint64_t resolved_us = 0;
	mongoc_client_t *client;
	size_t look = 0;

	if (!find_clients(u))
		return NULL;
	client = mongoc_client_pool_pop(u->clients); /* monitoring starts here */
	pthread_mutex_lock(&u->lock);
	while (!u->stopping) {
		uint64_t now_us = clock_monotonic_us(), due_ms;
		bool anew = now_us - resolved_us > RESOLVE_US;

		look = u->news ? 0 : look + 1 < COUNT_OF(looks_ms) ? look + 1 : look;
		due_ms = now_us / 1000 + looks_ms[look];
		u->news = false;
		pthread_mutex_unlock(&u->lock);
		if (anew)
			resolved_us = now_us;
		publish_reading(u, read_topology(u, client, anew));
		pthread_mutex_lock(&u->lock);
		while (!u->news && !u->stopping) {
			uint64_t now_ms = clock_monotonic_us() / 1000;

			if (now_ms >= due_ms)
				break;
			wait_ms(u, due_ms - now_ms);
		}
	}
	pthread_mutex_unlock(&u->lock);
	mongoc_client_pool_push(u->clients, client);
	return NULL;
}

/* ------------------------------------------------------------------ checker */

static bool run_on(mongoc_client_t *client, const char *command, uint32_t server, bson_t *reply)
{
	bson_t document = BSON_INITIALIZER;
	bson_error_t error;
	bool done;

	BSON_APPEND_INT32(&document, command, 1);
	done = mongoc_client_command_simple_with_server_id(
		client, "admin", &document, NULL, server, reply, &error);
	if (!done)
		log_debug("upstream", "%s: %s", command, error.message);
	bson_destroy(&document);
	return done;
}

/* It answers, and is what libmongoc takes it for. */
static bool look_at(mongoc_client_t *client, const struct server *s)
{
	bson_t reply;
	bool fine = run_on(client, "isMaster", s->mongoc_id, &reply);
	struct bytes hello = bytes_of(bson_get_data(&reply), reply.len);

	if (fine && s->kind == SERVER_PRIMARY)
		fine = hello_truth(hello, "ismaster") || hello_truth(hello, "isWritablePrimary");
	bson_destroy(&reply);
	return fine;
}

/* The first command that needs credentials; it tells the version, too. */
static void learn_version(struct upstream *u, mongoc_client_t *client, const struct server *s)
{
	bson_t reply;
	struct element e;

	if (run_on(client, "buildInfo", s->mongoc_id, &reply) &&
		doc_find(bytes_of(bson_get_data(&reply), reply.len), "version", &e) &&
		e.type == TYPE_STRING) {
		pthread_mutex_lock(&u->lock);
		snprintf(u->facts.version, sizeof(u->facts.version), "%.*s",
			BYTES_ARG(element_string(&e)));
		u->facts.known = true;
		pthread_cond_broadcast(&u->changed);
		pthread_mutex_unlock(&u->lock);
	}
	bson_destroy(&reply);
}

/* Whether something is still in doubt. */
static bool check_all(struct upstream *u, mongoc_client_t *client)
{
	struct topology *t = upstream_topology(u);
	struct upstream_facts facts;
	bool doubts = false;

	upstream_facts(u, &facts);
	for (size_t i = 0; i < t->nservers; i++) {
		const struct server *s = &t->servers[i];
		bool fine = true;

		if (s->kind == SERVER_UNKNOWN) {
			doubts |= s->down || !facts.known;
			continue;
		}
		if (!facts.known) {
			learn_version(u, client, s);
			upstream_facts(u, &facts);
		}
		if (s->down)
			fine = look_at(client, s);
		if (s->down && fine) {
			pthread_mutex_lock(&u->lock);
			upstream_mark(u, s->id, false);
			pthread_mutex_unlock(&u->lock);
		}
		doubts |= !fine;
	}
	topology_unref(t);
	return doubts || !facts.known;
}

static void *check(void *context)
{
	struct upstream *u = context;
	uint64_t retry_ms = RETRY_FIRST_MS;
	mongoc_client_t *client = NULL;

	pthread_mutex_lock(&u->lock);
	while (!u->stopping) {
		bool again;

		if (!u->clients || !u->doubts) {
			pthread_cond_wait(&u->changed, &u->lock);
			continue;
		}
		u->doubts = false;
		pthread_mutex_unlock(&u->lock);
		if (!client)
			client = mongoc_client_pool_pop(u->clients);
		again = check_all(u, client);
		pthread_mutex_lock(&u->lock);
		if (again && !u->stopping && !u->doubts)
			wait_ms(u, retry_ms);
		retry_ms = again ? retry_ms * 2 : RETRY_FIRST_MS;
		retry_ms = retry_ms < LOOK_LAST_MS ? retry_ms : LOOK_LAST_MS;
		u->doubts |= again;
	}
	pthread_mutex_unlock(&u->lock);
	if (client)
		mongoc_client_pool_push(u->clients, client);
	return NULL;
}

bool upstream_start(struct upstream *u, struct fault *why)
{
	u->doubts = true;
	u->watching = pthread_create(&u->watcher, NULL, watch, u) == 0;
	u->checking = u->watching && pthread_create(&u->checker, NULL, check, u) == 0;
	return u->checking ||
	       fault_set(why, FAULT_INTERNAL, "the threads of discovery cannot start");
}

void upstream_stop(struct upstream *u)
{
	pthread_mutex_lock(&u->lock);
	u->stopping = true;
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->lock);
	if (u->watching)
		pthread_join(u->watcher, NULL);
	if (u->checking)
		pthread_join(u->checker, NULL);
	u->watching = u->checking = false;
	if (u->clients)
		mongoc_client_pool_destroy(u->clients);
	u->clients = NULL;
}
