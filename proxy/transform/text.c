#include "transform/inside.h"

#include <stdlib.h>

#include <utf8proc.h>

/* Lower-case ASCII letters, digits and punctuation, and single blanks between them. */
static bool put_ascii(struct bytes text, struct buf *out)
{
	uint8_t *room = buf_reserve(out, text.len);
	bool blank = false;
	size_t n = 0;

	for (size_t i = 0; room && i < text.len; i++) {
		uint8_t c = text.at[i];

		if (c >= 0x80)
			return false;
		if (c == ' ' || (c >= '\t' && c <= '\r')) {
			blank = n != 0;
			continue;
		}
		if (blank)
			room[n++] = ' ';
		blank = false;
		room[n++] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
	}
	if (room)
		buf_commit(out, n);
	return true;
}

static bool is_space(utf8proc_int32_t c)
{
	utf8proc_category_t category = utf8proc_category(c);

	return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
	       category == UTF8PROC_CATEGORY_ZP || (c >= '\t' && c <= '\r');
}

static void put_collapsed(const utf8proc_uint8_t *folded, utf8proc_ssize_t len, struct buf *out)
{
	size_t start = out->len;
	bool blank = false;

	while (len > 0) {
		utf8proc_int32_t c;
		utf8proc_ssize_t n = utf8proc_iterate(folded, len, &c);

		if (n <= 0)
			return;
		if (is_space(c)) {
			blank = out->len != start;
		} else {
			if (blank)
				buf_put_u8(out, ' ');
			blank = false;
			buf_put(out, bytes_of(folded, (size_t)n));
		}
		folded += n;
		len -= n;
	}
}

void normalize_text(struct bytes text, struct buf *out)
{
	utf8proc_uint8_t *folded = NULL;
	utf8proc_ssize_t n;

	if (put_ascii(text, out))
		return;
	n = utf8proc_map(text.at, (utf8proc_ssize_t)text.len, &folded,
		UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK |
			UTF8PROC_STABLE);
	/* What is no UTF-8 stands for itself. */
	if (n < 0)
		buf_put(out, text);
	else
		put_collapsed(folded, n, out);
	free(folded);
}
