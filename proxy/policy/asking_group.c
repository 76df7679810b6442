#include "policy/asking.h"
#include "policy/loader.h"
#include "query/match.h"

/* The stage of a question that makes groups. */

#define BOUNDARIES_MAX 100

static bool is_plain_name(struct bytes name)
{
	return name.len && name.at[0] != '$' && !memchr(name.at, '.', name.len) &&
	       !path_is_reserved(name);
}

static bool has_name(const struct asking *a, struct bytes name)
{
	for (size_t i = 0; i < a->nnames; i++)
		if (bytes_equal(a->names[i], name))
			return true;
	return false;
}

static bool add_name(struct asking *a, struct bytes name)
{
	if (has_name(a, name) || a->nnames == COUNT_OF(a->names))
		return refuse_asking(a, name);
	a->names[a->nnames++] = arena_copy(a->d->arena, name);
	return true;
}

static bool add_output(struct asking *a, struct bytes name, enum statistic_kind kind, size_t path)
{
	struct statistics *s = a->statistics;

	if (!is_plain_name(name) || s->noutputs == STATISTICS_OUTPUTS_MAX || !add_name(a, name))
		return refuse_asking(a, name);
	if (!s->outputs)
		s->outputs = arena_array(a->d->arena, STATISTICS_OUTPUTS_MAX, sizeof(*s->outputs));
	s->outputs[s->noutputs++] =
		(struct statistic){.kind = kind, .name = a->names[a->nnames - 1], .path = path};
	return true;
}

bool add_count(struct asking *a, struct bytes name)
{
	return add_output(a, name, STATISTIC_COUNT, 0);
}

static bool add_of_path(struct asking *a, struct bytes name, enum statistic_kind kind,
	const struct element *operand)
{
	struct statistics *s = a->statistics;
	size_t column, i = 0;

	if (s->npaths == STATISTICS_PATHS_MAX)
		return refuse_asking(a, name);
	if (!ask_reference(a, operand, &column))
		return false;
	while (i < s->npaths && a->numbers[i] != column)
		i++;
	if (i == s->npaths) {
		a->numbers[i] = column;
		s->paths[s->npaths++] = a->columns[column].path;
	}
	s->squares[i] |= kind == STATISTIC_DEVIATION;
	return add_output(a, name, kind, i);
}

static bool is_one(const struct element *e)
{
	int64_t n;

	return element_is_number(e) && element_int(e, &n) && n == 1;
}

/* {name: {$sum: 1}} and its like. */
static bool read_accumulator(struct asking *a, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct element op, second;

	if (e->type != TYPE_DOCUMENT || !doc_next(&it, &op) || doc_next(&it, &second))
		return refuse_asking(a, e->name);
	if (element_named(&op, "$sum") && is_one(&op))
		return add_count(a, e->name);
	if (element_named(&op, "$count") && op.type == TYPE_DOCUMENT && doc_is_empty(op.value))
		return add_count(a, e->name);
	if (element_named(&op, "$sum"))
		return add_of_path(a, e->name, STATISTIC_SUM, &op);
	if (element_named(&op, "$avg"))
		return add_of_path(a, e->name, STATISTIC_AVERAGE, &op);
	if (element_named(&op, "$stdDevPop"))
		return add_of_path(a, e->name, STATISTIC_DEVIATION, &op);
	return refuse_asking(a, op.name);
}

static bool is_constant(const struct element *e)
{
	switch (e->type) {
	case TYPE_NULL:
	case TYPE_BOOL:
	case TYPE_INT32:
	case TYPE_INT64:
	case TYPE_DOUBLE:
	case TYPE_DATE:
		return true;
	case TYPE_STRING:
		return !bytes_start_with(element_string(e), bytes_str("$"));
	default:
		return false;
	}
}

static struct key_part *next_key(struct asking *a, struct bytes name)
{
	struct key_part *part = &a->keys[a->nkeys];

	if (a->nkeys == STATISTICS_KEYS_MAX) {
		(void)refuse_asking(a, name);
		return NULL;
	}
	a->nkeys++;
	*part = (struct key_part){.name = name};
	return part;
}

bool add_key(struct asking *a, struct bytes name, size_t column)
{
	struct key_part *part = next_key(a, name);

	if (part)
		part->column = column;
	return part != NULL;
}

static bool read_key(struct asking *a, const struct element *e, struct bytes name)
{
	struct key_part *part = next_key(a, name);

	if (!part)
		return false;
	part->is_constant = is_constant(e);
	part->constant = *e;
	return part->is_constant || ask_reference(a, e, &part->column);
}

/* A path, a constant, or a document of such. */
static bool read_id(struct asking *a, const struct element *id)
{
	struct doc_iter it = doc_iter_of(id->value);
	struct element e;

	if (id->type != TYPE_DOCUMENT) {
		a->kind = is_constant(id) ? KEY_CONSTANT : KEY_PATH;
		return read_key(a, id, bytes_of("", 0));
	}
	a->kind = KEY_PARTS;
	while (doc_next(&it, &e)) {
		for (size_t i = 0; i < a->nkeys; i++)
			if (bytes_equal(a->keys[i].name, e.name))
				return refuse_asking(a, e.name);
		if (!is_plain_name(e.name))
			return refuse_asking(a, e.name);
		if (!read_key(a, &e, e.name))
			return false;
	}
	return true;
}

static bool read_group(struct asking *a, const struct element *stage)
{
	struct doc_iter it = doc_iter_of(stage->value);
	struct element e;
	bool keyed = false, fine = true;

	if (stage->type != TYPE_DOCUMENT)
		return fault_name(a->d->why, FAULT_WRONG_TYPE, stage->name);
	while (fine && doc_next(&it, &e)) {
		bool id = element_named(&e, "_id");

		fine = id ? !keyed && add_name(a, e.name) && read_id(a, &e)
			  : read_accumulator(a, &e);
		keyed |= id;
	}
	return fine && (keyed || fault_name(a->d->why, FAULT_MISSING_FIELD, bytes_str("_id")));
}

static bool read_count_stage(struct asking *a, const struct element *stage)
{
	if (stage->type != TYPE_STRING)
		return fault_name(a->d->why, FAULT_WRONG_TYPE, stage->name);
	a->statistics->without_key = true;
	return add_count(a, element_string(stage));
}

static bool read_sort_by_count(struct asking *a, const struct element *stage)
{
	struct bytes count = bytes_str("count");
	size_t column;

	a->kind = KEY_PATH;
	return ask_reference(a, stage, &column) && add_key(a, bytes_of("", 0), column) &&
	       add_name(a, bytes_str("_id")) && add_count(a, count) && add_sort(a, count, true);
}

/* Edges of one kind, rising. */
static bool check_boundaries(struct asking *a, const struct element *list)
{
	struct doc_iter it = doc_iter_of(list->value);
	struct element e, before = {0};
	size_t n = 0;
	int order;

	if (list->type != TYPE_ARRAY)
		return refuse_asking(a, list->name);
	while (doc_next(&it, &e)) {
		if (!(element_is_number(&e) || e.type == TYPE_DATE || e.type == TYPE_STRING) ||
			n++ == BOUNDARIES_MAX)
			return refuse_asking(a, list->name);
		if (before.type && (!match_compare(&before, &e, &order) || order >= 0))
			return refuse_asking(a, list->name);
		before = e;
	}
	return n > 1 || refuse_asking(a, list->name);
}

static bool read_outputs(struct asking *a, const struct element *output)
{
	struct doc_iter it = doc_iter_of(output->value);
	struct element e;

	if (output->type != TYPE_DOCUMENT)
		return refuse_asking(a, output->name);
	while (doc_next(&it, &e))
		if (!read_accumulator(a, &e))
			return false;
	return true;
}

/* Without a default a server raises an error where a value lies outside, which tells of it. */
static bool read_bucket(struct asking *a, const struct element *stage)
{
	struct element by, boundaries, others, output;
	struct doc_iter it = doc_iter_of(stage->value);
	size_t column;

	if (stage->type != TYPE_DOCUMENT)
		return fault_name(a->d->why, FAULT_WRONG_TYPE, stage->name);
	while (doc_next(&it, &output))
		if (!language_among("groupBy boundaries default output", output.name))
			return refuse_asking(a, output.name);
	if (!doc_find(stage->value, "groupBy", &by) ||
		!doc_find(stage->value, "boundaries", &boundaries))
		return refuse_asking(a, stage->name);
	if (!doc_find(stage->value, "default", &others) || !is_constant(&others))
		return refuse_asking(a, bytes_str("$bucket without default"));
	a->kind = KEY_BUCKETS;
	a->boundaries = boundaries.value;
	a->others = others;
	if (!ask_reference(a, &by, &column) || !add_key(a, bytes_of("", 0), column) ||
		!check_boundaries(a, &boundaries) || !add_name(a, bytes_str("_id")))
		return false;
	if (doc_find(stage->value, "output", &output))
		return read_outputs(a, &output);
	return add_count(a, bytes_str("count"));
}

static const struct {
	const char *name;
	bool (*read)(struct asking *a, const struct element *stage);
} groupings[] = {
	{"$group", read_group},
	{"$sortByCount", read_sort_by_count},
	{"$bucket", read_bucket},
	{"$count", read_count_stage},
};

bool is_grouping(struct bytes name)
{
	for (size_t i = 0; i < COUNT_OF(groupings); i++)
		if (bytes_equal_str(name, groupings[i].name))
			return true;
	return false;
}

bool read_grouping(struct asking *a, const struct element *stage)
{
	for (size_t i = 0; i < COUNT_OF(groupings); i++)
		if (element_named(stage, groupings[i].name))
			return groupings[i].read(a, stage);
	return refuse_asking(a, stage->name);
}
