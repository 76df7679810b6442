/* memory.h - heap memory that is there or the process is not.
 *
 * What a peer can ask for is bounded before it is allocated (message budget,
 * arena limits), so that an allocation that fails means that the machine has no
 * memory left: the process says so and aborts instead of running on half-built.
 */
#ifndef PROXY_UTIL_MEMORY_H
#define PROXY_UTIL_MEMORY_H

#include "util/bytes.h"

/* Each aborts the process when there is no memory.  Freed with free(). */
void *memory_new(size_t size) __attribute__((malloc, returns_nonnull));                 /* zeroed */
void *memory_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *memory_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *memory_text(struct bytes text) __attribute__((malloc, returns_nonnull)); /* copy with a NUL */
char *memory_format(const char *format, ...) PRINTF_LIKE(1, 2)
	__attribute__((malloc, returns_nonnull));

/* Makes room for one more element of an array that grows by doubling. */
void memory_grow(void *array_pointer, size_t count, size_t *capacity, size_t size);

#endif
