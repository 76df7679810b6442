/* risk_table.h - the counts behind risk.h; private to transform/.
 *
 * Whoever fills it gives hashes of 64 bits for values; 0 stands for "not there".  What is
 * kept a class: 8 bytes for each quasi-identifier and some 20 beside, and 4 for each
 * sensitive field; a (class, patient) pair and a (class, sensitive value) pair: some 20.
 */
#ifndef PROXY_TRANSFORM_RISK_TABLE_H
#define PROXY_TRANSFORM_RISK_TABLE_H

#include "util/bytes.h"

/* Numbers of entries, found by their hash. */
struct risk_index {
	uint32_t *slots; /* an entry's number and one; 0: free */
	size_t capacity; /* a power of two, or 0 */
};

struct risk_person {
	uint64_t patient;
	uint32_t class;
	uint32_t rows; /* of that patient, in that class */
};

struct risk_table {
	size_t nquasi, nsensitive, limit;
	/* Classes: all rows that are alike in the quasi-identifiers. */
	uint64_t *values; /* nquasi each */
	uint32_t *patients, *rows;
	uint32_t *diversity; /* nsensitive each: different values */
	size_t nclasses, classes_capacity;
	struct risk_index class_index;
	struct risk_person *persons;
	size_t npersons, persons_capacity;
	struct risk_index person_index;
	uint64_t *seen; /* (class, field, value) that were counted: a set; 0: free */
	size_t nseen, seen_capacity;
	uint64_t nrows;
};

void risk_table_init(struct risk_table *t, size_t nquasi, size_t nsensitive, size_t limit);
void risk_table_fini(struct risk_table *t);
/* False, with nothing changed that matters, when the table would pass its limit. */
bool risk_table_add(struct risk_table *t, const uint64_t *quasi, uint64_t patient,
	const uint64_t *sensitive) MUST_CHECK;

/* How often each value of one column comes, and nothing else. */
struct risk_tally {
	struct risk_tally_entry {
		uint64_t value; /* 0: free */
		uint64_t count;
	} * entries;
	size_t capacity, count, limit;
	uint64_t rows, absent;
};
void risk_tally_init(struct risk_tally *t, size_t limit);
void risk_tally_fini(struct risk_tally *t);
bool risk_tally_add(struct risk_tally *t, uint64_t value) MUST_CHECK;
uint64_t risk_tally_count(const struct risk_tally *t, uint64_t value);

/* Patients, and whether what else identifies them is the same in all their documents. */
struct risk_people {
	size_t nparts, limit;
	struct risk_one {
		uint64_t patient;
		uint32_t documents;
		bool differs;
	} * list;
	uint32_t *parts; /* nparts each: a hash; 0: not there yet */
	size_t count, capacity;
	struct risk_index index;
};
void risk_people_init(struct risk_people *p, size_t nparts, size_t limit);
void risk_people_fini(struct risk_people *p);
/* `parts` are 0 where a part is missing, or is one that the patient was told by. */
bool risk_people_add(struct risk_people *p, uint64_t patient, const uint32_t *parts) MUST_CHECK;

/* At three quarters it is time to grow. */
static inline bool risk_is_full(size_t count, size_t capacity)
{
	return count >= capacity / 4 * 3;
}
void risk_index_put(struct risk_index *x, uint64_t hash, uint32_t entry);
/* Empty, and twice as large. */
void risk_index_grow(struct risk_index *x);

/* Spreads the bits of what is combined of hashes. */
static inline uint64_t risk_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

#endif
