/* utf8.h - text from outside.  UTF-8 as in RFC 3629: no surrogates, no overlong forms. */
#ifndef PROXY_UTIL_UTF8_H
#define PROXY_UTIL_UTF8_H

#include "util/bytes.h"

bool utf8_valid(struct bytes text);

/* Length of the valid character at the front; 0 if there is none, and then `*bad`
 * (never NULL) is the length of the maximal invalid part (Unicode 15, §3.9). */
size_t utf8_character(struct bytes text, size_t *bad);

/* Copies `text` into `out` of `size` >= 4 bytes, with a NUL: each maximal invalid
 * part becomes U+FFFD, control characters (C0, C1 and DEL) become '?'; what does not fit is cut on a
 * character and ends in '…'.  Returns the length without the NUL. */
size_t utf8_printable(struct bytes text, char *out, size_t size);

#endif
