/* words.h - from names of the source or of the policy to what they mean.
 *
 * As a map, but with a hash of few steps and without a key: for tables whose names no peer
 * can choose, so that none can make them collide.  What is looked up may be anybody's.
 */
#ifndef PROXY_UTIL_WORDS_H
#define PROXY_UTIL_WORDS_H

#include "util/bytes.h"

struct word {
	struct bytes name; /* borrowed */
	const void *value; /* NULL: the place is free */
};

/* All zero: empty. */
struct words {
	struct word *places;
	size_t capacity; /* a power of two, or 0 */
	unsigned shift;  /* of a hash, to a number below the capacity */
	size_t count;
};

/* `value` is not NULL; it replaces that of the same name. */
void words_add(struct words *w, struct bytes name, const void *value);
/* NULL when absent. */
const void *words_find(const struct words *w, struct bytes name);
/* Frees the table, not the values. */
void words_fini(struct words *w);

#endif
