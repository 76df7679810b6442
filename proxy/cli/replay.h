/* replay.h - a command again, from the shape that its record has (docs/audit-format.md).
 *
 * Values are gone: in their places stand any of their types.  What a value would have
 * decided, a choice says.
 */
#ifndef PROXY_CLI_REPLAY_H
#define PROXY_CLI_REPLAY_H

#include "util/buf.h"

struct replay_choice {
	bool zeros;  /* numbers are 0, else 1 */
	bool ids;    /* but those called _id, which are 0 in any case */
	bool falses; /* what booleans are */
};
#define REPLAY_CHOICES 6u
struct replay_choice replay_choice(size_t number);

/* Appends the OP_MSG.  `comment`: a document for the command's `comment`; empty: none.  False:
 * the shape is no command's, or was too long for its record. */
bool replay_message(struct bytes shape, struct bytes db, struct bytes comment,
	struct replay_choice choice, struct buf *message) MUST_CHECK;

#endif
