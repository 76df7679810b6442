#include "keys/master.h"

#include <stdlib.h>

#include <sodium.h>

#include "keys/aes.h"
#include "keys/locked.h"
#include "keys/secrets.h"
#include "util/buf.h"
#include "util/file.h"
#include "util/memory.h"

#define BASE64_LEN (MASTER_LEN / 3 * 4)
#define FILE_MAX   (BASE64_LEN + 2) /* a line may end in CR LF */

struct master_secrets {
	uint8_t key_encryption_key[MASTER_LEN];
	uint8_t root[SUBKEY_LEN]; /* of the subkeys */
	uint8_t sessions[SUBKEY_LEN];
	uint8_t vault_mac[SUBKEY_LEN];
	uint8_t tokens[TOKEN_KIND_COUNT][SUBKEY_LEN];
};

struct master {
	struct master_secrets *secrets; /* locked */
	bool locked;
};

/* Names and personalisation are fixed for good: what is stored depends on them. */
static const char *const token_names[TOKEN_KIND_COUNT] = {
	[TOKEN_AUDIT_SUBJECT] = "audit-subject",
	[TOKEN_AUDIT_SEARCHED] = "audit-searched",
	[TOKEN_SUBJECT] = "subject",
	[TOKEN_NOISE] = "noise",
	[TOKEN_PSEUDONYM] = "pseudonym",
	[TOKEN_STATISTICS] = "statistics",
	[TOKEN_FAKE_SALT] = "fake-salt",
};
static const uint8_t personalisation[crypto_generichash_blake2b_PERSONALBYTES] = {
	'm', 'o', 'n', 'g', 'o', 'w', 'a', 'r', 'd', ' ', 's', 'u', 'b', 'k', 'e', 'y'};

static void derive(uint8_t out[SUBKEY_LEN], const char *name, const struct master_secrets *s)
{
	(void)crypto_generichash_blake2b(
		out, SUBKEY_LEN, (const uint8_t *)name, strlen(name), s->root, sizeof(s->root));
}

static void derive_all(struct master_secrets *s)
{
	(void)crypto_generichash_blake2b_salt_personal(s->root, sizeof(s->root),
		s->key_encryption_key, sizeof(s->key_encryption_key), NULL, 0, NULL,
		personalisation);
	derive(s->sessions, "sessions", s);
	derive(s->vault_mac, "vault-mac", s);
	for (size_t i = 0; i < TOKEN_KIND_COUNT; i++)
		derive(s->tokens[i], token_names[i], s);
	sodium_memzero(s->root, sizeof(s->root));
}

struct master *master_new(const uint8_t bytes[MASTER_LEN], bool require_mlock, struct fault *why)
{
	struct master_secrets *secrets;
	struct master *m;
	bool locked;

	if (!aes_available(why))
		return NULL;
	secrets = locked_array(1, sizeof(*secrets), require_mlock, &locked, why);
	if (!secrets)
		return NULL;
	memcpy(secrets->key_encryption_key, bytes, MASTER_LEN);
	derive_all(secrets);
	m = memory_new(sizeof(*m));
	*m = (struct master){.secrets = secrets, .locked = locked};
	return m;
}

void master_free(struct master *m)
{
	if (!m)
		return;
	locked_free(m->secrets);
	free(m);
}

bool master_is_locked(const struct master *m)
{
	return m->locked;
}

/* `text` is one line of base64. */
static bool decode(struct bytes text, uint8_t out[MASTER_LEN])
{
	size_t len = 0;

	if (text.len && text.at[text.len - 1] == '\n')
		text.len--;
	if (text.len && text.at[text.len - 1] == '\r')
		text.len--;
	return text.len == BASE64_LEN && bytes_are_ascii(text) &&
	       sodium_base642bin(out, MASTER_LEN, (const char *)text.at, text.len, NULL, &len, NULL,
		       sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       len == MASTER_LEN;
}

static struct master *from_content(
	const char *file, struct bytes content, bool require_mlock, struct fault *why)
{
	uint8_t decoded[MASTER_LEN];
	struct master *m = NULL;

	if (content.len == MASTER_LEN)
		return master_new(content.at, require_mlock, why);
	if (decode(content, decoded))
		m = master_new(decoded, require_mlock, why);
	else
		fault_set(
			why, FAULT_KEYS, "%s: neither 96 bytes nor their base64 on one line", file);
	sodium_memzero(decoded, sizeof(decoded));
	return m;
}

struct master *master_load(const char *file, bool require_mlock, struct fault *why)
{
	struct buf content;
	struct master *m = NULL;
	const char *problem;

	buf_init(&content, FILE_MAX);
	if (file_read_secret(file, &content, &problem))
		m = from_content(file, buf_bytes(&content), require_mlock, why);
	else
		fault_set(why, FAULT_KEYS, "%s: %s", file, problem);
	buf_wipe(&content);
	return m;
}

void master_token(const struct master *m, enum token_kind kind, const struct bytes *parts,
	size_t nparts, struct token *out)
{
	crypto_generichash_blake2b_state state;

	(void)crypto_generichash_blake2b_init(
		&state, m->secrets->tokens[kind], SUBKEY_LEN, sizeof(out->bytes));
	for (size_t i = 0; i < nparts; i++)
		(void)crypto_generichash_blake2b_update(&state, parts[i].at, parts[i].len);
	(void)crypto_generichash_blake2b_final(&state, out->bytes, sizeof(out->bytes));
	sodium_memzero(&state, sizeof(state));
}

const uint8_t *master_key_encryption_key(const struct master *m)
{
	return m->secrets->key_encryption_key;
}

const uint8_t *master_sessions_subkey(const struct master *m)
{
	return m->secrets->sessions;
}

const uint8_t *master_vault_mac_subkey(const struct master *m)
{
	return m->secrets->vault_mac;
}
