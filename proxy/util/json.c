#include "util/json.h"

#include "util/utf8.h"

static const char replacement[] = "\xef\xbf\xbd";
static const char ellipsis[] = "\xe2\x80\xa6";

static void put_escaped(struct buf *out, uint8_t c)
{
	if (c < 0x20)
		buf_put_format(out, "\\u%04x", c);
	else
		buf_put_format(out, "\\%c", c);
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static size_t plain_run(struct bytes text)
{
	size_t n = 0;

	while (n < text.len && is_plain(text.at[n]))
		n++;
	return n;
}

/* The top bit of some byte is set when one of the eight is not plain: above 0x7f, below 0x20,
 * a quote or a backslash.  A difference borrows from the next byte only where that is so. */
static uint64_t not_plain(uint64_t eight)
{
	const uint64_t ones = 0x0101010101010101u;

	return eight | (eight - 0x20 * ones) | ((eight ^ '"' * ones) - ones) |
	       ((eight ^ '\\' * ones) - ones);
}

static bool all_plain(struct bytes text)
{
	uint64_t found = 0;

	if (text.len < 8)
		return plain_run(text) == text.len;
	for (size_t i = 0; i + 8 <= text.len; i += 8)
		found |= not_plain(load_u64(text.at + i));
	found |= not_plain(load_u64(text.at + text.len - 8));
	return !(found & 0x8080808080808080u);
}

/* Nearly all strings: nothing to escape, nothing to mend. */
static bool put_plain(struct buf *out, struct bytes text)
{
	uint8_t *to;

	if (!all_plain(text))
		return false;
	to = buf_reserve(out, text.len + 2);
	if (!to)
		return true;
	to[0] = '"';
	if (text.len)
		memcpy(to + 1, text.at, text.len);
	to[text.len + 1] = '"';
	buf_commit(out, text.len + 2);
	return true;
}

static void put_content(struct buf *out, struct bytes text)
{
	while (text.len) {
		size_t bad, n = plain_run(text);

		if (n) {
			buf_put(out, bytes_head(text, n));
		} else if (text.at[0] < 0x80) {
			put_escaped(out, text.at[0]);
			n = 1;
		} else {
			n = utf8_character(text, &bad);
			buf_put(out, n ? bytes_head(text, n) : bytes_str(replacement));
			n = n ? n : bad;
		}
		text = bytes_from(text, n);
	}
}

void json_put_string(struct buf *out, struct bytes text)
{
	if (put_plain(out, text))
		return;
	buf_put_u8(out, '"');
	put_content(out, text);
	buf_put_u8(out, '"');
}

/* How much of `text` fits `max` bytes once invalid parts are replaced; on a character. */
static size_t fitting(struct bytes text, size_t max)
{
	size_t taken = 0, written = 0;

	while (taken < text.len) {
		size_t bad, n = utf8_character(bytes_from(text, taken), &bad);
		size_t size = n ? n : sizeof(replacement) - 1;

		if (written + size > max)
			break;
		written += size;
		taken += n ? n : bad;
	}
	return taken;
}

void json_put_string_cut(struct buf *out, struct bytes text, size_t max)
{
	const size_t ellipsis_len = sizeof(ellipsis) - 1;

	if (text.len <= max && put_plain(out, text))
		return;
	if (fitting(text, max) == text.len) {
		json_put_string(out, text);
		return;
	}
	buf_put_u8(out, '"');
	if (max >= ellipsis_len) {
		put_content(out, bytes_head(text, fitting(text, max - ellipsis_len)));
		buf_put_str(out, ellipsis);
	}
	buf_put_u8(out, '"');
}
