/* line.h - one line of the audit log, read strictly.
 *
 * line_parse judges all that a line shows by itself (docs/audit-format.md): form, order of
 * keys, no key twice, escapes, lengths, the keys an event needs, shape_hash.  What joins
 * lines (seq, prev, ts, roots, signatures, parts) is verify.h's.
 */
#ifndef PROXY_AUDIT_LINE_H
#define PROXY_AUDIT_LINE_H

#include "util/buf.h"

#define LINE_MAX_LEN   65536u /* without its LF */
#define LINE_HASH_LEN  32u
#define LINE_SIG_LEN   64u
#define LINE_SIG_TAIL  138u /* bytes of `,"sig":"…"}` at the end of a checkpoint */
#define LINE_NAME_MAX  256u
#define LINE_DEPTH_MAX 256u /* nested objects and arrays */
#define LINE_WHY_MAX   160u

enum line_event {
	LINE_ACCESS,
	LINE_INTENT,
	LINE_OUTCOME,
	LINE_REFUSAL,
	LINE_LOGIN,
	LINE_LOGIN_FAILED,
	LINE_LOGOUT,
	LINE_START,
	LINE_STOP,
	LINE_DRAIN,
	LINE_POLICY,
	LINE_KEY_EVENT,
	LINE_ADMIN,
	LINE_CLOCK,
	LINE_GAP,
	LINE_EXPIRED,
	LINE_CHECKPOINT,
	LINE_EVENTS,
};

enum line_key {
#define LINE_KEY(name, kind) LINE_KEY_##name,
#include "audit/line_keys.def"
#undef LINE_KEY
	LINE_KEYS
};

/* A parsed line; all bytes point into the text that was parsed. */
struct line {
	struct bytes text; /* without its LF */
	enum line_event event;
	uint64_t seq;
	int64_t time_us; /* of `ts`, since 1970 */
	struct bytes instance;
	uint8_t prev[LINE_HASH_LEN];
	uint8_t hash[LINE_HASH_LEN]; /* of this line: BLAKE2b-256 of `text` */
	/* Values as they stand, strings with their quotes; `at` is NULL for a key left out. */
	struct bytes values[LINE_KEYS];
};

/* Memory that parsing reuses from line to line. */
struct line_parser {
	struct bytes *keys;
	size_t nkeys, capacity;
	struct buf text; /* a decoded string */
	char why[LINE_WHY_MAX];
};

void line_parser_init(struct line_parser *p);
void line_parser_fini(struct line_parser *p);

/* False: the line is at fault, and p->why says how (in words without its content). */
bool line_parse(struct line_parser *p, struct bytes text, struct line *out) MUST_CHECK;

static inline bool line_has(const struct line *l, enum line_key key)
{
	return l->values[key].at != NULL;
}
/* The number of a key that is there and a count; 0 otherwise. */
uint64_t line_count(const struct line *l, enum line_key key);
/* The signed number of a key that is there and an integer; 0 otherwise. */
int64_t line_integer(const struct line *l, enum line_key key);
/* The text between the quotes, still escaped; empty when it is no string or left out.
 * Hexadecimal values, instances and times have no escapes. */
struct bytes line_raw_text(const struct line *l, enum line_key key);
/* Appends the text of a JSON string (with its quotes) without escapes. */
void line_unescape(struct bytes value, struct buf *out);
/* The next element of a JSON array of strings, with its quotes; false at its end.  `*rest`
 * begins as the array's value. */
bool line_next_string(struct bytes *rest, struct bytes *element);

/* BLAKE2b-256, as for lines. */
void line_hash(struct bytes text, uint8_t hash[LINE_HASH_LEN]);
/* Lower-case hex; false unless `hex` is exactly 2 * `len` digits. */
bool line_unhex(struct bytes hex, uint8_t *out, size_t len) MUST_CHECK;
/* "2026-11-23T09:12:44.018962Z"; false for another form or no such time. */
bool line_parse_time(struct bytes text, int64_t *time_us) MUST_CHECK;
bool line_is_instance(struct bytes name);
const char *line_event_name(enum line_event event);

#endif
