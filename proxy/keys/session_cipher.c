#include <stdlib.h>

#include <sodium.h>

#include "keys/aes.h"
#include "keys/secrets.h"
#include "util/memory.h"

struct session_cipher {
	EVP_CIPHER_CTX *there;
	EVP_CIPHER_CTX *back;
};

struct session_cipher *session_cipher_new(const struct master *m, struct bytes user)
{
	struct session_cipher *c = memory_new(sizeof(*c));
	uint8_t key[AES_KEY_LEN];

	(void)crypto_generichash_blake2b(
		key, sizeof(key), user.at, user.len, master_sessions_subkey(m), SUBKEY_LEN);
	c->there = aes_new(AES_ECB, true, key);
	c->back = aes_new(AES_ECB, false, key);
	sodium_memzero(key, sizeof(key));
	return c;
}

void session_cipher_free(struct session_cipher *c)
{
	if (!c)
		return;
	EVP_CIPHER_CTX_free(c->there);
	EVP_CIPHER_CTX_free(c->back);
	free(c);
}

void session_cipher_apply(struct session_cipher *c, bool reverse, uint8_t id[16])
{
	aes_run(reverse ? c->back : c->there, id, AES_BLOCK_LEN, id);
}
