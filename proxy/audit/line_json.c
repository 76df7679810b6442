#include "audit/line_inside.h"

#include <stdlib.h>

#include "util/memory.h"
#include "util/utf8.h"

struct scan {
	struct line_parser *p;
	struct bytes text;
	size_t at;
	unsigned depth;
};

static int peek(const struct scan *s)
{
	return s->at < s->text.len ? s->text.at[s->at] : -1;
}

static bool take(struct scan *s, int c)
{
	if (peek(s) != c)
		return false;
	s->at++;
	return true;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_low_hex(int c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* Behind a backslash. */
static bool scan_escape(struct scan *s)
{
	if (take(s, '"') || take(s, '\\'))
		return true;
	if (take(s, 'u') && take(s, '0') && take(s, '0') && (take(s, '0') || take(s, '1')) &&
		is_low_hex(peek(s))) {
		s->at++;
		return true;
	}
	return line_fault(s->p, "an escape that is none of \\\", \\\\ and \\u0000 to \\u001f");
}

static bool scan_string(struct scan *s)
{
	if (!take(s, '"'))
		return line_fault(s->p, "no JSON: a string is missing");
	for (;;) {
		int c = peek(s);

		if (c < 0x20)
			return line_fault(s->p, "no JSON: a string without end or with a control");
		if (take(s, '"'))
			return true;
		if (take(s, '\\')) {
			if (!scan_escape(s))
				return false;
		} else {
			s->at++; /* the whole line is valid UTF-8 */
		}
	}
}

static bool scan_digits(struct scan *s)
{
	if (!is_digit(peek(s)))
		return line_fault(s->p, "no JSON: no number, or a blank");
	while (is_digit(peek(s)))
		s->at++;
	return true;
}

static bool scan_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.') && !scan_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			(void)take(s, '-');
		return scan_digits(s);
	}
	return true;
}

static bool scan_word(struct scan *s, const char *word)
{
	if (!bytes_start_with(bytes_from(s->text, s->at), bytes_str(word)))
		return line_fault(s->p, "no JSON");
	s->at += strlen(word);
	return true;
}

static bool scan_value(struct scan *s);

static bool scan_array(struct scan *s)
{
	s->at++;
	if (take(s, ']'))
		return true;
	do {
		if (!scan_value(s))
			return false;
	} while (take(s, ','));
	return take(s, ']') || line_fault(s->p, "no JSON: an array without end, or a blank");
}

static int by_bytes(const void *a, const void *b)
{
	return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* The keys of the object that ends now stand at the end of the list.  Each character has
 * one spelling only, so that keys are equal when their spellings are. */
static bool keys_differ(struct line_parser *p, size_t from)
{
	struct bytes *keys = p->keys + from;
	size_t n = p->nkeys - from;

	p->nkeys = from;
	if (n > 1)
		qsort(keys, n, sizeof(*keys), by_bytes);
	for (size_t i = 1; i < n; i++)
		if (bytes_equal(keys[i - 1], keys[i]))
			return line_fault(p, "a key twice");
	return true;
}

static bool scan_key(struct scan *s, struct bytes *key)
{
	size_t begun = s->at;

	if (!scan_string(s))
		return false;
	*key = bytes_of(s->text.at + begun + 1, s->at - begun - 2);
	memory_grow(&s->p->keys, s->p->nkeys, &s->p->capacity, sizeof(*s->p->keys));
	s->p->keys[s->p->nkeys++] = *key;
	return take(s, ':') || line_fault(s->p, "no JSON: no colon behind a key, or a blank");
}

static bool scan_object(struct scan *s)
{
	size_t from = s->p->nkeys;
	struct bytes key;

	s->at++;
	if (take(s, '}'))
		return true;
	do {
		if (!scan_key(s, &key) || !scan_value(s))
			return false;
	} while (take(s, ','));
	if (!take(s, '}'))
		return line_fault(s->p, "no JSON: an object without end, or a blank");
	return keys_differ(s->p, from);
}

static bool scan_inner(struct scan *s)
{
	switch (peek(s)) {
	case '{':
		return scan_object(s);
	case '[':
		return scan_array(s);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return scan_number(s);
	}
}

static bool scan_value(struct scan *s)
{
	bool ok;

	if (s->depth == LINE_DEPTH_MAX)
		return line_fault(s->p, "nested deeper than %u", LINE_DEPTH_MAX);
	s->depth++;
	ok = scan_inner(s);
	s->depth--;
	return ok;
}

static enum line_key key_of(struct bytes name)
{
	static const char *const names[] = {
#define LINE_KEY(name, kind) #name,
#include "audit/line_keys.def"
#undef LINE_KEY
	};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (bytes_equal_str(name, names[i]))
			return (enum line_key)i;
	return LINE_KEYS;
}

static void note_order(struct line_order *order, enum line_key key)
{
	if (order->nkeys < COUNT_OF(order->first))
		order->first[order->nkeys] = key;
	order->last[0] = order->last[1];
	order->last[1] = order->last[2];
	order->last[2] = key;
	order->nkeys++;
}

bool line_read_json(struct line_parser *p, struct line *l, struct line_order *order)
{
	struct scan s = {.p = p, .text = l->text};

	if (!utf8_valid(l->text))
		return line_fault(p, "no UTF-8");
	if (!take(&s, '{'))
		return line_fault(p, "no JSON object");
	do {
		struct bytes name;
		enum line_key key;
		size_t begun;

		if (!scan_key(&s, &name))
			return false;
		begun = s.at;
		if (!scan_value(&s))
			return false;
		key = key_of(name);
		note_order(order, key);
		if (key != LINE_KEYS)
			l->values[key] = bytes_of(s.text.at + begun, s.at - begun);
	} while (take(&s, ','));
	if (!take(&s, '}'))
		return line_fault(p, "no JSON: the object does not end, or a blank");
	if (s.at != s.text.len)
		return line_fault(p, "something behind the object");
	return keys_differ(p, 0);
}
