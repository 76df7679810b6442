#include "auth/throttle.h"

#include <pthread.h>
#include <stdlib.h>

#include "util/map.h"
#include "util/memory.h"

#define ENTRIES_MAX    10000u
#define MINUTE_US      (60ull * 1000 * 1000)
#define FIRST_DELAY_MS 100u
#define DOUBLINGS_MAX  6u /* 100 ms to 6.4 s, beyond the longest delay */
#define KEY_MAX        512u

/* Failures leak out again, THROTTLE_FREE a minute: who stays below that rate is never held. */
struct entry {
	struct entry *older, *newer;
	uint64_t since_us; /* up to when failures have leaked */
	uint32_t failures;
	size_t len;
	uint8_t key[];
};

struct throttle {
	pthread_mutex_t lock;
	struct map entries;
	struct entry *oldest, *newest;
};

struct throttle *throttle_new(void)
{
	struct throttle *t = memory_new(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	map_init(&t->entries);
	return t;
}

static void unlink_entry(struct throttle *t, struct entry *e)
{
	*(e->older ? &e->older->newer : &t->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &t->newest) = e->older;
}

static void append_entry(struct throttle *t, struct entry *e)
{
	e->older = t->newest;
	e->newer = NULL;
	*(t->newest ? &t->newest->newer : &t->oldest) = e;
	t->newest = e;
}

static void forget(struct throttle *t, struct entry *e)
{
	map_remove(&t->entries, bytes_of(e->key, e->len));
	unlink_entry(t, e);
	free(e);
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	while (t->oldest)
		forget(t, t->oldest);
	map_fini(&t->entries);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* The length first, so that no address and name read as another pair. */
static struct bytes key_of(uint8_t room[KEY_MAX], struct bytes address, struct bytes user)
{
	size_t address_len = address.len < 255 ? address.len : 255;
	size_t user_len = user.len < KEY_MAX - 256 ? user.len : KEY_MAX - 256;

	room[0] = (uint8_t)address_len;
	if (address_len)
		memcpy(room + 1, address.at, address_len);
	if (user_len)
		memcpy(room + 1 + address_len, user.at, user_len);
	return bytes_of(room, 1 + address_len + user_len);
}

static void leak(struct entry *e, uint64_t now_us)
{
	uint64_t minutes = now_us > e->since_us ? (now_us - e->since_us) / MINUTE_US : 0;
	uint64_t leaked = minutes * THROTTLE_FREE;

	e->since_us += minutes * MINUTE_US;
	e->failures = leaked < e->failures ? e->failures - (uint32_t)leaked : 0;
}

static void count_failure(struct throttle *t, struct bytes key, uint64_t now_us)
{
	struct entry *e = map_get(&t->entries, key);

	if (e) {
		unlink_entry(t, e);
		leak(e, now_us);
		if (!e->failures)
			e->since_us = now_us;
	} else {
		if (t->entries.count == ENTRIES_MAX)
			forget(t, t->oldest);
		e = memory_new(sizeof(*e) + key.len);
		e->since_us = now_us;
		e->len = key.len;
		memcpy(e->key, key.at, key.len);
		map_set(&t->entries, bytes_of(e->key, e->len), e);
	}
	append_entry(t, e);
	if (e->failures < THROTTLE_FREE + DOUBLINGS_MAX)
		e->failures++;
}

static uint32_t delay_of(struct throttle *t, struct bytes key, uint64_t now_us)
{
	struct entry *e = map_get(&t->entries, key);
	uint32_t delay_ms;

	if (e)
		leak(e, now_us);
	if (!e || e->failures < THROTTLE_FREE)
		return 0;
	delay_ms = FIRST_DELAY_MS << (e->failures - THROTTLE_FREE);
	return delay_ms < THROTTLE_DELAY_MAX_MS ? delay_ms : THROTTLE_DELAY_MAX_MS;
}

uint32_t throttle_delay_ms(
	struct throttle *t, struct bytes address, struct bytes user, uint64_t now_us)
{
	uint8_t room[KEY_MAX];
	uint32_t of_address, of_pair;

	pthread_mutex_lock(&t->lock);
	of_address = delay_of(t, key_of(room, address, bytes_of("", 0)), now_us);
	of_pair = delay_of(t, key_of(room, address, user), now_us);
	pthread_mutex_unlock(&t->lock);
	return of_address > of_pair ? of_address : of_pair;
}

void throttle_failed(struct throttle *t, struct bytes address, struct bytes user, uint64_t now_us)
{
	uint8_t room[KEY_MAX];

	pthread_mutex_lock(&t->lock);
	count_failure(t, key_of(room, address, bytes_of("", 0)), now_us);
	if (user.len)
		count_failure(t, key_of(room, address, user), now_us);
	pthread_mutex_unlock(&t->lock);
}

void throttle_succeeded(struct throttle *t, struct bytes address, struct bytes user)
{
	uint8_t room[KEY_MAX];
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = user.len ? map_get(&t->entries, key_of(room, address, user)) : NULL;
	if (e)
		forget(t, e);
	pthread_mutex_unlock(&t->lock);
}
