#include "cli/config_inside.h"

#include <errno.h>

#include <sodium.h>

#include "util/file.h"
#include "util/hex.h"

#define KEY_FILE_MAX 1024u

static bool read_key(const char *text, uint8_t key[SIGNING_PUBLIC_LEN])
{
	return hex_read(bytes_str(text), key, SIGNING_PUBLIC_LEN);
}

static bool load_key(const char *path, struct place at, uint8_t key[SIGNING_PUBLIC_LEN],
	struct complaints *complaints)
{
	struct buf text;
	bool fine;

	buf_init(&text, KEY_FILE_MAX);
	fine = file_read(path, &text) ||
	       complain(complaints, at, "64 hex digits, or a file that holds them",
		       "the signer %s: %s", path, text.failed ? "too large" : strerror(errno));
	if (fine) {
		while (text.len && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
			text.len--;
		fine = hex_read(buf_bytes(&text), key, SIGNING_PUBLIC_LEN) ||
		       complain(complaints, at, "mongoward policy seal --new-key FILE",
			       "the signer %s holds no public key of 64 hex digits", path);
	}
	buf_fini(&text);
	return fine;
}

/* Public keys, or paths of files that hold one. */
static void read_signers(struct loading *l, struct place at)
{
	struct config *c = l->config;
	size_t n = c->signers.count;
	uint8_t(*keys)[SIGNING_PUBLIC_LEN] = arena_array(&c->arena, n, sizeof(*keys));

	if (n > SEAL_SIGNATURES_MAX) {
		complain(l->complaints, at, NULL, "over %u signers", SEAL_SIGNATURES_MAX);
		return;
	}
	c->trust = (struct seal_trust){keys, n, c->threshold};
	for (size_t i = 0; i < n; i++) {
		const char *text = c->signers.at[i];

		if (!read_key(text, keys[i]) &&
			!load_key(config_resolved(l, text), at, keys[i], l->complaints))
			continue;
		for (size_t k = 0; k < i; k++)
			if (memcmp(keys[k], keys[i], sizeof(keys[i])) == 0)
				complain(l->complaints, at, "keep one of them",
					"the signer %s stands twice", text);
	}
}

void config_check_policy(struct loading *l)
{
	struct config *c = l->config;
	struct place signers = config_place_of(l, "policy.signers");
	bool given = c->texts[config_row_of("policy.signers")] != NULL;

	if (c->policy && c->policy_directory)
		complain(l->complaints, config_place_of(l, "policy.directory"), "keep one of them",
			"policy and policy.directory exclude each other");
	else if (c->policy_directory)
		c->policy = c->policy_directory;
	else
		config_need(l, "policy", "policy: policies/hospital");
	if (given)
		read_signers(l, signers);
	if (given && !c->signers.count)
		complain(l->complaints, signers, "leave it out if nothing needs a seal",
			"no signer is named");
	else if (given && !c->threshold)
		complain(l->complaints, signers, "threshold: 2", "'policy.threshold' is missing");
	else if (!given && c->threshold)
		complain(l->complaints, config_place_of(l, "policy.threshold"),
			"signers: [keys/ada.pub]", "'policy.signers' is missing");
	else if (c->threshold > c->signers.count)
		complain(l->complaints, config_place_of(l, "policy.threshold"), "lower it",
			"policy.threshold is above the number of signers");
}

bool config_same_signers(const struct seal_trust *a, const struct seal_trust *b)
{
	return a->nsigners == b->nsigners &&
	       (!a->nsigners ||
		       memcmp(a->signers, b->signers, a->nsigners * SIGNING_PUBLIC_LEN) == 0);
}

static bool is_default(const struct config_row *row, const char *text)
{
	return row->default_text && strcmp(row->default_text, text) == 0;
}

void config_print_audit(struct config *c)
{
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, NULL, 0, sizeof(c->audit_print));
	for (size_t i = 0; i < config_nrows; i++) {
		const struct config_row *row = &config_rows[i];
		const char *text = c->texts[i];

		if (strncmp(row->path, "audit.", 6) != 0 || !text || is_default(row, text))
			continue;
		crypto_generichash_update(&hash, (const uint8_t *)row->path, strlen(row->path) + 1);
		crypto_generichash_update(&hash, (const uint8_t *)text, strlen(text) + 1);
	}
	crypto_generichash_final(&hash, c->audit_print, sizeof(c->audit_print));
}
