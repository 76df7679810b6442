#include <stdlib.h>

#include "transform/risk_table.h"
#include "util/memory.h"

#define FIRST_CAPACITY 1024u

void risk_people_init(struct risk_people *p, size_t nparts, size_t limit)
{
	*p = (struct risk_people){.nparts = nparts, .limit = limit};
}

void risk_people_fini(struct risk_people *p)
{
	free(p->list);
	free(p->parts);
	free(p->index.slots);
	*p = (struct risk_people){0};
}

static uint64_t hash_of(uint64_t patient)
{
	return risk_mix(3, patient);
}

static void grow(struct risk_people *p)
{
	if (p->count == p->capacity) {
		p->capacity = p->capacity ? p->capacity * 2 : FIRST_CAPACITY;
		p->list = memory_resize(p->list, p->capacity, sizeof(*p->list));
		p->parts = memory_resize(p->parts, p->capacity, p->nparts * sizeof(*p->parts));
	}
	if (!risk_is_full(p->count, p->index.capacity))
		return;
	risk_index_grow(&p->index);
	for (size_t i = 0; i < p->count; i++)
		risk_index_put(&p->index, hash_of(p->list[i].patient), (uint32_t)i);
}

static int64_t find(const struct risk_people *p, uint64_t patient)
{
	for (size_t at = hash_of(patient); p->index.capacity; at++) {
		uint32_t slot = p->index.slots[at & (p->index.capacity - 1)];

		if (!slot)
			break;
		if (p->list[slot - 1].patient == patient)
			return slot - 1;
	}
	return -1;
}

static bool add_new(struct risk_people *p, uint64_t patient, const uint32_t *parts)
{
	if (p->count == p->limit)
		return false;
	grow(p);
	p->list[p->count] = (struct risk_one){.patient = patient, .documents = 1};
	for (size_t i = 0; i < p->nparts; i++)
		p->parts[p->count * p->nparts + i] = parts[i];
	risk_index_put(&p->index, hash_of(patient), (uint32_t)p->count++);
	return true;
}

bool risk_people_add(struct risk_people *p, uint64_t patient, const uint32_t *parts)
{
	int64_t found = find(p, patient);
	uint32_t *known;

	if (found < 0)
		return add_new(p, patient, parts);
	p->list[found].documents++;
	known = p->parts + (size_t)found * p->nparts;
	for (size_t i = 0; i < p->nparts; i++) {
		if (known[i] && parts[i] && known[i] != parts[i])
			p->list[found].differs = true;
		if (!known[i])
			known[i] = parts[i];
	}
	return true;
}
