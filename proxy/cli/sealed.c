#include "cli/sealed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/file.h"
#include "util/hex.h"
#include "util/memory.h"

#define STATE_MAX  256u
#define DIGITS_MAX 15u /* of SEAL_VERSION_MAX */

struct taken {
	uint64_t version; /* 0: none yet */
	uint8_t hash[SEAL_HASH_LEN];
};

static char *state_path(const struct config *c)
{
	return memory_format("%s/" SEALED_STATE, c->audit.directory);
}

/* "VERSION HASH\n", and nothing else: half a line is no state. */
static bool parse_state(struct bytes text, struct taken *out)
{
	size_t digits = 0;

	out->version = 0;
	while (digits < text.len && digits < DIGITS_MAX && text.at[digits] >= '0' &&
		text.at[digits] <= '9')
		out->version = out->version * 10 + (uint64_t)(text.at[digits++] - '0');
	if (!out->version || digits == text.len || text.at[digits] != ' ')
		return false;
	text = bytes_from(text, digits + 1);
	return text.len == 2 * SEAL_HASH_LEN + 1 && text.at[text.len - 1] == '\n' &&
	       hex_read(bytes_head(text, text.len - 1), out->hash, SEAL_HASH_LEN);
}

static bool read_state(const struct config *c, struct taken *out, struct complaints *complaints)
{
	char *path = state_path(c);
	const struct place at = {.file = path};
	struct buf text;
	bool fine = true;

	*out = (struct taken){0};
	buf_init(&text, STATE_MAX);
	if (file_read(path, &text))
		fine = parse_state(buf_bytes(&text), out) ||
		       complain(complaints, at, "restore it from a backup of the audit folder",
			       "is not what the proxy has written");
	else if (text.failed || errno != ENOENT)
		fine = complain(
			complaints, at, NULL, "%s", text.failed ? "is too large" : strerror(errno));
	buf_fini(&text);
	free(path);
	return fine;
}

static char *seal_path(const struct config *c)
{
	return memory_format("%s/" SEAL_NAME, c->policy);
}

struct seal *sealed_open(const struct config *c, struct complaints *complaints)
{
	char *path = seal_path(c);
	struct seal *s = seal_load(path, complaints);
	bool fine = s && seal_is_trusted(s, &c->trust, path, complaints);

	if (fine && memcmp(seal_audit(s), c->audit_print, SEAL_HASH_LEN) != 0)
		fine = complain(complaints, (struct place){.file = path},
			"undo the change, or seal the policy again",
			"the audit settings are not those that were sealed");
	free(path);
	if (fine)
		return s;
	seal_free(s);
	return NULL;
}

bool sealed_users(const struct seal *s, const char *file, const struct users *u,
	struct complaints *complaints)
{
	return memcmp(seal_users(s), users_hash(u), SEAL_HASH_LEN) == 0 ||
	       complain(complaints, (struct place){.file = file},
		       "undo the change, or seal the policy again",
		       "the users are not those that were sealed");
}

bool sealed_is_newest(const struct config *c, const struct seal *s, struct complaints *complaints)
{
	uint64_t version = seal_version(s);
	uint8_t hash[SEAL_HASH_LEN];
	struct taken before;
	char *path;
	bool fine = true;

	if (!read_state(c, &before, complaints))
		return false;
	seal_hash(s, hash);
	path = seal_path(c);
	if (version < before.version)
		fine = complain(complaints, (struct place){.file = path},
			"seal the policy again, with a higher version",
			"version %llu is below %llu, which was in force",
			(unsigned long long)version, (unsigned long long)before.version);
	else if (version == before.version && memcmp(hash, before.hash, sizeof(hash)) != 0)
		fine = complain(complaints, (struct place){.file = path},
			"seal the policy again, with a higher version",
			"version %llu was in force with another content",
			(unsigned long long)version);
	free(path);
	return fine;
}

bool sealed_take(const struct config *c, const struct seal *s, struct complaints *complaints)
{
	char line[STATE_MAX], *path = state_path(c);
	uint8_t hash[SEAL_HASH_LEN];
	struct taken before;
	int len;
	bool fine = read_state(c, &before, complaints);

	seal_hash(s, hash);
	if (fine && (before.version != seal_version(s) ||
			    memcmp(before.hash, hash, sizeof(hash)) != 0)) {
		char hex[2 * SEAL_HASH_LEN + 1];

		hex_write(hash, sizeof(hash), hex);
		len = snprintf(
			line, sizeof(line), "%llu %s\n", (unsigned long long)seal_version(s), hex);
		fine = file_replace(path, bytes_of(line, (size_t)len), 0600) ||
		       complain(complaints, (struct place){.file = path}, NULL, "%s",
			       strerror(errno));
	}
	free(path);
	return fine;
}
