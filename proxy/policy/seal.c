#include "policy/seal.h"

#include <stdlib.h>

#include <sodium.h>

#include "policy/folder.h"
#include "policy/seal_inside.h"
#include "util/hex.h"
#include "util/memory.h"
#include "util/utf8.h"

#define CONTENT_MAX  (8u * 1000 * 1000)
#define HEX_MAX      (2 * SEAL_HASH_LEN + 1)
#define NAME_LEN_MAX 1000u /* YAML's keys end at 1024 characters */

/* ------------------------------------------------------------------- making one */

struct seal *seal_make(const struct seal_facts *facts)
{
	struct seal *s = memory_new(sizeof(*s));

	arena_init(&s->arena);
	s->facts = *facts;
	return s;
}

void seal_free(struct seal *s)
{
	if (!s)
		return;
	arena_fini(&s->arena);
	free(s->files);
	free(s);
}

bool seal_name_is_fine(struct bytes name)
{
	char printable[NAME_LEN_MAX + 4];

	if (!name.len || name.len > NAME_LEN_MAX || memchr(name.at, '\\', name.len))
		return false;
	(void)utf8_printable(name, printable, sizeof(printable));
	return bytes_equal_str(name, printable);
}

void seal_add_file(struct seal *s, struct bytes name, const uint8_t hash[SEAL_HASH_LEN])
{
	struct sealed_file *f;

	memory_grow(&s->files, s->nfiles, &s->files_capacity, sizeof(*s->files));
	f = &s->files[s->nfiles++];
	f->name = arena_copy(&s->arena, name);
	memcpy(f->hash, hash, SEAL_HASH_LEN);
}

static int by_name(const void *a, const void *b)
{
	const struct sealed_file *x = a, *y = b;

	return bytes_compare(x->name, y->name);
}

void seal_sort(struct seal *s)
{
	if (s->nfiles)
		qsort(s->files, s->nfiles, sizeof(*s->files), by_name);
}

struct sealing {
	struct seal *seal;
	struct complaints *complaints;
};

static void hash_text(struct bytes text, uint8_t out[SEAL_HASH_LEN])
{
	crypto_generichash(out, SEAL_HASH_LEN, text.at, text.len, NULL, 0);
}

static void take_file(void *context, const char *path, struct bytes name, struct bytes text)
{
	struct sealing *s = context;
	uint8_t hash[SEAL_HASH_LEN];

	hash_text(text, hash);
	if (seal_name_is_fine(name))
		seal_add_file(s->seal, name, hash);
	else
		complain(s->complaints, (struct place){.file = path}, "give it another name",
			"a file of this name cannot be sealed");
}

struct seal *seal_new(
	const char *folder, const struct seal_facts *facts, struct complaints *complaints)
{
	struct sealing s = {.seal = seal_make(facts), .complaints = complaints};
	size_t before = complaints->count;

	if (!policy_folder_read(folder, false, take_file, &s, complaints))
		complain(complaints, (struct place){.file = folder},
			"name a folder with policy files", "holds no *.yaml file");
	seal_sort(s.seal);
	if (complaints->count == before)
		return s.seal;
	seal_free(s.seal);
	return NULL;
}

/* ---------------------------------------------------------------------- content */

uint64_t seal_version(const struct seal *s)
{
	return s->facts.version;
}

const uint8_t *seal_users(const struct seal *s)
{
	return s->facts.users;
}

const uint8_t *seal_audit(const struct seal *s)
{
	return s->facts.audit;
}

size_t seal_files(const struct seal *s)
{
	return s->nfiles;
}

static void put_content(const struct seal *s, struct buf *out)
{
	char users[HEX_MAX], audit[HEX_MAX], hash[HEX_MAX];

	hex_write(s->facts.users, SEAL_HASH_LEN, users);
	hex_write(s->facts.audit, SEAL_HASH_LEN, audit);
	buf_put_format(out, "mongoward policy seal 1\nversion %llu\nusers %s\naudit %s\n",
		(unsigned long long)s->facts.version, users, audit);
	for (size_t i = 0; i < s->nfiles; i++) {
		hex_write(s->files[i].hash, SEAL_HASH_LEN, hash);
		buf_put_format(out, "%s ", hash);
		buf_put(out, s->files[i].name);
		buf_put_u8(out, '\n');
	}
}

void seal_hash(const struct seal *s, uint8_t out[SEAL_HASH_LEN])
{
	struct buf content;

	buf_init(&content, CONTENT_MAX);
	put_content(s, &content);
	hash_text(buf_bytes(&content), out);
	buf_fini(&content);
}

bool seal_is_alike(const struct seal *a, const struct seal *b)
{
	bool same = a->nfiles == b->nfiles &&
		    memcmp(a->facts.users, b->facts.users, SEAL_HASH_LEN) == 0 &&
		    memcmp(a->facts.audit, b->facts.audit, SEAL_HASH_LEN) == 0;

	for (size_t i = 0; same && i < a->nfiles; i++)
		same = bytes_equal(a->files[i].name, b->files[i].name) &&
		       memcmp(a->files[i].hash, b->files[i].hash, SEAL_HASH_LEN) == 0;
	return same;
}

bool seal_holds(const struct seal *s, const char *file, struct bytes name, struct bytes text,
	struct complaints *complaints)
{
	const struct place at = {.file = file};
	uint8_t hash[SEAL_HASH_LEN];
	size_t i = 0;

	while (i < s->nfiles && !bytes_equal(s->files[i].name, name))
		i++;
	if (i == s->nfiles)
		return complain(complaints, at, "take it away, or seal the policy again",
			"is not among the files that were sealed");
	hash_text(text, hash);
	return memcmp(hash, s->files[i].hash, SEAL_HASH_LEN) == 0 ||
	       complain(complaints, at, "seal the policy again",
		       "is not as it was when it was sealed");
}

/* ------------------------------------------------------------------- signatures */

size_t seal_signatures(const struct seal *s)
{
	return s->nsignatures;
}

const uint8_t *seal_signer(const struct seal *s, size_t i)
{
	return s->signatures[i].signer;
}

bool seal_signature_is_valid(const struct seal *s, size_t i)
{
	struct buf content;
	bool valid;

	buf_init(&content, CONTENT_MAX);
	put_content(s, &content);
	valid = !content.failed && signature_is_valid(s->signatures[i].signer, buf_bytes(&content),
					   s->signatures[i].signature);
	buf_fini(&content);
	return valid;
}

static struct seal_signature *signature_of(struct seal *s, const uint8_t signer[SIGNING_PUBLIC_LEN])
{
	for (size_t i = 0; i < s->nsignatures; i++)
		if (memcmp(s->signatures[i].signer, signer, SIGNING_PUBLIC_LEN) == 0)
			return &s->signatures[i];
	if (s->nsignatures == SEAL_SIGNATURES_MAX)
		return NULL;
	memcpy(s->signatures[s->nsignatures].signer, signer, SIGNING_PUBLIC_LEN);
	return &s->signatures[s->nsignatures++];
}

bool seal_sign(struct seal *s, const struct signing_key *key)
{
	struct seal_signature *place = signature_of(s, key->public_key);
	struct buf content;

	if (!place)
		return false;
	buf_init(&content, CONTENT_MAX);
	put_content(s, &content);
	signing_key_sign(key, buf_bytes(&content), place->signature);
	buf_fini(&content);
	return true;
}

void seal_take_signatures(struct seal *s, const struct seal *other)
{
	for (size_t i = 0; i < other->nsignatures; i++) {
		struct seal_signature *place = signature_of(s, other->signatures[i].signer);

		if (place)
			*place = other->signatures[i];
	}
}

static bool is_signer(const struct seal_trust *trust, const uint8_t key[SIGNING_PUBLIC_LEN])
{
	for (size_t i = 0; i < trust->nsigners; i++)
		if (memcmp(trust->signers[i], key, SIGNING_PUBLIC_LEN) == 0)
			return true;
	return false;
}

bool seal_is_trusted(const struct seal *s, const struct seal_trust *trust, const char *file,
	struct complaints *complaints)
{
	const struct place at = {.file = file};
	size_t valid = 0;
	char hex[HEX_MAX];

	/* Signers stand once each: parsing sees to it. */
	for (size_t i = 0; i < s->nsignatures; i++) {
		if (!is_signer(trust, s->signatures[i].signer))
			continue;
		hex_write(s->signatures[i].signer, SIGNING_PUBLIC_LEN, hex);
		if (!seal_signature_is_valid(s, i))
			return complain(complaints, at, "seal the policy again",
				"the signature of %s is not of this content", hex);
		valid++;
	}
	return valid >= trust->threshold ||
	       complain(complaints, at, "mongoward policy seal DIR --key FILE",
		       "%zu of policy.signers have sealed it; %zu are needed", valid,
		       trust->threshold);
}
