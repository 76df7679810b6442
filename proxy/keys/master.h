/* master.h - the key-encryption key and the subkeys made from it.
 *
 * The 96 bytes are those that MongoDB drivers take as the `local` KMS provider's key.
 * They and every subkey lie in one locked, guarded slab that core dumps leave out and
 * that is wiped when it is freed.  A subkey is BLAKE2b-256 of its name, keyed with
 * BLAKE2b-256 of the 96 bytes ("mongoward subkey" as personalisation), so that none
 * tells anything about another.
 *
 * Knows: master key, subkeys, tokens.  Does not know: fields, documents, files' owners.
 */
#ifndef PROXY_KEYS_MASTER_H
#define PROXY_KEYS_MASTER_H

#include "util/fault.h"

#define MASTER_LEN 96u
#define TOKEN_LEN  16u

struct master;

/* From 96 bytes, or from a file that holds them raw or as one line of base64.  The
 * file must be private to its owner.  NULL and a fault when that is not so, or when
 * memory cannot be locked and `require_mlock` is set. */
struct master *master_new(const uint8_t bytes[MASTER_LEN], bool require_mlock, struct fault *why);
struct master *master_load(const char *file, bool require_mlock, struct fault *why);
void master_free(struct master *m);
/* Whether the slab is really locked (a small RLIMIT_MEMLOCK refuses silently). */
bool master_is_locked(const struct master *m);

/* What a token is for; each has a subkey of its own, of the name in brackets. */
enum token_kind {
	TOKEN_AUDIT_SUBJECT,  /* [audit-subject] a patient, in audit records */
	TOKEN_AUDIT_SEARCHED, /* [audit-searched] a literal that a filter looked for */
	TOKEN_SUBJECT,        /* [subject] a patient, in the stored field __mw.s */
	TOKEN_NOISE,          /* [noise] a patient's noise key; 32 bits of it are __mw.rk */
	TOKEN_PSEUDONYM,      /* [pseudonym] what a mask of that name shows */
	TOKEN_STATISTICS,     /* [statistics] noise of an answer, and what of a question is kept */
	TOKEN_FAKE_SALT,      /* [fake-salt] SCRAM salts of users that do not exist */
	TOKEN_KIND_COUNT
};

struct token {
	uint8_t bytes[TOKEN_LEN];
};

/* A patient's token.  `of_id`: made of namespace and _id, for want of another subject. */
struct subject_token {
	struct token token;
	bool of_id;
};

/* Keyed BLAKE2b-128 over the parts, one after the other.  The caller makes sure that
 * different meanings are different bytes. */
void master_token(const struct master *m, enum token_kind kind, const struct bytes *parts,
	size_t nparts, struct token *out);

/* A permutation of 16-byte session ids, one for each user: AES-256 of one block under
 * BLAKE2b-256 of the user's name keyed with subkey [sessions].  The same in every proxy
 * that has the master key, and over restarts.  One belongs to one thread.  Nothing of
 * `m` is borrowed; the expanded keys lie as aes.h says, wiped and left out of core dumps
 * but not locked. */
struct session_cipher;
struct session_cipher *session_cipher_new(const struct master *m, struct bytes user);
void session_cipher_free(struct session_cipher *c);
void session_cipher_apply(struct session_cipher *c, bool reverse, uint8_t id[16]);

#endif
