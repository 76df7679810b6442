/* aead.h - AEAD_AES_256_CBC_HMAC_SHA_512, prepared for one key.
 *
 * The 96 key bytes are MAC key, encryption key and IV key, 32 each.  Sealed is
 * IV || ciphertext (PKCS #7) || MAC, the first 32 bytes of HMAC-SHA-512 over associated
 * data || IV || ciphertext || length of the associated data in bits (64, big-endian).
 *
 * Sources: draft-mcgrew-aead-aes-cbc-hmac-sha2-05, whose key is the first 64 bytes;
 * MongoDB's client-side encryption specification for the rest (deterministic IV).
 */
#ifndef PROXY_KEYS_AEAD_H
#define PROXY_KEYS_AEAD_H

#include "keys/aes.h"
#include "keys/hmac.h"

#define AEAD_KEY_LEN   96u
#define AEAD_IV_LEN    AES_BLOCK_LEN
#define AEAD_MAC_LEN   32u
#define AEAD_EMPTY_LEN (AEAD_IV_LEN + AES_BLOCK_LEN + AEAD_MAC_LEN) /* nothing, sealed */
#define AEAD_PLAIN_MAX (1u << 30) /* bytes; callers have limits far below */

/* What is made of the key and as secret: the owner keeps it in locked memory. */
struct aead_secrets {
	struct hmac_key mac;
	struct hmac_key iv;
};

struct aead {
	const uint8_t *key;            /* borrowed */
	struct aead_secrets *secrets;  /* borrowed */
	EVP_CIPHER_CTX *seals, *opens; /* NULL until first needed */
};

/* `key` and `secrets`, which is filled in, stay in place until aead_fini.  Needs
 * aes_available. */
void aead_init(struct aead *a, const uint8_t key[AEAD_KEY_LEN], struct aead_secrets *secrets);
/* Wipes what was made of the key. */
void aead_fini(struct aead *a);

static inline size_t aead_sealed_len(size_t len)
{
	return AEAD_IV_LEN + (len / AES_BLOCK_LEN + 1) * AES_BLOCK_LEN + AEAD_MAC_LEN;
}

/* The IV of deterministic sealing. */
void aead_derive_iv(
	const struct aead *a, struct bytes ad, struct bytes plain, uint8_t iv[AEAD_IV_LEN]);
/* Writes aead_sealed_len(plain.len) bytes to `out`, which `plain` does not overlap. */
void aead_seal(struct aead *a, struct bytes ad, const uint8_t iv[AEAD_IV_LEN], struct bytes plain,
	uint8_t *out);
/* The MAC is compared first, in constant time.  `room` has space for sealed.len bytes;
 * `*plain` then lies in it.  False: not sealed under this key and associated data. */
bool aead_open(struct aead *a, struct bytes ad, struct bytes sealed, uint8_t *room,
	struct bytes *plain) MUST_CHECK;

#endif
