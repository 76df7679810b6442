/* reply.h - answers that the proxy makes itself, and how an answer is framed.
 *
 * An answer goes back in the opcode of its request: OP_MSG, or OP_REPLY for the
 * OP_QUERY that opens a handshake.
 */
#ifndef PROXY_WIRE_REPLY_H
#define PROXY_WIRE_REPLY_H

#include "wire/command.h"

/* Begins the answer to `c` and its one document; fields follow by doc_put_*. */
struct reply {
	struct buf *out;
	size_t frame;
	size_t doc;
};
struct reply reply_begin(struct buf *out, const struct command *c);
void reply_end(struct reply *r);

/* Labels that drivers act upon (retryable-writes, transactions and change-streams
 * specifications); a set. */
enum reply_label {
	LABEL_RETRYABLE_WRITE = 1u << 0,
	LABEL_TRANSIENT_TRANSACTION = 1u << 1,
	LABEL_RESUMABLE_CHANGE_STREAM = 1u << 2,
};
/* {ok: 0, errmsg, code, codeName[, errorLabels]} within a begun reply; from a fault. */
void reply_put_fault(struct reply *r, const struct fault *fault, unsigned labels);
void reply_put_labels(struct reply *r, unsigned labels);
/* A whole answer that says only the fault. */
void reply_fault(
	struct buf *out, const struct command *c, const struct fault *fault, unsigned labels);

#endif
