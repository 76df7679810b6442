/* keyring.h - the data keys of fields, as the key vault holds them.
 *
 * A key document is one of MongoDB's client-side encryption specification ("data key",
 * key vault collection), wrapped under the `local` provider with the master key.  Its
 * keyAltNames are two:
 *   "mongoward:NAMESPACE:PATH"   what it is for
 *   "mongoward-mac:1:HEX"        BLAKE2b-256 keyed with subkey [vault-mac] over _id, the
 *                                96 key bytes, namespace, NUL, path, NUL, subject
 * The second is checked whenever a key is taken up, so that whoever controls the
 * database can neither relabel nor exchange a key unseen.  Documents without the first
 * are somebody else's and are passed over.
 *
 * A keyring is built once and then shared, immutable, by all threads; keys lie in a
 * locked slab.  Limits: KEYRING_MAX keys.
 */
#ifndef PROXY_KEYS_KEYRING_H
#define PROXY_KEYS_KEYRING_H

#include "keys/master.h"
#include "util/buf.h"

#define KEYRING_MAX 4096
#define KEY_ID_LEN  16u
#define KEY_NONE    (-1)

struct keyring;

struct keyring *keyring_new(const struct master *m, bool require_mlock, struct fault *why);
struct keyring *keyring_ref(struct keyring *k);
void keyring_unref(struct keyring *k);

enum keyring_added { KEY_ADDED, KEY_FOREIGN, KEY_BAD };
/* Takes up one document of the vault.  KEY_BAD (and a fault): it claims to be ours, and
 * its MAC, form or wrapping is wrong, or another key for the same field is there. */
enum keyring_added keyring_add(struct keyring *k, struct bytes document, struct fault *why);

/* The key of a field, or of an id; KEY_NONE when there is none. */
int keyring_find(const struct keyring *k, struct bytes ns, struct bytes path);
int keyring_find_id(const struct keyring *k, const uint8_t id[KEY_ID_LEN]);
size_t keyring_count(const struct keyring *k);
/* Of key 0 … count-1; borrowed from the keyring. */
struct bytes keyring_ns(const struct keyring *k, int key);
struct bytes keyring_path(const struct keyring *k, int key);
const uint8_t *keyring_id(const struct keyring *k, int key);

/* Appends a key document with a fresh random key for that field.  `now_ms` goes into
 * creationDate and updateDate. */
bool keyring_make_document(const struct master *m, struct bytes ns, struct bytes path,
	int64_t now_ms, struct buf *out, struct fault *why) MUST_CHECK;

#endif
