/* scram_fixture.h - a server's half of SCRAM, by OpenSSL and from RFC 5802 alone. */
#ifndef TESTS_UNIT_SCRAM_FIXTURE_H
#define TESTS_UNIT_SCRAM_FIXTURE_H

#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define FIXTURE_TEXT_MAX 5000

struct scram_server {
	bool sha1;
	const char *user, *password;
	const char *salt; /* base64, with its padding */
	unsigned iterations;
	char bare[FIXTURE_TEXT_MAX];  /* client-first-message-bare */
	char first[FIXTURE_TEXT_MAX]; /* server-first-message */
	char signature[100];          /* base64, once a proof has come */
};

static inline const EVP_MD *fixture_hash(const struct scram_server *s)
{
	return s->sha1 ? EVP_sha1() : EVP_sha256();
}

static inline size_t fixture_hash_len(const struct scram_server *s)
{
	return s->sha1 ? 20 : 32;
}

static inline void fixture_hmac(
	const struct scram_server *s, const uint8_t *key, const char *text, uint8_t *out)
{
	assert_non_null(HMAC(fixture_hash(s), key, (int)fixture_hash_len(s), (const uint8_t *)text,
		strlen(text), out, NULL));
}

/* MongoDB's SCRAM-SHA-1 knows the password only as this. */
static inline void fixture_sha1_password(const struct scram_server *s, char out[33])
{
	char text[200];
	uint8_t digest[16];

	snprintf(text, sizeof(text), "%s:mongo:%s", s->user, s->password);
	assert_true(EVP_Digest(text, strlen(text), digest, NULL, EVP_md5(), NULL));
	for (size_t i = 0; i < sizeof(digest); i++)
		sprintf(out + 2 * i, "%02x", digest[i]);
}

static inline void fixture_salted(const struct scram_server *s, uint8_t out[32])
{
	uint8_t salt[200];
	int salt_len = EVP_DecodeBlock(salt, (const uint8_t *)s->salt, (int)strlen(s->salt));
	const char *padding = strchr(s->salt, '=');
	char digest[33];
	const char *password = s->password;

	assert_true(salt_len > 0);
	salt_len -= padding ? (int)strlen(padding) : 0;
	if (s->sha1) {
		fixture_sha1_password(s, digest);
		password = digest;
	}
	assert_true(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, salt_len,
		(int)s->iterations, fixture_hash(s), (int)fixture_hash_len(s), out));
}

/* The client's first message; ours is in `first` then. */
static inline void fixture_challenge(struct scram_server *s, const char *client_first, size_t len)
{
	const char *nonce;

	assert_true(len > 3 && memcmp(client_first, "n,,", 3) == 0);
	snprintf(s->bare, sizeof(s->bare), "%.*s", (int)len - 3, client_first + 3);
	nonce = strstr(s->bare, ",r=");
	assert_non_null(nonce);
	snprintf(s->first, sizeof(s->first), "r=%sSERVER,s=%s,i=%u", nonce + 3, s->salt,
		s->iterations);
}

/* Whether the client's last message proves the password. */
static inline bool fixture_proves(struct scram_server *s, const char *client_final, size_t len)
{
	uint8_t salted[32], key[32], stored[32], signature[32], proof[100];
	char text[3 * FIXTURE_TEXT_MAX], final[FIXTURE_TEXT_MAX];
	size_t hash_len = fixture_hash_len(s);
	char *at;

	snprintf(final, sizeof(final), "%.*s", (int)len, client_final);
	at = strstr(final, ",p=");
	assert_non_null(at);
	*at = 0;
	snprintf(text, sizeof(text), "%s,%s,%s", s->bare, s->first, final);
	fixture_salted(s, salted);
	fixture_hmac(s, salted, "Client Key", key);
	assert_true(EVP_Digest(key, hash_len, stored, NULL, fixture_hash(s), NULL));
	fixture_hmac(s, stored, text, signature);
	if (EVP_DecodeBlock(proof, (const uint8_t *)at + 3, (int)strlen(at + 3)) < (int)hash_len)
		return false;
	for (size_t i = 0; i < hash_len; i++)
		if ((proof[i] ^ signature[i]) != key[i])
			return false;
	fixture_hmac(s, salted, "Server Key", key);
	fixture_hmac(s, key, text, signature);
	EVP_EncodeBlock((uint8_t *)s->signature, signature, (int)hash_len);
	return true;
}

#endif
