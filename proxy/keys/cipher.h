/* cipher.h - seals and opens values in MongoDB's client-side encryption format.
 *
 * AEAD_AES_256_CBC_HMAC_SHA_512 as the CSFLE specification has it, content of a Binary
 * of subtype 6: algorithm byte (1 deterministic, 2 random), key id, BSON type, then IV,
 * ciphertext and MAC over (algorithm, key id, type) as associated data.
 *
 * One cipher belongs to one thread: it keeps prepared contexts (at most 64, of the keys
 * used last; wiped, left out of core dumps) and a store of random IVs.
 */
#ifndef PROXY_KEYS_CIPHER_H
#define PROXY_KEYS_CIPHER_H

#include "keys/keyring.h"

enum seal_algorithm { SEAL_DETERMINISTIC = 1, SEAL_RANDOM = 2 };

/* Content of a Binary before the ciphertext: algorithm, key id, type. */
#define SEALED_HEAD_LEN 18u

struct cipher;

struct cipher *cipher_new(struct keyring *k); /* holds a reference */
void cipher_free(struct cipher *c);
const struct keyring *cipher_keyring(const struct cipher *c);

/* How many bytes the content of the Binary takes for a value of `len` bytes. */
size_t cipher_sealed_len(size_t len);
/* Appends the content of the Binary.  `type` and `value` are those of the BSON element. */
bool cipher_seal(struct cipher *c, int key, enum seal_algorithm algorithm, uint8_t type,
	struct bytes value, struct buf *out, struct fault *why) MUST_CHECK;

enum cipher_opened {
	OPENED,
	OPEN_FOREIGN, /* under no key of this keyring: somebody else's, never opened */
	OPEN_DAMAGED, /* under one of ours, but the MAC, padding, type or value is wrong */
};
struct opened {
	int key;
	enum seal_algorithm algorithm;
	uint8_t type;
	struct bytes value; /* borrowed from the cipher until the next call on it */
};
/* The key that sealed a Binary's content, without opening it; KEY_NONE if not ours.  A
 * content too short to name a key is nobody's. */
int cipher_key_of(const struct keyring *k, struct bytes content);
enum cipher_opened cipher_open(struct cipher *c, struct bytes content, struct opened *out);

#endif
