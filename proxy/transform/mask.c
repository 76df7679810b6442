#include "transform/inside.h"

#include <math.h>

#include "util/civil.h"
#include "util/utf8.h"

/* Each is total: whatever it does not understand becomes null (policy/masks.def). */

static void put_constant(const struct mask *m, struct bytes name, struct buf *out)
{
	doc_put_value(out, m->constant.type, name, m->constant.value);
}

/* Length of the character at the front; a byte that begins none is one by itself. */
static size_t character_len(struct bytes text)
{
	size_t bad, n = utf8_character(text, &bad);

	return n ? n : 1;
}

static size_t count_characters(struct bytes text)
{
	size_t n = 0;

	for (; text.len; n++)
		text = bytes_from(text, character_len(text));
	return n;
}

static void put_partial(const struct mask *m, struct bytes name, struct bytes text, struct buf *out)
{
	size_t count = count_characters(text), i = 0, length;
	bool hide_all = (size_t)m->keep_first + m->keep_last >= count;

	doc_put_string(out, name, bytes_of("", 0));
	if (out->failed)
		return;
	out->len -= 1; /* the NUL comes at the end */
	length = out->len - 4;
	for (; text.len; i++) {
		size_t n = character_len(text);
		bool kept = !hide_all && (i < m->keep_first || count - i <= m->keep_last);

		buf_put(out, kept ? bytes_head(text, n) : m->with);
		text = bytes_from(text, n);
	}
	buf_put_u8(out, 0);
	if (!out->failed)
		buf_patch_u32(out, length, (uint32_t)(out->len - length - 4));
}

void put_hex(struct bytes name, const struct token *token, struct buf *out)
{
	char hex[2 * TOKEN_LEN];

	bytes_hex(bytes_of(token->bytes, TOKEN_LEN), hex);
	doc_put_string(out, name, bytes_of(hex, sizeof(hex)));
}

static void put_pseudonym(struct transform *t, const struct mask *m, struct bytes name,
	const struct value *value, struct buf *out)
{
	struct bytes parts[4] = {
		m->scope, bytes_of("\0value\0", 7), {&value->type, 1}, value->bytes};
	const uint8_t int64_type = TYPE_INT64;
	struct element e = {.type = value->type, .value = value->bytes};
	uint8_t whole[8];
	struct token token;
	int64_t n;

	/* The same number under another type is the same value. */
	if (element_is_number(&e) && element_int(&e, &n)) {
		store_u64(whole, (uint64_t)n);
		parts[2] = bytes_of(&int64_type, 1);
		parts[3] = bytes_of(whole, sizeof(whole));
	}
	master_token(t->master, TOKEN_PSEUDONYM, parts, COUNT_OF(parts), &token);
	put_hex(name, &token, out);
}

static void put_band(
	const struct mask *m, struct bytes name, const struct value *value, struct buf *out)
{
	const struct element e = {.type = value->type, .value = value->bytes};
	size_t band = 0;
	double d;

	if (!element_double(&e, &d) || isnan(d)) {
		doc_put_null(out, name);
		return;
	}
	while (band < m->nedges && d >= m->edges[band])
		band++;
	doc_put_string(out, name, m->labels[band]);
}

static void put_rounded(
	const struct mask *m, struct bytes name, const struct value *value, struct buf *out)
{
	const struct element e = {.type = value->type, .value = value->bytes};
	double d, rounded;

	if (!element_double(&e, &d) || !isfinite(d)) {
		doc_put_null(out, name);
		return;
	}
	/* A sum with zero has no sign that would tell on which side of zero the value was. */
	rounded = rint(d / m->to) * m->to + 0.0;
	if (!isfinite(rounded))
		doc_put_null(out, name);
	else if (value->type == TYPE_DOUBLE || rint(rounded) != rounded)
		doc_put_double(out, name, rounded);
	else if (value->type == TYPE_INT32 && rounded >= INT32_MIN && rounded <= INT32_MAX)
		doc_put_int32(out, name, (int32_t)rounded);
	else if (rounded >= -9223372036854775808.0 && rounded < 9223372036854775808.0)
		doc_put_int64(out, name, (int64_t)rounded);
	else
		doc_put_null(out, name);
}

#define DAY_MS (24ll * 3600 * 1000)

static void put_truncated(
	const struct mask *m, struct bytes name, const struct value *value, struct buf *out)
{
	int64_t days, year;
	unsigned month, day;

	if (value->type != TYPE_DATE) {
		doc_put_null(out, name);
		return;
	}
	days = civil_floor_div(load_i64(value->bytes.at), DAY_MS);
	civil_date(days, &year, &month, &day);
	if (m->unit == UNIT_YEAR)
		days = civil_days(year, 1, 1);
	else if (m->unit == UNIT_MONTH)
		days = civil_days(year, month, 1);
	if (year < TRUNCATE_YEAR_MIN || year > TRUNCATE_YEAR_MAX)
		doc_put_null(out, name);
	else
		doc_put_date(out, name, days * DAY_MS);
}

static void put_masked_items(struct transform *t, const struct mask *m, struct bytes name,
	struct bytes array, struct buf *out)
{
	struct doc_iter it = doc_iter_of(array);
	size_t begun = doc_put_array(out, name);
	struct element e;

	while (doc_next(&it, &e)) {
		const struct value item = {.type = e.type, .bytes = e.value};

		put_masked(t, m, e.name, &item, out);
	}
	doc_end(out, begun);
}

void put_masked(struct transform *t, const struct mask *mask, struct bytes name,
	const struct value *value, struct buf *out)
{
	const struct element e = {.type = value->type, .value = value->bytes};
	bool text = value->type == TYPE_STRING;
	bool nothing = value->type == TYPE_NULL || value->type == TYPE_UNDEFINED ||
		       value->type == TYPE_DOCUMENT || !value->type;

	switch (mask->kind) {
	case MASK_CONSTANT:
		put_constant(mask, name, out);
		return;
	case MASK_PARTIAL:
		if (!text)
			break;
		put_partial(mask, name, element_string(&e), out);
		return;
	case MASK_PSEUDONYM:
		if (nothing || value->type == TYPE_ARRAY)
			break;
		put_pseudonym(t, mask, name, value, out);
		return;
	case MASK_BANDS:
		if (value->type == TYPE_ARRAY)
			break;
		put_band(mask, name, value, out);
		return;
	case MASK_ROUND:
		if (value->type == TYPE_ARRAY)
			break;
		put_rounded(mask, name, value, out);
		return;
	case MASK_TRUNCATE:
		if (value->type == TYPE_ARRAY)
			break;
		put_truncated(mask, name, value, out);
		return;
	case MASK_COUNT:
		break;
	}
	if (value->type == TYPE_ARRAY)
		put_masked_items(t, mask, name, value->bytes, out);
	else
		doc_put_null(out, name);
}
