/* buf.h - bytes that grow at the end, up to a limit.
 *
 * Failure is sticky: once the limit is passed nothing more is written and
 * `failed` stays set, so that a builder checks once, at its end.
 */
#ifndef PROXY_UTIL_BUF_H
#define PROXY_UTIL_BUF_H

#include "util/bytes.h"

struct buf {
	uint8_t *at;
	size_t len;
	size_t capacity;
	size_t max; /* never grows beyond this many bytes */
	bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* As buf_fini, but the bytes are wiped first.  Memory that the buf has outgrown is not:
 * reserve all that a secret can need before its first byte. */
void buf_wipe(struct buf *b);
/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *b);
/* Forgets the content, and the memory too if it is more than `keep` bytes. */
void buf_shrink(struct buf *b, size_t keep);

/* Room for `n` more bytes at the end, not yet part of the content; NULL when that
 * would pass the limit.  Valid until the next call on `b`. */
uint8_t *buf_reserve_more(struct buf *b, size_t n); /* when the fast way does not do */
static inline uint8_t *buf_reserve(struct buf *b, size_t n)
{
	/* What is there already is within the limit. */
	if (b->at && !b->failed && n <= b->capacity - b->len)
		return b->at + b->len;
	return buf_reserve_more(b, n);
}
/* Makes `n` reserved and written bytes part of the content. */
static inline void buf_commit(struct buf *b, size_t n)
{
	b->len += n;
}

static inline void buf_put(struct buf *b, struct bytes bytes)
{
	uint8_t *room = bytes.len ? buf_reserve(b, bytes.len) : NULL;

	if (!room)
		return;
	memcpy(room, bytes.at, bytes.len);
	b->len += bytes.len;
}
void buf_put_format(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

static inline void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, bytes_of(&v, 1));
}

static inline void buf_put_u32(struct buf *b, uint32_t v)
{
	uint8_t le[4];

	store_u32(le, v);
	buf_put(b, bytes_of(le, sizeof(le)));
}

static inline void buf_put_u64(struct buf *b, uint64_t v)
{
	uint8_t le[8];

	store_u64(le, v);
	buf_put(b, bytes_of(le, sizeof(le)));
}

/* In decimal digits. */
void buf_put_count(struct buf *b, uint64_t n);

static inline void buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, bytes_str(s));
}

/* Overwrites four bytes that are already content. */
static inline void buf_patch_u32(struct buf *b, size_t offset, uint32_t v)
{
	if (!b->failed && b->len >= 4 && offset <= b->len - 4)
		store_u32(b->at + offset, v);
}

/* The content; borrowed until the next call on `b`. */
static inline struct bytes buf_bytes(const struct buf *b)
{
	return bytes_of(b->at, b->len);
}

/* Removes `n` bytes from the front. */
void buf_consume(struct buf *b, size_t n);

#endif
