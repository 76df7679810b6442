/* msg.h - the body of one OP_MSG, split into its sections.
 *
 * Parsing copies nothing: a wire_msg is a set of views into the frame, and is
 * valid for exactly as long as the frame is.  It is stricter than a driver:
 * anything two parsers could read differently is refused, because the policy
 * must judge the same bytes that the server will execute.
 *
 * Knows: flag bits, sections, lengths.  Does not know: sockets, BSON values, policy.
 * Source: MongoDB wire protocol, OP_MSG.
 */
#ifndef PROXY_WIRE_MSG_H
#define PROXY_WIRE_MSG_H

#include "util/fault.h"

#define WIRE_MSG_SEQ_MAX 4 /* commands define at most two document sequences */

enum wire_msg_flag {
	WIRE_MSG_CHECKSUM = 1u << 0,
	WIRE_MSG_MORE_TO_COME = 1u << 1,
	WIRE_MSG_EXHAUST_OK = 1u << 16,
};

struct wire_seq {
	struct bytes name; /* "documents", "updates", "deletes"; no NUL */
	struct bytes docs; /* whole BSON documents, back to back */
};

struct wire_msg {
	uint32_t flags;
	struct bytes body; /* the one kind-0 document */
	struct wire_seq seq[WIRE_MSG_SEQ_MAX];
	size_t nseq;
};

/* Split `message`, a whole OP_MSG with its header.  A checksum, if the flags announce
 * one, is verified.  On false, *why says what was refused and *m is unspecified. */
bool wire_msg_parse(struct wire_msg *m, struct bytes message, struct fault *why) MUST_CHECK;

#endif
