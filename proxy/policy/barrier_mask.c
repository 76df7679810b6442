#include <math.h>

#include "policy/barrier.h"
#include "util/civil.h"

/* Masks as expressions: each equal to transform/mask.c on every value that it is given,
 * and null where that is null. */

#define DAY_MS (24ll * 3600 * 1000)

struct call call_begin(struct buf *out, struct bytes name, const char *op)
{
	struct call call = {.doc = doc_put_document(out, name)};

	call.list = doc_put_array(out, bytes_str(op));
	return call;
}

void call_end(struct buf *out, struct call call)
{
	doc_end(out, call.list);
	doc_end(out, call.doc);
}

static void put_type(struct buf *out, struct bytes name, struct bytes ref)
{
	size_t type = doc_put_document(out, name);

	doc_put_string(out, NAME("$type"), ref);
	doc_end(out, type);
}

void put_is_type(struct buf *out, struct bytes name, struct bytes ref, const char *type)
{
	struct call is = call_begin(out, name, "$eq");

	put_type(out, NAME("0"), ref);
	doc_put_string(out, NAME("1"), bytes_str(type));
	call_end(out, is);
}

static void put_literal(struct buf *out, struct bytes name, const struct element *value)
{
	size_t literal = doc_put_document(out, name);

	doc_put_value(out, value->type, NAME("$literal"), value->value);
	doc_end(out, literal);
}

static void put_literal_text(struct buf *out, struct bytes name, struct bytes text)
{
	size_t literal = doc_put_document(out, name);

	doc_put_string(out, NAME("$literal"), text);
	doc_end(out, literal);
}

/* A number other than a Decimal128, which masks do not understand, and none of `odd`. */
static void put_is_number(
	struct buf *out, struct bytes name, struct bytes ref, const double *odd, size_t nodd)
{
	static const char *const types[] = {"int", "long", "double"};
	struct call both = call_begin(out, name, "$and");
	struct call in = call_begin(out, NAME("0"), "$in");
	char index[DOC_INDEX_MAX];
	struct call none;
	size_t list;

	put_type(out, NAME("0"), ref);
	list = doc_put_array(out, NAME("1"));
	for (size_t i = 0; i < COUNT_OF(types); i++)
		doc_put_string(out, doc_index_name(i, index), bytes_str(types[i]));
	doc_end(out, list);
	call_end(out, in);
	none = call_begin(out, NAME("1"), "$not");
	in = call_begin(out, NAME("0"), "$in");
	doc_put_string(out, NAME("0"), ref);
	list = doc_put_array(out, NAME("1"));
	for (size_t i = 0; i < nodd; i++)
		doc_put_double(out, doc_index_name(i, index), odd[i]);
	doc_end(out, list);
	call_end(out, in);
	call_end(out, none);
	call_end(out, both);
}

/* {$cond: [ref is a number and none of the odd ones, …; the caller puts "1" and "2". */
static struct call cond_number(struct buf *out, struct bytes name, struct bytes ref, bool finite)
{
	const double odd[] = {(double)NAN, (double)INFINITY, (double)-INFINITY};
	struct call cond = call_begin(out, name, "$cond");

	put_is_number(out, NAME("0"), ref, odd, finite ? COUNT_OF(odd) : 1);
	return cond;
}

static void put_band(struct buf *out, struct bytes name, const struct mask *m, struct bytes ref)
{
	struct call cond = cond_number(out, name, ref, false);
	size_t outer = doc_put_document(out, NAME("1"));
	size_t inner = doc_put_document(out, NAME("$switch"));
	size_t branches = doc_put_array(out, NAME("branches"));

	for (size_t i = 0; i < m->nedges; i++) {
		char index[DOC_INDEX_MAX];
		size_t branch = doc_put_document(out, doc_index_name(i, index));
		struct call less = call_begin(out, NAME("case"), "$lt");

		doc_put_string(out, NAME("0"), ref);
		doc_put_double(out, NAME("1"), m->edges[i]);
		call_end(out, less);
		put_literal_text(out, NAME("then"), m->labels[i]);
		doc_end(out, branch);
	}
	doc_end(out, branches);
	put_literal_text(out, NAME("default"), m->labels[m->nedges]);
	doc_end(out, inner);
	doc_end(out, outer);
	doc_put_null(out, NAME("2"));
	call_end(out, cond);
}

/* {$convert: {input: "$$r", to: type, onError: …}}; the caller puts onError and ends both. */
static struct call begin_convert(struct buf *out, struct bytes name, const char *type)
{
	struct call call = {.doc = doc_put_document(out, name)};

	call.list = doc_put_document(out, NAME("$convert"));
	doc_put_string(out, NAME("input"), NAME("$$r"));
	doc_put_string(out, NAME("to"), bytes_str(type));
	return call;
}

static void put_to_long(struct buf *out, struct bytes name)
{
	struct call convert = begin_convert(out, name, "long");

	doc_put_null(out, NAME("onError"));
	call_end(out, convert);
}

static void put_to_int(struct buf *out, struct bytes name)
{
	struct call convert = begin_convert(out, name, "int");

	put_to_long(out, NAME("onError"));
	call_end(out, convert);
}

/* {$add: [{$multiply: [{$round: [{$divide: [ref, to]}, 0]}, to]}, 0.0]}: half to even, as
 * rint is; a sum with zero has no sign. */
static void put_nearest(struct buf *out, struct bytes name, double to, struct bytes ref)
{
	struct call sum = call_begin(out, name, "$add");
	struct call times = call_begin(out, NAME("0"), "$multiply");
	struct call round = call_begin(out, NAME("0"), "$round");
	struct call divide = call_begin(out, NAME("0"), "$divide");

	doc_put_string(out, NAME("0"), ref);
	doc_put_double(out, NAME("1"), to);
	call_end(out, divide);
	doc_put_int32(out, NAME("1"), 0);
	call_end(out, round);
	doc_put_double(out, NAME("1"), to);
	call_end(out, times);
	doc_put_double(out, NAME("1"), 0);
	call_end(out, sum);
}

/* The rounded number in the type that its own had, if that can hold it. */
static void put_in_type(struct buf *out, struct bytes name, bool whole, struct bytes ref)
{
	struct call cond = call_begin(out, name, "$cond"), either, inner, same;
	size_t trunc;

	either = call_begin(out, NAME("0"), "$or");
	put_is_type(out, NAME("0"), ref, "double");
	if (!whole) {
		same = call_begin(out, NAME("1"), "$ne");
		doc_put_string(out, NAME("0"), NAME("$$r"));
		trunc = doc_put_document(out, NAME("1"));
		doc_put_string(out, NAME("$trunc"), NAME("$$r"));
		doc_end(out, trunc);
		call_end(out, same);
	}
	call_end(out, either);
	doc_put_string(out, NAME("1"), NAME("$$r"));
	inner = call_begin(out, NAME("2"), "$cond");
	put_is_type(out, NAME("0"), ref, "int");
	put_to_int(out, NAME("1"));
	put_to_long(out, NAME("2"));
	call_end(out, inner);
	call_end(out, cond);
}

static void put_rounded(struct buf *out, struct bytes name, const struct mask *m, struct bytes ref)
{
	struct call cond = cond_number(out, name, ref, true), finite;
	size_t outer = doc_put_document(out, NAME("1"));
	size_t let = doc_put_document(out, NAME("$let"));
	size_t vars = doc_put_document(out, NAME("vars"));

	put_nearest(out, NAME("r"), m->to, ref);
	doc_end(out, vars);
	finite = cond_number(out, NAME("in"), NAME("$$r"), true);
	put_in_type(out, NAME("1"), rint(m->to) == m->to, ref);
	doc_put_null(out, NAME("2"));
	call_end(out, finite);
	doc_end(out, let);
	doc_end(out, outer);
	doc_put_null(out, NAME("2"));
	call_end(out, cond);
}

static void put_truncated(
	struct buf *out, struct bytes name, const struct mask *m, struct bytes ref)
{
	static const char *const units[] = {
		[UNIT_YEAR] = "year", [UNIT_MONTH] = "month", [UNIT_DAY] = "day"};
	struct call cond = call_begin(out, name, "$cond");
	struct call all = call_begin(out, NAME("0"), "$and"), bound;
	size_t trunc, fields;

	put_is_type(out, NAME("0"), ref, "date");
	bound = call_begin(out, NAME("1"), "$gte");
	doc_put_string(out, NAME("0"), ref);
	doc_put_date(out, NAME("1"), civil_days(TRUNCATE_YEAR_MIN, 1, 1) * DAY_MS);
	call_end(out, bound);
	bound = call_begin(out, NAME("2"), "$lte");
	doc_put_string(out, NAME("0"), ref);
	doc_put_date(out, NAME("1"), civil_days(TRUNCATE_YEAR_MAX + 1, 1, 1) * DAY_MS - 1);
	call_end(out, bound);
	call_end(out, all);
	trunc = doc_put_document(out, NAME("1"));
	fields = doc_put_document(out, NAME("$dateTrunc"));
	doc_put_string(out, NAME("date"), ref);
	doc_put_string(out, NAME("unit"), bytes_str(units[m->unit]));
	doc_end(out, fields);
	doc_end(out, trunc);
	doc_put_null(out, NAME("2"));
	call_end(out, cond);
}

/* `count` (an expression put by the caller as "1" of the range) times the cover. */
static void put_cover(struct buf *out, struct bytes name, struct bytes with, uint32_t less)
{
	size_t outer = doc_put_document(out, name);
	size_t reduce = doc_put_document(out, NAME("$reduce"));
	struct call range = call_begin(out, NAME("input"), "$range"), count, concat;

	doc_put_int32(out, NAME("0"), 0);
	count = call_begin(out, NAME("1"), "$subtract");
	doc_put_string(out, NAME("0"), NAME("$$n"));
	doc_put_int32(out, NAME("1"), (int32_t)less);
	call_end(out, count);
	call_end(out, range);
	doc_put_string(out, NAME("initialValue"), bytes_of("", 0));
	concat = call_begin(out, NAME("in"), "$concat");
	doc_put_string(out, NAME("0"), NAME("$$value"));
	put_literal_text(out, NAME("1"), with);
	call_end(out, concat);
	doc_end(out, reduce);
	doc_end(out, outer);
}

static void put_ends(struct buf *out, const struct mask *m, struct bytes ref)
{
	struct call concat = call_begin(out, NAME("2"), "$concat"), part, from;

	part = call_begin(out, NAME("0"), "$substrCP");
	doc_put_string(out, NAME("0"), ref);
	doc_put_int32(out, NAME("1"), 0);
	doc_put_int32(out, NAME("2"), (int32_t)m->keep_first);
	call_end(out, part);
	put_cover(out, NAME("1"), m->with, m->keep_first + m->keep_last);
	part = call_begin(out, NAME("2"), "$substrCP");
	doc_put_string(out, NAME("0"), ref);
	from = call_begin(out, NAME("1"), "$subtract");
	doc_put_string(out, NAME("0"), NAME("$$n"));
	doc_put_int32(out, NAME("1"), (int32_t)m->keep_last);
	call_end(out, from);
	doc_put_int32(out, NAME("2"), (int32_t)m->keep_last);
	call_end(out, part);
	call_end(out, concat);
}

static void put_partial(struct buf *out, struct bytes name, const struct mask *m, struct bytes ref)
{
	struct call cond = call_begin(out, name, "$cond"), less;
	size_t outer, let, vars, n;

	put_is_type(out, NAME("0"), ref, "string");
	outer = doc_put_document(out, NAME("1"));
	let = doc_put_document(out, NAME("$let"));
	vars = doc_put_document(out, NAME("vars"));
	n = doc_put_document(out, NAME("n"));
	doc_put_string(out, NAME("$strLenCP"), ref);
	doc_end(out, n);
	doc_end(out, vars);
	{
		struct call inner = call_begin(out, NAME("in"), "$cond");

		less = call_begin(out, NAME("0"), "$lte");
		doc_put_string(out, NAME("0"), NAME("$$n"));
		doc_put_int32(out, NAME("1"), (int32_t)(m->keep_first + m->keep_last));
		call_end(out, less);
		put_cover(out, NAME("1"), m->with, 0);
		put_ends(out, m, ref);
		call_end(out, inner);
	}
	doc_end(out, let);
	doc_end(out, outer);
	doc_put_null(out, NAME("2"));
	call_end(out, cond);
}

void put_mask_expression(
	struct buf *out, struct bytes name, const struct mask *mask, struct bytes ref)
{
	switch (mask->kind) {
	case MASK_CONSTANT:
		put_literal(out, name, &mask->constant);
		return;
	case MASK_PARTIAL:
		put_partial(out, name, mask, ref);
		return;
	case MASK_BANDS:
		put_band(out, name, mask, ref);
		return;
	case MASK_ROUND:
		put_rounded(out, name, mask, ref);
		return;
	case MASK_TRUNCATE:
		put_truncated(out, name, mask, ref);
		return;
	case MASK_PSEUDONYM:
	case MASK_COUNT:
		break;
	}
	doc_put_null(out, name);
}
