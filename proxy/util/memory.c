#include "util/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static NORETURN void out_of_memory(void)
{
	static const char text[] = "mongoward: out of memory\n";

	(void)!fwrite(text, 1, sizeof(text) - 1, stderr);
	abort();
}

void *memory_new(size_t size)
{
	return memory_array(1, size);
}

void *memory_array(size_t count, size_t size)
{
	void *at = calloc(count ? count : 1, size ? size : 1);

	if (!at)
		out_of_memory();
	return at;
}

void *memory_resize(void *old, size_t count, size_t size)
{
	size_t whole = 0;
	void *at = NULL;

	if (!__builtin_mul_overflow(count, size, &whole))
		at = realloc(old, whole > 0 ? whole : 1);
	if (!at)
		out_of_memory();
	return at;
}

char *memory_text(struct bytes text)
{
	char *copy = memory_array(text.len + 1, 1);

	if (text.len)
		memcpy(copy, text.at, text.len);
	return copy;
}

char *memory_format(const char *format, ...)
{
	va_list args;
	char *text = NULL;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (!text)
		out_of_memory();
	return text;
}

void memory_grow(void *array_pointer, size_t count, size_t *capacity, size_t size)
{
	void *at;

	if (count < *capacity)
		return;
	memcpy(&at, array_pointer, sizeof(at));
	*capacity = *capacity ? *capacity * 2 : 8;
	at = memory_resize(at, *capacity, size);
	memcpy(array_pointer, &at, sizeof(at));
}
