#include "policy/asking.h"

#include <stdio.h>

#include <sodium.h>

/* A question as a pipeline; what it gives stands in statistics.h. */

/* {name: {op: value}} */
static void put_call(struct buf *out, struct bytes name, const char *op, const char *ref)
{
	size_t call = doc_put_document(out, name);

	doc_put_string(out, bytes_str(op), bytes_str(ref));
	doc_end(out, call);
}

static void put_sum_of_ones(struct buf *out, struct bytes name)
{
	size_t call = doc_put_document(out, name);

	doc_put_int32(out, NAME("$sum"), 1);
	doc_end(out, call);
}

/* {name: {$sum: {$cond: [{op: [ref, …; the caller puts the other operand. */
struct sum_if {
	size_t sum;
	struct call cond, test;
};

static struct sum_if begin_sum_if(
	struct buf *out, struct bytes name, const char *op, const char *ref)
{
	struct sum_if s = {.sum = doc_put_document(out, name)};

	s.cond = call_begin(out, NAME("$sum"), "$cond");
	s.test = call_begin(out, NAME("0"), op);
	doc_put_string(out, NAME("0"), bytes_str(ref));
	return s;
}

/* …]}, `then` or 1, 0]}}} */
static void end_sum_if(struct buf *out, struct sum_if s, const char *then)
{
	call_end(out, s.test);
	if (then)
		doc_put_string(out, NAME("1"), bytes_str(then));
	else
		doc_put_int32(out, NAME("1"), 1);
	doc_put_int32(out, NAME("2"), 0);
	call_end(out, s.cond);
	doc_end(out, s.sum);
}

static void put_sum_if_same(
	struct buf *out, struct bytes name, const char *left, const char *right, const char *then)
{
	struct sum_if s = begin_sum_if(out, name, "$eq", left);

	doc_put_string(out, NAME("1"), bytes_str(right));
	end_sum_if(out, s, then);
}

/* Numbers are more than null. */
static void put_count_of_numbers(struct buf *out, struct bytes name, const char *ref)
{
	struct sum_if s = begin_sum_if(out, name, "$gt", ref);

	doc_put_null(out, NAME("1"));
	end_sum_if(out, s, NULL);
}

static void put_count_of_positive(struct buf *out, struct bytes name, const char *ref)
{
	struct sum_if s = begin_sum_if(out, name, "$gt", ref);

	doc_put_int32(out, NAME("1"), 0);
	end_sum_if(out, s, NULL);
}

static void put_literal(struct buf *out, struct bytes name, const struct element *e)
{
	size_t literal = doc_put_document(out, name);

	doc_put_value(out, e->type, NAME("$literal"), e->value);
	doc_end(out, literal);
}

static size_t begin_group(struct stages *s, size_t *stage)
{
	*stage = stage_begin(s);
	return doc_put_document(s->out, NAME("$group"));
}

static void end_group(struct stages *s, size_t group, size_t stage)
{
	doc_end(s->out, group);
	doc_end(s->out, stage);
}

/* What the filter takes, or, with a condition of it, what that one decides. */
static void put_taken(struct stages *s, struct asking *a, const struct condition *decided)
{
	size_t stage;

	if (!a->conditions.nleaves)
		return;
	stage = stage_begin(s);
	if (decided)
		conditions_put_decided(s->out, NAME("$match"), &a->conditions, decided);
	else
		conditions_put(s->out, NAME("$match"), &a->conditions, NULL);
	doc_end(s->out, stage);
}

/* The set of subjects of the documents that come in. */
static void put_set(struct stages *s)
{
	size_t group, stage;

	group = begin_group(s, &stage);
	doc_put_string(s->out, NAME("_id"), NAME("$s"));
	put_call(s->out, NAME("r"), "$max", "$r");
	end_group(s, group, stage);
	group = begin_group(s, &stage);
	doc_put_null(s->out, NAME("_id"));
	put_sum_of_ones(s->out, NAME("s"));
	put_call(s->out, NAME("r"), "$sum", "$r");
	end_group(s, group, stage);
}

/* The number at a path, as a double; null for all else, what is not finite included. */
static void put_number(struct buf *out, struct bytes name, struct bytes ref)
{
	static const char *const types[] = {"int", "long", "double", "decimal"};
	struct call cond = call_begin(out, name, "$cond"), all, part;
	char index[DOC_INDEX_MAX];
	size_t list, type;

	all = call_begin(out, NAME("0"), "$and");
	part = call_begin(out, NAME("0"), "$in");
	type = doc_put_document(out, NAME("0"));
	doc_put_string(out, NAME("$type"), ref);
	doc_end(out, type);
	list = doc_put_array(out, NAME("1"));
	for (size_t i = 0; i < COUNT_OF(types); i++)
		doc_put_string(out, doc_index_name(i, index), bytes_str(types[i]));
	doc_end(out, list);
	call_end(out, part);
	part = call_begin(out, NAME("1"), "$gte");
	doc_put_string(out, NAME("0"), ref);
	doc_put_double(out, NAME("1"), -STATISTICS_NUMBER_MAX);
	call_end(out, part);
	part = call_begin(out, NAME("2"), "$lte");
	doc_put_string(out, NAME("0"), ref);
	doc_put_double(out, NAME("1"), STATISTICS_NUMBER_MAX);
	call_end(out, part);
	call_end(out, all);
	type = doc_put_document(out, NAME("1"));
	doc_put_string(out, NAME("$toDouble"), ref);
	doc_end(out, type);
	doc_put_null(out, NAME("2"));
	call_end(out, cond);
}

static struct bytes column_ref(struct asking *a, size_t column)
{
	return bytes_str(arena_format(a->d->arena, "$c%zu", column));
}

/* {$switch: {branches: [{case: {$and: [{$gte: …}, {$lt: …}]}, then: edge}, …], default}} */
static void put_buckets(struct buf *out, struct bytes name, struct asking *a, struct bytes ref)
{
	size_t outer = doc_put_document(out, name);
	size_t inner = doc_put_document(out, NAME("$switch"));
	size_t branches = doc_put_array(out, NAME("branches")), n = 0;
	struct doc_iter it = doc_iter_of(a->boundaries);
	struct element from = {0}, to;

	while (doc_next(&it, &to)) {
		char index[DOC_INDEX_MAX];
		struct call both, part;
		size_t branch;

		if (from.type) {
			branch = doc_put_document(out, doc_index_name(n++, index));
			both = call_begin(out, NAME("case"), "$and");
			part = call_begin(out, NAME("0"), "$gte");
			doc_put_string(out, NAME("0"), ref);
			put_literal(out, NAME("1"), &from);
			call_end(out, part);
			part = call_begin(out, NAME("1"), "$lt");
			doc_put_string(out, NAME("0"), ref);
			put_literal(out, NAME("1"), &to);
			call_end(out, part);
			call_end(out, both);
			put_literal(out, NAME("then"), &from);
			doc_end(out, branch);
		}
		from = to;
	}
	doc_end(out, branches);
	put_literal(out, NAME("default"), &a->others);
	doc_end(out, inner);
	doc_end(out, outer);
}

static void put_key_part(
	struct buf *out, struct bytes name, struct asking *a, const struct key_part *part)
{
	struct call or ;

	if (part->is_constant) {
		put_literal(out, name, &part->constant);
	} else if (a->kind == KEY_BUCKETS) {
		put_buckets(out, name, a, column_ref(a, part->column));
	} else if (a->kind == KEY_PARTS) {
		doc_put_string(out, name, column_ref(a, part->column));
	} else {
		/* As a key, what is missing is null. */
		or = call_begin(out, name, "$ifNull");
		doc_put_string(out, NAME("0"), column_ref(a, part->column));
		doc_put_null(out, NAME("1"));
		call_end(out, or);
	}
}

static void put_key(struct buf *out, struct bytes name, struct asking *a)
{
	const struct element none = {.type = TYPE_NULL};
	size_t parts;

	if (a->kind != KEY_PARTS && !a->nkeys) {
		put_literal(out, name, &none);
	} else if (a->kind != KEY_PARTS) {
		put_key_part(out, name, a, &a->keys[0]);
	} else if (!a->nkeys) {
		parts = doc_put_document(out, name);
		doc_end(out, doc_put_document(out, NAME("$literal")));
		doc_end(out, parts);
	} else {
		parts = doc_put_document(out, name);
		for (size_t i = 0; i < a->nkeys; i++)
			put_key_part(out, a->keys[i].name, a, &a->keys[i]);
		doc_end(out, parts);
	}
}

/* "$g.t3" and its like: a letter and the number of a path. */
struct field_name {
	char text[32];
};

static struct field_name field(const char *prefix, char letter, size_t path)
{
	struct field_name f;

	snprintf(f.text, sizeof(f.text), "%s%c%zu", prefix, letter, path);
	return f;
}

#define FIELD(letter) bytes_str(field("", letter, i).text)

/* Of each document whose it is, and what the question looks at as the role sees it. */
static void put_columns(struct stages *s, struct asking *a)
{
	size_t stage = stage_begin(s), project = doc_put_document(s->out, NAME("$project"));

	doc_put_int32(s->out, NAME("_id"), 0);
	doc_put_string(s->out, NAME("s"), NAME("$__mw.s"));
	doc_put_string(s->out, NAME("r"), NAME("$__mw.rk"));
	for (size_t i = 0; i < a->ncolumns; i++) {
		struct bytes ref = bytes_str(
			arena_format(a->d->arena, "$%.*s", BYTES_ARG(a->columns[i].path)));

		if (a->columns[i].mask)
			put_masked_path(s->out, FIELD('c'), a->columns[i].mask, ref);
		else
			doc_put_string(s->out, FIELD('c'), ref);
	}
	doc_end(s->out, project);
	doc_end(s->out, stage);
}

/* Of each document that the filter takes its key and its numbers. */
static void put_keyed(struct stages *s, struct asking *a)
{
	size_t stage = stage_begin(s), project = doc_put_document(s->out, NAME("$project"));

	doc_put_int32(s->out, NAME("s"), 1);
	doc_put_int32(s->out, NAME("r"), 1);
	put_key(s->out, NAME("k"), a);
	for (size_t i = 0; i < a->statistics->npaths; i++)
		put_number(s->out, FIELD('v'), column_ref(a, a->numbers[i]));
	doc_end(s->out, project);
	doc_end(s->out, stage);
}

/* {name: {$sum: {op: …}}} */
static void put_sum_of(
	struct buf *out, struct bytes name, const char *op, const char *left, const char *right)
{
	size_t sum = doc_put_document(out, name);
	struct call call = call_begin(out, NAME("$sum"), op);

	doc_put_string(out, NAME("0"), bytes_str(left));
	if (right)
		doc_put_string(out, NAME("1"), bytes_str(right));
	call_end(out, call);
	doc_end(out, sum);
}

/* What each subject has in each group. */
static void put_shares(struct stages *s, const struct statistics *asked)
{
	size_t stage, group = begin_group(s, &stage), id = doc_put_document(s->out, NAME("_id"));

	doc_put_string(s->out, NAME("k"), NAME("$k"));
	doc_put_string(s->out, NAME("s"), NAME("$s"));
	doc_end(s->out, id);
	put_call(s->out, NAME("r"), "$max", "$r");
	put_sum_of_ones(s->out, NAME("n"));
	for (size_t i = 0; i < asked->npaths; i++) {
		struct field_name v = field("$", 'v', i);

		put_call(s->out, FIELD('t'), "$sum", v.text);
		put_sum_of(s->out, FIELD('b'), "$abs", v.text, NULL);
		put_count_of_numbers(s->out, FIELD('c'), v.text);
		if (asked->squares[i])
			put_sum_of(s->out, FIELD('q'), "$multiply", v.text, v.text);
	}
	end_group(s, group, stage);
}

static const char carried[] = "tbcq";

/* Each subject with a list of its shares, so that it is known who stands in one group only. */
static void put_subjects(struct stages *s, const struct statistics *asked)
{
	size_t stage, group = begin_group(s, &stage), list, share;

	doc_put_string(s->out, NAME("_id"), NAME("$_id.s"));
	put_call(s->out, NAME("r"), "$max", "$r");
	put_call(s->out, NAME("n"), "$sum", "$n");
	list = doc_put_document(s->out, NAME("g"));
	share = doc_put_document(s->out, NAME("$push"));
	doc_put_string(s->out, NAME("k"), NAME("$_id.k"));
	doc_put_string(s->out, NAME("n"), NAME("$n"));
	for (size_t i = 0; i < asked->npaths; i++)
		for (const char *letter = carried; *letter; letter++)
			if (*letter != 'q' || asked->squares[i])
				doc_put_string(s->out, FIELD(*letter),
					bytes_str(field("$", *letter, i).text));
	doc_end(s->out, share);
	doc_end(s->out, list);
	end_group(s, group, stage);
	stage = stage_begin(s);
	doc_put_string(s->out, NAME("$unwind"), NAME("$g"));
	doc_end(s->out, stage);
}

static void put_path_sums(struct buf *out, const struct statistics *asked, size_t i)
{
	put_call(out, FIELD('t'), "$sum", field("$g.", 't', i).text);
	put_call(out, FIELD('b'), "$sum", field("$g.", 'b', i).text);
	put_call(out, FIELD('m'), "$max", field("$g.", 'b', i).text);
	put_call(out, FIELD('c'), "$sum", field("$g.", 'c', i).text);
	put_count_of_positive(out, FIELD('d'), field("$g.", 'c', i).text);
	put_call(out, FIELD('e'), "$max", field("$g.", 'c', i).text);
	if (asked->squares[i]) {
		put_call(out, FIELD('q'), "$sum", field("$g.", 'q', i).text);
		put_call(out, FIELD('y'), "$max", field("$g.", 'q', i).text);
	}
}

static void put_groups(struct stages *s, const struct statistics *asked)
{
	size_t stage, group = begin_group(s, &stage), match, least;

	doc_put_string(s->out, NAME("_id"), NAME("$g.k"));
	put_sum_of_ones(s->out, NAME("s"));
	put_call(s->out, NAME("r"), "$sum", "$r");
	put_sum_if_same(s->out, NAME("o"), "$n", "$g.n", NULL);
	put_sum_if_same(s->out, NAME("p"), "$n", "$g.n", "$r");
	put_call(s->out, NAME("n"), "$sum", "$g.n");
	put_call(s->out, NAME("h"), "$max", "$g.n");
	for (size_t i = 0; i < asked->npaths; i++)
		put_path_sums(s->out, asked, i);
	end_group(s, group, stage);
	stage = stage_begin(s);
	match = doc_put_document(s->out, NAME("$match"));
	least = doc_put_document(s->out, NAME("s"));
	doc_put_int32(s->out, NAME("$gte"), (int32_t)asked->limits.min_group);
	doc_end(s->out, least);
	doc_end(s->out, match);
	doc_end(s->out, stage);
	stage = stage_begin(s);
	doc_put_int32(s->out, NAME("$limit"), STATISTICS_GROUPS_MAX + 1);
	doc_end(s->out, stage);
}

static void put_facets(struct buf *out, struct asking *a)
{
	struct stages s = {.out = out};
	const struct condition *parts[CONDITION_PARTS];
	size_t list = doc_put_array(out, NAME("view")), stage;

	put_set(&s);
	doc_end(out, list);
	a->statistics->nparts = conditions_parts(&a->conditions, parts);
	for (size_t i = 0; i < a->statistics->nparts; i++) {
		list = doc_put_array(out, FIELD('d'));
		s.count = 0;
		put_taken(&s, a, parts[i]);
		put_set(&s);
		doc_end(out, list);
	}
	list = doc_put_array(out, NAME("match"));
	s.count = 0;
	put_taken(&s, a, NULL);
	put_set(&s);
	doc_end(out, list);
	list = doc_put_array(out, NAME("groups"));
	s.count = 0;
	put_taken(&s, a, NULL);
	if (a->unwinds) {
		stage = stage_begin(&s);
		doc_put_string(out, NAME("$unwind"), column_ref(a, a->keys[0].column));
		doc_end(out, stage);
	}
	put_keyed(&s, a);
	put_shares(&s, a->statistics);
	put_subjects(&s, a->statistics);
	put_groups(&s, a->statistics);
	doc_end(out, list);
}

void put_asking(struct buf *out, struct asking *a)
{
	struct stages s = {.out = out};
	size_t list = doc_put_array(out, NAME("pipeline")), stage, facet;

	if (a->d->rows.len)
		put_rows(&s, a->d->rows);
	put_columns(&s, a);
	stage = stage_begin(&s);
	facet = doc_put_document(out, NAME("$facet"));
	put_facets(out, a);
	doc_end(out, facet);
	doc_end(out, stage);
	doc_end(out, list);
}

static void hash_text(crypto_generichash_state *state, struct bytes text)
{
	uint8_t length[8];

	store_u64(length, text.len);
	crypto_generichash_update(state, length, sizeof(length));
	crypto_generichash_update(state, text.at, text.len);
}

/* The paths of keys in any order and under any name; constants tell no groups apart. */
static void hash_keys(crypto_generichash_state *state, const struct asking *a)
{
	struct bytes sorted[STATISTICS_KEYS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < a->nkeys; i++) {
		struct bytes path = a->columns[a->keys[i].column].path;
		size_t at = n;

		if (a->keys[i].is_constant)
			continue;
		for (; at && bytes_compare(path, sorted[at - 1]) < 0; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = path;
		n++;
	}
	for (size_t i = 0; i < n; i++)
		if (!i || !bytes_equal(sorted[i - 1], sorted[i]))
			hash_text(state, sorted[i]);
}

void hash_question(struct asking *a)
{
	uint8_t filter[CONDITION_HASH_LEN], unwinds = a->unwinds;
	crypto_generichash_state state;

	conditions_hash(&a->conditions, filter);
	crypto_generichash_init(&state, NULL, 0, sizeof(a->statistics->question));
	hash_text(&state, a->statistics->ns);
	crypto_generichash_update(&state, filter, sizeof(filter));
	crypto_generichash_update(&state, &unwinds, 1);
	hash_text(&state, a->boundaries);
	hash_keys(&state, a);
	crypto_generichash_final(&state, a->statistics->question, sizeof(a->statistics->question));
}
