#include "query/analyse.h"
#include "query/operators.h"

/* What stands behind "$$": the variable's name, and the path behind its dot. */
static struct bytes variable_name(struct bytes text, struct bytes *rest)
{
	struct bytes name;

	*rest = text;
	if (!path_next(rest, &name))
		name = text;
	return name;
}

/* Splits "$a.b", "$$ROOT.a" and "$$CURRENT.a"; false for anything that is no path. */
static bool path_of_text(struct bytes text, struct bytes *path, bool *whole)
{
	struct bytes name;

	*whole = false;
	if (text.len < 2 || text.at[0] != '$')
		return false;
	if (text.at[1] != '$') {
		*path = bytes_from(text, 1);
		return true;
	}
	name = variable_name(bytes_from(text, 2), path);
	if (system_variable(name) != VARIABLE_WHOLE)
		return false;
	*whole = path->len == 0;
	return true;
}

bool expression_path(struct analysis *a, const struct element *e, struct bytes *path)
{
	struct fault unwanted;
	struct bytes sent;
	bool whole;

	if (e->type != TYPE_STRING || !path_of_text(element_string(e), &sent, &whole))
		return false;
	if (!whole)
		return path_normalise(a->arena, sent, path, &unwanted);
	*path = bytes_of(sent.at, 0);
	return true;
}

static bool add_text(struct analysis *a, const struct element *e, enum use_kind kind,
	const char *place, struct fault *why)
{
	struct bytes text = element_string(e);
	struct use use = {.kind = kind, .place = place, .sent = text, .element = *e};
	struct bytes sent, rest;
	bool whole;

	if (!text.len || text.at[0] != '$')
		return true;
	if (!path_of_text(text, &sent, &whole)) {
		/* A variable of the expression reads below what it was bound to, which has
		 * been counted as computed with; an unknown system variable is refused. */
		struct bytes name = variable_name(bytes_from(text, text.len > 1 ? 2 : 1), &rest);
		bool own = name.len && name.at[0] >= 'a' && name.at[0] <= 'z';

		if (text.len > 2 && text.at[1] == '$' &&
			(own || system_variable(name) == VARIABLE_CONSTANT))
			return true;
		return fault_name(why, FAULT_OPERATOR, text);
	}
	if (whole)
		use.path = bytes_of(sent.at, 0);
	else if (!path_normalise(a->arena, sent, &use.path, why) ||
		 !shape_use_numbers(a, &use, sent, why))
		return false;
	return shape_use(a, &use, why);
}

static bool add_each(struct analysis *a, struct bytes doc, enum use_kind pure, const char *place,
	struct fault *why)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		/* An operator stands alone in its document. */
		if (e.name.len && e.name.at[0] == '$')
			return fault_name(why, FAULT_OPERATOR, e.name);
		if (!analyse_expression(a, &e, pure, place, why))
			return false;
	}
	return true;
}

/* $convert may not make a Binary: one of subtype 6 would be opened on its way out. */
static bool check_conversion(const struct element *e, struct fault *why)
{
	struct element to;
	int64_t number;

	if (e->type == TYPE_DOCUMENT && !options_stand_once(e->value, why))
		return false;
	if (e->type != TYPE_DOCUMENT || !doc_find(e->value, "to", &to))
		return fault_name(why, FAULT_OPERATOR, e->name);
	if (to.type == TYPE_STRING && element_string(&to).len && element_string(&to).at[0] != '$' &&
		!bytes_equal_str(element_string(&to), "binData"))
		return true;
	if (element_int(&to, &number) && number != TYPE_BINARY)
		return true;
	return fault_name(why, FAULT_OPERATOR, e->name);
}

static bool add_operator(
	struct analysis *a, const struct element *e, const char *place, struct fault *why)
{
	enum expression_treatment operator= expression_operator(e->name);

	a->partial |= operator!= EXPRESSION_LITERAL && operator!= EXPRESSION_TOTAL;
	switch (operator) {
	case EXPRESSION_LITERAL:
		return true;
	case EXPRESSION_WHOLE:
		analysis_unproven(a, e->name);
		return !element_is_document(e) || add_each(a, e->value, USE_COMPUTE, place, why);
	case EXPRESSION_CONVERT:
		return check_conversion(e, why) && add_each(a, e->value, USE_COMPUTE, place, why);
	case EXPRESSION_ANY:
	case EXPRESSION_TOTAL:
		return analyse_expression(a, e, USE_COMPUTE, place, why);
	case EXPRESSION_UNKNOWN:
		break;
	}
	return fault_name(why, FAULT_OPERATOR, e->name);
}

bool analyse_expression(struct analysis *a, const struct element *e, enum use_kind pure,
	const char *place, struct fault *why)
{
	struct doc_iter it;
	struct element first;

	if (e->type == TYPE_STRING)
		return add_text(a, e, pure, place, why);
	if (e->type == TYPE_ARRAY)
		return add_each(a, e->value, pure, place, why);
	if (e->type == TYPE_CODE || e->type == TYPE_CODE_WITH_SCOPE)
		return fault_name(why, FAULT_OPERATOR, e->name);
	if (e->type != TYPE_DOCUMENT)
		return true;
	it = doc_iter_of(e->value);
	if (!doc_next(&it, &first) || !first.name.len || first.name.at[0] != '$')
		return add_each(a, e->value, pure, place, why);
	if (!add_operator(a, &first, place, why))
		return false;
	if (doc_next(&it, &first))
		return fault_name(why, FAULT_OPERATOR, first.name);
	return true;
}
