#include "audit/flood.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/map.h"
#include "util/memory.h"

#define KEY_MAX 512u

struct entry {
	struct entry *newer, **older; /* by age, the oldest first */
	uint64_t since_us;
	uint32_t n;
	uint64_t counted;
	enum audit_event event;
	int32_t code;
	size_t user_len, address_len, key_len;
	uint8_t key[KEY_MAX]; /* user, NUL, address, NUL, event, code */
};

struct flood {
	pthread_mutex_t lock;
	struct map entries;
	struct entry *oldest, **last;
};

struct flood *flood_new(void)
{
	struct flood *f = memory_new(sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	map_init(&f->entries);
	f->last = &f->oldest;
	return f;
}

static void forget(struct flood *f, struct entry *e)
{
	map_remove(&f->entries, bytes_of(e->key, e->key_len));
	*e->older = e->newer;
	if (e->newer)
		e->newer->older = e->older;
	else
		f->last = e->older;
	free(e);
}

void flood_free(struct flood *f)
{
	if (!f)
		return;
	while (f->oldest)
		forget(f, f->oldest);
	map_fini(&f->entries);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* "10.0.3.7:51544" without its port. */
static struct bytes address_of(struct bytes client)
{
	for (size_t i = client.len; i-- > 0;)
		if (client.at[i] == ':')
			return bytes_head(client, i);
	return client;
}

static void make_key(struct entry *e, const struct audit_record *r)
{
	/* Of a failed login the name is only what somebody said. */
	struct bytes user = r->event == AUDIT_REFUSAL ? bytes_head(r->user, 256) : bytes_of("", 0);
	struct bytes address = bytes_head(address_of(r->client), 64);
	uint8_t *at = e->key;

	e->event = r->event;
	e->code = r->code;
	e->user_len = user.len;
	e->address_len = address.len;
	if (user.len)
		memcpy(at, user.at, user.len);
	at += user.len;
	*at++ = 0;
	if (address.len)
		memcpy(at, address.at, address.len);
	at += address.len;
	*at++ = 0;
	*at++ = (uint8_t)r->event;
	store_u32(at, (uint32_t)r->code);
	e->key_len = (size_t)(at + 4 - e->key);
}

static struct entry *add(struct flood *f, const struct entry *like, uint64_t now_us)
{
	struct entry *e = memory_new(sizeof(*e));

	*e = *like;
	e->since_us = now_us;
	e->older = f->last;
	*f->last = e;
	f->last = &e->newer;
	map_set(&f->entries, bytes_of(e->key, e->key_len), e);
	return e;
}

bool flood_takes(struct flood *f, const struct audit_record *r, uint64_t now_us)
{
	struct entry like = {0}, *e;
	bool takes;

	if (r->event != AUDIT_REFUSAL && r->event != AUDIT_LOGIN_FAILED)
		return false;
	make_key(&like, r);
	pthread_mutex_lock(&f->lock);
	e = map_get(&f->entries, bytes_of(like.key, like.key_len));
	/* A minute that is over without anything counted just begins anew; one with a count
	 * waits until that is written. */
	if (e && !e->counted && now_us - e->since_us >= FLOOD_MINUTE_US) {
		forget(f, e);
		e = NULL;
	}
	if (!e && f->entries.count >= FLOOD_ENTRIES_MAX && !f->oldest->counted)
		forget(f, f->oldest);
	/* Full of counts that are not written yet: this one is simply written. */
	if (!e && f->entries.count < FLOOD_ENTRIES_MAX)
		e = add(f, &like, now_us);
	takes = e && ++e->n > FLOOD_FREE;
	if (takes)
		e->counted++;
	pthread_mutex_unlock(&f->lock);
	return takes;
}

static bool put_entry(const struct entry *e, struct batch *b, struct record_scratch *scratch)
{
	const struct audit_record r = {
		.event = e->event,
		.user = bytes_of(e->key, e->user_len),
		.client = bytes_of(e->key + e->user_len + 1, e->address_len),
		.decision = e->event == AUDIT_REFUSAL ? AUDIT_REFUSE : AUDIT_UNDECIDED,
		.has_code = true,
		.code = e->code,
	};

	return record_put(b, scratch, &r, e->counted, NULL, NULL);
}

bool flood_put(
	struct flood *f, uint64_t now_us, bool all, struct batch *b, struct record_scratch *scratch)
{
	bool room = true;

	pthread_mutex_lock(&f->lock);
	while (room && f->oldest) {
		struct entry *e = f->oldest;
		bool early = f->entries.count >= FLOOD_ENTRIES_MAX;

		if (!all && !early && now_us - e->since_us < FLOOD_MINUTE_US)
			break;
		room = !e->counted || put_entry(e, b, scratch);
		if (room)
			forget(f, e);
	}
	pthread_mutex_unlock(&f->lock);
	return room;
}
