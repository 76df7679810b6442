#include "util/map.h"

#include <pthread.h>
#include <stdlib.h>

#include <sodium.h>

#include "util/memory.h"

#define FIRST_CAPACITY 16u

static uint8_t hash_key[crypto_shorthash_KEYBYTES];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void draw_hash_key(void)
{
	if (sodium_init() < 0)
		abort();
	crypto_shorthash_keygen(hash_key);
}

static size_t hash_of(struct bytes key)
{
	uint8_t hash[crypto_shorthash_BYTES];

	pthread_once(&hash_key_once, draw_hash_key);
	crypto_shorthash(hash, key.at, key.len, hash_key);
	return (size_t)load_u64(hash);
}

void map_init(struct map *m)
{
	*m = (struct map){0};
}

void map_fini(struct map *m)
{
	free(m->entries);
	map_init(m);
}

/* Where `key` stands, or the free place where it would. */
static struct map_entry *place_of(const struct map *m, struct bytes key)
{
	size_t i = hash_of(key) & (m->capacity - 1);

	while (m->entries[i].value && !bytes_equal(m->entries[i].key, key))
		i = (i + 1) & (m->capacity - 1);
	return &m->entries[i];
}

void *map_get(const struct map *m, struct bytes key)
{
	return m->count ? place_of(m, key)->value : NULL;
}

static void grow(struct map *m)
{
	struct map old = *m;

	m->capacity = old.capacity ? old.capacity * 2 : FIRST_CAPACITY;
	m->entries = memory_array(m->capacity, sizeof(*m->entries));
	for (size_t i = 0; i < old.capacity; i++)
		if (old.entries[i].value)
			*place_of(m, old.entries[i].key) = old.entries[i];
	free(old.entries);
}

void *map_set(struct map *m, struct bytes key, void *value)
{
	struct map_entry *place;
	void *before;

	if ((m->count + 1) * 4 > m->capacity * 3)
		grow(m);
	place = place_of(m, key);
	before = place->value;
	m->count += !before;
	*place = (struct map_entry){.key = key, .value = value};
	return before;
}

void *map_remove(struct map *m, struct bytes key)
{
	struct map_entry *place = m->count ? place_of(m, key) : NULL;
	void *before = place ? place->value : NULL;
	size_t i;

	if (!before)
		return NULL;
	place->value = NULL;
	m->count--;
	/* What stands behind in the same run may have been pushed there by the removed one. */
	i = (size_t)(place - m->entries);
	while (m->entries[i = (i + 1) & (m->capacity - 1)].value) {
		struct map_entry moved = m->entries[i];

		m->entries[i].value = NULL;
		*place_of(m, moved.key) = moved;
	}
	return before;
}

const struct map_entry *map_next(const struct map *m, size_t *position)
{
	while (*position < m->capacity) {
		const struct map_entry *e = &m->entries[(*position)++];

		if (e->value)
			return e;
	}
	return NULL;
}
