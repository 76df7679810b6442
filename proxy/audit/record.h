/* record.h - a record as the JSON that its line, or its lines, will hold. */
#ifndef PROXY_AUDIT_RECORD_H
#define PROXY_AUDIT_RECORD_H

#include "audit/batch.h"

/* Memory that formatting reuses; one a thread. */
struct record_scratch {
	uint32_t *slots; /* of a set of subject tokens */
	size_t nslots;   /* in use: a power of two, or 0 */
	size_t capacity;
};

void record_scratch_init(struct record_scratch *s);
void record_scratch_fini(struct record_scratch *s);

/* Appends the record to `b`.  `count` above 0 says that it stands for as many of its kind.
 * `done` is NULL when nobody waits.  False, and nothing appended, when the batch is full or
 * when what must stand in one line is too long for it; then nobody is noted as waiting. */
bool record_put(struct batch *b, struct record_scratch *s, const struct audit_record *r,
	uint64_t count, audit_done_fn *done, void *context) MUST_CHECK;

enum line_event record_line_event(enum audit_event event);

/* A name from outside, with its quotes, as the log has it. */
void record_put_name(struct buf *out, struct bytes name);
void record_put_hex(struct buf *out, const uint8_t *at, size_t len);

#endif
