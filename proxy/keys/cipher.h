/* cipher.h - seals and opens values in MongoDB's client-side encryption format.
 *
 * AEAD_AES_256_CBC_HMAC_SHA_512 as the CSFLE specification has it, content of a Binary
 * of subtype 6: algorithm byte (1 deterministic, 2 random), key id, BSON type, then IV,
 * ciphertext and MAC over (algorithm, key id, type) as associated data.
 *
 * What may be sealed is what the specification lets a driver seal, and nothing else is
 * opened: never null, undefined, min key, max key or a Binary of subtype 6;
 * deterministically no double, decimal, bool, document, array or code with scope.  A
 * value is exactly one well-formed BSON value of its type, at any depth, before it is
 * sealed and after it is opened: all lengths, terminating NULs and bools are right and
 * nothing stands behind its end, so that it can be put into a document and walked without
 * another look.  Two things are not promised: that names and strings are UTF-8, and that
 * no Binary of subtype 6 stands inside an opened document.
 *
 * One cipher belongs to one thread: it keeps prepared contexts (at most
 * CIPHER_PREPARED_MAX, of the keys used last) and a store of random IVs.  Hash states and
 * IVs lie in memory that is locked as far as RLIMIT_MEMLOCK allows; expanded AES keys lie
 * on OpenSSL's heap.  All are wiped and left out of core dumps.
 */
#ifndef PROXY_KEYS_CIPHER_H
#define PROXY_KEYS_CIPHER_H

#include "keys/keyring.h"

enum seal_algorithm { SEAL_DETERMINISTIC = 1, SEAL_RANDOM = 2 };

/* Content of a Binary before the ciphertext: algorithm, key id, type. */
#define SEALED_HEAD_LEN     18u
#define CIPHER_VALUE_MAX    (16u * 1024 * 1024) /* bytes; a document of MongoDB's is no larger */
#define CIPHER_PREPARED_MAX 64

struct cipher;

/* Holds a reference to `k`, which must be complete.  Aborts when there is no memory. */
struct cipher *cipher_new(struct keyring *k);
void cipher_free(struct cipher *c);
const struct keyring *cipher_keyring(const struct cipher *c);

/* Whether values of that BSON type may be sealed; of Binary, all but subtype 6. */
bool cipher_allows(enum seal_algorithm algorithm, uint8_t type);
/* How many bytes the content of the Binary takes for a value of `len` bytes. */
size_t cipher_sealed_len(size_t len);
/* Appends the content of the Binary.  `type` and `value` are those of the BSON element;
 * `value` does not lie in `out`.  False, and `out` as it was: the type may not be sealed,
 * the value is malformed or over CIPHER_VALUE_MAX, or `out` has no room (and is failed). */
bool cipher_seal(struct cipher *c, int key, enum seal_algorithm algorithm, uint8_t type,
	struct bytes value, struct buf *out, struct fault *why) MUST_CHECK;

enum cipher_opened {
	OPENED,
	OPEN_FOREIGN, /* under no key of this keyring: somebody else's, never opened */
	OPEN_DAMAGED, /* under one of ours, but the MAC, padding, type or value is wrong */
};
struct opened {
	int key; /* all that is set when damaged; KEY_NONE when foreign */
	enum seal_algorithm algorithm;
	uint8_t type;
	struct bytes value; /* borrowed from the cipher until the next call on it */
};
/* The key that sealed a Binary's content, without opening it; KEY_NONE if not ours.  A
 * content too short to name a key is nobody's; the algorithm byte is not looked at, so
 * that whatever names one of our keys counts as ours. */
int cipher_key_of(const struct keyring *k, struct bytes content);
enum cipher_opened cipher_open(struct cipher *c, struct bytes content, struct opened *out);
/* The same for a content whose key is known already, from cipher_key_of; false: damaged. */
bool cipher_open_under(
	struct cipher *c, int key, struct bytes content, struct opened *out) MUST_CHECK;

#endif
