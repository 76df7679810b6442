#include "query/analyse.h"
#include "query/operators.h"

static bool add_path(struct analysis *a, const struct element *e, enum use_kind kind,
	const char *place, struct fault *why)
{
	struct use use = {
		.kind = kind, .sent = e->name, .element = *e, .literal = *e, .place = place};

	return path_normalise(a->arena, e->name, &use.path, why) && analysis_add(a, &use, why) &&
	       shape_use_numbers(a, &use, e->name, why);
}

static bool add_rename(struct analysis *a, const struct element *e, struct fault *why)
{
	struct use to = {.kind = USE_RENAME, .element = *e, .place = "$rename"};

	if (e->type != TYPE_STRING)
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	to.sent = element_string(e);
	return add_path(a, e, USE_RENAME, "$rename", why) &&
	       path_normalise(a->arena, to.sent, &to.path, why) && analysis_add(a, &to, why);
}

/* $pull holds a filter: on the array's elements, or on their fields. */
static bool add_pull(struct analysis *a, const struct element *e, struct fault *why)
{
	struct bytes path;
	struct doc_iter it;
	struct element first;

	if (!add_path(a, e, USE_MODIFY, "$pull", why))
		return false;
	if (e->type != TYPE_DOCUMENT)
		return true;
	it = doc_iter_of(e->value);
	if (!doc_next(&it, &first))
		return true;
	if (first.name.len && first.name.at[0] == '$' &&
		logical_operator(first.name) == LOGICAL_UNKNOWN)
		return filter_operator(first.name) != FILTER_UNKNOWN ||
		       fault_name(why, FAULT_OPERATOR, first.name);
	return path_normalise(a->arena, e->name, &path, why) &&
	       analyse_filter(a, e->value, path, "$pull", why);
}

/* {$each, $position, $slice, $sort} and nothing else beginning with `$`. */
static bool check_push(const struct element *e, struct fault *why)
{
	struct doc_iter it;
	struct element m;

	if (e->type != TYPE_DOCUMENT)
		return true;
	it = doc_iter_of(e->value);
	while (doc_next(&it, &m))
		if (m.name.len && m.name.at[0] == '$' && !element_named(&m, "$each") &&
			!element_named(&m, "$position") && !element_named(&m, "$slice") &&
			!element_named(&m, "$sort"))
			return fault_name(why, FAULT_OPERATOR, m.name);
	return true;
}

static bool add_field(
	struct analysis *a, const struct element *op, const struct element *e, struct fault *why)
{
	switch (update_operator(op->name)) {
	case UPDATE_SET:
		return add_path(a, e, USE_SET, "$set", why);
	case UPDATE_SET_NEW:
		return add_path(a, e, USE_SET_NEW, "$setOnInsert", why);
	case UPDATE_UNSET:
		return add_path(a, e, USE_UNSET, "$unset", why);
	case UPDATE_RENAME:
		return add_rename(a, e, why);
	case UPDATE_CURRENT_DATE:
		return add_path(a, e, USE_MODIFY, "$currentDate", why);
	case UPDATE_MODIFY:
		if (element_named(op, "$pull"))
			return add_pull(a, e, why);
		return check_push(e, why) && add_path(a, e, USE_MODIFY, "an update operator", why);
	case UPDATE_UNKNOWN:
		break;
	}
	return fault_name(why, FAULT_OPERATOR, op->name);
}

static bool add_operators(struct analysis *a, struct bytes update, struct fault *why)
{
	struct doc_iter ops = doc_iter_of(update);
	struct element op, e;

	while (doc_next(&ops, &op)) {
		struct doc_iter it;

		if (update_operator(op.name) == UPDATE_UNKNOWN)
			return fault_name(why, FAULT_OPERATOR, op.name);
		if (op.type != TYPE_DOCUMENT)
			return fault_name(why, FAULT_WRONG_TYPE, op.name);
		it = doc_iter_of(op.value);
		while (doc_next(&it, &e))
			if (!add_field(a, &op, &e, why))
				return false;
	}
	return true;
}

static bool is_identifier(struct bytes component, struct bytes identifier)
{
	return component.len == identifier.len + 3 &&
	       bytes_start_with(component, bytes_str("$[")) &&
	       memcmp(component.at + 2, identifier.at, identifier.len) == 0;
}

/* A condition on `identifier` looks at `rest` below every place where `sent`, a path that
 * the update writes, has "$[identifier]". */
static bool add_condition(struct analysis *a, struct bytes sent, struct bytes identifier,
	struct bytes rest, bool *used, struct fault *why)
{
	struct use use = {.kind = USE_COMPARE, .sent = identifier, .place = "arrayFilters"};
	struct bytes left = sent, component, place;

	while (path_next(&left, &component)) {
		size_t before = (size_t)(component.at - sent.at);

		if (!is_identifier(component, identifier) || !before)
			continue;
		*used = true;
		place = path_join(a->arena, bytes_head(sent, before - 1), rest);
		if (!path_normalise(a->arena, place, &use.path, why) ||
			!analysis_add(a, &use, why) || !shape_use_numbers(a, &use, place, why))
			return false;
	}
	return true;
}

/* One element of arrayFilters: {identifier: …} or {"identifier.path": …}. */
static bool add_array_filter(struct analysis *a, struct bytes filter, struct fault *why)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element e;
	size_t written = a->count;

	while (doc_next(&it, &e)) {
		struct bytes rest = e.name, identifier;
		bool used = false;

		/* Branches would hold the same again: rare enough to be refused. */
		if (!path_next(&rest, &identifier) || !identifier.len || identifier.at[0] == '$')
			return fault_name(why, FAULT_OPERATOR, e.name);
		for (size_t i = 0; i < written; i++)
			if (!add_condition(a, a->uses[i].sent, identifier, rest, &used, why))
				return false;
		if (!used)
			return fault_name(why, FAULT_PATH, e.name);
	}
	return true;
}

static bool add_array_filters(struct analysis *a, const struct element *filters, struct fault *why)
{
	struct doc_iter it;
	struct element e;

	if (filters->type != TYPE_ARRAY)
		return fault_name(why, FAULT_WRONG_TYPE, filters->name);
	it = doc_iter_of(filters->value);
	while (doc_next(&it, &e)) {
		if (e.type != TYPE_DOCUMENT)
			return fault_name(why, FAULT_WRONG_TYPE, filters->name);
		if (!add_array_filter(a, e.value, why))
			return false;
	}
	return true;
}

bool analyse_update(struct analysis *a, const struct element *update, const struct element *filters,
	bool *replaces, struct fault *why)
{
	struct doc_iter it;
	struct element first;

	*replaces = false;
	if (update->type == TYPE_ARRAY) {
		analysis_unproven(a, bytes_str("an update by pipeline"));
		a->writes_pipeline = true;
		return analyse_pipeline(a, update->value, why);
	}
	if (update->type != TYPE_DOCUMENT)
		return fault_name(why, FAULT_WRONG_TYPE, update->name);
	it = doc_iter_of(update->value);
	if (!doc_next(&it, &first) || !first.name.len || first.name.at[0] != '$') {
		*replaces = true;
		return !filters || doc_is_empty(filters->value) ||
		       fault_name(why, FAULT_WRONG_TYPE, filters->name);
	}
	if (!add_operators(a, update->value, why))
		return false;
	return !filters || add_array_filters(a, filters, why);
}

bool collection_name_fits(struct bytes name)
{
	return name.len && name.at[0] != '.' && name.at[name.len - 1] != '.' &&
	       !memchr(name.at, 0, name.len) && !memchr(name.at, '$', name.len) &&
	       !bytes_start_with(name, bytes_str("system.")) &&
	       !bytes_start_with(name, bytes_str("enxcol_."));
}
