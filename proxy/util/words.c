#include "util/words.h"

#include <stdlib.h>

#include "util/memory.h"

#define FIRST_BITS 6u

/* The golden ratio's digits: a product with them is well mixed in its upper bits. */
#define MIXER 0x9e3779b97f4a7c15u

static uint64_t hash_of(struct bytes name)
{
	uint64_t hash = name.len, last = 0;

	for (size_t i = 0; i + 8 <= name.len; i += 8) {
		hash = (hash ^ load_u64(name.at + i)) * MIXER;
		hash ^= hash >> 32;
	}
	if (name.len >= 8)
		last = load_u64(name.at + name.len - 8);
	else if (name.len >= 4)
		last = load_u32(name.at) | (uint64_t)load_u32(name.at + name.len - 4) << 32;
	else if (name.len)
		last = name.at[0] | (uint64_t)name.at[name.len / 2] << 8 |
		       (uint64_t)name.at[name.len - 1] << 16;
	return (hash ^ last) * MIXER;
}

/* Where `name` stands, or the free place where it would. */
static struct word *place_of(const struct words *w, struct bytes name)
{
	size_t i = (size_t)(hash_of(name) >> w->shift);

	while (w->places[i].value && !bytes_equal(w->places[i].name, name))
		i = (i + 1) & (w->capacity - 1);
	return &w->places[i];
}

const void *words_find(const struct words *w, struct bytes name)
{
	return w->count ? place_of(w, name)->value : NULL;
}

static void grow(struct words *w)
{
	struct words old = *w;

	w->shift = old.capacity ? old.shift - 1 : 64 - FIRST_BITS;
	w->capacity = (size_t)1 << (64 - w->shift);
	w->places = memory_array(w->capacity, sizeof(*w->places));
	for (size_t i = 0; i < old.capacity; i++)
		if (old.places[i].value)
			*place_of(w, old.places[i].name) = old.places[i];
	free(old.places);
}

void words_add(struct words *w, struct bytes name, const void *value)
{
	struct word *place;

	if ((w->count + 1) * 2 > w->capacity)
		grow(w);
	place = place_of(w, name);
	w->count += !place->value;
	*place = (struct word){.name = name, .value = value};
}

void words_fini(struct words *w)
{
	free(w->places);
	*w = (struct words){0};
}
