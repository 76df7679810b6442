#include "query/analyse.h"
#include "query/operators.h"

/* Nesting of $and, $or, $elemMatch … is bounded by DOC_DEPTH_MAX; their number by USES_MAX. */

static bool is_operator_document(const struct element *e)
{
	struct doc_iter it;
	struct element first;

	if (e->type != TYPE_DOCUMENT)
		return false;
	it = doc_iter_of(e->value);
	/* {$ref: …, $id: …} is a DBRef: data. */
	return doc_next(&it, &first) && first.name.len && first.name.at[0] == '$' &&
	       !element_named(&first, "$ref") && !element_named(&first, "$id") &&
	       !element_named(&first, "$db");
}

static bool add_literal(
	struct analysis *a, struct use use, const struct element *literal, struct fault *why)
{
	use.literal = *literal;
	use.kind = literal->type == TYPE_REGEX ? USE_COMPARE : USE_EQUAL;
	return shape_use(a, &use, why);
}

static bool add_list(
	struct analysis *a, struct use use, const struct element *list, struct fault *why)
{
	struct doc_iter it;
	struct element e;

	if (list->type != TYPE_ARRAY)
		return fault_name(why, FAULT_WRONG_TYPE, list->name);
	use.literal = *list;
	use.kind = USE_IN;
	it = doc_iter_of(list->value);
	while (doc_next(&it, &e))
		if (e.type == TYPE_REGEX)
			use.kind = USE_COMPARE;
	return shape_use(a, &use, why);
}

static bool add_operators(
	struct analysis *a, const struct use *use, struct bytes operators, struct fault *why);

static bool add_elem_match(
	struct analysis *a, const struct use *use, const struct element *e, struct fault *why)
{
	if (e->type != TYPE_DOCUMENT)
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	if (is_operator_document(e)) {
		struct doc_iter it = doc_iter_of(e->value);
		struct element first;

		/* {$elemMatch: {$and: […]}} holds a filter on the array's documents. */
		if (doc_next(&it, &first) && logical_operator(first.name) == LOGICAL_UNKNOWN)
			return add_operators(a, use, e->value, why);
	}
	return analyse_filter(a, e->value, use->path, use->place, why);
}

static bool add_not(
	struct analysis *a, const struct use *use, const struct element *e, struct fault *why)
{
	struct use seen = *use;

	seen.kind = USE_COMPARE;
	if (e->type == TYPE_REGEX)
		return shape_use(a, &seen, why);
	if (!is_operator_document(e))
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	return add_operators(a, use, e->value, why);
}

static bool add_operator(
	struct analysis *a, const struct use *use, const struct element *e, struct fault *why)
{
	struct use seen = *use;

	switch (filter_operator(e->name)) {
	case FILTER_EQUAL:
		return add_literal(a, seen, e, why);
	case FILTER_IN:
		return add_list(a, seen, e, why);
	case FILTER_EXISTS:
		seen.kind = USE_EXISTS;
		return shape_use(a, &seen, why);
	case FILTER_NOT:
		return add_not(a, use, e, why);
	case FILTER_ELEM_MATCH:
		/* Whether the path holds an array is seen, too. */
		seen.kind = USE_EXISTS;
		return shape_use(a, &seen, why) && add_elem_match(a, use, e, why);
	case FILTER_SEE_FIRST:
		a->first = e->name;
		seen.kind = USE_COMPARE;
		return shape_use(a, &seen, why);
	case FILTER_SEE:
		seen.kind = USE_COMPARE;
		return shape_use(a, &seen, why);
	case FILTER_PART:
		return true;
	case FILTER_UNKNOWN:
		break;
	}
	return fault_name(why, FAULT_OPERATOR, e->name);
}

static bool add_operators(
	struct analysis *a, const struct use *use, struct bytes operators, struct fault *why)
{
	struct doc_iter it = doc_iter_of(operators);
	struct element e;

	while (doc_next(&it, &e))
		if (!add_operator(a, use, &e, why))
			return false;
	return true;
}

static bool add_branches(struct analysis *a, const struct element *e, struct bytes above,
	const char *place, struct fault *why)
{
	struct doc_iter it;
	struct element branch;

	if (e->type != TYPE_ARRAY)
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	it = doc_iter_of(e->value);
	while (doc_next(&it, &branch)) {
		if (branch.type != TYPE_DOCUMENT)
			return fault_name(why, FAULT_WRONG_TYPE, e->name);
		if (!analyse_filter(a, branch.value, above, place, why))
			return false;
	}
	return true;
}

/* The row filter and this may run in any order: an error would tell. */
static bool add_expression(struct analysis *a, const struct element *e, struct fault *why)
{
	a->partial = false;
	if (!analyse_expression(a, e, USE_COMPUTE, "$expr", why))
		return false;
	a->raises |= a->partial;
	return true;
}

static bool add_logical(struct analysis *a, const struct element *e, struct bytes above,
	const char *place, struct fault *why)
{
	switch (logical_operator(e->name)) {
	case LOGICAL_BRANCHES:
		return add_branches(a, e, above, place, why);
	case LOGICAL_EXPR:
		return add_expression(a, e, why);
	case LOGICAL_COMMENT:
		return fault_name(why, FAULT_FILTER_COMMENT, e->name);
	case LOGICAL_HARMLESS:
		return true;
	case LOGICAL_FIRST:
		a->first = e->name;
		analysis_unproven(a, e->name);
		return true;
	case LOGICAL_UNPROVEN:
		analysis_unproven(a, e->name);
		return true;
	case LOGICAL_UNKNOWN:
		break;
	}
	return fault_name(why, FAULT_OPERATOR, e->name);
}

static bool add_path(struct analysis *a, const struct element *e, struct bytes above,
	const char *place, struct fault *why)
{
	struct use use = {.place = place, .sent = e->name, .element = *e, .kind = USE_COMPARE};
	struct bytes sent = path_join(a->arena, above, e->name);

	if (!e->name.len)
		return fault_name(why, FAULT_PATH, e->name);
	if (!path_normalise(a->arena, sent, &use.path, why) ||
		!shape_use_numbers(a, &use, sent, why))
		return false;
	if (is_operator_document(e))
		return add_operators(a, &use, e->value, why);
	return add_literal(a, use, e, why);
}

bool analyse_filter(struct analysis *a, struct bytes filter, struct bytes above, const char *place,
	struct fault *why)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element e;

	while (doc_next(&it, &e)) {
		bool logical = e.name.len && e.name.at[0] == '$';

		if (!(logical ? add_logical : add_path)(a, &e, above, place, why))
			return false;
	}
	return true;
}
