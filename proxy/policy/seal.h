/* seal.h - who stands for a policy: its files, the users and the audit settings, signed.
 *
 * A seal (the file `policy.seal` in the policy folder) names every policy file with its
 * BLAKE2b-256, the hash of the users file and that of the audit settings, and a version that
 * only rises.  Signatures are Ed25519 over its content, which is these lines:
 *
 *   mongoward policy seal 1
 *   version 7
 *   users HASH
 *   audit HASH
 *   HASH NAME          one for each file, by the bytes of its name
 *
 * The file is YAML with the same facts, and beside them the signatures by their public keys.
 * Hashes, keys and signatures are lower-case hex.
 */
#ifndef PROXY_POLICY_SEAL_H
#define PROXY_POLICY_SEAL_H

#include "keys/signing_key.h"
#include "util/buf.h"
#include "util/complaint.h"

#define SEAL_NAME           "policy.seal"
#define SEAL_HASH_LEN       32u
#define SEAL_SIGNATURES_MAX 64u
#define SEAL_FILE_MAX       (1000u * 1000) /* bytes */
#define SEAL_VERSION_MAX    UINT64_C(999999999999999)

struct seal;

struct seal_facts {
	uint64_t version; /* 1 … SEAL_VERSION_MAX */
	uint8_t users[SEAL_HASH_LEN], audit[SEAL_HASH_LEN];
};

/* What the folder holds now, without a signature.  NULL and complaints when it holds nothing, or
 * what cannot be sealed: a symbolic link, a name with control characters. */
struct seal *seal_new(
	const char *folder, const struct seal_facts *facts, struct complaints *complaints);
/* From a file, which is no symbolic link; or from its text.  NULL and complaints when it is not
 * whole.  Signatures are not looked at. */
struct seal *seal_load(const char *path, struct complaints *complaints);
struct seal *seal_parse(const char *file, struct bytes text, struct complaints *complaints);
void seal_free(struct seal *s);

uint64_t seal_version(const struct seal *s);
const uint8_t *seal_users(const struct seal *s); /* SEAL_HASH_LEN bytes */
const uint8_t *seal_audit(const struct seal *s);
size_t seal_files(const struct seal *s);
/* BLAKE2b-256 of the content. */
void seal_hash(const struct seal *s, uint8_t out[SEAL_HASH_LEN]);
/* Whether all but the version is the same. */
bool seal_is_alike(const struct seal *a, const struct seal *b);
/* Whether the seal names that file with that text; complains about it (as `file`) if not. */
bool seal_holds(const struct seal *s, const char *file, struct bytes name, struct bytes text,
	struct complaints *complaints) MUST_CHECK;

size_t seal_signatures(const struct seal *s);
const uint8_t *seal_signer(const struct seal *s, size_t i); /* a public key */
/* Whether that signature is of this content. */
bool seal_signature_is_valid(const struct seal *s, size_t i);
/* Adds a signature, or makes the signer's anew.  False: SEAL_SIGNATURES_MAX others are there. */
bool seal_sign(struct seal *s, const struct signing_key *key) MUST_CHECK;
/* Takes over the signatures of another, which are of the same content. */
void seal_take_signatures(struct seal *s, const struct seal *other);

/* Whose signatures count, and how many are needed. */
struct seal_trust {
	const uint8_t (*signers)[SIGNING_PUBLIC_LEN]; /* all different */
	size_t nsigners;
	size_t threshold; /* 1 … nsigners */
};
/* Complains (as `file`) unless enough of them have signed this content.  A signature of
 * theirs that is not of this content is a mistake, whatever the others are. */
bool seal_is_trusted(const struct seal *s, const struct seal_trust *trust, const char *file,
	struct complaints *complaints) MUST_CHECK;

/* The file's text. */
void seal_put(const struct seal *s, struct buf *out);

#endif
