/* wellformed.h - whether bytes are exactly one BSON value.
 *
 * For values that come out of a ciphertext, and for documents of the key vault: what
 * passes can be walked, and put into a document, without another look at its lengths.
 *
 * Source: bsonspec.org, version 1.1.
 */
#ifndef PROXY_KEYS_WELLFORMED_H
#define PROXY_KEYS_WELLFORMED_H

#include "util/bytes.h"

#define WELLFORMED_DEPTH_MAX 180u /* documents in documents, as for what a client sends */

/* All lengths, terminating NULs and bools, at any depth; nothing behind the end.  The
 * text of names and strings is not looked at: it may be other than UTF-8. */
bool wellformed_value(uint8_t type, struct bytes value);

#endif
