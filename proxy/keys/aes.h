/* aes.h - AES-256 as OpenSSL has it, fetched once for the process. */
#ifndef PROXY_KEYS_AES_H
#define PROXY_KEYS_AES_H

#include <openssl/evp.h>

#include "util/fault.h"

#define AES_KEY_LEN   32u
#define AES_BLOCK_LEN 16u

enum aes_mode { AES_CBC, AES_ECB };

/* False when OpenSSL as it is configured here offers no AES-256.  Whoever makes the
 * first object of this module asks; the functions below rely on it. */
bool aes_available(struct fault *why) MUST_CHECK;

/* A context without padding, for whole blocks in one direction.  It lies on OpenSSL's
 * heap, which wipes it when it is freed; core dumps leave it out.  Aborts when there is
 * no memory. */
EVP_CIPHER_CTX *aes_new(enum aes_mode mode, bool encrypts, const uint8_t key[AES_KEY_LEN]);
/* The IV of the next aes_run; needed by AES_CBC. */
void aes_set_iv(EVP_CIPHER_CTX *ctx, const uint8_t iv[AES_BLOCK_LEN]);
/* `len` is a multiple of AES_BLOCK_LEN, below 2^30; `out` may be `in`. */
void aes_run(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t len, uint8_t *out);

#endif
