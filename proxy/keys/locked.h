/* locked.h - memory for secrets.
 *
 * One allocation an array (guard pages around it, left out of core dumps, locked into
 * RAM), never one a secret: each costs two pages and four mappings, and the number of
 * mappings of a process is limited.
 */
#ifndef PROXY_KEYS_LOCKED_H
#define PROXY_KEYS_LOCKED_H

#include "util/fault.h"

/* `count` zeroed elements, aligned to 64 bytes.  `*locked`: whether they are really
 * locked, which a small RLIMIT_MEMLOCK refuses.  NULL and a fault when there is no
 * memory, or when `require_mlock` is set and it is not locked. */
void *locked_array(
	size_t count, size_t size, bool require_mlock, bool *locked, struct fault *why) MUST_CHECK;
/* Wipes and frees; NULL is nothing. */
void locked_free(void *at);

#endif
