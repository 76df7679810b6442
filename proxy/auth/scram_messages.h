/* scram_messages.h - the messages and the arithmetic of SCRAM-SHA-256, without any state.
 *
 * Own code and not libgsasl's server: that one compares the proof with memcmp, draws 18
 * bytes of nonce, leaves copies of keys on the heap, and treats an unknown user apart.
 * libgsasl's client is what the tests run against this.
 */
#ifndef PROXY_AUTH_SCRAM_MESSAGES_H
#define PROXY_AUTH_SCRAM_MESSAGES_H

#include "auth/users.h"
#include "util/buf.h"
#include "util/fault.h"

#define SCRAM_HASH_LEN 32u

/* Views into the client's first message. */
struct scram_client_first {
	struct bytes gs2_header; /* "n,," or "y,,": no channel binding, no other identity */
	struct bytes bare;       /* all behind it, for the AuthMessage */
	struct bytes nonce;
	uint8_t name[USER_NAME_MAX]; /* with =2C and =3D resolved */
	size_t name_len;
};
bool scram_parse_client_first(
	struct scram_client_first *m, struct bytes payload, struct fault *why) MUST_CHECK;

struct scram_client_final {
	struct bytes without_proof; /* for the AuthMessage */
	struct bytes binding;       /* base64 */
	struct bytes nonce;
	uint8_t proof[SCRAM_HASH_LEN];
};
bool scram_parse_client_final(
	struct scram_client_final *m, struct bytes payload, struct fault *why) MUST_CHECK;

/* "r=…,s=…,i=…" */
void scram_put_server_first(
	struct buf *out, struct bytes nonce, struct bytes salt, uint32_t iterations);

/* Whether the proof was made with the key that `v` verifies, in constant time; and the
 * server's own signature. */
bool scram_check_proof(const struct scram_verifier *v, struct bytes auth_message,
	const uint8_t proof[SCRAM_HASH_LEN], uint8_t signature[SCRAM_HASH_LEN]) MUST_CHECK;

/* Appends base64 with padding. */
void scram_put_base64(struct buf *out, struct bytes b);
/* Strict: padded, no white space, no stray bits.  False also when it is not 1 to `max`
 * bytes. */
bool scram_base64(struct bytes text, uint8_t *out, size_t max, size_t *len) MUST_CHECK;

#endif
