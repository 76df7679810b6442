/* words.h - from names in the source to what they mean.
 *
 * As a map, but with a hash of few steps and without a key: for tables whose names nobody
 * but the source can choose, so that nobody can make them collide.  What is looked up may
 * be anybody's.
 */
#ifndef PROXY_UTIL_WORDS_H
#define PROXY_UTIL_WORDS_H

#include "util/bytes.h"

struct word {
	struct bytes name; /* borrowed for good */
	const void *value; /* NULL: the place is free */
};

/* All zero: empty.  It is filled once, and never freed. */
struct words {
	struct word *places;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

/* `value` is not NULL; it replaces that of the same name. */
void words_add(struct words *w, struct bytes name, const void *value);
/* NULL when absent. */
const void *words_find(const struct words *w, struct bytes name);

#endif
