#include "keys/signing_key.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "keys/locked.h"
#include "util/file.h"
#include "util/hex.h"
#include "util/memory.h"

#define FILE_MAX 1024u

/* 32 bytes, raw or as a line of hex. */
static bool read_seed(struct bytes text, uint8_t seed[SIGNING_SEED_LEN])
{
	if (text.len == SIGNING_SEED_LEN) {
		memcpy(seed, text.at, SIGNING_SEED_LEN);
		return true;
	}
	while (text.len && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
		text.len--;
	return hex_read(text, seed, SIGNING_SEED_LEN);
}

static bool read_file(struct signing_key *k, const char *file, struct fault *why)
{
	uint8_t seed[SIGNING_SEED_LEN];
	const char *problem = NULL;
	struct buf text;
	bool fine;

	buf_init(&text, FILE_MAX);
	(void)buf_reserve(&text, FILE_MAX);
	fine = file_read_secret(file, &text, &problem);
	if (!fine)
		fault_set(why, FAULT_KEYS, "%s", problem ? problem : "cannot be read");
	else if (!(fine = read_seed(buf_bytes(&text), seed)))
		fault_set(why, FAULT_KEYS,
			"is no signing key: 32 bytes, raw or in hex, are expected");
	else
		crypto_sign_seed_keypair(k->public_key, k->seed_and_public, seed);
	buf_wipe(&text);
	sodium_memzero(seed, sizeof(seed));
	return fine;
}

struct signing_key *signing_key_load(const char *file, struct fault *why)
{
	bool locked;
	struct signing_key *k = locked_array(1, sizeof(*k), false, &locked, why);

	if (!k || read_file(k, file, why))
		return k;
	locked_free(k);
	return NULL;
}

void signing_key_free(struct signing_key *k)
{
	if (k)
		locked_free(k);
}

void signing_key_sign(const struct signing_key *k, struct bytes message, uint8_t out[SIGNATURE_LEN])
{
	crypto_sign_detached(out, NULL, message.at, message.len, k->seed_and_public);
}

bool signature_is_valid(const uint8_t public_key[SIGNING_PUBLIC_LEN], struct bytes message,
	const uint8_t signature[SIGNATURE_LEN])
{
	return crypto_sign_verify_detached(signature, message.at, message.len, public_key) == 0;
}

/* A line of hex; the secret one is wiped by the caller. */
static bool write_line(const char *file, const uint8_t *at, char line[2 * SIGNING_SEED_LEN + 2],
	mode_t mode, struct fault *why)
{
	hex_write(at, SIGNING_SEED_LEN, line);
	line[2 * SIGNING_SEED_LEN] = '\n';
	return file_create(file, bytes_of(line, 2 * SIGNING_SEED_LEN + 1), mode) ||
	       fault_set(why, FAULT_KEYS, "%.100s cannot be written: %s", file, strerror(errno));
}

bool signing_key_create(const char *file, struct fault *why)
{
	uint8_t seed[SIGNING_SEED_LEN], public_key[SIGNING_PUBLIC_LEN];
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	char line[2 * SIGNING_SEED_LEN + 2], *public_file = memory_format("%s.pub", file);
	bool made;

	randombytes_buf(seed, sizeof(seed));
	crypto_sign_seed_keypair(public_key, secret, seed);
	made = write_line(file, seed, line, 0600, why);
	if (made && !write_line(public_file, public_key, line, 0644, why)) {
		made = false;
		unlink(file);
	}
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(line, sizeof(line));
	free(public_file);
	return made;
}
