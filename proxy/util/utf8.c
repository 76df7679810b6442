#include "util/utf8.h"

/* Smallest second byte and largest, by first byte: overlong forms, surrogates and
 * what lies beyond U+10FFFF end here (RFC 3629 §4). */
static bool second_byte_fits(uint8_t first, uint8_t second)
{
	uint8_t low = 0x80, high = 0xbf;

	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	return second >= low && second <= high;
}

static size_t length_by_first(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

size_t utf8_character(struct bytes text, size_t *bad)
{
	size_t length = text.len ? length_by_first(text.at[0]) : 0;

	*bad = text.len ? 1 : 0;
	for (size_t i = 1; i < length; i++) {
		if (i >= text.len || (text.at[i] & 0xc0) != 0x80)
			return 0;
		if (i == 1 && !second_byte_fits(text.at[0], text.at[1]))
			return 0;
		*bad = i + 1;
	}
	return length;
}

bool utf8_valid(struct bytes text)
{
	size_t i = 0, bad;

	while (i < text.len) {
		size_t n;

		if (text.at[i] < 0x80) {
			i++;
			continue;
		}
		n = utf8_character(bytes_from(text, i), &bad);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

static const char replacement[] = "\xef\xbf\xbd";
static const char ellipsis[] = "\xe2\x80\xa6";

/* U+0000 to U+001F, U+007F and, as two bytes, U+0080 to U+009F: a terminal obeys them all. */
static bool is_control(struct bytes character)
{
	if (character.len == 1)
		return character.at[0] < 0x20 || character.at[0] == 0x7f;
	return character.len == 2 && character.at[0] == 0xc2 && character.at[1] < 0xa0;
}

/* One character of output for the front of `text`; how much of `text` it stands for. */
static size_t printable_character(struct bytes text, struct bytes *out)
{
	size_t bad, n = utf8_character(text, &bad);

	if (!n) {
		*out = bytes_str(replacement);
		return bad;
	}
	*out = bytes_head(text, n);
	if (is_control(*out))
		*out = bytes_str("?");
	return n;
}

size_t utf8_printable(struct bytes text, char *out, size_t size)
{
	size_t len = 0, cut = 0;
	size_t room = size - 1;

	while (text.len) {
		struct bytes character;
		size_t n = printable_character(text, &character);

		if (len + character.len > room) {
			memcpy(out + cut, ellipsis, sizeof(ellipsis));
			return cut + sizeof(ellipsis) - 1;
		}
		memcpy(out + len, character.at, character.len);
		len += character.len;
		if (len + sizeof(ellipsis) - 1 <= room)
			cut = len;
		text = bytes_from(text, n);
	}
	out[len] = '\0';
	return len;
}
