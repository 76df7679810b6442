/* bytes.h - a borrowed run of bytes.
 *
 * `struct bytes` never owns what it points to.  Functions that keep one say so
 * and for how long; everything else may look only during the call.
 */
#ifndef PROXY_UTIL_BYTES_H
#define PROXY_UTIL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NORETURN          __attribute__((noreturn))
/* For an array that is large and of which only what has been written is read. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define NOT_SET __attribute__((uninitialized))
#endif
#endif
#ifndef NOT_SET
#define NOT_SET
#endif
/* For what is too long for the compiler to copy into each of its few callers by itself. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Number of elements of an array (never of a pointer). */
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

struct bytes {
	const uint8_t *at;
	size_t len;
};

static inline struct bytes bytes_of(const void *at, size_t len)
{
	return (struct bytes){.at = at, .len = len};
}

/* A literal as an initializer of a table. */
#define BYTES_LITERAL(literal)                                  \
	{                                                       \
		(const uint8_t *)(literal), sizeof(literal) - 1 \
	}

static inline struct bytes bytes_str(const char *s)
{
	return bytes_of(s, strlen(s));
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool bytes_equal_str(struct bytes a, const char *s)
{
	return bytes_equal(a, bytes_str(s));
}

/* memcmp order, a prefix before what it is a prefix of; <0, 0, >0. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.at, b.at, n) : 0;

	if (order)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

static inline bool bytes_start_with(struct bytes b, struct bytes prefix)
{
	return b.len >= prefix.len && (prefix.len == 0 || memcmp(b.at, prefix.at, prefix.len) == 0);
}

/* `b` from offset `from` on; empty when `from` lies beyond its end. */
static inline struct bytes bytes_from(struct bytes b, size_t from)
{
	size_t skipped = from < b.len ? from : b.len;

	/* Nothing may be added to a null pointer, not even 0. */
	return bytes_of(skipped ? b.at + skipped : b.at, b.len - skipped);
}

/* The first `len` bytes of `b`, or all of it if it is shorter. */
static inline struct bytes bytes_head(struct bytes b, size_t len)
{
	return bytes_of(b.at, b.len < len ? b.len : len);
}

/* No byte above 0x7f.  libsodium's base64 takes those for '/'. */
static inline bool bytes_are_ascii(struct bytes b)
{
	uint8_t all = 0;

	for (size_t i = 0; i < b.len; i++)
		all |= b.at[i];
	return all < 0x80;
}

/* Little-endian numbers, as BSON and the wire have them. */
static inline uint32_t load_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t load_u64(const uint8_t *p)
{
	return (uint64_t)load_u32(p) | (uint64_t)load_u32(p + 4) << 32;
}

static inline int32_t load_i32(const uint8_t *p)
{
	return (int32_t)load_u32(p);
}

static inline int64_t load_i64(const uint8_t *p)
{
	return (int64_t)load_u64(p);
}

static inline double load_double(const uint8_t *p)
{
	uint64_t bits = load_u64(p);
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

static inline void store_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

static inline void store_u64(uint8_t *p, uint64_t v)
{
	store_u32(p, (uint32_t)v);
	store_u32(p + 4, (uint32_t)(v >> 32));
}

/* Eight hex digits of four bytes, as load_u32 and store_u64 have them. */
static inline uint64_t hex_of_u32(uint32_t four)
{
	uint64_t digits = four, letters;

	digits = (digits | digits << 16) & 0x0000ffff0000ffffu;
	digits = (digits | digits << 8) & 0x00ff00ff00ff00ffu;
	digits = (digits >> 4 | digits << 8) & 0x0f0f0f0f0f0f0f0fu;
	letters = ((digits + 0x0606060606060606u) >> 4) & 0x0101010101010101u;
	return digits + 0x3030303030303030u + letters * ('a' - '0' - 10);
}

/* Two hex digits, in lower case, for each byte; without a NUL. */
static inline void bytes_hex(struct bytes b, void *out)
{
	uint8_t *to = out, last[8];

	for (; b.len >= 4; b.at += 4, b.len -= 4, to += 8)
		store_u64(to, hex_of_u32(load_u32(b.at)));
	for (; b.len; b.at++, b.len--, to += 2) {
		store_u64(last, hex_of_u32(*b.at));
		memcpy(to, last, 2);
	}
}

/* printf arguments for "%.*s"; only for bytes that are known to be text. */
#define BYTES_ARG(b) (int)(b).len, (const char *)(b).at

#endif
