/* select.c - which servers may take a command: MongoDB's server selection specification. */
#include "upstream/inside.h"
#include "wire/doc.h"

#define SETS_MAX 32u /* tag sets of one preference */

enum mode { PRIMARY, PRIMARY_PREFERRED, SECONDARY, SECONDARY_PREFERRED, NEAREST };

struct preference {
	enum mode mode;
	struct bytes tag_sets; /* an array, or empty */
	int64_t staleness_us;  /* 0: any */
};

static const struct {
	const char *name;
	enum mode mode;
} modes[] = {
	{"primary", PRIMARY},
	{"primaryPreferred", PRIMARY_PREFERRED},
	{"secondary", SECONDARY},
	{"secondaryPreferred", SECONDARY_PREFERRED},
	{"nearest", NEAREST},
};

static bool read_mode(struct bytes document, enum mode *mode)
{
	struct element e;

	*mode = PRIMARY;
	if (!doc_find(document, "mode", &e))
		return true;
	if (e.type != TYPE_STRING)
		return false;
	for (size_t i = 0; i < COUNT_OF(modes); i++)
		if (bytes_equal_str(element_string(&e), modes[i].name)) {
			*mode = modes[i].mode;
			return true;
		}
	return false;
}

static bool read_preference(struct bytes document, struct preference *p)
{
	struct element e;
	double seconds;

	*p = (struct preference){0};
	if (!document.len)
		return true;
	if (!read_mode(document, &p->mode))
		return false;
	if (doc_find(document, "tags", &e)) {
		if (e.type != TYPE_ARRAY)
			return false;
		p->tag_sets = e.value;
	}
	if (doc_find(document, "maxStalenessSeconds", &e)) {
		if (!element_double(&e, &seconds))
			return false;
		/* -1 is "no limit". */
		if (seconds > 0)
			p->staleness_us =
				(int64_t)((seconds < 1e9 ? seconds : 1e9) * 1000.0 * 1000.0);
	}
	return true;
}

/* Every tag of the set is one of the server's. */
static bool has_tags(const struct server *s, struct bytes set)
{
	struct doc_iter it = doc_iter_of(set);
	struct element want, have;

	while (doc_next(&it, &want)) {
		struct doc_iter own = doc_iter_of(s->tags);
		bool found = false;

		while (s->tags.len && !found && doc_next(&own, &have))
			found = bytes_equal(have.name, want.name) && have.type == want.type &&
				bytes_equal(have.value, want.value);
		if (!found)
			return false;
	}
	return !it.failed;
}

static const struct server *find_primary(const struct topology *t)
{
	for (size_t i = 0; i < t->nservers; i++)
		if (t->servers[i].kind == SERVER_PRIMARY && server_is_up(&t->servers[i]))
			return &t->servers[i];
	return NULL;
}

/* A date is the server's word: beyond these nothing can be added to it. */
static int64_t last_write_us(const struct server *s)
{
	const int64_t most_ms = INT64_MAX / 4 / 1000;
	int64_t ms = s->last_write_ms;

	return (ms > most_ms ? most_ms : ms < -most_ms ? -most_ms : ms) * 1000;
}

/* Max staleness specification: how far a secondary lags, as far as one can know. */
static int64_t lag_us(const struct topology *t, const struct server *s, uint64_t heartbeat_us)
{
	const struct server *primary = find_primary(t);
	int64_t newest_us = last_write_us(s);

	if (primary)
		return (s->last_update_us - last_write_us(s)) -
		       (primary->last_update_us - last_write_us(primary)) + (int64_t)heartbeat_us;
	for (size_t i = 0; i < t->nservers; i++)
		if (t->servers[i].kind == SERVER_SECONDARY &&
			last_write_us(&t->servers[i]) > newest_us)
			newest_us = last_write_us(&t->servers[i]);
	return newest_us - last_write_us(s) + (int64_t)heartbeat_us;
}

static bool is_fresh(const struct topology *t, const struct server *s, const struct preference *p,
	const struct selection *limits)
{
	return !p->staleness_us || s->kind != SERVER_SECONDARY ||
	       lag_us(t, s, limits->heartbeat_us) <= p->staleness_us;
}

static size_t take_kind(const struct topology *t, const struct selection *limits,
	const struct preference *p, bool primary_too, struct bytes set, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < t->nservers && i < SERVERS_MAX; i++) {
		const struct server *s = &t->servers[i];

		if (!server_is_up(s) || (s->kind != SERVER_SECONDARY &&
						!(primary_too && s->kind == SERVER_PRIMARY)))
			continue;
		if ((!set.len || has_tags(s, set)) && is_fresh(t, s, p, limits))
			out[n++] = (uint8_t)i;
	}
	return n;
}

/* The first tag set that any server has decides. */
static size_t take_tagged(const struct topology *t, const struct selection *limits,
	const struct preference *p, bool primary_too, uint8_t *out)
{
	struct doc_iter it;
	struct element set;
	size_t n = 0, sets = 0;

	if (!p->tag_sets.len || doc_is_empty(p->tag_sets))
		return take_kind(t, limits, p, primary_too, bytes_of(NULL, 0), out);
	it = doc_iter_of(p->tag_sets);
	while (!n && sets++ < SETS_MAX && doc_next(&it, &set) && set.type == TYPE_DOCUMENT)
		n = take_kind(t, limits, p, primary_too, set.value, out);
	return n;
}

static size_t take_primary(const struct topology *t, uint8_t *out)
{
	const struct server *primary = find_primary(t);

	if (!primary)
		return 0;
	out[0] = (uint8_t)(primary - t->servers);
	return 1;
}

static size_t take_preferred(const struct topology *t, const struct selection *limits,
	const struct preference *p, uint8_t *out)
{
	size_t n = 0;

	switch (p->mode) {
	case PRIMARY:
		return take_primary(t, out);
	case PRIMARY_PREFERRED:
		n = take_primary(t, out);
		return n ? n : take_tagged(t, limits, p, false, out);
	case SECONDARY:
		return take_tagged(t, limits, p, false, out);
	case SECONDARY_PREFERRED:
		n = take_tagged(t, limits, p, false, out);
		return n ? n : take_primary(t, out);
	case NEAREST:
		return take_tagged(t, limits, p, true, out);
	}
	return 0;
}

/* Those that need no preference: a mongos, or the one server that there is. */
static size_t take_any(const struct topology *t, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < t->nservers && i < SERVERS_MAX; i++) {
		enum server_kind kind = t->servers[i].kind;

		if (server_is_up(&t->servers[i]) &&
			(kind == SERVER_MONGOS || kind == SERVER_STANDALONE ||
				kind == SERVER_DIRECT))
			out[n++] = (uint8_t)i;
	}
	return n;
}

static size_t keep_near(
	const struct topology *t, const struct selection *limits, uint8_t *chosen, size_t n)
{
	uint64_t nearest_us = UINT64_MAX;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (t->servers[chosen[i]].rtt_us < nearest_us)
			nearest_us = t->servers[chosen[i]].rtt_us;
	for (size_t i = 0; i < n; i++)
		if (t->servers[chosen[i]].rtt_us - nearest_us <= limits->threshold_us)
			chosen[kept++] = chosen[i];
	return kept;
}

size_t topology_select(const struct topology *t, const struct selection *limits,
	const struct upstream_want *want, uint8_t out[SERVERS_MAX])
{
	struct preference p;
	size_t n;

	if (want->server != SERVER_ANY) {
		for (size_t i = 0; i < t->nservers && i < SERVERS_MAX; i++)
			if (t->servers[i].id == want->server && server_is_up(&t->servers[i])) {
				out[0] = (uint8_t)i;
				return 1;
			}
		return 0;
	}
	n = take_any(t, out);
	if (!n && want->write)
		n = take_primary(t, out);
	else if (!n && read_preference(want->preference, &p))
		n = take_preferred(t, limits, &p, out);
	return n > 1 ? keep_near(t, limits, out, n) : n;
}
