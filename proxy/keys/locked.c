#include "keys/locked.h"

#include <errno.h>
#include <sys/mman.h>

#include <sodium.h>

/* sodium_malloc puts the end of the memory at the end of a page. */
#define ALIGNMENT 64u

void *locked_array(size_t count, size_t size, bool require_mlock, bool *locked, struct fault *why)
{
	size_t whole;
	void *at;

	*locked = false;
	if (__builtin_mul_overflow(count, size, &whole) || whole > SIZE_MAX - ALIGNMENT ||
		sodium_init() < 0) {
		fault_set(why, FAULT_KEYS, "secrets find no memory");
		return NULL;
	}
	whole = (whole ? whole + ALIGNMENT - 1 : ALIGNMENT) / ALIGNMENT * ALIGNMENT;
	at = sodium_malloc(whole);
	if (!at) {
		fault_set(why, FAULT_KEYS, "secrets find no memory: %s", strerror(errno));
		return NULL;
	}
	/* sodium_malloc locks too, but does not say when that failed. */
	*locked = mlock(at, whole) == 0;
	if (!*locked && require_mlock) {
		fault_set(why, FAULT_KEYS,
			"%zu bytes of secrets cannot be locked into memory: %s; raise "
			"RLIMIT_MEMLOCK",
			whole, strerror(errno));
		sodium_free(at);
		return NULL;
	}
	memset(at, 0, whole);
	return at;
}

void locked_free(void *at)
{
	sodium_free(at);
}
