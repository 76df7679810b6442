/* hex.h - lower-case hexadecimal digits. */
#ifndef PROXY_UTIL_HEX_H
#define PROXY_UTIL_HEX_H

#include "util/bytes.h"

/* False unless `hex` is exactly 2 * `len` digits, of lower case. */
bool hex_read(struct bytes hex, uint8_t *out, size_t len) MUST_CHECK;
/* 2 * `len` digits and a NUL. */
void hex_write(const uint8_t *at, size_t len, char *out);

#endif
