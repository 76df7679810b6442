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

/* Sixteen bytes at once, as gcc and clang have it. */
typedef int8_t sixteen __attribute__((vector_size(16)));

/* Bytes that are not plain are not 0 in the result: below 0x20 or, being signed, above 0x7f;
 * a quote; a backslash. */
static inline sixteen not_plain(sixteen bytes)
{
	return (bytes < 0x20) | (bytes == '"') | (bytes == '\\');
}

static inline sixteen load_sixteen(const uint8_t *at)
{
	sixteen bytes;

	memcpy(&bytes, at, sizeof(bytes));
	return bytes;
}

/* The whole of a text of 4 to 16 bytes, some of them twice. */
static inline sixteen load_short(struct bytes text)
{
	const size_t half = text.len < 8 ? 4 : 8;
	uint64_t halves[2];

	halves[0] = half == 4 ? load_u32(text.at) * 0x100000001u : load_u64(text.at);
	text = bytes_from(text, text.len - half);
	halves[1] = half == 4 ? load_u32(text.at) * 0x100000001u : load_u64(text.at);
	return load_sixteen((const uint8_t *)halves);
}

static bool all_plain(struct bytes text)
{
	const size_t step = sizeof(sixteen);
	sixteen found = {0};
	uint64_t halves[2];

	if (text.len < 4)
		return plain_run(text) == text.len;
	if (text.len < step)
		found = not_plain(load_short(text));
	for (size_t i = 0; i + step <= text.len; i += step)
		found |= not_plain(load_sixteen(text.at + i));
	if (text.len > step)
		found |= not_plain(load_sixteen(text.at + text.len - step));
	memcpy(halves, &found, sizeof(halves));
	return !(halves[0] | halves[1]);
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
