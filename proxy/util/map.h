/* map.h - from a run of bytes to a pointer.
 *
 * Open addressing with a keyed hash (SipHash-2-4 with a key drawn per process), so
 * that names chosen by a peer cannot be made to collide.  Keys are borrowed: they
 * must stay in place for as long as their entry does.
 */
#ifndef PROXY_UTIL_MAP_H
#define PROXY_UTIL_MAP_H

#include "util/bytes.h"

struct map_entry {
	struct bytes key;
	void *value; /* NULL: the place is free */
};

struct map {
	struct map_entry *entries;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

void map_init(struct map *m);
/* Frees the table, not the values. */
void map_fini(struct map *m);
/* NULL when absent. */
void *map_get(const struct map *m, struct bytes key);
/* `value` is not NULL.  Returns the value it replaces (whose key is replaced, too), or NULL. */
void *map_set(struct map *m, struct bytes key, void *value);
/* Returns the value that was there, or NULL. */
void *map_remove(struct map *m, struct bytes key);

/* Visits all entries: for (size_t i = 0; (e = map_next(m, &i));) … nothing may be
 * added or removed on the way. */
const struct map_entry *map_next(const struct map *m, size_t *position);

#endif
