/* query.h - finds records in logs, one after another, in bounded memory.
 *
 * It believes the log: whether it is whole is verify.h's.  An outcome is judged and shown
 * with what its intent says, and a later part of a record with what the first part says, so
 * that a patient's name in an outcome still leads to the user who wrote.
 */
#ifndef PROXY_AUDIT_QUERY_H
#define PROXY_AUDIT_QUERY_H

#include "audit/line.h"

/* Whether a value is among some; none: any is. */
struct query_words {
	const char *const *at;
	size_t count;
};

/* A record passes when it passes each of these. */
struct query_filter {
	struct query_words subjects; /* 32 digits, or `~` before them */
	struct query_words users, roles, purposes, namespaces, events, classes, apps;
	int64_t since_us, until_us; /* since <= ts < until */
};

/* A record that passed.  `whole` may be the line itself. */
struct query_hit {
	const struct line *line;
	const struct line *whole; /* the intent, or the first part; has what `line` lacks */
	const char *file;
	uint64_t number; /* of the line */
};
/* False: stop. */
typedef bool query_hit_fn(void *context, const struct query_hit *hit);

struct query;
struct query *query_new(const struct query_filter *filter, query_hit_fn *hit, void *context);
void query_free(struct query *q);

/* Reads a file to its end; a half line there is not read.  False: errno, or stopped (0).
 * Lines that are no records are passed over, and counted. */
bool query_file(struct query *q, const char *path) MUST_CHECK;
uint64_t query_unreadable(const struct query *q);

/* The value of a key: the line's, else the whole's; `at` is NULL when neither has it. */
struct bytes query_value(const struct query_hit *hit, enum line_key key);
/* "2026-11-23", "2026-11-23T09:12", "2026-11-23T09:12:44" or with six decimals, each but
 * the first with or without Z: always UTC. */
bool query_parse_time(const char *text, int64_t *time_us) MUST_CHECK;
bool query_is_subject(const char *text);
bool query_is_event(const char *text);

#endif
