/* scram.h - the server's half of SCRAM-SHA-256 (RFC 5802, RFC 7677; MongoDB's use of it:
 * auth.md of the driver specifications).
 *
 * A user that does not exist is answered exactly as one that does, with a salt and an
 * iteration count made from its name, and fails at the same step with the same error.
 * No PBKDF2 is ever run here.
 */
#ifndef PROXY_AUTH_SCRAM_H
#define PROXY_AUTH_SCRAM_H

#include "auth/users.h"
#include "keys/master.h"

#define SCRAM_PAYLOAD_MAX 4096u /* of either side */

struct scram;

struct scram *scram_new(struct users *users, const struct master *m); /* holds a reference */
void scram_free(struct scram *s);                                     /* wipes */

enum scram_step { SCRAM_GO_ON, SCRAM_DONE, SCRAM_FAILED };
/* Takes the client's payload and appends ours.  SCRAM_DONE: `out` holds the server's
 * final message and scram_user is set.  SCRAM_FAILED: *why is AUTH_FAILED, whatever the
 * reason; the reason, without secrets, is its detail. */
enum scram_step scram_step(
	struct scram *s, struct bytes payload, struct buf *out, struct fault *why);
/* The name that the client gave, as soon as it is known; never to be trusted before DONE. */
struct bytes scram_user_name(const struct scram *s);
const struct user *scram_user(const struct scram *s); /* NULL before DONE */

#endif
