#include "upstream/transactions.h"

#include <pthread.h>
#include <stdlib.h>

#include <sodium.h>

#include "util/map.h"
#include "util/memory.h"

/* All of one user lie in one shard; a session has at most one entry, its latest. */
#define SHARDS      32u
#define SESSION_LEN 16u

struct entry {
	struct entry *before, *behind; /* of the owner: the longest unused first */
	struct owner *owner;
	uint8_t session[SESSION_LEN];
	int64_t number;
	server_id server;
	enum transaction_state state; /* open or ended */
	uint64_t used_us;
};

struct owner {
	struct bytes name;
	struct map by_session;
	struct entry *first, *last;
};

struct shard {
	pthread_mutex_t lock;
	struct map owners;
	size_t count;
};

struct transactions {
	struct shard shards[SHARDS];
	uint8_t key[crypto_shorthash_KEYBYTES];
};

struct transactions *transactions_new(void)
{
	struct transactions *t = memory_new(sizeof(*t));

	if (sodium_init() < 0)
		abort();
	crypto_shorthash_keygen(t->key);
	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&t->shards[i].lock, NULL);
		map_init(&t->shards[i].owners);
	}
	return t;
}

static struct shard *lock_shard(struct transactions *t, struct bytes user)
{
	uint8_t hash[crypto_shorthash_BYTES];
	struct shard *s;

	crypto_shorthash(hash, user.at, user.len, t->key);
	s = &t->shards[hash[0] % SHARDS];
	pthread_mutex_lock(&s->lock);
	return s;
}

static struct bytes session_key(const uint8_t *session)
{
	return bytes_of(session, SESSION_LEN);
}

static void unlink_entry(struct entry *e)
{
	*(e->before ? &e->before->behind : &e->owner->first) = e->behind;
	*(e->behind ? &e->behind->before : &e->owner->last) = e->before;
}

static void append_entry(struct owner *o, struct entry *e)
{
	e->before = o->last;
	e->behind = NULL;
	*(o->last ? &o->last->behind : &o->first) = e;
	o->last = e;
}

static void touch(struct entry *e, uint64_t now_us)
{
	e->used_us = now_us;
	unlink_entry(e);
	append_entry(e->owner, e);
}

static void remove_entry(struct shard *s, struct entry *e)
{
	map_remove(&e->owner->by_session, session_key(e->session));
	unlink_entry(e);
	s->count--;
	free(e);
}

static void free_owner(struct owner *o)
{
	map_fini(&o->by_session);
	free(o);
}

void transactions_free(struct transactions *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];
		const struct map_entry *at;
		size_t position = 0;

		while ((at = map_next(&s->owners, &position))) {
			struct owner *o = at->value;

			while (o->first)
				remove_entry(s, o->first);
			free_owner(o);
		}
		map_fini(&s->owners);
		pthread_mutex_destroy(&s->lock);
	}
	free(t);
}

static struct owner *owner_of(struct shard *s, struct bytes user)
{
	struct owner *o = map_get(&s->owners, user);

	if (o)
		return o;
	o = memory_new(sizeof(*o) + user.len);
	memcpy(o + 1, user.at, user.len);
	o->name = bytes_of(o + 1, user.len);
	map_init(&o->by_session);
	map_set(&s->owners, o->name, o);
	return o;
}

/* Room for one more: an ended one gives way, an open one never. */
static bool make_room(struct shard *s, struct owner *o)
{
	struct entry *e = o->first;

	if (o->by_session.count < TRANSACTIONS_PER_USER)
		return true;
	while (e && e->state != TRANSACTION_ENDED)
		e = e->behind;
	if (e)
		remove_entry(s, e);
	return e != NULL;
}

bool transactions_start(struct transactions *t, struct bytes user, const uint8_t session[16],
	int64_t number, uint64_t now_us)
{
	struct shard *s = lock_shard(t, user);
	struct owner *o = owner_of(s, user);
	struct entry *e = map_get(&o->by_session, session_key(session));
	bool started = e ? number > e->number : make_room(s, o);

	if (started && !e) {
		e = memory_new(sizeof(*e));
		memcpy(e->session, session, SESSION_LEN);
		e->owner = o;
		append_entry(o, e);
		map_set(&o->by_session, session_key(e->session), e);
		s->count++;
	}
	if (started) {
		e->number = number;
		e->server = SERVER_ANY;
		e->state = TRANSACTION_OPEN;
		touch(e, now_us);
	}
	pthread_mutex_unlock(&s->lock);
	return started;
}

static struct entry *find(
	const struct shard *s, struct bytes user, const uint8_t *session, int64_t number)
{
	const struct owner *o = map_get(&s->owners, user);
	struct entry *e = o ? map_get(&o->by_session, session_key(session)) : NULL;

	return e && e->number == number ? e : NULL;
}

void transactions_placed(struct transactions *t, struct bytes user, const uint8_t session[16],
	int64_t number, server_id server)
{
	struct shard *s = lock_shard(t, user);
	struct entry *e = find(s, user, session, number);

	if (e)
		e->server = server;
	pthread_mutex_unlock(&s->lock);
}

static bool is_over(const struct entry *e, uint64_t now_us)
{
	return now_us > e->used_us && now_us - e->used_us >= TRANSACTION_IDLE_US;
}

enum transaction_state transactions_find(struct transactions *t, struct bytes user,
	const uint8_t session[16], int64_t number, uint64_t now_us, server_id *server)
{
	struct shard *s = lock_shard(t, user);
	struct entry *e = find(s, user, session, number);
	enum transaction_state state = TRANSACTION_NONE;

	*server = SERVER_ANY;
	if (e && !is_over(e, now_us)) {
		state = e->state;
		*server = e->server;
		touch(e, now_us);
	}
	pthread_mutex_unlock(&s->lock);
	return state;
}

void transactions_ended(struct transactions *t, struct bytes user, const uint8_t session[16],
	int64_t number, uint64_t now_us)
{
	struct shard *s = lock_shard(t, user);
	struct entry *e = find(s, user, session, number);

	if (e) {
		e->state = TRANSACTION_ENDED;
		touch(e, now_us);
	}
	pthread_mutex_unlock(&s->lock);
}

/* Owners are never many more than users, but may not pile up over reloads either. */
static void expire_shard(struct shard *s, uint64_t now_us)
{
	struct owner **empty = memory_array(s->owners.count + 1, sizeof(struct owner *));
	const struct map_entry *at;
	size_t position = 0, n = 0;

	while ((at = map_next(&s->owners, &position))) {
		struct owner *o = at->value;

		while (o->first && is_over(o->first, now_us))
			remove_entry(s, o->first);
		if (!o->first)
			empty[n++] = o;
	}
	for (size_t i = 0; i < n; i++) {
		map_remove(&s->owners, empty[i]->name);
		free_owner(empty[i]);
	}
	free(empty);
}

void transactions_expire(struct transactions *t, uint64_t now_us)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];

		pthread_mutex_lock(&s->lock);
		expire_shard(s, now_us);
		pthread_mutex_unlock(&s->lock);
	}
}

size_t transactions_count(struct transactions *t)
{
	size_t count = 0;

	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&t->shards[i].lock);
		count += t->shards[i].count;
		pthread_mutex_unlock(&t->shards[i].lock);
	}
	return count;
}
