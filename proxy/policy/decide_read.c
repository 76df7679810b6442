#include "policy/barrier.h"
#include "policy/decide.h"

/* Options of reads that only a view without secrets may use. */
bool check_flag(struct deciding *d, struct analysis *a, const char *name)
{
	const struct element *e = command_field(d->c, name);

	if (e && e->type != TYPE_BOOL && !element_is_number(e))
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str(name));
	if (e && element_truth(e))
		analysis_unproven(a, bytes_str(name));
	return true;
}

/* `let` binds names for expressions: constants only. */
bool check_let(struct deciding *d, struct analysis *a)
{
	const struct element *let;

	if (!body_field(d, "let", TYPE_DOCUMENT, &let))
		return false;
	if (!let || doc_is_empty(let->value))
		return true;
	analysis_unproven(a, bytes_str("let"));
	return analyse_expression(a, let, USE_COMPUTE, "let", d->why);
}

/* An index by name could be any; by its keys it is known. */
bool check_hint(struct deciding *d, struct analysis *a, const struct element *hint)
{
	struct use use = {.kind = USE_HINT, .path = bytes_str("_id"), .place = "hint"};

	if (!hint || hint->type == TYPE_NULL)
		return true;
	if (hint->type == TYPE_DOCUMENT)
		return analyse_keys(a, hint->value, USE_HINT, "hint", d->why);
	if (hint->type != TYPE_STRING)
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("hint"));
	if (!bytes_equal_str(element_string(hint), "_id_"))
		analysis_unproven(a, bytes_str("hint"));
	use.sent = element_string(hint);
	return analysis_add(a, &use, d->why);
}

static bool check_bounds(struct deciding *d, struct analysis *a, const char *name)
{
	const struct element *e;

	if (!body_field(d, name, TYPE_DOCUMENT, &e))
		return false;
	return !e || analyse_keys(a, e->value, USE_COMPARE, name, d->why);
}

static bool read_filter(
	struct deciding *d, struct analysis *a, const char *name, const struct element **filter)
{
	if (!body_field(d, name, TYPE_DOCUMENT, filter))
		return false;
	return !*filter || analyse_filter(a, (*filter)->value, bytes_of("", 0), "filter", d->why);
}

static bool read_sort(struct deciding *d, struct analysis *a)
{
	const struct element *sort;

	return body_field(d, "sort", TYPE_DOCUMENT, &sort) &&
	       (!sort || analyse_sort(a, sort->value, "sort", d->why));
}

bool read_projection(struct deciding *d, struct analysis *a, const char *name)
{
	const struct element *projection;
	struct bytes none = {0};

	return body_field(d, name, TYPE_DOCUMENT, &projection) &&
	       (!projection || analyse_projection(a, projection, false, none, d->why));
}

static bool read_find_options(struct deciding *d, struct analysis *a)
{
	static const char *const flags[] = {"returnKey", "showRecordId", "oplogReplay"};

	for (size_t i = 0; i < COUNT_OF(flags); i++)
		if (!check_flag(d, a, flags[i]))
			return false;
	return check_let(d, a) && check_hint(d, a, command_field(d->c, "hint")) &&
	       check_bounds(d, a, "min") && check_bounds(d, a, "max");
}

/* Whether the command as it is reads only what the role may read. */
static bool is_native(struct deciding *d, const struct analysis *a)
{
	return check_proven(d, a) && check_uses(d, a);
}

bool decide_find(struct deciding *d)
{
	const struct element *filter, *awaits = command_field(d->c, "awaitData");
	struct analysis a;

	if (!choose_grant(d, ACTION_READ))
		return false;
	if (d->virtual)
		return decide_view_find(d);
	if (!check_glass_find(d))
		return false;
	analysis_init(&a, d->arena);
	if (!read_filter(d, &a, "filter", &filter) || !read_sort(d, &a) ||
		!read_projection(d, &a, "projection") || !read_find_options(d, &a))
		return false;
	if (!is_native(d, &a))
		return !d->plan->glass && find_behind(d);
	d->plan->reply.form = REPLY_CURSOR;
	d->plan->reply.tree = &d->view->root;
	d->plan->awaits = awaits && element_truth(awaits);
	return add_subject_to_find(d, &a) && wrap_filter(d, d->c->body, filter, "filter") &&
	       check_collation(d, d->c->body, command_field(d->c, "collation"));
}

bool prepend_rows(struct deciding *d, const struct element *pipeline, bool raises)
{
	struct edit *edit;
	struct buf built;
	struct stages s = {.out = &built};

	if (!d->rows.len)
		return true;
	buf_init(&built, DOC_MAX_LEN);
	put_rows(&s, d->rows);
	if (raises)
		put_fence(&s);
	edit = plan_edit(d, EDIT_PREPEND, pipeline->value.at);
	edit->put = plan_bytes(d, &built);
	d->rows = rows_of_stage(edit->put);
	return seal_row_literals(d, d->rows);
}

bool decide_aggregate(struct deciding *d)
{
	const struct element *pipeline = command_field(d->c, "pipeline");
	struct analysis a;

	if (!d->plan->collection.len)
		return decide_documents(d);
	d->asks = true;
	if (!choose_grant(d, ACTION_READ))
		return false;
	if (d->grant->statistics.min_group)
		return decide_statistics(d);
	if (!pipeline || pipeline->type != TYPE_ARRAY)
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("pipeline"));
	if (command_field(d->c, "explain") && element_truth(command_field(d->c, "explain")))
		return fault_name(d->why, FAULT_UNKNOWN_FIELD, bytes_str("explain"));
	if (d->virtual)
		return run_behind(d, pipeline, REPLY_CURSOR);
	analysis_init(&a, d->arena);
	if (!analyse_pipeline(&a, pipeline->value, d->why) || !check_let(d, &a) ||
		!check_hint(d, &a, command_field(d->c, "hint")) ||
		!check_flag(d, &a, "bypassDocumentValidation"))
		return false;
	if (a.reaches || !check_taken_apart(d, &a) || !check_uses(d, &a))
		return run_behind(d, pipeline, REPLY_CURSOR);
	d->plan->reply.form = REPLY_CURSOR;
	d->plan->reply.tree = reply_tree(d, &a);
	return add_subject_to_pipeline(d, &a) && uncover(d, &a) &&
	       prepend_rows(d, pipeline, a.raises) &&
	       check_collation(d, d->c->body, command_field(d->c, "collation"));
}

bool decide_count(struct deciding *d)
{
	const struct element *filter;
	struct analysis a;

	d->asks = true;
	if (!choose_grant(d, ACTION_READ))
		return false;
	if (d->grant->statistics.min_group)
		return decide_statistics(d);
	if (d->virtual)
		return count_behind(d);
	analysis_init(&a, d->arena);
	if (!read_filter(d, &a, "query", &filter) ||
		!check_hint(d, &a, command_field(d->c, "hint")))
		return false;
	if (!is_native(d, &a))
		return count_behind(d);
	d->plan->reply.form = REPLY_STATUS;
	return wrap_filter(d, d->c->body, filter, "query") &&
	       check_collation(d, d->c->body, command_field(d->c, "collation"));
}

bool decide_distinct(struct deciding *d)
{
	const struct element *filter, *key = command_field(d->c, "key");
	struct use use = {.kind = USE_GROUP, .place = "distinct"};
	struct view_node *values;
	struct analysis a;
	bool at;

	d->asks = true;
	if (!choose_grant(d, ACTION_READ))
		return false;
	if (d->grant->statistics.min_group)
		return decide_statistics(d);
	if (d->virtual)
		return distinct_behind(d);
	if (!key || key->type != TYPE_STRING)
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("key"));
	use.sent = element_string(key);
	analysis_init(&a, d->arena);
	if (!path_normalise(d->arena, use.sent, &use.path, d->why) ||
		!analysis_add(&a, &use, d->why) || !shape_use_numbers(&a, &use, use.sent, d->why) ||
		!read_filter(d, &a, "query", &filter) ||
		!check_hint(d, &a, command_field(d->c, "hint")))
		return false;
	if (!is_native(d, &a))
		return distinct_behind(d);
	d->plan->reply.form = REPLY_VALUES;
	values = copy_tree(d->arena, view_node_of(&d->view->root, use.path, &at));
	/* Below what the policy names: as that is, but without its children. */
	values->nchildren = at ? values->nchildren : 0;
	d->plan->reply.tree = values;
	return wrap_filter(d, d->c->body, filter, "query") &&
	       check_collation(d, d->c->body, command_field(d->c, "collation"));
}
