#include "audit/line_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "util/civil.h"
#include "util/hex.h"

_Static_assert(LINE_HASH_LEN <= crypto_generichash_BYTES_MAX, "a hash of BLAKE2b");

bool line_fault(struct line_parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->why, sizeof(p->why), format, args);
	va_end(args);
	return false;
}

void line_parser_init(struct line_parser *p)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->text, LINE_MAX_LEN);
}

void line_parser_fini(struct line_parser *p)
{
	free(p->keys);
	buf_fini(&p->text);
}

static bool in_order(struct line_parser *p, const struct line *l, const struct line_order *order)
{
	static const enum line_key first[] = {
		LINE_KEY_v, LINE_KEY_event, LINE_KEY_seq, LINE_KEY_ts, LINE_KEY_instance};
	bool signed_line = line_has(l, LINE_KEY_sig);
	size_t mono = signed_line ? 0 : 1;

	if (order->nkeys < COUNT_OF(first) + 2)
		return line_fault(p, "keys are missing");
	for (size_t i = 0; i < COUNT_OF(first); i++)
		if (order->first[i] != first[i])
			return line_fault(p, "does not begin with v event seq ts instance");
	if (order->last[mono] != LINE_KEY_mono || order->last[mono + 1] != LINE_KEY_prev ||
		(signed_line && order->last[2] != LINE_KEY_sig))
		return line_fault(p, "does not end with mono prev%s", signed_line ? " sig" : "");
	return true;
}

bool line_parse(struct line_parser *p, struct bytes text, struct line *out)
{
	struct line_order order = {0};

	memset(out, 0, sizeof(*out));
	out->text = text;
	p->nkeys = 0;
	p->why[0] = '\0';
	if (text.len > LINE_MAX_LEN)
		return line_fault(p, "longer than %u bytes", LINE_MAX_LEN);
	if (!text.len)
		return line_fault(p, "an empty line");
	if (!line_read_json(p, out, &order) || !in_order(p, out, &order) || !line_judge(p, out))
		return false;
	line_hash(text, out->hash);
	return true;
}

int64_t line_integer(const struct line *l, enum line_key key)
{
	struct bytes b = l->values[key];
	bool negative = b.len && b.at[0] == '-';
	uint64_t n = 0;

	if (b.len - negative > 19) /* 19 digits fit */
		return 0;
	for (size_t i = negative; i < b.len; i++) {
		if (b.at[i] < '0' || b.at[i] > '9')
			return 0;
		n = n * 10 + (uint64_t)(b.at[i] - '0');
	}
	if (n > INT64_MAX)
		return 0;
	return negative ? -(int64_t)n : (int64_t)n;
}

uint64_t line_count(const struct line *l, enum line_key key)
{
	int64_t n = line_integer(l, key);

	return n < 0 ? 0 : (uint64_t)n;
}

struct bytes line_raw_text(const struct line *l, enum line_key key)
{
	struct bytes b = l->values[key];

	if (b.len < 2 || b.at[0] != '"')
		return bytes_of(NULL, 0);
	return bytes_of(b.at + 1, b.len - 2);
}

static uint8_t hex_digit(uint8_t c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void line_unescape(struct bytes value, struct buf *out)
{
	struct bytes t = value.len >= 2 ? bytes_of(value.at + 1, value.len - 2) : bytes_of(NULL, 0);

	for (size_t i = 0; i < t.len; i++) {
		if (t.at[i] != '\\' || i + 1 == t.len) {
			buf_put_u8(out, t.at[i]);
		} else if (t.at[i + 1] != 'u') {
			buf_put_u8(out, t.at[++i]);
		} else if (i + 5 < t.len) {
			buf_put_u8(out,
				(uint8_t)(hex_digit(t.at[i + 4]) << 4 | hex_digit(t.at[i + 5])));
			i += 5;
		}
	}
}

bool line_next_string(struct bytes *rest, struct bytes *element)
{
	size_t i; /* [0] is the bracket or the comma before it */

	if (rest->len < 3 || rest->at[1] != '"')
		return false;
	for (i = 2; i < rest->len && rest->at[i] != '"'; i++)
		i += rest->at[i] == '\\';
	if (i >= rest->len)
		return false;
	*element = bytes_of(rest->at + 1, i);
	*rest = bytes_from(*rest, i + 1);
	return true;
}

void line_hash(struct bytes text, uint8_t hash[LINE_HASH_LEN])
{
	crypto_generichash(hash, LINE_HASH_LEN, text.at, text.len, NULL, 0);
}

bool line_unhex(struct bytes hex, uint8_t *out, size_t len)
{
	return hex_read(hex, out, len);
}

bool line_parse_time(struct bytes text, int64_t *time_us)
{
	static const char form[] = "0000-00-00T00:00:00.000000Z";
	int64_t days, us = 0, n[3];

	if (text.len != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (form[i] == '0' ? text.at[i] < '0' || text.at[i] > '9'
				   : text.at[i] != (uint8_t)form[i])
			return false;
	for (size_t i = 0; i < 3; i++)
		n[i] = (text.at[11 + 3 * i] - '0') * 10 + text.at[12 + 3 * i] - '0';
	for (size_t i = 20; i < 26; i++)
		us = us * 10 + text.at[i] - '0';
	if (!civil_parse(bytes_head(text, 10), &days) || n[0] > 23 || n[1] > 59 || n[2] > 59)
		return false;
	*time_us = (((days * 24 + n[0]) * 60 + n[1]) * 60 + n[2]) * 1000000 + us;
	return true;
}

bool line_is_instance(struct bytes name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.at[i];
		bool letter =
			(c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!letter && (!i || (c != '.' && c != '_' && c != '-')))
			return false;
	}
	return name.len >= 1 && name.len <= 63;
}
