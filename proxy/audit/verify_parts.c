#include "audit/verify_inside.h"

#include <stdlib.h>

#include "util/memory.h"

static void request_of(const struct line *l, uint8_t out[VERIFY_REQUEST])
{
	if (!line_unhex(line_raw_text(l, LINE_KEY_request), out, VERIFY_REQUEST))
		memset(out, 0, VERIFY_REQUEST);
}

static bool later_part(struct chain *c, const struct line *l, uint64_t part)
{
	uint8_t request[VERIFY_REQUEST];

	request_of(l, request);
	if (!c->part_open || c->part_broken)
		return verify_fault(c->v, c->at, "a part without the parts before it");
	if (part != c->part + 1)
		return verify_fault(c->v, c->at, "part %llu behind part %llu",
			(unsigned long long)part, (unsigned long long)c->part);
	if (l->event != c->part_event || memcmp(request, c->part_request, sizeof(request)) != 0)
		return verify_fault(
			c->v, c->at, "a part of another record than the line before it");
	if (c->file != c->part_file)
		return verify_fault(c->v, c->at, "a record in parts of two files");
	return true;
}

/* Behind an unfinished record stands a start, perhaps after clock and gap. */
static bool whole_line(struct chain *c, const struct line *l)
{
	if (!c->part_open)
		return true;
	if (l->event == LINE_CLOCK || l->event == LINE_GAP) {
		c->part_broken = true;
		return true;
	}
	if (l->event != LINE_START)
		return verify_fault(c->v, c->at,
			"the record in parts before it is unfinished, and this is no start");
	c->told.unfinished++;
	c->part_open = c->part_broken = false;
	return true;
}

bool chain_parts(struct chain *c, const struct line *l)
{
	uint64_t part = line_count(l, LINE_KEY_part);

	if (!part)
		return whole_line(c, l);
	if (part > 1) {
		if (!later_part(c, l, part))
			return false;
	} else if (c->part_open) {
		return verify_fault(c->v, c->at, "the record in parts before it is unfinished");
	}
	c->part = part;
	c->part_event = l->event;
	c->part_file = c->file;
	request_of(l, c->part_request);
	c->part_open = !line_has(l, LINE_KEY_last);
	return true;
}

void open_fini(struct verify_open *o)
{
	map_fini(&o->places);
	free(o->requests);
}

void chain_open_lost(struct chain *c)
{
	c->told.unknown_outcomes += c->open.places.count;
	map_fini(&c->open.places);
	map_init(&c->open.places);
}

void chain_outcomes(struct chain *c, const struct line *l)
{
	struct verify_open *o = &c->open;
	uint8_t request[VERIFY_REQUEST];
	uint8_t *place;

	request_of(l, request);
	if (l->event == LINE_OUTCOME)
		(void)map_remove(&o->places, bytes_of(request, sizeof(request)));
	if (l->event != LINE_INTENT || line_count(l, LINE_KEY_part) > 1 ||
		map_get(&o->places, bytes_of(request, sizeof(request))))
		return;
	if (!o->requests)
		o->requests = memory_array(VERIFY_OPEN_MAX, sizeof(*o->requests));
	place = o->requests[o->next];
	o->next = (o->next + 1) % VERIFY_OPEN_MAX;
	/* The oldest that still waits makes room. */
	if (map_get(&o->places, bytes_of(place, VERIFY_REQUEST)) == place) {
		(void)map_remove(&o->places, bytes_of(place, VERIFY_REQUEST));
		c->told.unknown_outcomes++;
	}
	memcpy(place, request, sizeof(request));
	(void)map_set(&o->places, bytes_of(place, VERIFY_REQUEST), place);
}
