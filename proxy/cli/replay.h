/* replay.h - a command again, from the shape that its record has (docs/audit-format.md).
 *
 * Values are gone: in their places stand any of their types.  What a value would have
 * decided, a choice says.
 */
#ifndef PROXY_CLI_REPLAY_H
#define PROXY_CLI_REPLAY_H

#include "util/buf.h"

struct replay_choice {
	bool paths; /* texts are paths of fields that nobody named, in expressions */
	bool zeros; /* numbers are 0, booleans false */
};
#define REPLAY_CHOICES 4u
struct replay_choice replay_choice(size_t number);

/* Appends the OP_MSG.  `comment`: a document for the command's `comment`; empty: none.  False:
 * the shape is no command's, or was too long for its record. */
bool replay_message(struct bytes shape, struct bytes db, struct bytes comment,
	struct replay_choice choice, struct buf *message) MUST_CHECK;

#endif
