#include "audit/verify_inside.h"

#include <stdlib.h>

#include <sodium.h>

#include "util/memory.h"

bool chain_open(
	struct chain *c, struct verify *v, const char *instance, const struct verify_file *rolls)
{
	*c = (struct chain){.v = v, .stopped = true};
	memcpy(c->told.instance, instance, strlen(instance) + 1);
	c->told.seq = -1;
	merkle_init(&c->tree);
	map_init(&c->open.places);
	return chain_cursors_open(c, rolls);
}

void chain_close(struct chain *c)
{
	chain_cursors_close(c);
	open_fini(&c->open);
}

/* The first line of a chain: seq 0, or a gap behind nothing, or what an expired record names. */
static bool chain_begin(struct chain *c, const struct line *l)
{
	bool lost = l->event == LINE_GAP && line_integer(l, LINE_KEY_head_seq) == -1;

	c->first = c->at;
	c->first_seq = l->seq;
	memcpy(c->first_prev, l->prev, sizeof(c->first_prev));
	c->time_us = l->time_us;
	c->needs_expired = l->seq && !lost;
	if (!c->needs_expired)
		return chain_first_key(c, l);
	if (!merkle_append(&c->tree, l->prev))
		return verify_fault(c->v, c->at, "too many records");
	c->from = l->seq - 1;
	return !l->seq || chain_cursors_excuse(c, l->seq - 1);
}

static bool follows(struct chain *c, const struct line *l)
{
	if (l->event != LINE_GAP && l->seq != c->seq + 1)
		return verify_fault(c->v, c->at, "seq %llu follows seq %llu: %s",
			(unsigned long long)l->seq, (unsigned long long)c->seq,
			l->seq > c->seq ? "lines or a file are missing"
					: "lines are out of order, twice, or of a second chain");
	if (memcmp(l->prev, c->hash, sizeof(c->hash)) != 0)
		return verify_fault(c->v, c->at,
			"prev is not the hash of the line before it: one of them was altered");
	if (l->time_us < c->time_us && l->event != LINE_CLOCK)
		return verify_fault(c->v, c->at, "ts goes back without a clock record");
	return true;
}

static bool gap(struct chain *c, const struct line *l)
{
	int64_t head = line_integer(l, LINE_KEY_head_seq);
	int64_t witness = line_integer(l, LINE_KEY_witness_seq);

	if (head != (c->begun ? (int64_t)c->seq : -1))
		return verify_fault(c->v, c->at, "head_seq of the gap is not the seq before it");
	if (head > witness || l->seq != (uint64_t)witness + 1)
		return verify_fault(c->v, c->at, "witness_seq of the gap does not fit its seq");
	if (!c->gap_uncovered)
		c->gap_at = c->at;
	c->gap_uncovered = true;
	c->told.gaps++;
	return witness <= head || chain_cursors_excuse(c, (uint64_t)witness);
}

static void expired(struct chain *c, const struct line *l)
{
	uint8_t head[LINE_HASH_LEN];

	if (c->needs_expired && line_count(l, LINE_KEY_before) == c->first_seq &&
		line_unhex(line_raw_text(l, LINE_KEY_head), head, sizeof(head)) &&
		memcmp(head, c->first_prev, sizeof(head)) == 0)
		c->expired_seen = true;
}

/* A start without a stop before it: what no checkpoint covered until then is signed later. */
static void start(struct chain *c)
{
	if (!c->stopped)
		c->told.late_signed += c->uncovered - c->trailing;
	chain_open_lost(c);
	c->stopped = false;
}

static bool by_event(struct chain *c, const struct line *l)
{
	bool between = l->event == LINE_CLOCK || l->event == LINE_GAP;

	switch (l->event) {
	case LINE_CHECKPOINT:
		return chain_checkpoint(c, l);
	case LINE_GAP:
		if (!gap(c, l))
			return false;
		break;
	case LINE_EXPIRED:
		expired(c, l);
		c->stopped = false;
		break;
	case LINE_START:
		start(c);
		break;
	case LINE_STOP:
		c->stopped = true;
		break;
	case LINE_CLOCK:
		c->told.clock_steps++;
		break;
	case LINE_ACCESS:
	case LINE_INTENT:
	case LINE_OUTCOME:
	case LINE_REFUSAL:
	case LINE_LOGIN:
	case LINE_LOGIN_FAILED:
	case LINE_LOGOUT:
	case LINE_DRAIN:
	case LINE_POLICY:
	case LINE_KEY_EVENT:
	case LINE_ADMIN:
	case LINE_EVENTS:
		chain_outcomes(c, l);
		c->stopped = false;
		break;
	}
	c->uncovered++;
	c->trailing = between ? c->trailing + 1 : 0;
	return merkle_append(&c->tree, l->hash) || verify_fault(c->v, c->at, "too many records");
}

bool chain_line(struct chain *c, const struct line *l)
{
	if (!bytes_equal_str(l->instance, c->told.instance))
		return verify_fault(c->v, c->at, "another instance: a file holds one");
	if (!(c->begun ? follows(c, l) : chain_begin(c, l)))
		return false;
	if (!chain_parts(c, l) || !by_event(c, l) || !chain_cursors(c, l))
		return false;
	c->begun = true;
	c->seq = l->seq;
	c->time_us = l->time_us;
	memcpy(c->hash, l->hash, sizeof(c->hash));
	c->told.lines++;
	return true;
}

bool chain_end(struct chain *c)
{
	if (c->needs_expired && !c->expired_covered)
		return verify_fault(c->v, c->first,
			"begins with seq %llu, and no signed expired record names it: "
			"the files before it are missing",
			(unsigned long long)c->first_seq);
	if (c->gap_uncovered)
		return verify_fault(c->v, c->gap_at,
			"a gap that no checkpoint covers: anyone could have written it");
	if (c->part_open)
		c->told.unfinished++;
	chain_open_lost(c);
	if (!chain_cursors_end(c))
		return false;
	if (!c->v->options->witness)
		c->told.proof = VERIFY_NO_WITNESS;
	else if (c->uncovered)
		c->told.proof = VERIFY_UNCOVERED;
	else if (!c->witnessed)
		c->told.proof = VERIFY_NO_WITNESS_LINE;
	else
		c->told.proof = VERIFY_PROVEN;
	return true;
}
