/* The file policy.seal: written, and read with distrust. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/folder.h"
#include "policy/seal_inside.h"
#include "util/hex.h"
#include "util/yaml.h"

#define FORMAT  1
#define HINT    "seal the policy again"
#define HEX_MAX (2 * SIGNATURE_LEN + 1)

struct reading {
	struct seal *seal;
	struct complaints *complaints;
};

static bool wrong(struct reading *r, struct place at, const char *what)
{
	return complain(r->complaints, at, HINT, "%s", what);
}

static bool read_hex(
	struct reading *r, const struct yaml_node *node, uint8_t *out, size_t len, const char *what)
{
	return (node->kind == YAML_SCALAR && hex_read(node->text, out, len)) ||
	       complain(r->complaints, node->at, HINT, "%s of %zu hex digits is expected", what,
		       2 * len);
}

static const char *const keys[] = {
	"mongoward-seal", "version", "users", "audit", "files", "signatures"};

static bool is_known(struct bytes key)
{
	for (size_t i = 0; i < COUNT_OF(keys); i++)
		if (bytes_equal_str(key, keys[i]))
			return true;
	return false;
}

/* Everything must be there, and nothing else. */
static bool check_keys(struct reading *r, const struct yaml_node *root)
{
	if (root->kind != YAML_MAPPING)
		return wrong(r, root->at, "is no seal");
	for (size_t i = 0; i < root->count; i++)
		if (!is_known(root->children[i].key))
			return wrong(r, root->children[i].key_at, "unknown key");
	for (size_t i = 0; i < COUNT_OF(keys); i++)
		if (!yaml_get(root, keys[i]))
			return complain(r->complaints, root->at, HINT, "'%s' is missing", keys[i]);
	return true;
}

static bool read_facts(struct reading *r, const struct yaml_node *root)
{
	const struct yaml_node *format = yaml_get(root, "mongoward-seal");
	const struct yaml_node *version = yaml_get(root, "version");
	struct seal_facts *facts = &r->seal->facts;
	int64_t n;

	if (!yaml_int(format, &n) || n != FORMAT)
		return complain(r->complaints, format->at, "this build reads version 1",
			"unknown version of the seal");
	if (!yaml_int(version, &n) || n < 1 || (uint64_t)n > SEAL_VERSION_MAX)
		return wrong(r, version->at, "the version is a number from 1 on");
	facts->version = (uint64_t)n;
	return read_hex(r, yaml_get(root, "users"), facts->users, SEAL_HASH_LEN, "a hash") &&
	       read_hex(r, yaml_get(root, "audit"), facts->audit, SEAL_HASH_LEN, "a hash");
}

static bool read_files(struct reading *r, const struct yaml_node *files)
{
	uint8_t hash[SEAL_HASH_LEN];

	if (files->kind != YAML_MAPPING || !files->count)
		return wrong(r, files->at, "no file is sealed");
	if (files->count > POLICY_FILES_MAX)
		return complain(r->complaints, files->at, HINT, "over %u files", POLICY_FILES_MAX);
	for (size_t i = 0; i < files->count; i++) {
		const struct yaml_node *file = &files->children[i];

		if (!seal_name_is_fine(file->key))
			return wrong(r, file->key_at, "a file's name is not one");
		if (!read_hex(r, file, hash, sizeof(hash), "a hash"))
			return false;
		seal_add_file(r->seal, file->key, hash);
	}
	seal_sort(r->seal);
	return true;
}

/* A key stands once: the same key twice is a key of YAML that stands twice. */
static bool read_signatures(struct reading *r, const struct yaml_node *list)
{
	struct seal *s = r->seal;

	if (list->kind != YAML_MAPPING || !list->count)
		return wrong(r, list->at, "nobody has signed it");
	if (list->count > SEAL_SIGNATURES_MAX)
		return complain(
			r->complaints, list->at, HINT, "over %u signatures", SEAL_SIGNATURES_MAX);
	for (size_t i = 0; i < list->count; i++) {
		const struct yaml_node *node = &list->children[i];
		struct seal_signature *signature = &s->signatures[s->nsignatures++];

		if (!hex_read(node->key, signature->signer, SIGNING_PUBLIC_LEN))
			return wrong(r, node->key_at, "a public key of 64 hex digits is expected");
		if (!read_hex(r, node, signature->signature, SIGNATURE_LEN, "a signature"))
			return false;
	}
	return true;
}

struct seal *seal_parse(const char *file, struct bytes text, struct complaints *complaints)
{
	const struct seal_facts none = {0};
	struct reading r = {.seal = seal_make(&none), .complaints = complaints};
	const struct yaml_node *root;
	struct arena scratch;
	bool fine;

	arena_init(&scratch);
	root = yaml_parse(&scratch, file, text, complaints);
	fine = root && check_keys(&r, root) && read_facts(&r, root) &&
	       read_files(&r, yaml_get(root, "files")) &&
	       read_signatures(&r, yaml_get(root, "signatures"));
	arena_fini(&scratch);
	if (fine)
		return r.seal;
	seal_free(r.seal);
	return NULL;
}

static bool read_file(int fd, struct buf *out)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	for (;;) {
		uint8_t chunk[4096];
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		buf_put(out, bytes_of(chunk, (size_t)n));
		if (out->failed)
			return false;
	}
}

struct seal *seal_load(const char *path, struct complaints *complaints)
{
	const struct place at = {.file = path};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct seal *s = NULL;
	struct buf text;

	if (fd < 0) {
		complain(complaints, at, "mongoward policy seal DIR --key FILE", "%s",
			errno == ELOOP ? "is a symbolic link" : strerror(errno));
		return NULL;
	}
	buf_init(&text, SEAL_FILE_MAX);
	if (read_file(fd, &text))
		s = seal_parse(path, buf_bytes(&text), complaints);
	else
		complain(complaints, at, HINT, text.failed ? "is too large" : "cannot be read");
	buf_fini(&text);
	close(fd);
	return s;
}

/* A double-quoted scalar: the name has neither control characters nor backslashes. */
static void put_quoted(struct buf *out, struct bytes name)
{
	buf_put_u8(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.at[i] == '"')
			buf_put_u8(out, '\\');
		buf_put_u8(out, name.at[i]);
	}
	buf_put_u8(out, '"');
}

void seal_put(const struct seal *s, struct buf *out)
{
	char users[HEX_MAX], audit[HEX_MAX], hex[HEX_MAX];

	hex_write(s->facts.users, SEAL_HASH_LEN, users);
	hex_write(s->facts.audit, SEAL_HASH_LEN, audit);
	buf_put_format(out,
		"# Made by `mongoward policy seal`.  Whatever is changed here makes it worthless.\n"
		"mongoward-seal: %d\nversion: %llu\nusers: \"%s\"\naudit: \"%s\"\nfiles:\n",
		FORMAT, (unsigned long long)s->facts.version, users, audit);
	for (size_t i = 0; i < s->nfiles; i++) {
		hex_write(s->files[i].hash, SEAL_HASH_LEN, hex);
		buf_put_str(out, "  ");
		put_quoted(out, s->files[i].name);
		buf_put_format(out, ": \"%s\"\n", hex);
	}
	buf_put_str(out, "signatures:\n");
	for (size_t i = 0; i < s->nsignatures; i++) {
		hex_write(s->signatures[i].signer, SIGNING_PUBLIC_LEN, hex);
		buf_put_format(out, "  \"%s\": ", hex);
		hex_write(s->signatures[i].signature, SIGNATURE_LEN, hex);
		buf_put_format(out, "\"%s\"\n", hex);
	}
}
