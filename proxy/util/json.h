/* json.h - writes JSON; for the log, audit lines and `--json` output. */
#ifndef PROXY_UTIL_JSON_H
#define PROXY_UTIL_JSON_H

#include "util/buf.h"

/* A string with its quotes.  Escapes are only \" \\ and \u00xx for U+0000–U+001F;
 * each maximal invalid part of UTF-8 becomes U+FFFD. */
void json_put_string(struct buf *out, struct bytes text);
/* As above, but cut on a character so that with '…' at most `max` bytes remain
 * between the quotes before escaping; nothing at all when not even '…' fits. */
void json_put_string_cut(struct buf *out, struct bytes text, size_t max);

#endif
