#include "audit/record.h"

#include <math.h>
#include <stdlib.h>

#include "util/json.h"
#include "util/memory.h"

#define LONG_SHAPE  "{\"?\":\"long\"}"
#define TOKEN_TEXT  (2 * TOKEN_LEN + 4) /* quotes, '~' and a comma */
/* `"part":N,"last":true,` and the keys around two lists. */
#define PART_AROUND 128u

#define PUT(out, literal) buf_put(out, bytes_of(literal, sizeof(literal) - 1))
#define KEY(name)         bytes_of("\"" name "\":", sizeof(name) + 2)

/* Which groups of keys an event has. */
enum group { WHO = 1, WHAT = 2, RESULT = 4, ACT = 8, POLICY = 16 };

static unsigned groups_of(enum line_event event)
{
	switch (event) {
	case LINE_ACCESS:
		return WHO | WHAT | RESULT;
	case LINE_INTENT:
	case LINE_REFUSAL:
		return WHO | WHAT;
	case LINE_OUTCOME:
		return RESULT;
	case LINE_LOGIN:
	case LINE_LOGIN_FAILED:
	case LINE_LOGOUT:
		return WHO;
	case LINE_POLICY:
		return POLICY;
	case LINE_KEY_EVENT:
	case LINE_ADMIN:
		return ACT;
	case LINE_DRAIN:
	case LINE_START:
	case LINE_STOP:
	case LINE_CLOCK:
	case LINE_GAP:
	case LINE_EXPIRED:
	case LINE_CHECKPOINT:
	case LINE_EVENTS:
		break;
	}
	return 0;
}

enum line_event record_line_event(enum audit_event event)
{
	switch (event) {
	case AUDIT_ACCESS:
		return LINE_ACCESS;
	case AUDIT_INTENT:
		return LINE_INTENT;
	case AUDIT_OUTCOME:
		return LINE_OUTCOME;
	case AUDIT_REFUSAL:
		return LINE_REFUSAL;
	case AUDIT_LOGIN:
		return LINE_LOGIN;
	case AUDIT_LOGIN_FAILED:
		return LINE_LOGIN_FAILED;
	case AUDIT_LOGOUT:
		return LINE_LOGOUT;
	case AUDIT_DRAIN:
		return LINE_DRAIN;
	case AUDIT_POLICY:
		return LINE_POLICY;
	case AUDIT_KEY:
		return LINE_KEY_EVENT;
	case AUDIT_ADMIN:
		return LINE_ADMIN;
	}
	return LINE_EVENTS;
}

void record_scratch_init(struct record_scratch *s)
{
	*s = (struct record_scratch){0};
}

void record_scratch_fini(struct record_scratch *s)
{
	free(s->slots);
	*s = (struct record_scratch){0};
}

static void put_integer(struct buf *out, int64_t n)
{
	if (n < 0)
		buf_put_u8(out, '-');
	buf_put_count(out, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

void record_put_hex(struct buf *out, const uint8_t *at, size_t len)
{
	uint8_t *to = buf_reserve(out, 2 * len);

	if (!to)
		return;
	bytes_hex(bytes_of(at, len), to);
	buf_commit(out, 2 * len);
}

void record_put_name(struct buf *out, struct bytes name)
{
	json_put_string_cut(out, name, AUDIT_NAME_MAX);
}

/* `key` is one of KEY's. */
static void put_text(struct buf *out, struct bytes key, struct bytes value, bool needed)
{
	if (!value.len && !needed)
		return;
	buf_put(out, key);
	record_put_name(out, value);
	buf_put_u8(out, ',');
}

static void put_number(struct buf *out, struct bytes key, uint64_t n)
{
	buf_put(out, key);
	buf_put_count(out, n);
	buf_put_u8(out, ',');
}

static void put_who(
	struct buf *out, enum line_event event, const struct audit_record *r, uint64_t count)
{
	const bool counted = count != 0;
	const bool known = event != LINE_REFUSAL && !counted;

	if (known || (r->conn && !counted))
		put_number(out, KEY("conn"), r->conn);
	put_text(out, KEY("client"), r->client, false);
	put_text(out, KEY("tls"), r->tls, false);
	put_text(out, KEY("app"), r->app, false);
	put_text(out, KEY("driver"), r->driver, false);
	if (event != LINE_LOGIN_FAILED || !counted)
		put_text(out, KEY("user"), r->user, known);
	if (!r->nroles)
		return;
	PUT(out, "\"roles\":[");
	for (size_t i = 0; i < r->nroles; i++) {
		if (i)
			buf_put_u8(out, ',');
		record_put_name(out, r->roles[i]);
	}
	PUT(out, "],");
}

void audit_put_who(struct buf *out, const struct audit_record *r)
{
	put_who(out, LINE_ACCESS, r, 0);
}

/* A thread's commands mostly have the shape of those just before. */
#define SHAPE_KEPT 1024u

static const uint8_t *hash_of_shape(struct bytes shape)
{
	static _Thread_local struct {
		size_t len;
		uint8_t shape[SHAPE_KEPT];
		uint8_t hash[LINE_HASH_LEN];
	} last;

	if (shape.len == last.len && memcmp(shape.at, last.shape, shape.len) == 0)
		return last.hash;
	last.len = shape.len <= SHAPE_KEPT ? shape.len : 0;
	memcpy(last.shape, shape.at, last.len);
	line_hash(shape, last.hash);
	return last.hash;
}

void audit_shape_hash(struct bytes shape, uint8_t hash[AUDIT_SHAPE_HASH_LEN])
{
	memcpy(hash, hash_of_shape(shape), AUDIT_SHAPE_HASH_LEN);
}

static void put_shape(struct buf *out, const struct audit_record *r, bool shortened)
{
	const uint8_t *hash = r->shape_hash;

	if (!hash && !r->shape.len)
		return;
	PUT(out, "\"shape\":");
	if (hash || r->shape.len > AUDIT_SHAPE_MAX || shortened)
		PUT(out, LONG_SHAPE);
	else
		buf_put(out, r->shape);
	PUT(out, ",\"shape_hash\":\"");
	record_put_hex(out, hash ? hash : hash_of_shape(r->shape), AUDIT_SHAPE_HASH_LEN);
	PUT(out, "\",");
}

static void put_what(
	struct buf *out, enum line_event event, const struct audit_record *r, bool shortened)
{
	put_text(out, KEY("request"), r->request, event == LINE_ACCESS || event == LINE_INTENT);
	put_text(out, KEY("cursor_of"), r->cursor_of, false);
	put_text(out, KEY("on_behalf_of"), r->on_behalf_of, false);
	put_text(out, KEY("purpose"), r->purpose, false);
	put_text(out, KEY("ns"), r->ns, false);
	put_text(out, KEY("command"), r->command, event == LINE_ACCESS || event == LINE_INTENT);
	put_shape(out, r, shortened);
	if (event == LINE_REFUSAL || r->decision == AUDIT_REFUSE)
		PUT(out, "\"decision\":\"refuse\",");
	else
		PUT(out, "\"decision\":\"allow\",");
	put_text(out, KEY("rule"), r->rule, false);
	put_text(out, KEY("policy"), r->policy, false);
	if (r->would.len) {
		PUT(out, "\"would\":");
		buf_put(out, r->would);
		buf_put_u8(out, ',');
	}
	if (r->reason_len)
		put_number(out, KEY("reason_len"), r->reason_len);
	if (r->break_glass)
		PUT(out, "\"break_glass\":true,");
}

/* Milliseconds with three decimals: microseconds are what the clock gives. */
static void put_ms(struct buf *out, double ms)
{
	const uint64_t us = ms > 0 && ms < 1e12 ? (uint64_t)llround(ms * 1000) : 0;
	const uint64_t rest = us % 1000;

	PUT(out, "\"ms\":");
	buf_put_count(out, us / 1000);
	if (rest) {
		const uint8_t digits[4] = {'.', (uint8_t)('0' + rest / 100),
			(uint8_t)('0' + rest / 10 % 10), (uint8_t)('0' + rest % 10)};

		buf_put(out, bytes_of(digits, 4));
	}
	buf_put_u8(out, ',');
}

static void put_result(struct buf *out, const struct audit_record *r)
{
	put_text(out, KEY("way"), r->way, false);
	if (r->disclosed.len) {
		PUT(out, "\"disclosed\":");
		buf_put(out, r->disclosed);
		buf_put_u8(out, ',');
	}
	if (!r->has_result)
		return;
	if (r->docs >= 0)
		put_number(out, KEY("docs"), (uint64_t)r->docs);
	put_number(out, KEY("bytes"), r->bytes);
	put_ms(out, r->ms);
}

static bool needs_code(enum line_event event)
{
	return event == LINE_ACCESS || event == LINE_OUTCOME || event == LINE_REFUSAL ||
	       event == LINE_LOGIN_FAILED;
}

static void put_head(struct buf *out, enum line_event event, const struct audit_record *r,
	uint64_t count, bool shortened)
{
	const unsigned groups = groups_of(event);

	if (r->who.len && (event == LINE_ACCESS || event == LINE_INTENT))
		buf_put(out, r->who);
	else if (groups & WHO)
		put_who(out, event, r, count);
	if (groups & WHAT)
		put_what(out, event, r, shortened);
	if (event == LINE_OUTCOME) {
		put_number(out, KEY("conn"), r->conn);
		put_text(out, KEY("request"), r->request, true);
	}
	if (groups & RESULT)
		put_result(out, r);
	if (groups & ACT) {
		put_text(out, KEY("user"), r->user, true);
		put_text(out, KEY("act"), r->act, true);
		put_text(out, KEY("target"), r->target, true);
	}
	if (groups & POLICY) {
		put_text(out, KEY("version"), r->version, true);
		put_text(out, KEY("hash"), r->hash, true);
	}
	if (needs_code(event) || (r->has_code && event != LINE_INTENT)) {
		PUT(out, "\"code\":");
		put_integer(out, r->code);
		buf_put_u8(out, ',');
	}
	if (r->unacknowledged && event == LINE_OUTCOME)
		PUT(out, "\"unacknowledged\":true,");
	if (count)
		put_number(out, KEY("count"), count);
}

/* The two lists of tokens, and how far they are written. */
struct lists {
	const struct audit_record *r;
	struct record_scratch *scratch;
	size_t subject, searched; /* the next ones */
};

/* False when this subject was named before.  Tokens are keyed hashes: their first bytes
 * are as good as any hash of them. */
static bool is_new(struct lists *l, size_t i)
{
	struct record_scratch *s = l->scratch;
	const struct subject_token *all = l->r->subjects;
	size_t at = load_u64(all[i].token.bytes) & (s->nslots - 1);

	for (; s->slots[at]; at = (at + 1) & (s->nslots - 1)) {
		const struct subject_token *other = &all[s->slots[at] - 1];

		if (other->of_id == all[i].of_id &&
			memcmp(&other->token, &all[i].token, sizeof(other->token)) == 0)
			return s->slots[at] == i + 1;
	}
	s->slots[at] = (uint32_t)i + 1;
	return true;
}

static void prepare_set(struct record_scratch *s, size_t n)
{
	size_t wanted = 16;

	while (wanted < 2 * n)
		wanted *= 2;
	if (wanted > s->capacity) {
		free(s->slots);
		s->slots = memory_array(wanted, sizeof(*s->slots));
		s->capacity = wanted;
	} else {
		memset(s->slots, 0, wanted * sizeof(*s->slots));
	}
	s->nslots = wanted;
}

static void put_subjects(struct buf *out, struct lists *l, size_t limit)
{
	bool any = false;

	for (; l->subject < l->r->nsubjects && out->len + TOKEN_TEXT <= limit; l->subject++) {
		const struct subject_token *t = &l->r->subjects[l->subject];

		if (!is_new(l, l->subject))
			continue;
		if (any)
			buf_put_u8(out, ',');
		else
			PUT(out, "\"subjects\":[");
		any = true;
		buf_put_u8(out, '"');
		if (t->of_id)
			buf_put_u8(out, '~');
		record_put_hex(out, t->token.bytes, TOKEN_LEN);
		buf_put_u8(out, '"');
	}
	if (any)
		PUT(out, "],");
}

static void put_searched(struct buf *out, struct lists *l, size_t limit)
{
	bool any = false;

	for (; l->searched < l->r->nsearched && out->len + TOKEN_TEXT <= limit; l->searched++) {
		if (any)
			buf_put_u8(out, ',');
		else
			PUT(out, "\"searched\":[");
		any = true;
		buf_put_u8(out, '"');
		record_put_hex(out, l->r->searched[l->searched].bytes, TOKEN_LEN);
		buf_put_u8(out, '"');
	}
	if (any)
		PUT(out, "],");
}

static bool is_through(const struct lists *l)
{
	return l->subject == l->r->nsubjects && l->searched == l->r->nsearched;
}

static void put_part(struct buf *out, uint64_t part, bool last)
{
	put_number(out, KEY("part"), part);
	if (last)
		PUT(out, "\"last\":true,");
}

/* Further parts, until all tokens are written. */
static void put_further_parts(struct batch *b, enum line_event event, struct lists *l, size_t first)
{
	uint32_t n = 1;

	put_part(&b->text, 1, false);
	b->pieces[first].len = (uint32_t)(b->text.len - b->pieces[first].offset);
	while (!is_through(l) && !b->text.failed) {
		const size_t offset = b->text.len, limit = offset + PIECE_MAX - PART_AROUND;

		put_number(&b->text, KEY("conn"), l->r->conn);
		put_text(&b->text, KEY("request"), l->r->request, true);
		put_subjects(&b->text, l, limit);
		put_searched(&b->text, l, limit);
		put_part(&b->text, ++n, is_through(l));
		(void)batch_add(b, event, offset);
	}
	b->pieces[first].more = n - 1;
}

static void put_record(struct batch *b, struct record_scratch *s, enum line_event event,
	const struct audit_record *r, uint64_t count)
{
	const size_t offset = b->text.len, first = b->npieces;
	struct lists lists = {.r = r, .scratch = s};
	size_t limit = offset + PIECE_MAX - PART_AROUND;

	put_head(&b->text, event, r, count, false);
	if (b->text.len > limit && !b->text.failed) {
		b->text.len = offset;
		put_head(&b->text, event, r, count, true);
	}
	if (b->text.len > limit)
		b->text.failed = true; /* names alone fill a line: no record is better than half */
	if (groups_of(event) & RESULT && !b->text.failed) {
		if (r->nsubjects)
			prepare_set(s, r->nsubjects);
		put_subjects(&b->text, &lists, limit);
		put_searched(&b->text, &lists, limit);
	} else {
		lists.subject = r->nsubjects;
		lists.searched = r->nsearched;
	}
	(void)batch_add(b, event, offset);
	if (!is_through(&lists))
		put_further_parts(b, event, &lists, first);
}

bool record_put(struct batch *b, struct record_scratch *s, const struct audit_record *r,
	uint64_t count, audit_done_fn *done, void *context)
{
	const size_t len = b->text.len, npieces = b->npieces;

	put_record(b, s, record_line_event(r->event), r, count);
	if (b->text.failed) {
		b->text.failed = false;
		b->text.len = len;
		b->npieces = npieces;
		return false;
	}
	b->pieces[npieces].waited = done != NULL;
	if (done)
		batch_wait(b, done, context, false);
	return true;
}
