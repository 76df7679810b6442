/* scram_client.h - the client's half of SCRAM (RFC 5802, RFC 7677), by libgsasl.
 *
 * The salted password is not made here, since that takes milliseconds: between the
 * server's challenge and the client's proof somebody else makes it.
 */
#ifndef PROXY_UPSTREAM_SCRAM_CLIENT_H
#define PROXY_UPSTREAM_SCRAM_CLIENT_H

#include "util/buf.h"
#include "util/fault.h"

#define SCRAM_ITERATIONS_MIN 4096u    /* MongoDB's authentication specification */
#define SCRAM_ITERATIONS_MAX 1000000u /* a fifth of a second; a server's word is no order */
#define SCRAM_MESSAGE_MAX    4096u

struct scram_client;

/* `sha1`: SCRAM-SHA-1.  NULL when libgsasl cannot. */
struct scram_client *scram_client_new(bool sha1, const char *user);
void scram_client_free(struct scram_client *s); /* wipes */
/* Appends "n,,n=user,r=nonce"; false when that is over SCRAM_MESSAGE_MAX. */
bool scram_client_first(struct scram_client *s, struct buf *out) MUST_CHECK;
/* Takes "r=…,s=…,i=…", whose nonce must extend ours, and says what the password is to be
 * salted with; `salt` (base64) is valid as long as `s`. */
bool scram_client_challenge(struct scram_client *s, struct bytes message, struct bytes *salt,
	uint32_t *iterations, struct fault *why) MUST_CHECK;
/* Appends "c=…,r=…,p=…", of SCRAM_MESSAGE_MAX at most; `salted` as hex. */
bool scram_client_proof(
	struct scram_client *s, const char *salted, struct buf *out, struct fault *why) MUST_CHECK;
/* Whether "v=…" proves that the server knows the password, too. */
bool scram_client_verify(
	struct scram_client *s, struct bytes message, struct fault *why) MUST_CHECK;

#endif
