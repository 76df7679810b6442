#include "util/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define PIECE_A_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PIECE_A_MALLOC 1
#endif
#endif

#define BLOCK_SIZE 8192u
#define ALIGNMENT  _Alignof(max_align_t)

struct arena_block {
	struct arena_block *before;
	size_t size; /* of the payload */
	_Alignas(max_align_t) uint8_t payload[];
};

void arena_init(struct arena *a)
{
	*a = (struct arena){0};
}

static void free_blocks(struct arena_block *block)
{
	while (block) {
		struct arena_block *before = block->before;

		free(block);
		block = before;
	}
}

void arena_fini(struct arena *a)
{
	free_blocks(a->blocks);
	arena_init(a);
}

void arena_reset(struct arena *a)
{
#ifndef PIECE_A_MALLOC
	struct arena_block *newest = a->blocks;

	if (newest && newest->size == BLOCK_SIZE) {
		free_blocks(newest->before);
		newest->before = NULL;
		a->next = newest->payload;
		a->left = newest->size;
		a->used = 0;
		return;
	}
#endif
	arena_fini(a);
}

static void add_block(struct arena *a, size_t size)
{
	struct arena_block *block;

	if (size > SIZE_MAX / 2)
		abort();
	block = memory_resize(NULL, 1, sizeof(*block) + size);
	block->before = a->blocks;
	block->size = size;
	a->blocks = block;
	a->next = block->payload;
	a->left = size;
}

/* Bytes that are not set yet. */
static void *take(struct arena *a, size_t size)
{
	size_t whole = size <= SIZE_MAX / 2 ? (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : size;
	void *piece;

#ifdef PIECE_A_MALLOC
	add_block(a, size ? size : 1);
	a->left = whole = size;
#else
	if (!a->blocks || whole > a->left)
		add_block(a, whole > BLOCK_SIZE ? whole : BLOCK_SIZE);
#endif
	piece = a->next;
	a->next += whole;
	a->left -= whole;
	a->used += size;
	return piece;
}

void *arena_alloc(struct arena *a, size_t size)
{
	return memset(take(a, size), 0, size);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	if (size && count > SIZE_MAX / size)
		abort();
	return arena_alloc(a, count * size);
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
	return bytes_of(arena_text(a, b), b.len);
}

struct bytes arena_dotted(struct arena *arena, struct bytes a, struct bytes b)
{
	uint8_t *joined = take(arena, a.len + 1 + b.len + 1);

	if (a.len)
		memcpy(joined, a.at, a.len);
	joined[a.len] = '.';
	if (b.len)
		memcpy(joined + a.len + 1, b.at, b.len);
	joined[a.len + 1 + b.len] = 0;
	return bytes_of(joined, a.len + 1 + b.len);
}

char *arena_text(struct arena *a, struct bytes b)
{
	char *copy = take(a, b.len + 1);

	if (b.len)
		memcpy(copy, b.at, b.len);
	copy[b.len] = '\0';
	return copy;
}

char *arena_format(struct arena *a, const char *format, ...)
{
	va_list args, again;
	char *text;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0)
		abort();
	text = arena_alloc(a, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, format, again);
	va_end(again);
	return text;
}
