#include "query/analyse.h"
#include "query/operators.h"

static bool reaches(struct bytes name)
{
	enum stage_treatment stage = stage_operator(name);

	return stage == STAGE_LOOKUP || stage == STAGE_UNION || stage == STAGE_GRAPH;
}

#define OPTIONS_MAX 16

bool options_stand_once(struct bytes options, struct fault *why)
{
	struct bytes seen[OPTIONS_MAX];
	struct doc_iter it = doc_iter_of(options);
	struct element e;
	size_t n = 0;

	while (doc_next(&it, &e)) {
		for (size_t i = 0; i < n; i++)
			if (bytes_equal(seen[i], e.name))
				return fault_name(why, FAULT_FIELD_TWICE, e.name);
		if (n == OPTIONS_MAX)
			return fault_name(why, FAULT_UNKNOWN_FIELD, e.name);
		seen[n++] = e.name;
	}
	return true;
}

/* Inside a stage that is not taken apart: no name that no table knows, and no JavaScript. */
static bool known_names_only(struct analysis *a, struct bytes doc, struct fault *why)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		bool literal = expression_operator(e.name) == EXPRESSION_LITERAL;

		if (e.name.len && e.name.at[0] == '$' && !operator_is_known(e.name))
			return fault_name(why, FAULT_OPERATOR, e.name);
		a->reaches += reaches(e.name);
		if (e.type == TYPE_CODE || e.type == TYPE_CODE_WITH_SCOPE)
			return fault_name(why, FAULT_OPERATOR, e.name);
		if (expression_operator(e.name) == EXPRESSION_CONVERT)
			return fault_name(why, FAULT_OPERATOR, e.name);
		if (e.type == TYPE_STRING && !literal) {
			struct bytes text = element_string(&e);

			if (bytes_start_with(text, bytes_str("$$USER_ROLES")) ||
				bytes_start_with(text, bytes_str("$$SEARCH_META")))
				return fault_name(why, FAULT_OPERATOR, text);
		}
		if (element_is_document(&e) && !literal && !known_names_only(a, e.value, why))
			return false;
	}
	return true;
}

static bool group_field(struct analysis *a, struct shape *next, const struct element *e,
	struct bytes path, enum use_kind kind, struct fault *why)
{
	struct bytes from, origin;

	if (!analyse_expression(a, e, kind, "$group", why))
		return false;
	if (expression_path(a, e, &from) && shape_origin(a, from, &origin))
		shape_put(a, next, path, SHAPE_MOVED, origin);
	else
		shape_put(a, next, path, SHAPE_COMPUTED, path);
	return true;
}

/* {_id: {a: "$x", b: "$y"}}: each part keeps its origin. */
static bool group_key(
	struct analysis *a, struct shape *next, const struct element *e, struct fault *why)
{
	struct bytes id = bytes_str("_id");
	struct doc_iter it;
	struct element part;
	bool operator;

	if (e->type != TYPE_DOCUMENT)
		return group_field(a, next, e, id, USE_GROUP, why);
	it = doc_iter_of(e->value);
	operator= doc_next(&it, &part) && part.name.len &&part.name.at[0] == '$';
	if (operator)
		return group_field(a, next, e, id, USE_GROUP, why);
	shape_put(a, next, id, SHAPE_COMPUTED, id);
	it = doc_iter_of(e->value);
	while (doc_next(&it, &part)) {
		struct bytes path;

		if (!part.name.len ||
			!path_normalise(a->arena, path_join(a->arena, id, part.name), &path, why))
			return fault_name(why, FAULT_PATH, part.name);
		if (!group_field(a, next, &part, path, USE_GROUP, why))
			return false;
	}
	return true;
}

/* By what a stage orders and parts documents: an encrypted field has no order. */
static bool order_of(struct analysis *a, const struct element *e, struct fault *why)
{
	struct element sort, parts;

	if (doc_find(e->value, "sortBy", &sort) && sort.type == TYPE_DOCUMENT &&
		!analyse_sort(a, sort.value, "sortBy", why))
		return false;
	return !doc_find(e->value, "partitionBy", &parts) ||
	       analyse_expression(a, &parts, USE_GROUP, "partitionBy", why);
}

static bool group_accumulator(
	struct analysis *a, struct shape *next, const struct element *e, struct fault *why)
{
	struct doc_iter it;
	struct element op, second;

	if (e->type != TYPE_DOCUMENT)
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	it = doc_iter_of(e->value);
	if (!doc_next(&it, &op) || doc_next(&it, &second))
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	switch (accumulator_operator(op.name)) {
	case ACCUMULATOR_COLLECT:
		return group_field(a, next, &op, e->name, USE_COLLECT, why);
	case ACCUMULATOR_ORDER:
		return analyse_expression(a, &op, USE_SORT, "$group", why) &&
		       group_field(a, next, &op, e->name, USE_COLLECT, why);
	case ACCUMULATOR_UNPROVEN:
		analysis_unproven(a, op.name);
		shape_put(a, next, e->name, SHAPE_COMPUTED, e->name);
		return known_names_only(a, op.value, why) &&
		       (op.type != TYPE_DOCUMENT || order_of(a, &op, why));
	case ACCUMULATOR_AVERAGE:
		if (!analyse_expression(a, &op, USE_AVERAGE, "$group", why))
			return false;
		shape_put(a, next, e->name, SHAPE_COMPUTED, e->name);
		return true;
	case ACCUMULATOR_UNKNOWN:
		break;
	}
	return fault_name(why, FAULT_OPERATOR, op.name);
}

static bool stage_group(struct analysis *a, const struct element *e, struct fault *why)
{
	struct shape next = {0};
	struct doc_iter it;
	struct element field;

	if (e->type != TYPE_DOCUMENT)
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	it = doc_iter_of(e->value);
	while (doc_next(&it, &field)) {
		bool key = element_named(&field, "_id");

		/* A name with a dot would be another path than it looks like. */
		if (memchr(field.name.at, '.', field.name.len))
			return fault_name(why, FAULT_PATH, field.name);
		if (!(key ? group_key : group_accumulator)(a, &next, &field, why))
			return false;
	}
	a->shape = next;
	a->grouped = true;
	return true;
}

static bool stage_count(struct analysis *a, const struct element *e, struct fault *why)
{
	struct bytes path;

	if (e->type != TYPE_STRING)
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	if (!path_normalise(a->arena, element_string(e), &path, why))
		return false;
	a->shape = (struct shape){0};
	shape_put(a, &a->shape, path, SHAPE_COMPUTED, path);
	a->grouped = true;
	return true;
}

/* includeArrayIndex: where a field of that name was, its place among the others would show
 * that it was there. */
static bool index_of_unwind(struct analysis *a, const struct element *index, struct fault *why)
{
	struct use use = {.kind = USE_COVER, .element = *index, .place = "$unwind"};

	if (index->type != TYPE_STRING)
		return fault_name(why, FAULT_WRONG_TYPE, index->name);
	use.sent = element_string(index);
	if (!path_normalise(a->arena, use.sent, &use.path, why))
		return false;
	if (path_is_reserved(use.path))
		return fault_name(why, FAULT_RESERVED, use.sent);
	/* "a.0" is a field of `a`: the others of `a` are as they were. */
	if (use.path.len != use.sent.len)
		analysis_unproven(a, use.sent);
	if (!shape_use(a, &use, why))
		return false;
	shape_put(a, &a->shape, use.path, SHAPE_COMPUTED, use.path);
	return true;
}

static bool stage_unwind(struct analysis *a, const struct element *e, struct fault *why)
{
	struct element from = *e, index;
	struct use use = {.kind = USE_UNWIND, .place = "$unwind"};

	if (e->type == TYPE_DOCUMENT && !options_stand_once(e->value, why))
		return false;
	if (e->type == TYPE_DOCUMENT && !doc_find(e->value, "path", &from))
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	if (!expression_path(a, &from, &use.path) || !use.path.len)
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	use.sent = element_string(&from);
	if (!shape_use(a, &use, why) || !shape_use_numbers(a, &use, use.sent, why))
		return false;
	if (e->type != TYPE_DOCUMENT || !doc_find(e->value, "includeArrayIndex", &index) ||
		index.type == TYPE_NULL)
		return true;
	return index_of_unwind(a, &index, why);
}

/* The field that a stage adds: `as` of $lookup, the names in `output` of others. */
static bool note_added(struct analysis *a, const struct element *e, struct fault *why)
{
	struct element field, name;
	struct bytes path;

	if (e->type != TYPE_DOCUMENT)
		return true;
	if (doc_find(e->value, "as", &field) && field.type == TYPE_STRING) {
		if (!path_normalise(a->arena, element_string(&field), &path, why))
			return false;
		shape_put(a, &a->shape, path, SHAPE_COMPUTED, path);
	}
	if (doc_find(e->value, "output", &field) && field.type == TYPE_DOCUMENT) {
		struct doc_iter it = doc_iter_of(field.value);

		while (doc_next(&it, &name)) {
			if (!path_normalise(a->arena, name.name, &path, why))
				return false;
			shape_put(a, &a->shape, path, SHAPE_COMPUTED, path);
		}
	}
	return true;
}

static bool stage_unproven(
	struct analysis *a, const struct element *e, bool reshapes, struct fault *why)
{
	analysis_unproven(a, e->name);
	a->reaches += reaches(e->name);
	if (element_is_document(e) && !known_names_only(a, e->value, why))
		return false;
	if (e->type == TYPE_DOCUMENT && !order_of(a, e, why))
		return false;
	/* Of what comes out no path is known: whatever it is, the barrier was before it. */
	if (reshapes)
		a->shape = (struct shape){.whole = false};
	return note_added(a, e, why);
}

/* Each pipeline of $facet gets the documents that came in. */
static bool stage_facet(struct analysis *a, const struct element *e, struct fault *why)
{
	struct shape before = a->shape;
	struct bytes stage = a->stage;
	struct doc_iter it;
	struct element pipeline;

	analysis_unproven(a, e->name);
	if (e->type != TYPE_DOCUMENT)
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	it = doc_iter_of(e->value);
	while (doc_next(&it, &pipeline)) {
		a->shape = before; /* entries are only ever added behind these */
		if (pipeline.type != TYPE_ARRAY)
			return fault_name(why, FAULT_WRONG_TYPE, pipeline.name);
		if (!analyse_pipeline(a, pipeline.value, why))
			return false;
	}
	a->stage = stage;
	a->shape = (struct shape){.whole = false};
	return true;
}

static bool read_stage(
	struct analysis *a, const struct element *e, struct bytes stage, struct fault *why)
{
	switch (stage_operator(e->name)) {
	case STAGE_MATCH:
		if (e->type != TYPE_DOCUMENT)
			return fault_name(why, FAULT_WRONG_TYPE, e->name);
		return analyse_filter(a, e->value, bytes_of("", 0), "$match", why);
	case STAGE_PROJECT:
		return analyse_projection(a, e, true, stage, why);
	case STAGE_SORT:
		if (e->type != TYPE_DOCUMENT)
			return fault_name(why, FAULT_WRONG_TYPE, e->name);
		return analyse_sort(a, e->value, "$sort", why);
	case STAGE_GROUP:
		return stage_group(a, e, why);
	case STAGE_COUNT:
		return stage_count(a, e, why);
	case STAGE_UNWIND:
		return stage_unwind(a, e, why);
	case STAGE_HARMLESS:
		return true;
	case STAGE_SET:
		return analyse_set(a, e, stage, why);
	case STAGE_UNSET:
		return analyse_unset(a, e, stage, why);
	case STAGE_LOOKUP:
	case STAGE_UNION:
	case STAGE_GRAPH:
	case STAGE_UNPROVEN:
		return stage_unproven(a, e, false, why);
	case STAGE_FIRST:
		a->first = e->name;
		return stage_unproven(a, e, false, why);
	case STAGE_FACET:
		return stage_facet(a, e, why);
	case STAGE_RESHAPES:
		return stage_unproven(a, e, true, why);
	case STAGE_DOCUMENTS:
	case STAGE_UNKNOWN:
		break;
	}
	return fault_name(why, FAULT_STAGE, e->name);
}

bool stage_field(const struct element *stage, struct element *e, struct fault *why)
{
	struct doc_iter it = doc_iter_of(stage->value);
	struct element second;

	return (stage->type == TYPE_DOCUMENT && doc_next(&it, e) && !doc_next(&it, &second)) ||
	       fault_name(why, FAULT_WRONG_TYPE, bytes_str("pipeline"));
}

bool analyse_documents(const struct element *stage, struct fault *why)
{
	struct analysis unused = {.reaches = 0};
	struct element e;

	if (!stage_field(stage, &e, why))
		return false;
	if (stage_operator(e.name) != STAGE_DOCUMENTS)
		return fault_name(why, FAULT_STAGE, e.name);
	return !element_is_document(&e) || known_names_only(&unused, e.value, why);
}

bool analyse_stage(struct analysis *a, const struct element *stage, struct fault *why)
{
	struct element e;

	a->stage = stage->whole;
	return stage_field(stage, &e, why) && read_stage(a, &e, stage->whole, why);
}

bool analyse_pipeline(struct analysis *a, struct bytes pipeline, struct fault *why)
{
	struct doc_iter stages = doc_iter_of(pipeline);
	struct element stage;

	while (doc_next(&stages, &stage))
		if (!analyse_stage(a, &stage, why))
			return false;
	return true;
}
