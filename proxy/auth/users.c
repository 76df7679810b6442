#include "auth/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/scram_messages.h"
#include "auth/users_file.h"
#include "util/map.h"
#include "util/memory.h"
#include "util/utf8.h"
#include "util/yaml.h"

struct users {
	atomic_size_t references;
	struct arena arena;
	struct user *all;
	size_t count;
	struct map by_name;
	struct map by_x509;
	uint8_t hash[crypto_generichash_BYTES];
};

struct loader {
	struct users *users;
	const char *file; /* in the arena of the users */
	struct complaints *complaints;
};

const char *user_text_wrong(struct bytes text, size_t max)
{
	if (!text.len)
		return "is empty";
	if (text.len > max)
		return "is too long";
	if (!utf8_valid(text))
		return "is not UTF-8";
	for (size_t i = 0; i < text.len; i++) {
		bool c1 = text.at[i] == 0xc2 && i + 1 < text.len && text.at[i + 1] < 0xa0;

		if (text.at[i] < 0x20 || text.at[i] == 0x7f || c1)
			return "holds a control character";
	}
	return NULL;
}

/* A place whose file lives as long as the users do. */
static struct place kept(const struct loader *l, struct place at)
{
	at.file = l->file;
	return at;
}

static bool read_text(struct loader *l, const struct yaml_node *n, const char *what, size_t max,
	struct bytes *out)
{
	const char *wrong;

	if (n->kind != YAML_SCALAR)
		return complain(l->complaints, n->at, "write a text", "%s is not a text", what);
	wrong = user_text_wrong(n->text, max);
	if (wrong)
		return complain(l->complaints, n->at, NULL, "%s %s", what, wrong);
	*out = arena_copy(&l->users->arena, n->text);
	return true;
}

static void read_roles(struct loader *l, const struct yaml_node *n, struct user *user)
{
	if (n->kind != YAML_SEQUENCE || !n->count || n->count > USER_LIST_MAX) {
		complain(l->complaints, n->at, "roles: [doctor]",
			"roles is not a list of 1 to %u names", USER_LIST_MAX);
		return;
	}
	user->roles = arena_array(&l->users->arena, n->count, sizeof(*user->roles));
	for (size_t i = 0; i < n->count; i++) {
		struct bytes role;

		if (!read_text(l, &n->children[i], "the role", USER_TEXT_MAX, &role))
			continue;
		for (size_t k = 0; k < user->nroles; k++)
			if (bytes_equal(user->roles[k], role))
				complain(l->complaints, n->children[i].at, "keep one of them",
					"the role %.*s stands twice", BYTES_ARG(role));
		user->roles[user->nroles++] = role;
	}
}

static void read_attributes(struct loader *l, const struct yaml_node *n, struct user *user)
{
	if (n->kind != YAML_MAPPING || n->count > USER_LIST_MAX) {
		complain(l->complaints, n->at, "attributes: {hospital: H-NORD}",
			"attributes is not a map of at most %u texts", USER_LIST_MAX);
		return;
	}
	user->attributes = arena_array(&l->users->arena, n->count, sizeof(*user->attributes));
	for (size_t i = 0; i < n->count; i++) {
		const struct yaml_node *child = &n->children[i];
		const char *wrong = user_text_wrong(child->key, USER_TEXT_MAX);
		struct attribute a = {.name = arena_copy(&l->users->arena, child->key)};

		if (wrong)
			complain(l->complaints, child->key_at, NULL, "the attribute's name %s",
				wrong);
		else if (read_text(l, child, "the attribute", USER_TEXT_MAX, &a.value))
			user->attributes[user->nattributes++] = a;
	}
}

/* The next of the four fields that colons part. */
static struct bytes next_field(struct bytes *left)
{
	const uint8_t *colon = left->len ? memchr(left->at, ':', left->len) : NULL;
	size_t len = colon ? (size_t)(colon - left->at) : left->len;
	struct bytes field = bytes_head(*left, len);

	*left = bytes_from(*left, colon ? len + 1 : len);
	return field;
}

static bool read_iterations(struct bytes text, uint32_t *out)
{
	uint32_t value = 0;

	if (!text.len || text.len > 7 || text.at[0] == '0')
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		value = value * 10 + (uint32_t)(text.at[i] - '0');
	}
	*out = value;
	return value >= SCRAM_ITERATIONS_MIN && value <= SCRAM_ITERATIONS_MAX;
}

static bool read_key(struct bytes text, uint8_t key[SCRAM_HASH_LEN])
{
	size_t len;

	return scram_base64(text, key, SCRAM_HASH_LEN, &len) && len == SCRAM_HASH_LEN;
}

static void read_scram(struct loader *l, const struct yaml_node *n, struct user *user)
{
	static const char hint[] = "set the password anew: mongoward user passwd";
	struct scram_verifier v = {0};
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_len = 0;
	struct bytes left = n->text;
	const char *wrong = NULL;

	if (n->kind != YAML_SCALAR) {
		complain(l->complaints, n->at, hint, "scram-sha-256 is not a text");
		return;
	}
	if (!read_iterations(next_field(&left), &v.iterations))
		wrong = "the iterations are not a number from 4096 to 1000000";
	else if (!scram_base64(next_field(&left), salt, sizeof(salt), &salt_len))
		wrong = "the salt is not base64 of 1 to 64 bytes";
	else if (!read_key(next_field(&left), v.stored_key))
		wrong = "the StoredKey is not base64 of 32 bytes";
	else if (!read_key(left, v.server_key))
		wrong = "the ServerKey is not base64 of 32 bytes";
	v.salt = arena_copy(&l->users->arena, bytes_of(salt, salt_len));
	if (wrong)
		complain(l->complaints, n->at, hint, "scram-sha-256: %s", wrong);
	else
		user->scram = v;
}

static void read_x509(struct loader *l, const struct yaml_node *n, struct user *user)
{
	const struct user *before;

	if (!read_text(l, n, "x509", USER_SUBJECT_MAX, &user->x509))
		return;
	before = map_get(&l->users->by_x509, user->x509);
	if (before)
		complain(l->complaints, n->at, "a certificate speaks for one user",
			"user %.*s at line %u has the same certificate", BYTES_ARG(before->name),
			before->at.line);
	else
		map_set(&l->users->by_x509, user->x509, user);
}

static void read_member(struct loader *l, const struct yaml_node *n, struct user *user)
{
	if (bytes_equal_str(n->key, "roles"))
		read_roles(l, n, user);
	else if (bytes_equal_str(n->key, "attributes"))
		read_attributes(l, n, user);
	else if (bytes_equal_str(n->key, "purpose"))
		read_text(l, n, "the purpose", USER_TEXT_MAX, &user->purpose);
	else if (bytes_equal_str(n->key, "x509"))
		read_x509(l, n, user);
	else if (bytes_equal_str(n->key, "scram-sha-256"))
		read_scram(l, n, user);
	else
		complain(l->complaints, n->key_at,
			"known are roles, attributes, purpose, x509 and scram-sha-256",
			"a user has no '%.*s'", BYTES_ARG(n->key));
}

static void read_user(struct loader *l, const struct yaml_node *n, struct user *user)
{
	const char *wrong = user_text_wrong(n->key, USER_NAME_MAX);

	user->name = arena_copy(&l->users->arena, n->key);
	user->at = kept(l, n->key_at);
	if (wrong)
		complain(l->complaints, n->key_at, NULL, "the user's name %s", wrong);
	if (n->kind != YAML_MAPPING) {
		complain(l->complaints, n->at, "{roles: [doctor]}", "a user is not a map");
		return;
	}
	for (size_t i = 0; i < n->count; i++)
		read_member(l, &n->children[i], user);
	if (!yaml_get(n, "roles"))
		complain(l->complaints, n->key_at, "roles: [doctor]", "user %.*s has no roles",
			BYTES_ARG(user->name));
	map_set(&l->users->by_name, user->name, user);
}

static void read_users(struct loader *l, const struct yaml_node *n)
{
	if (n->kind == YAML_NULL)
		return;
	if (n->kind != YAML_MAPPING || n->count > USERS_MAX) {
		complain(l->complaints, n->at, "users: {name: {roles: [doctor]}}",
			"users is not a map of at most %u users", USERS_MAX);
		return;
	}
	l->users->all = arena_array(&l->users->arena, n->count, sizeof(*l->users->all));
	l->users->count = n->count;
	for (size_t i = 0; i < n->count; i++)
		read_user(l, &n->children[i], &l->users->all[i]);
}

static void read_root(struct loader *l, const struct yaml_node *root)
{
	if (!yaml_get(root, "users"))
		complain(l->complaints, root->at, "begin with `users:`", "the file has no users");
	if (root->kind != YAML_MAPPING)
		return;
	for (size_t i = 0; i < root->count; i++) {
		const struct yaml_node *n = &root->children[i];

		if (bytes_equal_str(n->key, "users"))
			read_users(l, n);
		else if (bytes_equal_str(n->key, "oidc"))
			complain(l->complaints, n->key_at, "leave it out",
				"oidc is not supported by this version");
		else
			complain(l->complaints, n->key_at, "known is users",
				"the file has no '%.*s'", BYTES_ARG(n->key));
	}
}

struct users *users_parse(const char *file, struct bytes text, struct complaints *complaints)
{
	struct users *users = memory_new(sizeof(*users));
	struct loader l = {.users = users, .complaints = complaints};
	size_t before = complaints->count;
	const struct yaml_node *root;
	struct arena tree;

	if (sodium_init() < 0)
		abort();
	atomic_init(&users->references, 1);
	arena_init(&users->arena);
	map_init(&users->by_name);
	map_init(&users->by_x509);
	crypto_generichash(users->hash, sizeof(users->hash), text.at, text.len, NULL, 0);
	l.file = arena_text(&users->arena, bytes_str(file));
	arena_init(&tree);
	root = yaml_parse(&tree, file, text, complaints);
	if (root)
		read_root(&l, root);
	arena_fini(&tree);
	if (complaints->count == before)
		return users;
	users_unref(users);
	return NULL;
}

static bool read_open_file(int fd, struct buf *out)
{
	ssize_t n = 1;

	while (!out->failed && n != 0) {
		uint8_t chunk[16384];

		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			buf_put(out, bytes_of(chunk, (size_t)n));
	}
	return !out->failed;
}

bool users_read_file(const char *file, struct buf *out, struct complaints *complaints)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct place at = {.file = file};
	struct stat st;
	bool done;

	if (fd < 0 || fstat(fd, &st) < 0)
		done = complain(complaints, at, NULL, "cannot be read: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		done = complain(complaints, at, NULL, "is not a file");
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		done = complain(complaints, at, "chmod go-w it",
			"others than its owner may write the file");
	else
		done = read_open_file(fd, out) ||
		       complain(complaints, at, NULL, "cannot be read: %s",
			       out->failed ? "the file is too large" : strerror(errno));
	if (fd >= 0)
		close(fd);
	return done;
}

struct users *users_load(const char *file, struct complaints *complaints)
{
	struct users *users = NULL;
	struct buf text;

	buf_init(&text, YAML_FILE_MAX);
	if (users_read_file(file, &text, complaints))
		users = users_parse(file, buf_bytes(&text), complaints);
	buf_wipe(&text);
	return users;
}

struct users *users_ref(struct users *u)
{
	atomic_fetch_add_explicit(&u->references, 1, memory_order_relaxed);
	return u;
}

void users_unref(struct users *u)
{
	if (!u || atomic_fetch_sub_explicit(&u->references, 1, memory_order_acq_rel) != 1)
		return;
	map_fini(&u->by_name);
	map_fini(&u->by_x509);
	arena_fini(&u->arena);
	free(u);
}

const struct user *users_find(const struct users *u, struct bytes name)
{
	return map_get(&u->by_name, name);
}

const struct user *users_find_x509(const struct users *u, struct bytes subject)
{
	return subject.len ? map_get(&u->by_x509, subject) : NULL;
}

size_t users_count(const struct users *u)
{
	return u->count;
}

const struct user *users_at(const struct users *u, size_t i)
{
	return &u->all[i];
}

const uint8_t *users_hash(const struct users *u)
{
	return u->hash;
}
