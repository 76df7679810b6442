#include "upstream/cursors.h"

#include <pthread.h>
#include <stdlib.h>

#include <sodium.h>

#include "util/map.h"
#include "util/memory.h"

/* All cursors of one user lie in one shard, whose number is the lowest bits of their ids. */
#define SHARDS 32u

enum state {
	IDLE,
	BUSY,
	DEAD /* busy, and to be freed when it is given back */
};

struct entry {
	struct entry *before, *behind; /* of the owner: the longest unused first */
	struct owner *owner;
	struct cursor cursor;
	enum state state;
	bool evicted; /* nobody has asked the upstream to kill it yet */
	uint64_t used_us;
	cursor_plan_fn *plan_ref;
	cursor_plan_fn *plan_unref;
};

struct owner {
	struct bytes name;
	struct entry *first, *last;
	size_t alive;
	size_t entries; /* the dead, too */
};

struct shard {
	pthread_mutex_t lock;
	struct map by_id;
	struct map owners;
	struct entry *evicted; /* by `behind`; no longer in the maps */
	size_t alive;
};

struct cursors {
	struct shard shards[SHARDS];
	uint8_t key[crypto_shorthash_KEYBYTES];
};

struct cursors *cursors_new(void)
{
	struct cursors *c = memory_new(sizeof(*c));

	if (sodium_init() < 0)
		abort();
	crypto_shorthash_keygen(c->key);
	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&c->shards[i].lock, NULL);
		map_init(&c->shards[i].by_id);
		map_init(&c->shards[i].owners);
	}
	return c;
}

static unsigned shard_number(const struct cursors *c, struct bytes user)
{
	uint8_t hash[crypto_shorthash_BYTES];

	crypto_shorthash(hash, user.at, user.len, c->key);
	return hash[0] % SHARDS;
}

static struct shard *lock_shard(struct cursors *c, unsigned number)
{
	struct shard *s = &c->shards[number % SHARDS];

	pthread_mutex_lock(&s->lock);
	return s;
}

static struct shard *lock_shard_of_id(struct cursors *c, int64_t id)
{
	return lock_shard(c, (unsigned)((uint64_t)id % SHARDS));
}

static struct bytes id_key(const int64_t *id)
{
	return bytes_of(id, sizeof(*id));
}

static void free_entry(struct entry *e)
{
	if (e->cursor.plan)
		e->plan_unref(e->cursor.plan);
	free(e);
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

/* Out of both maps; its memory is the caller's. */
static void take_out(struct shard *s, struct entry *e)
{
	struct owner *o = e->owner;

	map_remove(&s->by_id, id_key(&e->cursor.id));
	unlink_entry(e);
	if (e->state != DEAD) {
		o->alive--;
		s->alive--;
	}
	if (--o->entries == 0) {
		map_remove(&s->owners, o->name);
		free(o);
	}
	e->owner = NULL;
}

static void remove_entry(struct shard *s, struct entry *e)
{
	take_out(s, e);
	free_entry(e);
}

/* A busy one stays in place for whoever is using it. */
static void end_entry(struct shard *s, struct entry *e)
{
	if (e->state == IDLE) {
		remove_entry(s, e);
	} else if (e->state == BUSY) {
		e->state = DEAD;
		e->owner->alive--;
		s->alive--;
	}
}

static void keep_evicted(struct shard *s, struct entry *e)
{
	take_out(s, e);
	e->behind = s->evicted;
	s->evicted = e;
}

static void evict_one(struct shard *s, struct owner *o)
{
	struct entry *e = o->first;

	while (e && e->state != IDLE)
		e = e->behind;
	if (e) {
		keep_evicted(s, e);
		return;
	}
	for (e = o->first; e && e->state == DEAD;)
		e = e->behind;
	if (e) {
		end_entry(s, e);
		e->evicted = true;
	}
}

void cursors_free(struct cursors *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];
		const struct map_entry *at;
		size_t position = 0;

		while ((at = map_next(&s->by_id, &position)))
			free_entry(at->value);
		position = 0;
		while ((at = map_next(&s->owners, &position)))
			free(at->value);
		while (s->evicted) {
			struct entry *e = s->evicted;

			s->evicted = e->behind;
			free_entry(e);
		}
		map_fini(&s->by_id);
		map_fini(&s->owners);
		pthread_mutex_destroy(&s->lock);
	}
	free(c);
}

static struct owner *owner_of(struct shard *s, struct bytes user)
{
	struct owner *o = map_get(&s->owners, user);

	if (o)
		return o;
	o = memory_new(sizeof(*o) + user.len);
	memcpy(o + 1, user.at, user.len);
	o->name = bytes_of(o + 1, user.len);
	map_set(&s->owners, o->name, o);
	return o;
}

static struct bytes keep(uint8_t **room, struct bytes b)
{
	uint8_t *at = *room;

	if (b.len)
		memcpy(at, b.at, b.len);
	*room += b.len;
	return bytes_of(at, b.len);
}

static struct entry *new_entry(const struct cursor *cursor)
{
	struct entry *e = memory_new(
		sizeof(*e) + cursor->user.len + cursor->ns.len + cursor->upstream_ns.len);
	uint8_t *room = (uint8_t *)(e + 1);

	e->cursor = *cursor;
	e->cursor.user = keep(&room, cursor->user);
	e->cursor.ns = keep(&room, cursor->ns);
	e->cursor.upstream_ns = keep(&room, cursor->upstream_ns);
	return e;
}

static int64_t draw_id(struct shard *s, unsigned number)
{
	int64_t id;

	do {
		uint64_t drawn;

		randombytes_buf(&drawn, sizeof(drawn));
		id = (int64_t)(drawn - drawn % SHARDS + number);
	} while (id == 0 || map_get(&s->by_id, id_key(&id)));
	return id;
}

int64_t cursors_add(struct cursors *c, const struct cursor *cursor, cursor_plan_fn *plan_ref,
	cursor_plan_fn *plan_unref, uint64_t now_us)
{
	unsigned number = shard_number(c, cursor->user);
	struct entry *e = new_entry(cursor);
	struct shard *s;
	struct owner *o;
	int64_t id;

	if (e->cursor.plan)
		plan_ref(e->cursor.plan);
	e->plan_ref = plan_ref;
	e->plan_unref = plan_unref;
	e->used_us = now_us;
	e->state = BUSY;
	s = lock_shard(c, number);
	id = e->cursor.id = draw_id(s, number);
	o = owner_of(s, cursor->user);
	o->entries++; /* before an eviction can leave the owner without any */
	if (o->alive >= CURSORS_PER_USER)
		evict_one(s, o);
	o->alive++;
	s->alive++;
	e->owner = o;
	append_entry(o, e);
	map_set(&s->by_id, id_key(&e->cursor.id), e);
	pthread_mutex_unlock(&s->lock);
	return id;
}

static bool is_session(const struct cursor *c, const uint8_t *session)
{
	if (!session || !c->has_session)
		return !session && !c->has_session;
	return memcmp(c->session, session, sizeof(c->session)) == 0;
}

/* What `user` calls `id` in `ns`, unless it has ended. */
static struct entry *find_own(const struct shard *s, int64_t id, struct bytes user, struct bytes ns)
{
	struct entry *e = map_get(&s->by_id, id_key(&id));

	if (!e || e->state == DEAD || !bytes_equal(e->cursor.user, user) ||
		!bytes_equal(e->cursor.ns, ns))
		return NULL;
	return e;
}

enum cursor_taken cursors_take(struct cursors *c, int64_t id, struct bytes user,
	const uint8_t *session, struct bytes ns, struct cursor *out)
{
	struct shard *s = lock_shard_of_id(c, id);
	struct entry *e = find_own(s, id, user, ns);
	enum cursor_taken taken = CURSOR_TAKEN;

	if (!e || !is_session(&e->cursor, session)) {
		taken = CURSOR_ABSENT;
	} else if (e->state == BUSY) {
		taken = CURSOR_BUSY;
	} else {
		e->state = BUSY;
		*out = e->cursor;
		if (out->plan)
			e->plan_ref(out->plan);
	}
	pthread_mutex_unlock(&s->lock);
	return taken;
}

void cursors_give_back(struct cursors *c, int64_t id, uint64_t now_us)
{
	struct shard *s = lock_shard_of_id(c, id);
	struct entry *e = map_get(&s->by_id, id_key(&id));

	if (e && e->state == DEAD && e->evicted) {
		keep_evicted(s, e);
	} else if (e && e->state == DEAD) {
		remove_entry(s, e);
	} else if (e) {
		e->state = IDLE;
		e->used_us = now_us;
		unlink_entry(e);
		append_entry(e->owner, e);
	}
	pthread_mutex_unlock(&s->lock);
}

void cursors_forget(struct cursors *c, int64_t id)
{
	struct shard *s = lock_shard_of_id(c, id);
	struct entry *e = map_get(&s->by_id, id_key(&id));

	if (e)
		remove_entry(s, e);
	pthread_mutex_unlock(&s->lock);
}

bool cursors_kill(
	struct cursors *c, int64_t id, struct bytes user, struct bytes ns, struct cursor *out)
{
	struct shard *s = lock_shard_of_id(c, id);
	struct entry *e = find_own(s, id, user, ns);

	if (e) {
		struct bytes upstream_ns = bytes_head(e->cursor.upstream_ns, CURSOR_NS_MAX);

		*out = e->cursor;
		out->plan = NULL;
		out->user = user;
		out->ns = ns;
		if (upstream_ns.len)
			memcpy(out->killed_ns, upstream_ns.at, upstream_ns.len);
		out->upstream_ns = bytes_of(out->killed_ns, upstream_ns.len);
		end_entry(s, e);
	}
	pthread_mutex_unlock(&s->lock);
	return e != NULL;
}

static void end_owned(struct cursors *c, struct bytes user, const uint8_t *session,
	cursor_orphan_fn *orphan, void *context)
{
	struct shard *s = lock_shard(c, shard_number(c, user));
	struct owner *o = map_get(&s->owners, user);
	struct entry *next;

	for (struct entry *e = o ? o->first : NULL; e; e = next) {
		next = e->behind; /* the owner goes with its last entry, but `next` is NULL then */
		if (e->state == DEAD || (session && !is_session(&e->cursor, session)))
			continue;
		orphan(context, &e->cursor);
		end_entry(s, e);
	}
	pthread_mutex_unlock(&s->lock);
}

void cursors_end_session(struct cursors *c, struct bytes user, const uint8_t session[16],
	cursor_orphan_fn *orphan, void *context)
{
	end_owned(c, user, session, orphan, context);
}

void cursors_end_user(struct cursors *c, struct bytes user, cursor_orphan_fn *orphan, void *context)
{
	end_owned(c, user, NULL, orphan, context);
}

static bool is_expired(const struct entry *e, uint64_t now_us)
{
	return e->state == IDLE && !e->cursor.no_timeout && now_us > e->used_us &&
	       now_us - e->used_us >= CURSOR_IDLE_US;
}

/* The map may not change while it is visited: the expired join the evicted afterwards. */
static void expire_shard(struct shard *s, uint64_t now_us)
{
	struct entry **expired = memory_array(s->by_id.count + 1, sizeof(*expired));
	const struct map_entry *at;
	size_t position = 0, n = 0;

	while ((at = map_next(&s->by_id, &position)))
		if (is_expired(at->value, now_us))
			expired[n++] = at->value;
	for (size_t i = 0; i < n; i++)
		keep_evicted(s, expired[i]);
	free(expired);
}

void cursors_expire(struct cursors *c, uint64_t now_us, cursor_orphan_fn *orphan, void *context)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = lock_shard(c, i);
		struct entry *gone;

		expire_shard(s, now_us);
		gone = s->evicted;
		s->evicted = NULL;
		pthread_mutex_unlock(&s->lock);
		while (gone) {
			struct entry *e = gone;

			gone = e->behind;
			orphan(context, &e->cursor);
			free_entry(e);
		}
	}
}

size_t cursors_count(struct cursors *c)
{
	size_t count = 0;

	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = lock_shard(c, i);

		count += s->alive;
		pthread_mutex_unlock(&s->lock);
	}
	return count;
}
