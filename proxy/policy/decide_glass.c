#include "policy/decide.h"

/* Break-glass: a find of a few patients by what identifies them, and of nothing else. */

static bool refuse(struct deciding *d, enum fault_code code, struct bytes name)
{
	return fault_name(d->why, code, name);
}

/* Of the user's roles that can be used now, and that the command does not leave out. */
static const struct break_glass *glass_of(const struct deciding *d, const struct role *role)
{
	if (!role || !role->break_glass || !role_applies(role, d->facts))
		return NULL;
	if (d->comment_role.len && !bytes_equal(d->comment_role, role->name))
		return NULL;
	return bytes_equal(role->break_glass->purpose, d->comment_purpose) ? role->break_glass
									   : NULL;
}

static bool is_blank(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] > ' ')
			return false;
	return true;
}

bool asks_for_glass(struct deciding *d, bool *asks)
{
	const struct user *user = d->facts->user;

	*asks = false;
	if (!d->policy->any_break_glass || !d->comment_purpose.len)
		return true;
	for (size_t i = 0; i < user->nroles; i++)
		*asks |= glass_of(d, policy_role(d->policy, user->roles[i])) != NULL;
	if (!*asks)
		return true;
	if (is_blank(d->comment_reason))
		return refuse(d, FAULT_GLASS_REASON, d->plan->ns);
	if (d->plan->row->id != COMMAND_FIND)
		return refuse(d, FAULT_GLASS_COMMAND, d->c->name);
	return true;
}

const struct break_glass *glass_of_role(const struct deciding *d, struct bytes name)
{
	return glass_of(d, policy_role(d->policy, name));
}

/* ------------------------------------------------------------------- filter */

/* What a filter asks for by equality. */
struct found_by {
	struct deciding *d;
	const struct break_glass *glass;
	const struct collection *c;
	unsigned parts; /* of the subject, a bit each */
	bool identity;  /* a path of that class */
};

static bool is_class(const struct found_by *f, struct bytes path, const char *name)
{
	bool at;
	const struct view_node *node = view_node_of(&f->c->tree, path, &at);

	return node->class != NO_CLASS && bytes_equal_str(f->d->policy->classes[node->class], name);
}

static bool is_single_value(const struct element *e)
{
	return e->type == TYPE_STRING || e->type == TYPE_OBJECT_ID || e->type == TYPE_DATE ||
	       e->type == TYPE_BINARY || element_is_number(e);
}

static bool is_short_list(const struct found_by *f, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct element item;
	size_t n = 0;

	if (e->type != TYPE_ARRAY)
		return false;
	while (doc_next(&it, &item)) {
		n++;
		if (!is_single_value(&item))
			return false;
	}
	return n <= f->glass->subjects;
}

/* `value`, {$eq: value} or {$in: [value, …]}. */
static bool is_equality(const struct found_by *f, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct element op, other;

	if (e->type != TYPE_DOCUMENT)
		return is_single_value(e);
	if (!doc_next(&it, &op) || doc_next(&it, &other))
		return false;
	return (element_named(&op, "$eq") && is_single_value(&op)) ||
	       (element_named(&op, "$in") && is_short_list(f, &op));
}

static bool add_path(struct found_by *f, const struct element *e)
{
	bool fits = false;

	for (size_t i = 0; i < f->c->nsubject_paths; i++) {
		if (!bytes_equal(f->c->subject_paths[i], e->name))
			continue;
		f->parts |= 1u << i;
		fits = true;
	}
	if (is_class(f, e->name, "identity"))
		f->identity = fits = true;
	return (fits && is_equality(f, e)) || refuse(f->d, FAULT_GLASS_FILTER, e->name);
}

static bool add_filter(struct found_by *f, struct bytes filter);

static bool add_branches(struct found_by *f, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct element branch;

	if (e->type != TYPE_ARRAY)
		return refuse(f->d, FAULT_WRONG_TYPE, e->name);
	while (doc_next(&it, &branch)) {
		if (branch.type != TYPE_DOCUMENT)
			return refuse(f->d, FAULT_WRONG_TYPE, e->name);
		if (!add_filter(f, branch.value))
			return false;
	}
	return true;
}

/* Nested as deeply as doc_check lets it be. */
static bool add_filter(struct found_by *f, struct bytes filter)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element e;

	while (doc_next(&it, &e))
		if (!(element_named(&e, "$and") ? add_branches : add_path)(f, &e))
			return false;
	return true;
}

/* All of a line of the subject, or a path of the class `identity`. */
static bool names_somebody(const struct found_by *f)
{
	for (size_t i = 0; i < f->c->nsubjects; i++) {
		const struct subject_line *line = &f->c->subjects[i];
		bool whole = line->nparts != 0;

		for (size_t k = 0; k < line->nparts; k++)
			whole &= (f->parts & 1u << line->parts[k]) != 0;
		if (whole)
			return true;
	}
	return f->identity;
}

static bool check_filter(struct deciding *d, const struct break_glass *glass)
{
	struct found_by f = {.d = d, .glass = glass, .c = d->view->collection};
	const struct element *filter;

	if (!body_field(d, "filter", TYPE_DOCUMENT, &filter))
		return false;
	if (filter && !add_filter(&f, filter->value))
		return false;
	return names_somebody(&f) || refuse(d, FAULT_GLASS_FILTER, bytes_str("filter"));
}

/* -------------------------------------------------------------------- limit */

static void drop(struct deciding *d, const char *name)
{
	const struct element *e = command_field(d->c, name);

	if (e)
		plan_edit(d, EDIT_DROP, e->whole.at);
}

/* One more than may be shown, so that more are noticed; in one batch. */
static bool bound_reply(struct deciding *d, const struct break_glass *glass)
{
	const struct element *limit = command_field(d->c, "limit");
	int64_t n = (int64_t)glass->subjects + 1, wanted = 0;
	struct edit *edit;
	struct buf built;

	if (limit && (!element_int(limit, &wanted) || wanted < 0))
		return refuse(d, FAULT_BAD_VALUE, limit->name);
	drop(d, "limit");
	drop(d, "batchSize");
	drop(d, "singleBatch");
	buf_init(&built, 256);
	doc_put_int64(&built, NAME("limit"), wanted && wanted < n ? wanted : n);
	doc_put_bool(&built, NAME("singleBatch"), true);
	edit = plan_edit(d, EDIT_APPEND, d->c->body.at);
	edit->put = plan_bytes(d, &built);
	return true;
}

bool check_glass_find(struct deciding *d)
{
	static const char *const refused[] = {"skip", "hint", "min", "max", "let", "returnKey",
		"showRecordId", "tailable", "awaitData", "noCursorTimeout", "oplogReplay"};

	if (!d->plan->glass)
		return true;
	for (size_t i = 0; i < COUNT_OF(refused); i++)
		if (command_field(d->c, refused[i]))
			return refuse(d, FAULT_GLASS_COMMAND, bytes_str(refused[i]));
	return check_filter(d, d->plan->glass) && bound_reply(d, d->plan->glass);
}
