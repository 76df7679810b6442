#include "transform/risk_table.h"

#include <stdlib.h>

#include "util/memory.h"

#define FIRST_CAPACITY 1024u

void risk_table_init(struct risk_table *t, size_t nquasi, size_t nsensitive, size_t limit)
{
	*t = (struct risk_table){.nquasi = nquasi, .nsensitive = nsensitive, .limit = limit};
}

void risk_table_fini(struct risk_table *t)
{
	free(t->values);
	free(t->patients);
	free(t->rows);
	free(t->diversity);
	free(t->class_index.slots);
	free(t->persons);
	free(t->person_index.slots);
	free(t->seen);
	*t = (struct risk_table){0};
}

/* ----------------------------------------------------------------------- index */

void risk_index_put(struct risk_index *x, uint64_t hash, uint32_t entry)
{
	size_t at = hash & (x->capacity - 1);

	while (x->slots[at])
		at = (at + 1) & (x->capacity - 1);
	x->slots[at] = entry + 1;
}

void risk_index_grow(struct risk_index *x)
{
	free(x->slots);
	x->capacity = x->capacity ? x->capacity * 2 : FIRST_CAPACITY;
	x->slots = memory_array(x->capacity, sizeof(*x->slots));
}

static uint64_t hash_of_class(const struct risk_table *t, const uint64_t *values)
{
	uint64_t h = 0;

	for (size_t i = 0; i < t->nquasi; i++)
		h = risk_mix(h, values[i]);
	return h;
}

static uint64_t hash_of_person(uint64_t patient, uint32_t class)
{
	return risk_mix(risk_mix(1, patient), class);
}

/* --------------------------------------------------------------------- classes */

static void grow_classes(struct risk_table *t)
{
	if (t->nclasses == t->classes_capacity) {
		t->classes_capacity =
			t->classes_capacity ? t->classes_capacity * 2 : FIRST_CAPACITY;
		t->values = memory_resize(
			t->values, t->classes_capacity, t->nquasi * sizeof(*t->values));
		t->patients = memory_resize(t->patients, t->classes_capacity, sizeof(*t->patients));
		t->rows = memory_resize(t->rows, t->classes_capacity, sizeof(*t->rows));
		t->diversity = memory_resize(
			t->diversity, t->classes_capacity, t->nsensitive * sizeof(*t->diversity));
	}
	if (!risk_is_full(t->nclasses, t->class_index.capacity))
		return;
	risk_index_grow(&t->class_index);
	for (size_t i = 0; i < t->nclasses; i++)
		risk_index_put(
			&t->class_index, hash_of_class(t, t->values + i * t->nquasi), (uint32_t)i);
}

/* Its number; -1: there is no room for another. */
static int64_t class_of(struct risk_table *t, const uint64_t *quasi)
{
	uint64_t hash = hash_of_class(t, quasi);
	size_t size = t->nquasi * sizeof(*quasi);
	struct risk_index *x = &t->class_index;

	for (size_t at = hash; x->capacity; at++) {
		uint32_t slot = x->slots[at & (x->capacity - 1)];

		if (!slot)
			break;
		if (memcmp(t->values + (slot - 1) * t->nquasi, quasi, size) == 0)
			return slot - 1;
	}
	if (t->nclasses == t->limit)
		return -1;
	grow_classes(t);
	memcpy(t->values + t->nclasses * t->nquasi, quasi, size);
	t->patients[t->nclasses] = t->rows[t->nclasses] = 0;
	for (size_t i = 0; i < t->nsensitive; i++)
		t->diversity[t->nclasses * t->nsensitive + i] = 0;
	risk_index_put(x, hash, (uint32_t)t->nclasses);
	return (int64_t)t->nclasses++;
}

/* --------------------------------------------------------------------- persons */

static void grow_persons(struct risk_table *t)
{
	memory_grow(&t->persons, t->npersons, &t->persons_capacity, sizeof(*t->persons));
	if (!risk_is_full(t->npersons, t->person_index.capacity))
		return;
	risk_index_grow(&t->person_index);
	for (size_t i = 0; i < t->npersons; i++)
		risk_index_put(&t->person_index,
			hash_of_person(t->persons[i].patient, t->persons[i].class), (uint32_t)i);
}

static bool add_person(struct risk_table *t, uint64_t patient, uint32_t class)
{
	uint64_t hash = hash_of_person(patient, class);
	struct risk_index *x = &t->person_index;

	for (size_t at = hash; x->capacity; at++) {
		uint32_t slot = x->slots[at & (x->capacity - 1)];
		struct risk_person *p;

		if (!slot)
			break;
		p = &t->persons[slot - 1];
		if (p->patient == patient && p->class == class) {
			p->rows++;
			return true;
		}
	}
	if (t->npersons == t->limit)
		return false;
	grow_persons(t);
	t->persons[t->npersons] = (struct risk_person){patient, class, 1};
	risk_index_put(x, hash, (uint32_t)t->npersons++);
	t->patients[class]++;
	return true;
}

/* ------------------------------------------------------------ sensitive values */

static void put_seen(struct risk_table *t, uint64_t hash)
{
	size_t at = hash & (t->seen_capacity - 1);

	while (t->seen[at])
		at = (at + 1) & (t->seen_capacity - 1);
	t->seen[at] = hash;
}

static void grow_seen(struct risk_table *t)
{
	uint64_t *old = t->seen;
	size_t n = t->seen_capacity;

	if (!risk_is_full(t->nseen, n))
		return;
	t->seen_capacity = n ? n * 2 : FIRST_CAPACITY;
	t->seen = memory_array(t->seen_capacity, sizeof(*t->seen));
	for (size_t i = 0; i < n; i++)
		if (old[i])
			put_seen(t, old[i]);
	free(old);
}

static bool add_sensitive(struct risk_table *t, uint32_t class, size_t field, uint64_t value)
{
	uint64_t hash = risk_mix(risk_mix(risk_mix(2, value), class), field);

	hash = hash ? hash : 1;
	for (size_t at = hash; t->seen_capacity; at++) {
		uint64_t slot = t->seen[at & (t->seen_capacity - 1)];

		if (slot == hash)
			return true;
		if (!slot)
			break;
	}
	if (t->nseen == t->limit)
		return false;
	grow_seen(t);
	put_seen(t, hash);
	t->nseen++;
	t->diversity[class * t->nsensitive + field]++;
	return true;
}

bool risk_table_add(
	struct risk_table *t, const uint64_t *quasi, uint64_t patient, const uint64_t *sensitive)
{
	int64_t class = t->nrows < UINT32_MAX ? class_of(t, quasi) : -1;

	if (class < 0 || !add_person(t, patient, (uint32_t) class))
		return false;
	for (size_t i = 0; i < t->nsensitive; i++)
		if (!add_sensitive(t, (uint32_t) class, i, sensitive[i]))
			return false;
	t->rows[class]++;
	t->nrows++;
	return true;
}

/* ----------------------------------------------------------------------- tally */

void risk_tally_init(struct risk_tally *t, size_t limit)
{
	*t = (struct risk_tally){.limit = limit};
}

void risk_tally_fini(struct risk_tally *t)
{
	free(t->entries);
	*t = (struct risk_tally){0};
}

static struct risk_tally_entry *tally_place(const struct risk_tally *t, uint64_t value)
{
	size_t at = value & (t->capacity - 1);

	while (t->entries[at].value && t->entries[at].value != value)
		at = (at + 1) & (t->capacity - 1);
	return &t->entries[at];
}

static void grow_tally(struct risk_tally *t)
{
	struct risk_tally fresh = *t;

	if (!risk_is_full(t->count, t->capacity))
		return;
	fresh.capacity = t->capacity ? t->capacity * 2 : FIRST_CAPACITY;
	fresh.entries = memory_array(fresh.capacity, sizeof(*fresh.entries));
	for (size_t i = 0; i < t->capacity; i++)
		if (t->entries[i].value)
			*tally_place(&fresh, t->entries[i].value) = t->entries[i];
	free(t->entries);
	*t = fresh;
}

bool risk_tally_add(struct risk_tally *t, uint64_t value)
{
	struct risk_tally_entry *e;

	t->rows++;
	if (!value) {
		t->absent++;
		return true;
	}
	grow_tally(t);
	e = tally_place(t, value);
	if (!e->value && t->count == t->limit)
		return false;
	t->count += e->value == 0;
	e->value = value;
	e->count++;
	return true;
}

uint64_t risk_tally_count(const struct risk_tally *t, uint64_t value)
{
	return t->capacity && value ? tally_place(t, value)->count : 0;
}
