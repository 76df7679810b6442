#include "unit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/folder.h"
#include "policy/policy.h"
#include "policy/seal.h"
#include "util/file.h"
#include "util/memory.h"

/* A folder for each test, with a policy of two files, and three who may seal it. */
struct world {
	char folder[64];
	struct signing_key *keys[3];
	uint8_t signers[3][SIGNING_PUBLIC_LEN];
	struct complaints complaints;
};

static char *path_in(const struct world *w, const char *name)
{
	return memory_format("%s/%s", w->folder, name);
}

static void put(const struct world *w, const char *name, const char *text)
{
	char *path = path_in(w, name);

	assert_true(file_replace(path, bytes_str(text), 0644));
	free(path);
}

static void take_away(const struct world *w, const char *name)
{
	char *path = path_in(w, name);

	assert_int_equal(remove(path), 0);
	free(path);
}

static void make_folder(const struct world *w, const char *name)
{
	char *path = path_in(w, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

#define DATA  "mongoward: 1\nclasses: {a: {}}\ncollections: {c.p: {fields: {x: {class: a}}}}\n"
#define ROLES "mongoward: 1\nroles: {r: {grants: [{namespace: c.p, do: [read]}]}}\n"

static int make_world(void **state)
{
	struct world *w = memory_new(sizeof(*w));
	struct fault why;

	snprintf(w->folder, sizeof(w->folder), "/tmp/test_seal.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	make_folder(w, "sub");
	put(w, "data.yaml", DATA);
	put(w, "sub/roles.yaml", ROLES);
	for (size_t i = 0; i < 3; i++) {
		char *key = path_in(w, "key"), *public_key = path_in(w, "key.pub");

		assert_true(signing_key_create(key, &why));
		w->keys[i] = signing_key_load(key, &why);
		assert_non_null(w->keys[i]);
		memcpy(w->signers[i], w->keys[i]->public_key, SIGNING_PUBLIC_LEN);
		unlink(key);
		unlink(public_key);
		free(key);
		free(public_key);
	}
	complaints_init(&w->complaints);
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static int free_world(void **state)
{
	struct world *w = *state;

	nftw(w->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; i < 3; i++)
		signing_key_free(w->keys[i]);
	complaints_fini(&w->complaints);
	free(w);
	return 0;
}

static const struct seal_facts facts = {.version = 7, .users = {1}, .audit = {2}};

static struct seal *seal_now(struct world *w)
{
	struct seal *s = seal_new(w->folder, &facts, &w->complaints);

	if (!s)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&w->complaints.lines)));
	return s;
}

/* What was complained about, without the folder's name, which is forgotten. */
static void expect_said(struct world *w, const char *said)
{
	struct bytes lines = buf_bytes(&w->complaints.lines);

	if (!memmem(lines.at, lines.len, said, strlen(said)))
		fail_msg("\"%s\" is not in: %.*s", said, BYTES_ARG(lines));
	buf_clear(&w->complaints.lines);
	w->complaints.count = 0;
}

static bool loads(struct world *w, const struct seal *s)
{
	struct policy *p = policy_load_sealed(w->folder, s, &w->complaints);
	bool loaded = p != NULL;

	policy_unref(p);
	return loaded;
}

static void expect_load(struct world *w, const struct seal *s)
{
	if (!loads(w, s))
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&w->complaints.lines)));
}

static void expect_no_load(struct world *w, const struct seal *s, const char *said)
{
	assert_false(loads(w, s));
	expect_said(w, said);
}

/* ---------------------------------------------------------------------- content */

static void test_files(void **state)
{
	struct world *w = *state;
	struct seal *s = seal_now(w);

	assert_int_equal(seal_files(s), 2);
	expect_load(w, s);
	/* Altered, and as it was. */
	put(w, "data.yaml", DATA "\n");
	expect_no_load(w, s, "data.yaml: is not as it was when it was sealed");
	put(w, "data.yaml", DATA);
	expect_load(w, s);
	/* One more; and what is no policy file. */
	put(w, "more.yaml", "mongoward: 1\n");
	expect_no_load(w, s, "more.yaml: is not among the files that were sealed");
	take_away(w, "more.yaml");
	put(w, "README.md", "x");
	put(w, ".hidden.yaml", "roles: {x: {}}");
	put(w, SEAL_NAME, "x");
	expect_load(w, s);
	/* One less. */
	take_away(w, "sub/roles.yaml");
	expect_no_load(w, s, "1 of the files that were sealed are missing");
	/* The same under another name, or in another place. */
	put(w, "roles.yaml", ROLES);
	expect_no_load(w, s, "roles.yaml: is not among the files that were sealed");
	take_away(w, "roles.yaml");
	put(w, "sub/roles.yaml", ROLES);
	expect_load(w, s);
	/* Two that have changed places. */
	put(w, "sub/roles.yaml", DATA);
	put(w, "data.yaml", ROLES);
	expect_no_load(w, s, "data.yaml: is not as it was when it was sealed");
	seal_free(s);
}

static void test_slashes(void **state)
{
	struct world *w = *state;
	struct seal *s = seal_now(w), *t;
	char *folder = memory_format("%s//", w->folder);
	struct policy *p, *q;

	t = seal_new(folder, &facts, &w->complaints);
	assert_true(t && seal_is_alike(s, t));
	p = policy_load_sealed(folder, s, &w->complaints);
	q = policy_load(w->folder, &w->complaints);
	assert_true(p && q && strcmp(p->hash, q->hash) == 0);
	policy_unref(p);
	policy_unref(q);
	seal_free(s);
	seal_free(t);
	free(folder);
}

static void link_to(const struct world *w, const char *to, const char *name)
{
	char *path = path_in(w, name);

	assert_int_equal(symlink(to, path), 0);
	free(path);
}

static void expect_link(struct world *w, const struct seal *s, const char *name)
{
	char *said = memory_format("%s: a sealed policy holds no symbolic link", name);

	expect_no_load(w, s, said);
	assert_null(seal_new(w->folder, &facts, &w->complaints));
	expect_said(w, said);
	take_away(w, name);
	free(said);
}

static void test_links(void **state)
{
	struct world *w = *state;
	struct seal *s = seal_now(w);
	char *outside = memory_format("%s.link", w->folder);
	struct policy *p;

	/* Even one that leads to what was sealed. */
	put(w, "kept", DATA);
	take_away(w, "data.yaml");
	link_to(w, "kept", "data.yaml");
	expect_link(w, s, "data.yaml");
	put(w, "data.yaml", DATA);
	link_to(w, "sub", "other");
	expect_link(w, s, "other");
	link_to(w, "nowhere", "gone.yaml");
	expect_link(w, s, "gone.yaml");
	/* What is hidden is not read, and the folder itself may be reached through a link. */
	link_to(w, "sub", ".hidden");
	expect_load(w, s);
	assert_int_equal(symlink(w->folder, outside), 0);
	p = policy_load_sealed(outside, s, &w->complaints);
	assert_non_null(p);
	policy_unref(p);
	unlink(outside);
	/* Without a seal links are followed, as far as they lead somewhere. */
	take_away(w, ".hidden");
	link_to(w, "data.yaml", "again.yaml");
	assert_null(policy_load(w->folder, &w->complaints));
	expect_said(w, "stands twice");
	take_away(w, "again.yaml");
	link_to(w, "nowhere", "gone.yaml");
	assert_null(policy_load(w->folder, &w->complaints));
	expect_said(w, "gone.yaml: is a link to nothing");
	take_away(w, "gone.yaml");
	link_to(w, "..", "sub/up");
	assert_null(policy_load(w->folder, &w->complaints));
	expect_said(w, "a folder holds itself");
	seal_free(s);
	free(outside);
}

static void test_alike(void **state)
{
	struct world *w = *state;
	struct seal_facts other[] = {facts, facts, facts};
	struct seal *s = seal_now(w);
	uint8_t hash[SEAL_HASH_LEN], other_hash[SEAL_HASH_LEN];

	other[0].version++;
	other[1].users[31] = 1;
	other[2].audit[31] = 1;
	seal_hash(s, hash);
	for (size_t i = 0; i < COUNT_OF(other); i++) {
		struct seal *t = seal_new(w->folder, &other[i], &w->complaints);

		assert_int_equal(seal_is_alike(s, t), i == 0);
		seal_hash(t, other_hash);
		assert_memory_not_equal(hash, other_hash, sizeof(hash));
		seal_free(t);
	}
	put(w, "data.yaml", DATA "\n");
	for (int i = 0; i < 2; i++) {
		struct seal *t = seal_new(w->folder, &facts, &w->complaints);

		assert_int_equal(seal_is_alike(s, t), i == 1);
		seal_free(t);
		put(w, "data.yaml", DATA);
	}
	seal_free(s);
}

static void test_nothing_to_seal(void **state)
{
	struct world *w = *state;

	take_away(w, "data.yaml");
	take_away(w, "sub/roles.yaml");
	assert_null(seal_new(w->folder, &facts, &w->complaints));
	expect_said(w, "holds no *.yaml file");
	assert_null(seal_new("/nowhere/at/all", &facts, &w->complaints));
	expect_said(w, "holds no *.yaml file");
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool fine;
	} names[] = {{"\"quoted\" & {odd}: [x], 'y' #1 é.yaml", true}, {"a\nb.yaml", false},
		{"a\\b.yaml", false}, {"a\x7f.yaml", false}, {"\xff.yaml", false},
		{"\xc2\x85.yaml", false}};
	struct world *w = *state;

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct seal *s;

		put(w, names[i].name, "mongoward: 1\n");
		s = seal_new(w->folder, &facts, &w->complaints);
		if (!names[i].fine)
			expect_said(w, "a file of this name cannot be sealed");
		assert_int_equal(s != NULL, names[i].fine);
		if (s)
			expect_load(w, s);
		seal_free(s);
		take_away(w, names[i].name);
	}
}

/* ------------------------------------------------------------------- signatures */

static bool is_trusted(struct world *w, const struct seal *s, size_t nsigners, size_t threshold)
{
	const struct seal_trust trust = {w->signers, nsigners, threshold};

	return seal_is_trusted(s, &trust, "policy.seal", &w->complaints);
}

static void test_signatures(void **state)
{
	struct world *w = *state;
	struct seal *s = seal_now(w);

	assert_false(is_trusted(w, s, 2, 1));
	expect_said(w, "policy.seal: 0 of policy.signers have sealed it; 1 are needed");
	assert_true(seal_sign(s, w->keys[0]));
	assert_true(is_trusted(w, s, 2, 1));
	assert_false(is_trusted(w, s, 2, 2));
	expect_said(w, "policy.seal: 1 of policy.signers have sealed it; 2 are needed");
	/* The same one again is one. */
	assert_true(seal_sign(s, w->keys[0]));
	assert_int_equal(seal_signatures(s), 1);
	assert_false(is_trusted(w, s, 2, 2));
	expect_said(w, "1 of policy.signers");
	/* A stranger is nobody. */
	assert_true(seal_sign(s, w->keys[2]));
	assert_int_equal(seal_signatures(s), 2);
	assert_false(is_trusted(w, s, 2, 2));
	expect_said(w, "1 of policy.signers");
	assert_true(is_trusted(w, s, 3, 2));
	assert_true(seal_sign(s, w->keys[1]));
	assert_true(is_trusted(w, s, 2, 2));
	assert_true(is_trusted(w, s, 3, 3));
	seal_free(s);
}

/* Signatures of one content under another. */
static struct seal *signed_elsewhere(struct world *w, size_t key)
{
	struct seal_facts other = facts;
	struct seal *from, *to = seal_now(w);

	other.version = 8;
	from = seal_new(w->folder, &other, &w->complaints);
	assert_true(seal_sign(from, w->keys[key]));
	seal_take_signatures(to, from);
	seal_free(from);
	return to;
}

static void test_moved_signatures(void **state)
{
	struct world *w = *state;
	struct seal *s = signed_elsewhere(w, 0);

	assert_int_equal(seal_signatures(s), 1);
	assert_false(seal_signature_is_valid(s, 0));
	/* One that is not of this content is a mistake, even if others are enough. */
	assert_true(seal_sign(s, w->keys[1]));
	assert_false(is_trusted(w, s, 2, 1));
	expect_said(w, "is not of this content");
	/* Of a stranger nobody asks. */
	seal_free(s);
	s = signed_elsewhere(w, 2);
	assert_true(seal_sign(s, w->keys[1]));
	assert_true(is_trusted(w, s, 2, 1));
	seal_free(s);
}

static void test_signatures_limit(void **state)
{
	struct world *w = *state;
	struct seal *s = seal_now(w);
	struct signing_key *key = w->keys[0];

	for (size_t i = 0; i <= SEAL_SIGNATURES_MAX; i++) {
		key->public_key[0] = (uint8_t)i;
		assert_int_equal(seal_sign(s, key), i < SEAL_SIGNATURES_MAX);
	}
	assert_int_equal(seal_signatures(s), SEAL_SIGNATURES_MAX);
	key->public_key[0] = 3;
	assert_true(seal_sign(s, key));
	seal_free(s);
}

/* --------------------------------------------------------------------- the file */

static void test_round_trip(void **state)
{
	struct world *w = *state;
	struct seal *s, *again;
	struct buf out;

	put(w, "\"a\" {b}: c.yaml", "mongoward: 1\n");
	s = seal_now(w);
	assert_true(seal_sign(s, w->keys[0]) && seal_sign(s, w->keys[1]));
	buf_init(&out, SEAL_FILE_MAX);
	seal_put(s, &out);
	again = seal_parse("policy.seal", buf_bytes(&out), &w->complaints);
	assert_non_null(again);
	assert_true(seal_is_alike(s, again));
	assert_int_equal(seal_version(again), 7);
	assert_true(is_trusted(w, again, 2, 2));
	expect_load(w, again);
	seal_free(again);
	/* Torn anywhere, it is none; whatever is changed in it, nobody has signed that. */
	for (size_t i = 0; i < out.len; i++) {
		again = seal_parse("policy.seal", bytes_of(out.at, i), &w->complaints);
		if (again && is_trusted(w, again, 2, 2) && i < out.len - 1)
			fail_msg("%zu of %zu bytes are enough", i, out.len);
		seal_free(again);
		w->complaints.count = 0;
	}
	for (size_t i = 0; i < out.len; i += 3) {
		out.at[i] ^= 1;
		again = seal_parse("policy.seal", buf_bytes(&out), &w->complaints);
		if (again && is_trusted(w, again, 2, 2) && !seal_is_alike(s, again))
			fail_msg("byte %zu can be changed", i);
		seal_free(again);
		out.at[i] ^= 1;
		w->complaints.count = 0;
	}
	buf_fini(&out);
	seal_free(s);
}

#define HASH  "87dcf80e52ec7a0d2b8adf7ce7dd53f2b7ecd5a19407d9188f854b6b64f02d1f"
#define KEY   "f34bb21d06c9e492f3036e85744408f8773eb4e9160380bfcbeaea9f6da8624e"
#define FACTS "users: " HASH "\naudit: " HASH "\n"
#define HEAD  "mongoward-seal: 1\nversion: 7\n" FACTS
#define FILES "files: {a.yaml: " HASH "}\n"
#define SIGNS "signatures: {" KEY ": " KEY KEY "}\n"

static const struct {
	const char *text, *said;
} mistakes[] = {
	{"", "f:1:1: is no seal (seal the policy again)\n"},
	{"[]", "f:1:1: is no seal (seal the policy again)\n"},
	{HEAD FILES SIGNS "more: 1\n", "f:7:1: unknown key (seal the policy again)\n"},
	{HEAD FILES, "f:1:1: 'signatures' is missing (seal the policy again)\n"},
	{HEAD SIGNS, "f:1:1: 'files' is missing (seal the policy again)\n"},
	{"mongoward-seal: 1\n" FACTS FILES SIGNS,
		"f:1:1: 'version' is missing (seal the policy again)\n"},
	{"mongoward-seal: 2\nversion: 7\n" FACTS FILES SIGNS,
		"f:1:17: unknown version of the seal (this build reads version 1)\n"},
	{"mongoward-seal: 1\nversion: 0\n" FACTS FILES SIGNS,
		"f:2:10: the version is a number from 1 on (seal the policy again)\n"},
	{"mongoward-seal: 1\nversion: -1\n" FACTS FILES SIGNS,
		"f:2:10: the version is a number from 1 on (seal the policy again)\n"},
	{"mongoward-seal: 1\nversion: 1000000000000000\n" FACTS FILES SIGNS,
		"f:2:10: the version is a number from 1 on (seal the policy again)\n"},
	{"mongoward-seal: 1\nversion: x\n" FACTS FILES SIGNS,
		"f:2:10: the version is a number from 1 on (seal the policy again)\n"},
	{"mongoward-seal: 1\nversion: 7\nusers: 12\naudit: " HASH "\n" FILES SIGNS,
		"f:3:8: a hash of 64 hex digits is expected (seal the policy again)\n"},
	{"mongoward-seal: 1\nversion: 7\nusers: [x]\naudit: " HASH "\n" FILES SIGNS,
		"f:3:8: a hash of 64 hex digits is expected (seal the policy again)\n"},
	{HEAD "files: {}\n" SIGNS, "f:5:8: no file is sealed (seal the policy again)\n"},
	{HEAD "files: [a.yaml]\n" SIGNS, "f:5:8: no file is sealed (seal the policy again)\n"},
	{HEAD "files: {a.yaml: " HASH ", a.yaml: " HASH "}\n" SIGNS,
		"f:5:83: the key 'a.yaml' stands here and at line 5 (keep one of them)\n"},
	{HEAD "files: {\"a\\nb\": " HASH "}\n" SIGNS,
		"f:5:9: a file's name is not one (seal the policy again)\n"},
	{HEAD FILES "signatures: {}\n", "f:6:13: nobody has signed it (seal the policy again)\n"},
	{HEAD FILES "signatures: {" KEY ": " KEY "}\n",
		"f:6:80: a signature of 128 hex digits is expected (seal the policy again)\n"},
	{HEAD FILES "signatures: {ada: " KEY KEY "}\n",
		"f:6:14: a public key of 64 hex digits is expected (seal the policy again)\n"},
	/* The same signer twice. */
	{HEAD FILES "signatures: {" KEY ": " KEY KEY ", \"" KEY "\": " KEY KEY "}\n",
		"f:6:210: the key '" KEY "' stands here and at line 6 (keep one of them)\n"},
	{HEAD FILES "signatures: {F34BB21D06C9E492F3036E85744408F8773EB4E9160380BFCBEAEA9F6DA8624"
		    "E: " KEY KEY "}\n",
		"f:6:14: a public key of 64 hex digits is expected (seal the policy again)\n"},
};

static void test_mistakes(void **state)
{
	struct world *w = *state;
	struct seal *s = seal_parse("f", bytes_str(HEAD FILES SIGNS), &w->complaints);

	assert_non_null(s);
	seal_free(s);
	for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
		buf_clear(&w->complaints.lines);
		w->complaints.count = 0;
		assert_null(seal_parse("f", bytes_str(mistakes[i].text), &w->complaints));
		buf_put_u8(&w->complaints.lines, 0);
		assert_string_equal((const char *)w->complaints.lines.at, mistakes[i].said);
	}
}

/* n lines like `  NAME12: HASH`. */
static struct seal *parse_many(struct world *w, size_t files, size_t signatures)
{
	struct seal *s;
	struct buf text;

	buf_init(&text, SEAL_FILE_MAX);
	buf_put_str(&text, HEAD "files:\n");
	for (size_t i = 0; i < files; i++)
		buf_put_format(&text, "  f%zu.yaml: " HASH "\n", i);
	buf_put_str(&text, "signatures:\n");
	for (size_t i = 0; i < signatures; i++)
		buf_put_format(&text, "  \"%064zx\": " KEY KEY "\n", i);
	s = seal_parse("f", buf_bytes(&text), &w->complaints);
	buf_fini(&text);
	return s;
}

static void test_limits(void **state)
{
	struct world *w = *state;
	struct seal *s = parse_many(w, POLICY_FILES_MAX, SEAL_SIGNATURES_MAX);
	char *name;

	assert_non_null(s);
	seal_free(s);
	assert_null(parse_many(w, POLICY_FILES_MAX + 1, 1));
	expect_said(w, "over 1000 files");
	assert_null(parse_many(w, 1, SEAL_SIGNATURES_MAX + 1));
	expect_said(w, "over 64 signatures");
	for (int more = 0; more < 2; more++) {
		name = memory_format(
			"%s\"%0*d\": " HASH "}\n" SIGNS, HEAD "files: {", 1000 + more, 1);
		s = seal_parse("f", bytes_str(name), &w->complaints);
		assert_int_equal(s != NULL, !more);
		seal_free(s);
		free(name);
	}
	expect_said(w, "a file's name is not one");
	s = seal_parse("f",
		bytes_str("mongoward-seal: 1\nversion: 999999999999999\n" FACTS FILES SIGNS),
		&w->complaints);
	assert_int_equal(seal_version(s), SEAL_VERSION_MAX);
	seal_free(s);
}

static void expect_no_seal(struct world *w, const char *name, const char *said)
{
	char *path = path_in(w, name);

	assert_null(seal_load(path, &w->complaints));
	expect_said(w, said);
	free(path);
}

static void test_load(void **state)
{
	struct world *w = *state;
	char *path = path_in(w, "s"), *fifo = path_in(w, "fifo");
	struct seal *s;
	struct buf text;

	for (int more = 0; more < 2; more++) {
		buf_init(&text, SEAL_FILE_MAX + 1);
		buf_put_str(&text, HEAD FILES SIGNS "#");
		while (text.len < SEAL_FILE_MAX + (size_t)more)
			buf_put_u8(&text, 'x');
		assert_true(file_replace(path, buf_bytes(&text), 0644));
		s = seal_load(path, &w->complaints);
		assert_int_equal(s != NULL, !more);
		seal_free(s);
		buf_fini(&text);
	}
	expect_said(w, "s: is too large");
	put(w, "s", HEAD FILES SIGNS);
	link_to(w, "s", "linked");
	expect_no_seal(w, "linked", "linked: is a symbolic link");
	expect_no_seal(w, "sub", "sub: cannot be read");
	expect_no_seal(w, "nothing", "nothing: No such file or directory");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	expect_no_seal(w, "fifo", "fifo: cannot be read");
	free(fifo);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_slashes, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_links, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_alike, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_nothing_to_seal, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_names, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_signatures, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_moved_signatures, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_signatures_limit, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_round_trip, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_mistakes, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_limits, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_load, make_world, free_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
