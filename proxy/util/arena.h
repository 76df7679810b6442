/* arena.h - memory that is freed all at once.
 *
 * An exchange allocates from its arena and never frees a piece.  Under address
 * sanitizer every piece is a malloc of its own, so that overruns are seen.
 */
#ifndef PROXY_UTIL_ARENA_H
#define PROXY_UTIL_ARENA_H

#include "util/bytes.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	uint8_t *next; /* first free byte of the newest block */
	size_t left;   /* free bytes behind it */
	size_t used;   /* bytes handed out since the last reset */
};

void arena_init(struct arena *a);
void arena_fini(struct arena *a);
/* Frees all pieces; keeps at most one block for the next use. */
void arena_reset(struct arena *a);

/* `size` zeroed bytes, aligned for any type, valid until reset or fini.  The
 * caller bounds `size`; the process aborts when there is no memory. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((malloc, returns_nonnull));
/* `count` zeroed elements; aborts when the product overflows. */
void *arena_array(struct arena *a, size_t count, size_t size)
	__attribute__((malloc, returns_nonnull));
struct bytes arena_copy(struct arena *a, struct bytes b);
/* "a.b", with a NUL behind it that is not counted. */
struct bytes arena_dotted(struct arena *arena, struct bytes a, struct bytes b);
char *arena_text(struct arena *a, struct bytes b) __attribute__((returns_nonnull));
char *arena_format(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3)
	__attribute__((returns_nonnull));

#endif
