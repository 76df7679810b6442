/* hmac.h - HMAC-SHA-512 with its key already taken in.
 *
 * Half of the work on a short message is hashing the padded key, so both hash states
 * behind it are kept and copied.  They are as secret as the key: the caller keeps a
 * struct hmac_key in locked memory (which is why SHA-512 comes from OpenSSL's functions
 * that work on a caller's state, and not from EVP, which keeps it on its own heap).
 *
 * Source: RFC 2104, RFC 4231 (test vectors).
 */
#ifndef PROXY_KEYS_HMAC_H
#define PROXY_KEYS_HMAC_H

#include <openssl/sha.h>

#include "util/bytes.h"

#define HMAC_LEN     64u
#define HMAC_KEY_MAX 128u /* longer keys would be hashed first; there are none here */

struct hmac_key {
	SHA512_CTX inner;
	SHA512_CTX outer;
};

/* `key` has at most HMAC_KEY_MAX bytes. */
void hmac_key_set(struct hmac_key *k, struct bytes key);
/* Over the parts, one after the other. */
void hmac_compute(
	const struct hmac_key *k, const struct bytes *parts, size_t nparts, uint8_t out[HMAC_LEN]);

#endif
