/* keyring.h - the data keys of fields, as the key vault holds them.
 *
 * A key document is one of MongoDB's client-side encryption specification ("data key",
 * key vault collection), wrapped under the `local` provider with the master key.  Its
 * keyAltNames hold two of ours, in any order, and may hold others:
 *   "mongoward:NAMESPACE:PATH"   what it is for
 *   "mongoward-mac:1:HEX"        BLAKE2b-256 keyed with subkey [vault-mac] over _id, the
 *                                96 key bytes, namespace, NUL, path, NUL, subject (which
 *                                is empty for a key that all subjects share)
 * The second is checked whenever a key is taken up, so that whoever controls the
 * database can neither relabel nor exchange a key unseen.  Documents with neither are
 * somebody else's and are passed over.
 *
 * A keyring is built once, by one thread, and then shared, immutable, by all; keys lie
 * in one locked array.  Limits: KEYRING_MAX keys, names as below.
 */
#ifndef PROXY_KEYS_KEYRING_H
#define PROXY_KEYS_KEYRING_H

#include "keys/master.h"
#include "util/buf.h"

#define KEYRING_MAX  4096
#define KEY_ID_LEN   16u
#define KEY_NONE     (-1)
#define KEY_NS_MAX   255u  /* bytes, as MongoDB has it; without a colon, which ends it */
#define KEY_PATH_MAX 1024u /* bytes */

struct keyring;

/* Nothing of `m` is borrowed.  NULL and a fault when memory cannot be locked and
 * `require_mlock` is set. */
struct keyring *keyring_new(const struct master *m, bool require_mlock, struct fault *why);
struct keyring *keyring_ref(struct keyring *k);
void keyring_unref(struct keyring *k);
/* Whether all its keys are really locked into memory. */
bool keyring_is_locked(const struct keyring *k);

enum keyring_added { KEY_ADDED, KEY_FOREIGN, KEY_BAD };
/* Takes up one document of the vault.  KEY_BAD (and a fault), with nothing changed: it is
 * no BSON; or it claims to be ours, and its MAC, form or wrapping is wrong, or another key
 * with its _id or for the same field is there, or no more fit.  Not thread-safe. */
enum keyring_added keyring_add(struct keyring *k, struct bytes document, struct fault *why);

/* The key of a field, or of an id; KEY_NONE when there is none.  Keys are numbered in the
 * order in which they were added. */
int keyring_find(const struct keyring *k, struct bytes ns, struct bytes path);
int keyring_find_id(const struct keyring *k, const uint8_t id[KEY_ID_LEN]);
size_t keyring_count(const struct keyring *k);
/* Of key 0 … count-1; borrowed from the keyring. */
struct bytes keyring_ns(const struct keyring *k, int key);
struct bytes keyring_path(const struct keyring *k, int key);
const uint8_t *keyring_id(const struct keyring *k, int key);

/* Appends a key document with a fresh random key for that field.  `now_ms` goes into
 * creationDate and updateDate.  False: the names are beyond the limits, or locked memory
 * (needed if `m` is locked) or room in `out` is missing. */
bool keyring_make_document(const struct master *m, struct bytes ns, struct bytes path,
	int64_t now_ms, struct buf *out, struct fault *why) MUST_CHECK;

#endif
