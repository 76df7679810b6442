#include "keys/aes.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "util/log.h"

static EVP_CIPHER *ciphers[2]; /* by mode */
static pthread_once_t ciphers_once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	ciphers[AES_CBC] = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	ciphers[AES_ECB] = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
}

bool aes_available(struct fault *why)
{
	pthread_once(&ciphers_once, fetch);
	if (!ciphers[AES_CBC] || !ciphers[AES_ECB])
		return fault_set(why, FAULT_KEYS, "OpenSSL offers no AES-256 here");
	return true;
}

/* With a key of the right size and whole blocks OpenSSL fails only without memory. */
static void must(int done)
{
	if (done == 1)
		return;
	log_error("keys", "AES-256 failed: out of memory");
	abort();
}

/* Expanded key and IV lie in one allocation of under SPAN bytes, and OpenSSL tells where
 * the IV is.  The pages around stay out of core dumps for good, which harms nobody. */
static void leave_out_of_core_dumps(EVP_CIPHER_CTX *ctx)
{
	enum { SPAN = 1024 };
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from, to;
	void *iv = NULL;
	OSSL_PARAM wanted[] = {
		OSSL_PARAM_construct_octet_ptr(OSSL_CIPHER_PARAM_IV, &iv, 0),
		OSSL_PARAM_construct_end(),
	};

	if (EVP_CIPHER_CTX_get_params(ctx, wanted) != 1 || !iv)
		return;
	from = ((uintptr_t)iv - SPAN) / page * page;
	to = ((uintptr_t)iv + SPAN + page) / page * page;
	(void)madvise((void *)from, to - from, MADV_DONTDUMP);
}

EVP_CIPHER_CTX *aes_new(enum aes_mode mode, bool encrypts, const uint8_t key[AES_KEY_LEN])
{
	static const uint8_t no_iv[AES_BLOCK_LEN];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	must(ctx != NULL);
	must(EVP_CipherInit_ex2(ctx, ciphers[mode], key, no_iv, encrypts, NULL));
	must(EVP_CIPHER_CTX_set_padding(ctx, 0));
	leave_out_of_core_dumps(ctx);
	return ctx;
}

void aes_set_iv(EVP_CIPHER_CTX *ctx, const uint8_t iv[AES_BLOCK_LEN])
{
	must(EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL));
}

void aes_run(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t len, uint8_t *out)
{
	int written = 0;

	must(EVP_CipherUpdate(ctx, out, &written, in, (int)len));
}
