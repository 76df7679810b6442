/* key_document.h - documents of the key vault: written, and read with nothing believed.
 *
 * Source: MongoDB's client-side encryption specification, "data key" and "key vault
 * collection"; keyMaterial as libmongocrypt's `local` provider wraps it: the 96 key bytes
 * sealed (keys/aead.h) with the master key, without associated data.
 */
#ifndef PROXY_KEYS_KEY_DOCUMENT_H
#define PROXY_KEYS_KEY_DOCUMENT_H

#include "keys/aead.h"
#include "keys/keyring.h"

#define KEY_WRAPPED_LEN 160u /* aead_sealed_len(AEAD_KEY_LEN) */

/* The master key, prepared for wrapping keys and for the MAC of their labels, in locked
 * memory.  For one thread at a time. */
struct wrapping;

/* Nothing of `m` is kept.  Locking and failing as in locked_array. */
struct wrapping *wrapping_new(
	const struct master *m, bool require_mlock, bool *locked, struct fault *why) MUST_CHECK;
void wrapping_free(struct wrapping *w);

/* What a document says of itself; borrowed from it, and not to be believed before
 * key_document_open. */
struct key_document {
	uint8_t id[KEY_ID_LEN];
	struct bytes ns;
	struct bytes path;
	struct bytes mac;     /* the whole name that holds it */
	struct bytes wrapped; /* KEY_WRAPPED_LEN */
};

/* Whether one of the document's keyAltNames says that it is ours.  Here and below the
 * document has passed wellformed_value. */
bool key_document_is_ours(struct bytes document);
bool key_document_read(struct key_document *d, struct bytes document, struct fault *why) MUST_CHECK;
/* Unwraps the key and checks the MAC over everything that was read.  On false `key` is
 * wiped. */
bool key_document_open(struct wrapping *w, const struct key_document *d, uint8_t key[AEAD_KEY_LEN],
	struct fault *why) MUST_CHECK;

/* Whether a field of that name can have a key: the limits of keyring_make_document. */
bool key_label_check(struct bytes ns, struct bytes path, struct fault *why) MUST_CHECK;
/* Appends the document of a key for a field whose label was checked. */
void key_document_put(struct wrapping *w, const uint8_t id[KEY_ID_LEN],
	const uint8_t key[AEAD_KEY_LEN], struct bytes ns, struct bytes path, int64_t now_ms,
	struct buf *out);

#endif
