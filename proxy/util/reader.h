/* reader.h - reads little-endian fields from a run of bytes.
 *
 * Failure is sticky: after a read beyond the end `failed` stays set and every
 * later read gives zero or an empty run, so that a parser checks once, at its end.
 */
#ifndef PROXY_UTIL_READER_H
#define PROXY_UTIL_READER_H

#include "util/bytes.h"

struct reader {
	struct bytes left; /* what has not been read yet */
	bool failed;
};

static inline struct reader reader_of(struct bytes b)
{
	return (struct reader){.left = b};
}

/* The next `n` bytes; empty, and failed, when there are fewer. */
static inline struct bytes reader_take(struct reader *r, size_t n)
{
	struct bytes taken;

	if (r->failed || n > r->left.len) {
		r->failed = true;
		return bytes_of(r->left.at, 0);
	}
	taken = bytes_of(r->left.at, n);
	r->left = bytes_from(r->left, n);
	return taken;
}

static inline uint8_t reader_u8(struct reader *r)
{
	struct bytes b = reader_take(r, 1);

	return b.len ? b.at[0] : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
	struct bytes b = reader_take(r, 4);

	return b.len ? load_u32(b.at) : 0;
}

static inline uint64_t reader_u64(struct reader *r)
{
	struct bytes b = reader_take(r, 8);

	return b.len ? load_u64(b.at) : 0;
}

/* The next 32-bit number without moving on; 0, and failed, at the end. */
static inline uint32_t reader_peek_u32(struct reader *r)
{
	if (r->failed || r->left.len < 4) {
		r->failed = true;
		return 0;
	}
	return load_u32(r->left.at);
}

/* A name that ends in NUL: the bytes before the NUL, which is passed over. */
static inline struct bytes reader_name(struct reader *r)
{
	const uint8_t *nul = r->left.len ? memchr(r->left.at, 0, r->left.len) : NULL;
	struct bytes name;

	if (r->failed || !nul) {
		r->failed = true;
		return bytes_of(r->left.at, 0);
	}
	name = reader_take(r, (size_t)(nul - r->left.at));
	(void)reader_take(r, 1);
	return name;
}

#endif
