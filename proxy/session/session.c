#include "session/inside.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/log.h"
#include "util/memory.h"

#define LINGER_US (2ull * 1000 * 1000)
/* What a client may send ahead while its command is being carried out. */
#define AHEAD_MAX (64u * 1024)
/* While this much of its answers is unread, a client's commands are not taken. */
#define OWED_MAX  (1024u * 1024)

/* How many connections a user has; under the server's lock. */
struct user_count {
	size_t n;
	char name[];
};

static void count_user(struct server *s, struct bytes name, int change, size_t *count)
{
	struct user_count *entry;

	pthread_mutex_lock(&s->user_lock);
	entry = map_get(&s->user_counts, name);
	if (!entry) {
		entry = memory_new(sizeof(*entry) + name.len);
		memcpy(entry->name, name.at, name.len);
		map_set(&s->user_counts, bytes_of(entry->name, name.len), entry);
	}
	entry->n += (size_t)change;
	*count = entry->n;
	if (!entry->n) {
		map_remove(&s->user_counts, name);
		free(entry);
	}
	pthread_mutex_unlock(&s->user_lock);
}

bool session_set_identity(
	struct session *s, struct users *users, const struct user *user, enum auth_method method)
{
	struct server *server = s->worker->server;
	size_t n;

	session_drop_identity(s);
	count_user(server, user->name, 1, &n);
	if (n > server->config.per_user_connections) {
		count_user(server, user->name, -1, &n);
		return false;
	}
	s->identity = (struct identity){users_ref(users), user, method};
	session_forget_today(s);
	s->lsids = session_cipher_new(server->parts.master, user->name);
	s->logged_in = true;
	return true;
}

void session_drop_identity(struct session *s)
{
	size_t n;

	if (!s->logged_in)
		return;
	count_user(s->worker->server, s->identity.user->name, -1, &n);
	users_unref(s->identity.users);
	session_cipher_free(s->lsids);
	s->lsids = NULL;
	s->identity = (struct identity){0};
	s->logged_in = false;
	session_forget_today(s);
}

void session_forget_today(struct session *s)
{
	s->today.snapshot = 0;
	s->today.user = NULL;
	buf_clear(&s->today.text);
}

const struct user *session_user(struct session *s, const struct snapshot *now)
{
	if (s->today.snapshot == now->number)
		return s->today.user;
	session_forget_today(s);
	s->today.snapshot = now->number;
	s->today.user = users_find(now->users, s->identity.user->name);
	return s->today.user;
}

static void free_later(void *context)
{
	struct session *s = context;

	if (s->timer)
		net_timer_free(s->timer);
	buf_wipe(&s->in);
	buf_fini(&s->today.text);
	free(s);
}

void session_close(struct session *s, const char *why)
{
	struct worker *w = s->worker;

	if (s->closing)
		return;
	s->closing = true;
	log_debug("session", "connection %llu of %s closes: %s", (unsigned long long)s->id,
		s->client, why);
	if (s->logged_in)
		record_login(s, AUDIT_LOGOUT, s->identity.user->name, 0, NULL, NULL);
	if (s->exchange)
		exchange_orphan(s->exchange);
	s->exchange = NULL;
	net_conn_close(s->conn, LINGER_US);
	scram_free(s->scram);
	s->scram = NULL;
	session_drop_identity(s);
	budget_forget(w->server->budget, s);
	budget_give_back(w->server->budget, s->granted);
	s->granted = 0;
	*s->before = s->next;
	if (s->next)
		s->next->before = s->before;
	atomic_fetch_sub(&w->nsessions, 1);
	net_loop_defer(w->loop, free_later, s);
	worker_stop_if_empty(w);
}

static void on_closed(void *owner, const char *why)
{
	session_close(owner, why);
}

static void on_opened(void *owner)
{
	struct session *s = owner;

	s->active_us = net_loop_now_us(s->worker->loop);
}

static uint64_t patience_us(const struct session *s)
{
	const struct server_config *config = &s->worker->server->config;

	return s->logged_in || s->said_hello ? config->idle_us : config->handshake_us;
}

/* One timer for all: it looks how long nothing has happened. */
static void on_timer(void *context)
{
	struct session *s = context;
	uint64_t now = net_loop_now_us(s->worker->loop), patience = patience_us(s);

	if (!s->exchange && now - s->active_us >= patience) {
		session_close(s, "nothing came in time");
		return;
	}
	net_timer_set(s->timer, s->exchange ? patience : patience - (now - s->active_us));
}

static void set_paused(struct session *s, bool paused)
{
	if (s->paused == paused)
		return;
	s->paused = paused;
	net_conn_pause(s->conn, paused);
}

/* A message that is larger than what is read at once is granted its length first. */
static bool has_grant(struct session *s, uint32_t length)
{
	if (length < BUDGET_FREE_BELOW || s->granted >= length)
		return true;
	if (s->waits_for_grant)
		return false;
	if (budget_take(s->worker->server->budget, s, length)) {
		s->granted = length;
		return true;
	}
	s->waits_for_grant = true;
	set_paused(s, true);
	return false;
}

static void refuse_bytes(struct session *s, const struct fault *why)
{
	struct command nothing = {.opcode = OPCODE_MSG};
	struct buf out;

	count(s->worker, METRIC_MALFORMED, 1);
	log_info("session", "connection %llu of %s: %s", (unsigned long long)s->id, s->client,
		why->detail);
	buf_init(&out, 4096);
	reply_fault(&out, &nothing, why, 0);
	net_conn_write(s->conn, buf_bytes(&out), false);
	buf_fini(&out);
	session_close(s, "it breaks the protocol");
}

/* Carries out the message at the front of `b`; how much of it was taken, or 0 when more
 * bytes are needed.  `s` may be gone afterwards: *alive says. */
static size_t take_message(struct session *s, struct bytes b, bool *alive)
{
	uint32_t max = s->worker->server->config.message_max;
	struct frame_header h;
	struct fault why;

	if (b.len < FRAME_HEADER_LEN)
		return 0;
	if (!frame_header_read(&h, b.at, s->logged_in ? max : BUDGET_FREE_BELOW, &why)) {
		refuse_bytes(s, &why);
		*alive = false;
		return 0;
	}
	if (!has_grant(s, h.length) || b.len < h.length)
		return 0;
	count(s->worker, METRIC_BYTES_IN, h.length);
	s->active_us = net_loop_now_us(s->worker->loop);
	s->exchange = exchange_new(s);
	s->exchange->granted = s->granted;
	s->granted = 0;
	s->taking = true;
	exchange_run(s->exchange, bytes_head(b, h.length));
	s->taking = false;
	*alive = !s->closing;
	return h.length;
}

/* Carries out what stands in `in`, as far as it goes. */
static void take_from_in(struct session *s)
{
	bool alive = true;

	while (alive && !s->exchange && s->in.len && net_conn_unsent(s->conn) < OWED_MAX) {
		size_t n = take_message(s, buf_bytes(&s->in), &alive);

		if (!alive || !n)
			return;
		buf_consume(&s->in, n);
	}
	if (alive && !s->in.len)
		buf_shrink(&s->in, 0);
}

/* Reads into `in`: what the message that has begun still lacks, or what is sent ahead. */
static bool read_on(struct session *s)
{
	size_t length = s->in.len >= 4 ? load_u32(s->in.at) : FRAME_HEADER_LEN;
	size_t wanted = length > s->in.len ? length - s->in.len : AHEAD_MAX;
	uint8_t *room;
	size_t n;

	wanted = wanted < SCRATCH_LEN ? wanted : SCRATCH_LEN;
	room = buf_reserve(&s->in, wanted);
	n = room ? net_conn_read(s->conn, room, wanted) : 0;
	buf_commit(&s->in, n);
	return n != 0;
}

/* The usual case: whole messages in one read, carried out where they lie. */
static bool read_afresh(struct session *s)
{
	struct worker *w = s->worker;
	size_t n = net_conn_read(s->conn, w->scratch, SCRATCH_LEN);
	struct bytes b = bytes_of(w->scratch, n);
	bool alive = true;

	while (alive && b.len && !s->exchange && net_conn_unsent(s->conn) < OWED_MAX) {
		size_t taken = take_message(s, b, &alive);

		if (!taken)
			break;
		b = bytes_from(b, taken);
	}
	if (alive)
		buf_put(&s->in, b);
	return alive && n != 0;
}

static bool is_free(const struct session *s)
{
	return !s->closing && !s->exchange && !s->waits_for_grant;
}

/* The client has to read before it is served again; on_drained goes on then. */
static bool owes_reading(struct session *s)
{
	if (net_conn_unsent(s->conn) < OWED_MAX)
		return false;
	set_paused(s, true);
	return true;
}

/* Reads and carries out until there is nothing to read, or something to wait for. */
static void pump(struct session *s)
{
	while (is_free(s) && !owes_reading(s)) {
		take_from_in(s);
		if (!is_free(s) || owes_reading(s) || !(s->in.len ? read_on : read_afresh)(s))
			return;
	}
}

static void on_readable(void *owner)
{
	struct session *s = owner;

	if (!s->exchange) {
		pump(s);
		return;
	}
	/* Sent ahead: it waits its turn. */
	while (s->in.len < AHEAD_MAX && read_on(s))
		;
	if (s->in.len >= AHEAD_MAX)
		set_paused(s, true);
}

void session_go_on(struct session *s)
{
	/* Within take_message: it goes on by itself. */
	if (s->closing || s->taking)
		return;
	s->active_us = net_loop_now_us(s->worker->loop);
	if (atomic_load(&s->worker->server->draining) && !s->exchange) {
		session_close(s, "the proxy is shutting down");
		return;
	}
	if (!s->waits_for_grant)
		set_paused(s, false);
	pump(s);
}

static void on_drained(void *owner)
{
	session_go_on(owner);
}

static const struct net_conn_events session_events = {
	.opened = on_opened,
	.readable = on_readable,
	.drained = on_drained,
	.closed = on_closed,
};

static void note_address(struct session *s)
{
	const struct sockaddr *peer = net_conn_peer_address(s->conn);

	snprintf(s->client, sizeof(s->client), "%s", net_conn_peer(s->conn));
	if (peer->sa_family == AF_INET) {
		struct sockaddr_in v4;

		memcpy(&v4, peer, sizeof(v4));
		s->address[10] = s->address[11] = 0xff;
		memcpy(s->address + 12, &v4.sin_addr, 4);
	} else if (peer->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;

		memcpy(&v6, peer, sizeof(v6));
		memcpy(s->address, &v6.sin6_addr, 16);
	}
}

struct session *session_open(struct worker *w, int fd, struct net_tls *tls)
{
	struct session *s = memory_new(sizeof(*s));

	s->worker = w;
	s->id = atomic_fetch_add(&w->server->next_connection, 1);
	s->active_us = net_loop_now_us(w->loop);
	buf_init(&s->in, w->server->config.message_max + AHEAD_MAX);
	buf_init(&s->today.text, WHO_TEXT_MAX);
	s->conn = net_conn_accept(w->loop, fd, tls, &session_events, s);
	if (!s->conn) {
		free(s);
		return NULL;
	}
	note_address(s);
	s->timer = net_timer_new(w->loop, on_timer, s);
	net_timer_set(s->timer, w->server->config.handshake_us);
	s->next = w->sessions;
	s->before = &w->sessions;
	if (s->next)
		s->next->before = &s->next;
	w->sessions = s;
	return s;
}

void session_check_rights(struct session *s, const struct snapshot *now)
{
	if (!s->logged_in)
		return;
	if (!users_find(now->users, s->identity.user->name))
		session_close(s, "its user is gone");
}
