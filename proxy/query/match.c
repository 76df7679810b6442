#include "query/match.h"

#include "query/operators.h"
#include "query/path.h"

struct matching {
	struct bytes doc;
	bool met_array;
};

static bool is_scalar(const struct element *e)
{
	return !element_is_document(e) && e->type != TYPE_REGEX && e->type != TYPE_CODE &&
	       e->type != TYPE_CODE_WITH_SCOPE && e->type != TYPE_DB_POINTER &&
	       e->type != TYPE_DECIMAL128;
}

static int sign(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static bool compare_numbers(const struct element *a, const struct element *b, int *order)
{
	int64_t i, j;
	double x, y;

	if (element_int(a, &i) && element_int(b, &j)) {
		*order = sign(i, j);
		return true;
	}
	if (!element_double(a, &x) || !element_double(b, &y) || x != x || y != y)
		return false;
	*order = x < y ? -1 : x > y;
	return true;
}

bool match_compare(const struct element *a, const struct element *b, int *order)
{
	if (element_is_number(a) && element_is_number(b))
		return compare_numbers(a, b, order);
	if (a->type != b->type || !is_scalar(a))
		return false;
	switch (a->type) {
	case TYPE_DATE:
		*order = sign(load_i64(a->value.at), load_i64(b->value.at));
		return true;
	case TYPE_STRING:
	case TYPE_SYMBOL:
		*order = bytes_compare(element_string(a), element_string(b));
		return true;
	case TYPE_TIMESTAMP:
		*order = load_u64(a->value.at) < load_u64(b->value.at)   ? -1
			 : load_u64(a->value.at) > load_u64(b->value.at) ? 1
									 : 0;
		return true;
	default:
		*order = bytes_compare(a->value, b->value);
		return true;
	}
}

static bool is_operators(const struct element *e)
{
	struct doc_iter it;
	struct element first;

	if (e->type != TYPE_DOCUMENT)
		return false;
	it = doc_iter_of(e->value);
	return doc_next(&it, &first) && first.name.len && first.name.at[0] == '$';
}

bool match_is_guard(const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct element first;

	return is_operators(e) && doc_next(&it, &first) && element_named(&first, "$type");
}

static bool is_order(struct bytes name)
{
	return bytes_equal_str(name, "$gt") || bytes_equal_str(name, "$gte") ||
	       bytes_equal_str(name, "$lt") || bytes_equal_str(name, "$lte");
}

static bool check_operator(const struct element *e, struct fault *why)
{
	struct doc_iter it;
	struct element item;

	if (bytes_equal_str(e->name, "$exists"))
		return true;
	if (bytes_equal_str(e->name, "$eq") || bytes_equal_str(e->name, "$ne") || is_order(e->name))
		return is_scalar(e) || fault_name(why, FAULT_WRONG_TYPE, e->name);
	if (bytes_equal_str(e->name, "$in") || bytes_equal_str(e->name, "$nin")) {
		/* "${…}" is a template: a list stands there before anything is matched. */
		if (e->type == TYPE_STRING && bytes_start_with(element_string(e), bytes_str("${")))
			return true;
		if (e->type != TYPE_ARRAY)
			return fault_name(why, FAULT_WRONG_TYPE, e->name);
		it = doc_iter_of(e->value);
		while (doc_next(&it, &item))
			if (!is_scalar(&item))
				return fault_name(why, FAULT_WRONG_TYPE, e->name);
		return true;
	}
	if (bytes_equal_str(e->name, "$not") && is_operators(e)) {
		it = doc_iter_of(e->value);
		while (doc_next(&it, &item))
			if (!check_operator(&item, why))
				return false;
		return true;
	}
	return fault_name(why, FAULT_OPERATOR, e->name);
}

static bool check_element(const struct element *e, struct fault *why)
{
	struct doc_iter it;
	struct element item;

	if (e->name.len && e->name.at[0] == '$') {
		if (logical_operator(e->name) != LOGICAL_BRANCHES || e->type != TYPE_ARRAY)
			return fault_name(why, FAULT_OPERATOR, e->name);
		it = doc_iter_of(e->value);
		while (doc_next(&it, &item)) {
			if (item.type != TYPE_DOCUMENT)
				return fault_name(why, FAULT_WRONG_TYPE, e->name);
			if (!match_check(item.value, why))
				return false;
		}
		return true;
	}
	if (!is_operators(e))
		return is_scalar(e) || fault_name(why, FAULT_WRONG_TYPE, e->name);
	it = doc_iter_of(e->value);
	while (doc_next(&it, &item))
		if (!check_operator(&item, why))
			return false;
	return true;
}

bool match_check(struct bytes filter, struct fault *why)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element e;

	while (doc_next(&it, &e))
		if (!check_element(&e, why))
			return false;
	return true;
}

void match_each_path(struct bytes filter, match_path_fn *visit, void *context)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element e, branch;

	while (doc_next(&it, &e)) {
		struct doc_iter branches;

		if (match_is_guard(&e))
			continue;
		if (!e.name.len || e.name.at[0] != '$') {
			visit(context, e.name);
			continue;
		}
		branches = doc_iter_of(e.value);
		while (doc_next(&branches, &branch))
			match_each_path(branch.value, visit, context);
	}
}

struct literals {
	match_literal_fn *visit;
	void *context;
	struct bytes path;
};

static void visit_operators(const struct literals *l, struct bytes operators)
{
	struct doc_iter it = doc_iter_of(operators);
	struct element op, item;

	while (doc_next(&it, &op)) {
		struct doc_iter items;

		if (bytes_equal_str(op.name, "$not")) {
			visit_operators(l, op.value);
			continue;
		}
		if (op.type != TYPE_ARRAY) {
			l->visit(l->context, l->path, op.name, &op);
			continue;
		}
		items = doc_iter_of(op.value);
		while (doc_next(&items, &item))
			l->visit(l->context, l->path, op.name, &item);
	}
}

void match_each_literal(struct bytes filter, match_literal_fn *visit, void *context)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element e, branch;

	while (doc_next(&it, &e)) {
		const struct literals l = {.visit = visit, .context = context, .path = e.name};
		struct doc_iter branches;

		if (e.name.len && e.name.at[0] == '$') {
			branches = doc_iter_of(e.value);
			while (doc_next(&branches, &branch))
				match_each_literal(branch.value, visit, context);
		} else if (is_operators(&e)) {
			visit_operators(&l, e.value);
		} else {
			visit(context, e.name, bytes_str("$eq"), &e);
		}
	}
}

/* The value at `path`; false when it is absent or behind an array. */
static bool value_at(struct matching *m, struct bytes path, struct element *value)
{
	struct bytes doc = m->doc, component;

	while (path_next(&path, &component)) {
		struct doc_iter it = doc_iter_of(doc);
		bool found = false;

		while (!found && doc_next(&it, value))
			found = bytes_equal(value->name, component);
		if (!found)
			return false;
		if (value->type == TYPE_ARRAY)
			m->met_array = true;
		if (path.len && value->type != TYPE_DOCUMENT)
			return false;
		doc = value->value;
	}
	return true;
}

static bool equals(const struct element *value, bool there, const struct element *wanted)
{
	int order;

	if (wanted->type == TYPE_NULL)
		return !there || value->type == TYPE_NULL || value->type == TYPE_UNDEFINED;
	return there && match_compare(value, wanted, &order) && order == 0;
}

static bool is_in(const struct element *value, bool there, const struct element *list)
{
	struct doc_iter it = doc_iter_of(list->value);
	struct element wanted;

	while (list->type == TYPE_ARRAY && doc_next(&it, &wanted))
		if (equals(value, there, &wanted))
			return true;
	return false;
}

static bool fits_order(const struct element *value, bool there, const struct element *op)
{
	bool upper = op->name.at[1] == 'l'; /* $lt, $lte */
	bool with_equal = op->name.len == 4;
	int order;

	if (!there || !match_compare(value, op, &order))
		return false;
	return (order == 0 && with_equal) || (upper ? order < 0 : order > 0);
}

static bool fits_operators(const struct element *value, bool there, struct bytes operators)
{
	struct doc_iter it = doc_iter_of(operators);
	struct element op;
	bool fits = true;

	while (doc_next(&it, &op)) {
		if (bytes_equal_str(op.name, "$eq"))
			fits &= equals(value, there, &op);
		else if (bytes_equal_str(op.name, "$ne"))
			fits &= !equals(value, there, &op);
		else if (bytes_equal_str(op.name, "$in"))
			fits &= is_in(value, there, &op);
		else if (bytes_equal_str(op.name, "$nin"))
			fits &= !is_in(value, there, &op);
		else if (bytes_equal_str(op.name, "$exists"))
			fits &= there == element_truth(&op);
		else if (bytes_equal_str(op.name, "$not"))
			fits &= !fits_operators(value, there, op.value);
		else if (bytes_equal_str(op.name, "$type"))
			fits &= there && value->type == TYPE_ARRAY;
		else
			fits &= fits_order(value, there, &op);
	}
	return fits;
}

static bool fits_filter(struct matching *m, struct bytes filter);

static bool fits_branches(struct matching *m, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct element branch;
	size_t n = 0, fitting = 0;

	while (doc_next(&it, &branch)) {
		n++;
		fitting += fits_filter(m, branch.value);
	}
	if (bytes_equal_str(e->name, "$and"))
		return fitting == n;
	return bytes_equal_str(e->name, "$or") ? fitting > 0 : fitting == 0;
}

static bool fits_filter(struct matching *m, struct bytes filter)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element e, value;
	bool fits = true;

	while (doc_next(&it, &e)) {
		bool there;

		if (e.name.len && e.name.at[0] == '$') {
			fits &= fits_branches(m, &e);
			continue;
		}
		there = value_at(m, e.name, &value);
		fits &= is_operators(&e) ? fits_operators(&value, there, e.value)
					 : equals(&value, there, &e);
	}
	return fits;
}

bool match_document(struct bytes filter, struct bytes doc)
{
	struct matching m = {.doc = doc};
	bool fits = fits_filter(&m, filter);

	return fits && !m.met_array;
}
