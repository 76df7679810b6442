#include "transform/risk_search.h"

#include <stdlib.h>

#include "util/memory.h"

/* All patients that are alike in some of the fields. */
struct group {
	uint64_t hash; /* 0: free */
	uint64_t patient;
	uint32_t rows;
	bool several; /* patients */
};

struct search {
	const struct risk_table *table;
	struct group *groups; /* for one combination after the other */
	size_t capacity;
	struct risk_result *out;
	risk_tick_fn *tick;
	void *context;
	uint64_t done, all; /* combinations */
	bool stopped;
};

static uint64_t hash_of(
	const struct search *s, const struct risk_person *p, const struct risk_combination *c)
{
	const uint64_t *values = s->table->values + p->class * s->table->nquasi;
	uint64_t h = 4;

	for (size_t i = 0; i < c->nfields; i++)
		h = risk_mix(h, values[c->fields[i]]);
	return h ? h : 1;
}

static struct group *place_of(const struct search *s, uint64_t hash)
{
	size_t at = hash & (s->capacity - 1);

	while (s->groups[at].hash && s->groups[at].hash != hash)
		at = (at + 1) & (s->capacity - 1);
	return &s->groups[at];
}

static void group_all(struct search *s, struct risk_combination *c)
{
	const struct risk_table *t = s->table;

	c->groups = 0;
	for (size_t i = 0; i < t->npersons; i++) {
		const struct risk_person *p = &t->persons[i];
		uint64_t hash = hash_of(s, p, c);
		struct group *g = place_of(s, hash);

		if (!g->hash) {
			*g = (struct group){hash, p->patient, p->rows, false};
			c->groups++;
		} else {
			g->several |= g->patient != p->patient;
			g->rows += p->rows;
		}
	}
}

static void evaluate(struct search *s, struct risk_combination *c)
{
	memset(s->groups, 0, s->capacity * sizeof(*s->groups));
	group_all(s, c);
	c->rows_alone = 0;
	for (size_t i = 0; i < s->capacity; i++)
		if (s->groups[i].hash && !s->groups[i].several)
			c->rows_alone += s->groups[i].rows;
	s->done++;
	s->stopped |= s->tick && !s->tick(s->context, s->done, s->all);
}

/* More rows alone; of two with as many, the one that tells more rows apart. */
static void keep_worst(struct risk_combination *worst, const struct risk_combination *c)
{
	if (!worst->nfields || c->rows_alone > worst->rows_alone ||
		(c->rows_alone == worst->rows_alone && c->groups > worst->groups))
		*worst = *c;
}

static uint64_t count_combinations(size_t n)
{
	uint64_t all = n;

	all += n > 1 ? n * (n - 1) / 2 : 0;
	return all + (n > 2 ? n * (n - 1) * (n - 2) / 6 : 0);
}

/* Every combination of `left` more fields from `first` on. */
static void try_all(struct search *s, struct risk_combination *c, size_t first, size_t left,
	struct risk_combination *worst)
{
	if (!left) {
		evaluate(s, c);
		keep_worst(worst, c);
		return;
	}
	for (size_t i = first; i + left <= s->table->nquasi && !s->stopped; i++) {
		c->fields[c->nfields++] = (uint8_t)i;
		try_all(s, c, i + 1, left - 1, worst);
		c->nfields--;
	}
}

/* One more field beside those of the worst one so far. */
static void try_one_more(
	struct search *s, const struct risk_combination *before, struct risk_combination *worst)
{
	for (size_t i = 0; i < s->table->nquasi && !s->stopped; i++) {
		struct risk_combination c = *before;

		if (memchr(before->fields, (int)i, before->nfields))
			continue;
		c.fields[c.nfields++] = (uint8_t)i;
		evaluate(s, &c);
		keep_worst(worst, &c);
	}
}

static void all_together(struct search *s)
{
	struct risk_combination *c = &s->out->combinations[s->out->ncombinations++];

	*c = (struct risk_combination){.nfields = s->table->nquasi};
	for (size_t i = 0; i < c->nfields; i++)
		c->fields[i] = (uint8_t)i;
	evaluate(s, c);
}

bool risk_search(const struct risk_table *t, uint64_t work_max, risk_tick_fn *tick, void *context,
	struct risk_result *out)
{
	struct search s = {
		.table = t,
		.capacity = 1024,
		.out = out,
		.tick = tick,
		.context = context,
		.all = count_combinations(t->nquasi) + 1,
	};

	out->searched_all = s.all * t->npersons <= work_max;
	if (!out->searched_all)
		s.all = 3 * t->nquasi + 1;
	while (risk_is_full(t->nclasses, s.capacity))
		s.capacity *= 2;
	s.groups = memory_array(s.capacity, sizeof(*s.groups));
	out->ncombinations = 0;
	for (size_t n = 1; n <= RISK_COMBINED_MAX && n < t->nquasi && !s.stopped; n++) {
		struct risk_combination *worst = &out->combinations[out->ncombinations++], c = {0};

		*worst = c;
		if (out->searched_all)
			try_all(&s, &c, 0, n, worst);
		else
			try_one_more(&s, n > 1 ? worst - 1 : &c, worst);
	}
	if (!s.stopped)
		all_together(&s);
	free(s.groups);
	return !s.stopped;
}
