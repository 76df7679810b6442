#include "util/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "util/memory.h"

#define FIRST_CAPACITY 256u
#define SPARE          1u /* behind the capacity, for the NUL that vsnprintf writes */

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
	free(b->at);
	*b = (struct buf){.max = b->max};
}

void buf_wipe(struct buf *b)
{
	if (b->at)
		sodium_memzero(b->at, b->capacity + SPARE);
	buf_fini(b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

void buf_shrink(struct buf *b, size_t keep)
{
	buf_clear(b);
	if (b->capacity > keep)
		buf_fini(b);
}

static size_t next_capacity(const struct buf *b, size_t wanted)
{
	size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;

	while (capacity < wanted)
		capacity = capacity > b->max / 2 ? b->max : capacity * 2;
	return capacity < b->max ? capacity : b->max;
}

uint8_t *buf_reserve_more(struct buf *b, size_t n)
{
	if (b->failed || n > b->max || b->len > b->max - n) {
		b->failed = true;
		return NULL;
	}
	if (!b->at || b->len + n > b->capacity) {
		b->capacity = next_capacity(b, b->len + n);
		b->at = memory_resize(b->at, b->capacity + SPARE, 1);
	}
	return b->at + b->len;
}

void buf_put_format(struct buf *b, const char *format, ...)
{
	va_list args, again;
	uint8_t *room;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	room = n >= 0 ? buf_reserve(b, (size_t)n) : NULL;
	if (room) {
		vsnprintf((char *)room, (size_t)n + SPARE, format, again);
		b->len += (size_t)n;
	} else {
		b->failed = true;
	}
	va_end(again);
}

void buf_put_count(struct buf *b, uint64_t n)
{
	uint8_t digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (uint8_t)('0' + n % 10);
		n /= 10;
	} while (n);
	buf_put(b, bytes_of(digits + i, sizeof(digits) - i));
}

void buf_consume(struct buf *b, size_t n)
{
	if (n >= b->len) {
		b->len = 0;
		return;
	}
	memmove(b->at, b->at + n, b->len - n);
	b->len -= n;
}
