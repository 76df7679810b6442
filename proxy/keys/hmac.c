/* OpenSSL 3 discourages these functions in favour of EVP; hmac.h says why they are here. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "keys/hmac.h"

#include <assert.h>

#include <sodium.h>

static void start(SHA512_CTX *state, struct bytes key, uint8_t pad)
{
	uint8_t block[HMAC_KEY_MAX];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < key.len; i++)
		block[i] ^= key.at[i];
	SHA512_Init(state);
	SHA512_Update(state, block, sizeof(block));
	sodium_memzero(block, sizeof(block));
}

void hmac_key_set(struct hmac_key *k, struct bytes key)
{
	assert(key.len <= HMAC_KEY_MAX);
	start(&k->inner, key, 0x36);
	start(&k->outer, key, 0x5c);
}

void hmac_compute(
	const struct hmac_key *k, const struct bytes *parts, size_t nparts, uint8_t out[HMAC_LEN])
{
	SHA512_CTX state = k->inner;

	for (size_t i = 0; i < nparts; i++)
		SHA512_Update(&state, parts[i].at, parts[i].len);
	SHA512_Final(out, &state);
	state = k->outer;
	SHA512_Update(&state, out, HMAC_LEN);
	SHA512_Final(out, &state);
	sodium_memzero(&state, sizeof(state));
}
