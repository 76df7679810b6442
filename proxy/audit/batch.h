/* batch.h - records that wait to become lines: all of a line but what the chain gives it.
 *
 * A record is one piece, or, when it is too long for a line, several neighbouring ones.
 * A piece is the text between `instance` and `mono`: `"conn":7,…,"code":0,`.
 */
#ifndef PROXY_AUDIT_BATCH_H
#define PROXY_AUDIT_BATCH_H

#include "audit/audit.h"
#include "audit/line.h"

/* What a batch holds at most; a record that does not fit is refused, and whoever waits
 * for it is told so.  Some 16,000 ordinary records. */
#define BATCH_MAX        (16u * 1024 * 1024)
/* Of a line, what is not its piece: `v event seq ts instance`, `mono prev`. */
#define PIECE_AROUND_MAX 320u
#define PIECE_MAX        (AUDIT_LINE_MAX - PIECE_AROUND_MAX)

struct piece {
	uint32_t offset, len;
	enum line_event event;
	uint32_t more; /* of the same record behind this one */
	bool waited;   /* somebody is told what becomes of the record; in its first piece */
};

struct waiter {
	audit_done_fn *done;
	void *context;
	bool durable;
};

struct batch {
	struct buf text;
	struct piece *pieces;
	size_t npieces, pieces_capacity;
	struct waiter *waiters;
	size_t nwaiters, waiters_capacity;
};

void batch_init(struct batch *b);
void batch_fini(struct batch *b);
/* Forgets all, keeps memory for the next records. */
void batch_clear(struct batch *b);
static inline bool batch_is_empty(const struct batch *b)
{
	return !b->npieces && !b->nwaiters;
}

struct piece *batch_add(struct batch *b, enum line_event event, size_t offset);
void batch_wait(struct batch *b, audit_done_fn *done, void *context, bool durable);
static inline struct bytes batch_text(const struct batch *b, const struct piece *p)
{
	return bytes_of(b->text.at + p->offset, p->len);
}
/* Appends those records of `from` for which nobody waits.  Returns how many had no room. */
size_t batch_keep_unwaited(struct batch *to, const struct batch *from);

#endif
