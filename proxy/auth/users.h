/* users.h - users.yaml: who there is, with which roles.
 *
 * Never a password: SCRAM-SHA-256 verifiers only.  Read as an immutable, reference-
 * counted snapshot.  Limits: 100,000 users and 16 MB (some 80,000 users with passwords), 64
 * roles and 64 attributes a user.
 */
#ifndef PROXY_AUTH_USERS_H
#define PROXY_AUTH_USERS_H

#include "util/complaint.h"

#define USER_NAME_MAX 256 /* bytes */

struct attribute {
	struct bytes name;
	struct bytes value; /* as written, never empty */
};

/* RFC 5802; lengths are those of SHA-256. */
struct scram_verifier {
	uint32_t iterations; /* 0: the user has no password */
	struct bytes salt;
	uint8_t stored_key[32];
	uint8_t server_key[32];
};

struct user {
	struct bytes name;
	struct bytes *roles;
	size_t nroles;
	struct attribute *attributes;
	size_t nattributes;
	struct bytes purpose; /* empty: none by default */
	struct bytes x509;    /* RFC 2253 subject of the client certificate; empty: none */
	struct scram_verifier scram;
	struct place at; /* where it stands, for `policy check --users` */
};

struct users;

/* NULL and complaints when anything in the file is wrong.  The file must not be
 * writable by others than its owner. */
struct users *users_load(const char *file, struct complaints *complaints);
struct users *users_ref(struct users *u);
void users_unref(struct users *u);
const struct user *users_find(const struct users *u, struct bytes name);
/* By the certificate's subject; NULL when none or empty. */
const struct user *users_find_x509(const struct users *u, struct bytes subject);
size_t users_count(const struct users *u);
const struct user *users_at(const struct users *u, size_t i); /* in the file's order */
/* BLAKE2b-256 of the file's bytes; a change of it means a change of rights. */
const uint8_t *users_hash(const struct users *u);

/* Changes of the file, for `mongoward user`: all other lines keep their content.  Each
 * rewrites the file whole (mode 0600) or leaves it as it is. */
struct user_change {
	struct bytes name;
	const struct bytes *roles;
	size_t nroles;
	const struct attribute *attributes;
	size_t nattributes;
	struct bytes purpose;
	struct bytes x509;
	struct bytes password; /* empty: none; normalised by SASLprep here */
};
bool users_add(const char *file, const struct user_change *change, struct complaints *complaints);
bool users_set_password(
	const char *file, struct bytes name, struct bytes password, struct complaints *complaints);
bool users_remove(const char *file, struct bytes name, struct complaints *complaints);

/* Who a connection speaks for, once it has logged in.  Owned by the connection. */
enum auth_method { AUTH_SCRAM, AUTH_X509 };
struct identity {
	struct users *users; /* holds a reference */
	const struct user *user;
	enum auth_method method;
};

#endif
