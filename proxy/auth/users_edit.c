#include "auth/users.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#include <gsasl.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "auth/scram_messages.h"
#include "auth/users_file.h"
#include "util/file.h"
#include "util/memory.h"
#include "util/yaml.h"

#define PASSWORD_MAX 1024u /* bytes */
#define VERIFIER_MAX 256u

/* One change: the old text is cut at byte offsets that the tree's places give, and what
 * comes out is written only if it reads as the old users with exactly this change. */
struct edit {
	const char *file;
	struct complaints *complaints;
	int lock; /* the folder, so that two commands do not lose one of two changes */
	struct buf text;
	struct users *before;
	struct arena arena;
	const struct yaml_node *root;
};

static struct place whole(const struct edit *e)
{
	return (struct place){.file = e->file};
}

static bool refuse_form(const struct edit *e)
{
	return complain(e->complaints, whole(e), "write one user a line, or edit it by hand",
		"the file's form does not allow the change");
}

static int lock_folder(const char *file)
{
	char *copy = memory_text(bytes_str(file));
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	free(copy);
	if (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* A file that is not there yet is an empty one to `add`. */
static bool read_old(struct edit *e, bool may_be_absent)
{
	if (may_be_absent && access(e->file, F_OK) < 0 && errno == ENOENT)
		return true;
	return users_read_file(e->file, &e->text, e->complaints);
}

static bool edit_begin(
	struct edit *e, const char *file, bool may_be_absent, struct complaints *complaints)
{
	*e = (struct edit){.file = file, .complaints = complaints};
	arena_init(&e->arena);
	buf_init(&e->text, YAML_FILE_MAX);
	e->lock = lock_folder(file);
	if (e->lock < 0)
		return complain(complaints, whole(e), NULL, "the folder cannot be locked: %s",
			strerror(errno));
	if (!read_old(e, may_be_absent))
		return false;
	if (!e->text.len)
		buf_put_str(&e->text, "users:\n");
	e->before = users_parse(file, buf_bytes(&e->text), complaints);
	if (!e->before)
		return false;
	e->root = yaml_parse(&e->arena, file, buf_bytes(&e->text), complaints);
	return e->root != NULL;
}

static void edit_end(struct edit *e)
{
	users_unref(e->before);
	buf_wipe(&e->text);
	arena_fini(&e->arena);
	if (e->lock >= 0)
		close(e->lock);
}

/* Where line `line` begins; the text's end when there are fewer. */
static size_t line_offset(const struct edit *e, unsigned line)
{
	size_t at = 0;

	for (unsigned n = 1; n < line && at < e->text.len; n++) {
		const uint8_t *lf = memchr(e->text.at + at, '\n', e->text.len - at);

		at = lf ? (size_t)(lf - e->text.at) + 1 : e->text.len;
	}
	return at;
}

/* Columns count characters. */
static size_t place_offset(const struct edit *e, struct place at)
{
	size_t offset = line_offset(e, at.line);

	for (unsigned column = 1; column < at.column && offset < e->text.len; column++) {
		offset++;
		while (offset < e->text.len && (e->text.at[offset] & 0xc0) == 0x80)
			offset++;
	}
	return offset;
}

static bool replace(struct edit *e, size_t from, size_t to, struct bytes put)
{
	struct buf out;

	buf_init(&out, YAML_FILE_MAX);
	buf_put(&out, bytes_head(buf_bytes(&e->text), from));
	buf_put(&out, put);
	buf_put(&out, bytes_from(buf_bytes(&e->text), to));
	buf_wipe(&e->text);
	e->text = out;
	return !out.failed || complain(e->complaints, whole(e), NULL, "the file grows too large");
}

/* Blank, a comment, or a document's end: no part of the entry before it. */
static bool is_trailing_line(const struct edit *e, size_t from, size_t to)
{
	struct bytes line = bytes_of(e->text.at + from, to - from);

	if (bytes_start_with(line, bytes_str("...")))
		return true;
	while (line.len && strchr(" \t\r\n", line.at[0]))
		line = bytes_from(line, 1);
	return !line.len || line.at[0] == '#';
}

/* The end of the entry that begins in line `line` and has `next` behind it: comments above
 * `next` belong to that. */
static size_t entry_end(const struct edit *e, unsigned line, unsigned next)
{
	unsigned last = next;

	while (last > line + 1 &&
		is_trailing_line(e, line_offset(e, last - 1), line_offset(e, last)))
		last--;
	return line_offset(e, last);
}

static unsigned count_lines(const struct edit *e)
{
	unsigned lines = 1;

	for (size_t i = 0; i < e->text.len; i++)
		lines += e->text.at[i] == '\n';
	return lines;
}

/* The line at which what follows the child begins. */
static unsigned line_behind(const struct edit *e, const struct yaml_node *users, size_t child)
{
	unsigned line = users->children[child].key_at.line, next = count_lines(e) + 1;

	if (child + 1 < users->count)
		return users->children[child + 1].key_at.line;
	for (size_t i = 0; i < e->root->count; i++) {
		unsigned other = e->root->children[i].key_at.line;

		if (other > line && other < next)
			next = other;
	}
	return next;
}

static bool same_list(const struct user *a, const struct user *b)
{
	if (a->nroles != b->nroles || a->nattributes != b->nattributes)
		return false;
	for (size_t i = 0; i < a->nroles; i++)
		if (!bytes_equal(a->roles[i], b->roles[i]))
			return false;
	for (size_t i = 0; i < a->nattributes; i++)
		if (!bytes_equal(a->attributes[i].name, b->attributes[i].name) ||
			!bytes_equal(a->attributes[i].value, b->attributes[i].value))
			return false;
	return bytes_equal(a->purpose, b->purpose) && bytes_equal(a->x509, b->x509);
}

static bool same_verifier(const struct scram_verifier *a, const struct scram_verifier *b)
{
	return a->iterations == b->iterations && bytes_equal(a->salt, b->salt) &&
	       memcmp(a->stored_key, b->stored_key, sizeof(a->stored_key)) == 0 &&
	       memcmp(a->server_key, b->server_key, sizeof(a->server_key)) == 0;
}

/* Whether `after` is what was there, but for the user `name`, of whom `wanted` remains. */
static bool is_as_wanted(const struct edit *e, const struct users *after, struct bytes name,
	const struct user *wanted)
{
	const struct user *changed = users_find(after, name);
	size_t others = users_count(e->before) - (users_find(e->before, name) != NULL);

	if (users_count(after) != others + (wanted != NULL) || !changed != !wanted)
		return false;
	if (wanted &&
		(!same_list(changed, wanted) || !same_verifier(&changed->scram, &wanted->scram)))
		return false;
	for (size_t i = 0; i < users_count(e->before); i++) {
		const struct user *old = users_at(e->before, i);
		const struct user *now = users_find(after, old->name);

		if (bytes_equal(old->name, name))
			continue;
		if (!now || !same_list(old, now) || !same_verifier(&old->scram, &now->scram))
			return false;
	}
	return true;
}

static bool edit_write(struct edit *e, struct bytes name, const struct user *wanted)
{
	struct complaints of_new;
	struct users *after;
	bool good;

	complaints_init(&of_new);
	after = users_parse(e->file, buf_bytes(&e->text), &of_new);
	complaints_fini(&of_new);
	good = after && is_as_wanted(e, after, name, wanted);
	users_unref(after);
	if (!good)
		return refuse_form(e);
	return file_replace(e->file, buf_bytes(&e->text), 0600) ||
	       complain(e->complaints, whole(e), NULL, "cannot be written: %s", strerror(errno));
}

static bool make_keys(const char *prepared, struct scram_verifier *v)
{
	uint8_t salted[SCRAM_HASH_LEN], key[SCRAM_HASH_LEN];
	bool done = PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), v->salt.at, (int)v->salt.len,
			    (int)v->iterations, EVP_sha256(), sizeof(salted), salted) == 1;

	crypto_auth_hmacsha256(key, (const uint8_t *)"Client Key", 10, salted);
	crypto_hash_sha256(v->stored_key, key, sizeof(key));
	crypto_auth_hmacsha256(v->server_key, (const uint8_t *)"Server Key", 10, salted);
	sodium_memzero(salted, sizeof(salted));
	sodium_memzero(key, sizeof(key));
	return done;
}

/* A verifier with a fresh salt, whose bytes lie in `salt`. */
static bool make_verifier(struct edit *e, struct bytes password, uint8_t salt[SCRAM_SALT_LEN],
	struct scram_verifier *v)
{
	char *raw, *prepared = NULL;
	bool done = false;
	int rc = GSASL_SASLPREP_ERROR;

	if (!password.len || password.len > PASSWORD_MAX || memchr(password.at, 0, password.len))
		return complain(e->complaints, whole(e), NULL,
			"the password is empty, over %u bytes long or holds a NUL", PASSWORD_MAX);
	if (sodium_init() < 0)
		abort();
	randombytes_buf(salt, SCRAM_SALT_LEN);
	*v = (struct scram_verifier){
		.iterations = SCRAM_ITERATIONS, .salt = bytes_of(salt, SCRAM_SALT_LEN)};
	raw = memory_text(password);
	rc = gsasl_saslprep(raw, 0, &prepared, NULL);
	if (rc == GSASL_OK && prepared && *prepared)
		done = make_keys(prepared, v) ||
		       complain(e->complaints, whole(e), NULL, "the password cannot be hashed");
	else
		complain(e->complaints, whole(e), "use other characters",
			"the password holds what SASLprep (RFC 4013) prohibits");
	sodium_memzero(raw, password.len);
	free(raw);
	if (prepared) {
		sodium_memzero(prepared, strlen(prepared));
		gsasl_free(prepared);
	}
	return done;
}

static void put_verifier(struct buf *out, const struct scram_verifier *v)
{
	buf_put_format(out, "\"%u:", v->iterations);
	scram_put_base64(out, v->salt);
	buf_put_str(out, ":");
	scram_put_base64(out, bytes_of(v->stored_key, sizeof(v->stored_key)));
	buf_put_str(out, ":");
	scram_put_base64(out, bytes_of(v->server_key, sizeof(v->server_key)));
	buf_put_str(out, "\"");
}

/* Plain where no reader could take it for anything but this text. */
static bool is_plain(struct bytes text)
{
	static const char *const words[] = {
		"true", "false", "null", "yes", "no", "y", "n", "on", "off"};

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i], lower = c | 0x20;
		bool letter = (lower >= 'a' && lower <= 'z') || c == '_';
		bool other = (c >= '0' && c <= '9') || c == '-' || c == '.';

		if (!letter && (!other || i == 0))
			return false;
	}
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (text.len == strlen(words[i]) &&
			strncasecmp((const char *)text.at, words[i], text.len) == 0)
			return false;
	return text.len > 0;
}

static void put_text(struct buf *out, struct bytes text)
{
	if (is_plain(text)) {
		buf_put(out, text);
		return;
	}
	buf_put_u8(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '"' || text.at[i] == '\\')
			buf_put_u8(out, '\\');
		buf_put_u8(out, text.at[i]);
	}
	buf_put_u8(out, '"');
}

static void put_member(struct buf *out, const char *name, struct bytes value)
{
	if (!value.len)
		return;
	buf_put_format(out, ", %s: ", name);
	put_text(out, value);
}

static void put_entry(struct buf *out, unsigned indent, const struct user *user)
{
	for (unsigned i = 0; i < indent; i++)
		buf_put_u8(out, ' ');
	put_text(out, user->name);
	buf_put_str(out, ": {roles: [");
	for (size_t i = 0; i < user->nroles; i++) {
		buf_put_str(out, i ? ", " : "");
		put_text(out, user->roles[i]);
	}
	buf_put_str(out, "]");
	for (size_t i = 0; i < user->nattributes; i++) {
		buf_put_str(out, i ? ", " : ", attributes: {");
		put_text(out, user->attributes[i].name);
		buf_put_str(out, ": ");
		put_text(out, user->attributes[i].value);
	}
	buf_put_str(out, user->nattributes ? "}" : "");
	put_member(out, "purpose", user->purpose);
	put_member(out, "x509", user->x509);
	if (user->scram.iterations) {
		buf_put_str(out, ", scram-sha-256: ");
		put_verifier(out, &user->scram);
	}
	buf_put_str(out, "}\n");
}

static void check_text(const struct edit *e, const char *what, struct bytes text, size_t max)
{
	const char *wrong = user_text_wrong(text, max);

	if (wrong)
		complain(e->complaints, whole(e), NULL, "%s %s", what, wrong);
}

static bool check_change(const struct edit *e, const struct user_change *c)
{
	size_t before = e->complaints->count;

	check_text(e, "the user's name", c->name, USER_NAME_MAX);
	if (!c->nroles || c->nroles > USER_LIST_MAX || c->nattributes > USER_LIST_MAX)
		complain(e->complaints, whole(e), NULL,
			"a user has 1 to %u roles and at most %u attributes", USER_LIST_MAX,
			USER_LIST_MAX);
	for (size_t i = 0; i < c->nroles; i++) {
		check_text(e, "the role", c->roles[i], USER_TEXT_MAX);
		for (size_t k = 0; k < i; k++)
			if (bytes_equal(c->roles[i], c->roles[k]))
				complain(e->complaints, whole(e), NULL, "a role is given twice");
	}
	for (size_t i = 0; i < c->nattributes; i++) {
		check_text(e, "the attribute's name", c->attributes[i].name, USER_TEXT_MAX);
		check_text(e, "the attribute", c->attributes[i].value, USER_TEXT_MAX);
		for (size_t k = 0; k < i; k++)
			if (bytes_equal(c->attributes[i].name, c->attributes[k].name))
				complain(e->complaints, whole(e), NULL,
					"an attribute is given twice");
	}
	if (c->purpose.len)
		check_text(e, "the purpose", c->purpose, USER_TEXT_MAX);
	if (c->x509.len)
		check_text(e, "the certificate's subject", c->x509, USER_SUBJECT_MAX);
	if (users_find(e->before, c->name))
		complain(e->complaints, whole(e), "remove it first", "the user is there already");
	if (users_find_x509(e->before, c->x509))
		complain(e->complaints, whole(e), NULL, "another user has the certificate");
	return e->complaints->count == before;
}

/* Where a new user's line goes, and how far it is indented. */
static bool find_end_of_users(struct edit *e, size_t *at, unsigned *indent)
{
	const struct yaml_node *users = yaml_get(e->root, "users");
	size_t from;

	if (users->kind == YAML_MAPPING && users->count) {
		const struct yaml_node *last = &users->children[users->count - 1];

		*indent = last->key_at.column - 1;
		*at = entry_end(e, last->key_at.line, line_behind(e, users, users->count - 1));
		return true;
	}
	from = place_offset(e, users->at);
	/* `users: {}`, as well as nothing or null, make way for lines. */
	if (users->kind == YAML_MAPPING) {
		if (!bytes_start_with(bytes_from(buf_bytes(&e->text), from), bytes_str("{}")))
			return refuse_form(e);
		if (!replace(e, from, from + 2, bytes_of("", 0)))
			return false;
	} else if (users->text.len && !replace(e, from, from + users->text.len, bytes_of("", 0))) {
		return false;
	}
	*indent = 2;
	*at = line_offset(e, users->key_at.line + 1);
	return true;
}

static bool insert_user(struct edit *e, const struct user *user)
{
	struct buf entry;
	unsigned indent = 0;
	size_t at = 0;
	bool done;

	if (!find_end_of_users(e, &at, &indent))
		return false;
	buf_init(&entry, YAML_FILE_MAX);
	if (at && e->text.at[at - 1] != '\n')
		buf_put_str(&entry, "\n");
	put_entry(&entry, indent, user);
	done = replace(e, at, at, buf_bytes(&entry));
	buf_wipe(&entry);
	return done;
}

static struct user user_of_change(struct edit *e, const struct user_change *c)
{
	struct user user = {.name = c->name,
		.purpose = c->purpose,
		.x509 = c->x509,
		.nroles = c->nroles,
		.nattributes = c->nattributes};

	user.roles = arena_array(&e->arena, c->nroles, sizeof(*user.roles));
	user.attributes = arena_array(&e->arena, c->nattributes, sizeof(*user.attributes));
	for (size_t i = 0; i < c->nroles; i++)
		user.roles[i] = c->roles[i];
	for (size_t i = 0; i < c->nattributes; i++)
		user.attributes[i] = c->attributes[i];
	return user;
}

bool users_add(const char *file, const struct user_change *change, struct complaints *complaints)
{
	uint8_t salt[SCRAM_SALT_LEN];
	struct user user;
	struct edit e;
	bool done = edit_begin(&e, file, true, complaints) && check_change(&e, change);

	if (done) {
		user = user_of_change(&e, change);
		done = (!change->password.len ||
			       make_verifier(&e, change->password, salt, &user.scram)) &&
		       insert_user(&e, &user) && edit_write(&e, user.name, &user);
	}
	edit_end(&e);
	return done;
}

static size_t index_of(const struct yaml_node *users, struct bytes name)
{
	size_t i = 0;

	while (i < users->count && !bytes_equal(users->children[i].key, name))
		i++;
	return i;
}

static bool refuse_absent(const struct edit *e)
{
	return complain(
		e->complaints, whole(e), "see mongoward user list", "there is no such user");
}

static bool put_password(struct edit *e, const struct yaml_node *user, struct bytes quoted)
{
	const struct yaml_node *old = yaml_get(user, "scram-sha-256");
	size_t at = place_offset(e, old ? old->at : user->at);
	struct bytes there = bytes_from(buf_bytes(&e->text), at);
	struct buf put;
	bool done;

	if (old) {
		bool in_quotes = there.len && (there.at[0] == '"' || there.at[0] == '\'');

		if (!bytes_start_with(bytes_from(there, in_quotes), old->text))
			return refuse_form(e);
		return replace(e, at, at + old->text.len + 2 * (size_t)in_quotes, quoted);
	}
	buf_init(&put, 1024);
	if (there.len && there.at[0] == '{') {
		buf_put_format(&put, "scram-sha-256: %.*s, ", BYTES_ARG(quoted));
		at++;
	} else {
		const struct yaml_node *first = &user->children[0];

		at = place_offset(e, first->key_at);
		buf_put_format(&put, "scram-sha-256: %.*s\n%*s", BYTES_ARG(quoted),
			(int)first->key_at.column - 1, "");
	}
	done = replace(e, at, at, buf_bytes(&put));
	buf_wipe(&put);
	return done;
}

bool users_set_password(
	const char *file, struct bytes name, struct bytes password, struct complaints *complaints)
{
	uint8_t salt[SCRAM_SALT_LEN];
	struct scram_verifier verifier;
	struct buf quoted;
	struct edit e;
	bool done = edit_begin(&e, file, false, complaints) &&
		    (users_find(e.before, name) || refuse_absent(&e)) &&
		    make_verifier(&e, password, salt, &verifier);

	buf_init(&quoted, VERIFIER_MAX);
	if (done) {
		const struct yaml_node *users = yaml_get(e.root, "users");
		struct user user = *users_find(e.before, name);

		user.scram = verifier;
		put_verifier(&quoted, &verifier);
		done = put_password(
			       &e, &users->children[index_of(users, name)], buf_bytes(&quoted)) &&
		       edit_write(&e, name, &user);
	}
	buf_wipe(&quoted);
	edit_end(&e);
	return done;
}

bool users_remove(const char *file, struct bytes name, struct complaints *complaints)
{
	struct edit e;
	bool done = edit_begin(&e, file, false, complaints) &&
		    (users_find(e.before, name) || refuse_absent(&e));

	if (done) {
		const struct yaml_node *users = yaml_get(e.root, "users");
		size_t i = index_of(users, name);
		unsigned line = users->children[i].key_at.line;

		done = replace(&e, line_offset(&e, line),
			       entry_end(&e, line, line_behind(&e, users, i)), bytes_of("", 0)) &&
		       edit_write(&e, name, NULL);
	}
	edit_end(&e);
	return done;
}
