#include "util/words.h"

#include <stdlib.h>

#include "util/memory.h"

#define FIRST_CAPACITY 64u

/* Names differ in their length, their begin or their end. */
static size_t hash_of(struct bytes name)
{
	const uint8_t *at = name.at;
	uint64_t begin = 0, rest = 0;

	if (name.len >= 8) {
		begin = load_u64(at);
		rest = load_u64(at + name.len - 8);
	} else if (name.len >= 4) {
		begin = load_u32(at);
		rest = load_u32(at + name.len - 4);
	} else if (name.len) {
		begin = at[0];
		rest = (uint64_t)at[name.len / 2] << 8 | at[name.len - 1];
	}
	/* The golden ratio's digits; their product mixes well in its upper half. */
	return (size_t)(((begin ^ (rest << 29 | rest >> 35)) + name.len) * 0x9e3779b97f4a7c15u >>
			32);
}

/* Where `name` stands, or the free place where it would. */
static struct word *place_of(const struct words *w, struct bytes name)
{
	size_t i = hash_of(name) & (w->capacity - 1);

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

	w->capacity = old.capacity ? old.capacity * 2 : FIRST_CAPACITY;
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
