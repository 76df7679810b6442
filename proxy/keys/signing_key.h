/* signing_key.h - an Ed25519 key that signs checkpoints of the audit log, or policies.
 *
 * Its file holds the 32-byte seed, raw or as a line of hex, and is private to its owner.
 * `init` and `policy seal --new-key` write one, with the public key beside it in a file of
 * that name and `.pub`: 64 hex digits.
 */
#ifndef PROXY_KEYS_SIGNING_KEY_H
#define PROXY_KEYS_SIGNING_KEY_H

#include "util/fault.h"

#define SIGNING_SEED_LEN   32u
#define SIGNING_PUBLIC_LEN 32u
#define SIGNATURE_LEN      64u

struct signing_key {
	uint8_t seed_and_public[64]; /* as libsodium has its secret keys */
	uint8_t public_key[SIGNING_PUBLIC_LEN];
};

/* In locked memory.  NULL and a fault, whose detail says what is wrong with the file. */
struct signing_key *signing_key_load(const char *file, struct fault *why);
void signing_key_free(struct signing_key *k);
/* A new one in `file`, with its public key in FILE.pub; neither may be there yet. */
bool signing_key_create(const char *file, struct fault *why) MUST_CHECK;

void signing_key_sign(
	const struct signing_key *k, struct bytes message, uint8_t out[SIGNATURE_LEN]);
bool signature_is_valid(const uint8_t public_key[SIGNING_PUBLIC_LEN], struct bytes message,
	const uint8_t signature[SIGNATURE_LEN]) MUST_CHECK;

#endif
