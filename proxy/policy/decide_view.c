#include "policy/decide.h"

/* find on a virtual view: a find on its collection, under the collection's names, whose
 * rows are built anew on their way back. */

static const struct view_field *find_field(const struct virtual_view *v, struct bytes name)
{
	for (size_t i = 0; i < v->nfields; i++)
		if (bytes_equal(v->fields[i].name, name))
			return &v->fields[i];
	return NULL;
}

static bool refuse_use(struct deciding *d, const struct use *u)
{
	return fault_name(d->why, FAULT_VIEW, u->sent);
}

/* The stored path behind a path of the view; only what is shown as it is can be used. */
static bool stored_path(struct deciding *d, const struct use *u, struct bytes *path)
{
	struct bytes rest = u->path, name;
	const struct view_field *f;

	if (!path_next(&rest, &name))
		return refuse_use(d, u);
	f = find_field(d->virtual, name);
	if (!f || f->mask || f->of_subject)
		return refuse_use(d, u);
	*path = path_join(d->arena, f->path, rest);
	return true;
}

/* An element that names its path from the top gets the stored name; what stands inside
 * $elemMatch is relative to one that does. */
static void rename_element(struct deciding *d, const struct use *u, struct bytes stored)
{
	struct fault unwanted;
	struct bytes own;

	if (path_normalise(d->arena, u->element.name, &own, &unwanted) && bytes_equal(own, u->path))
		plan_edit(d, EDIT_RENAME, u->element.whole.at)->put = stored;
}

static bool check_value(struct deciding *d, const struct use *u, struct bytes stored)
{
	const struct view_node *node;
	struct edit *edit;
	bool at;

	node = view_node_of(&d->virtual->from->tree, stored, &at);
	if (!node->any_encrypted || u->kind == USE_EXISTS)
		return true;
	if (!at || node->field == NO_FIELD || (u->kind != USE_EQUAL && u->kind != USE_IN) ||
		!d->policy->encrypted[node->field].deterministic)
		return fault_name(d->why, FAULT_ENCRYPTED, u->sent);
	if (u->kind == USE_EQUAL && u->literal.type != d->policy->encrypted[node->field].type)
		return fault_name(d->why, FAULT_ENCRYPTED_TYPE, u->sent);
	edit = plan_edit(d, u->kind == USE_IN ? EDIT_SEAL_IN : EDIT_SEAL, u->literal.whole.at);
	edit->field = node->field;
	return true;
}

static bool translate_uses(struct deciding *d, const struct analysis *a)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct use *u = &a->uses[i];
		struct bytes stored;

		if (u->kind == USE_SHOW || u->kind == USE_HIDE)
			continue;
		if (u->kind == USE_COMPUTE)
			return refuse_use(d, u);
		if (!stored_path(d, u, &stored) || !check_value(d, u, stored))
			return false;
		rename_element(d, u, stored);
	}
	return true;
}

static bool has_pseudonym(const struct virtual_view *v)
{
	for (size_t i = 0; i < v->nfields; i++)
		if (v->fields[i].mask && v->fields[i].mask->kind == MASK_PSEUDONYM)
			return true;
	return false;
}

/* Natural order would tie a pseudonym's row to the row of another view: rows come by a
 * random number of their own, also where the client's order leaves them equal. */
static bool sort_at_random(struct deciding *d, struct analysis *a)
{
	const struct element *sort;
	struct edit *edit;
	struct buf built;
	size_t begun;

	if (!body_field(d, "sort", TYPE_DOCUMENT, &sort))
		return false;
	if (sort && !analyse_sort(a, sort->value, "sort", d->why))
		return false;
	if (!has_pseudonym(d->virtual))
		return true;
	buf_init(&built, 256);
	if (sort) {
		doc_put_int32(&built, NAME("__mw.o"), 1);
	} else {
		begun = doc_put_document(&built, NAME("sort"));
		doc_put_int32(&built, NAME("__mw.o"), 1);
		doc_end(&built, begun);
	}
	edit = plan_edit(d, EDIT_APPEND, sort ? sort->value.at : d->c->body.at);
	edit->put = plan_bytes(d, &built);
	return true;
}

/* Whole fields only: parts of arrays would have to be cut out here. */
static bool check_projection(struct deciding *d, const struct element *projection)
{
	struct doc_iter it = doc_iter_of(projection->value);
	struct element e;

	while (doc_next(&it, &e))
		if (e.type != TYPE_BOOL && !element_is_number(&e))
			return fault_name(d->why, FAULT_VIEW, e.name);
	return true;
}

/* Which fields of the view the client's projection leaves. */
static bool choose_fields(struct deciding *d, struct analysis *a)
{
	const struct virtual_view *v = d->virtual;
	struct reply_rules *reply = &d->plan->reply;
	bool includes = a->nprojections && a->projections[0].kind == PROJECTION_INCLUDES;

	reply->view_fields = arena_array(d->arena, v->nfields, sizeof(*reply->view_fields));
	for (size_t i = 0; i < v->nfields; i++) {
		bool shown = !includes;

		for (size_t k = 0; k < a->count; k++) {
			const struct use *u = &a->uses[k];

			if (u->kind != USE_SHOW && u->kind != USE_HIDE)
				continue;
			if (path_relation(v->fields[i].name, u->path) == PATH_ABOVE)
				return refuse_use(d, u);
			if (bytes_equal(v->fields[i].name, u->path))
				shown = u->kind == USE_SHOW;
		}
		if (shown)
			reply->view_fields[reply->nview_fields++] = &v->fields[i];
	}
	return true;
}

static void add_once(struct bytes *list, size_t *n, struct bytes path)
{
	size_t kept = 0;

	/* The wider of two paths stands for both: a server refuses to take both. */
	for (size_t i = 0; i < *n; i++) {
		enum path_relation r = path_relation(list[i], path);

		if (r == PATH_SAME || r == PATH_ABOVE)
			return;
		if (r == PATH_DISJOINT)
			list[kept++] = list[i];
	}
	list[kept++] = path;
	*n = kept;
}

static bool needs_subject(const struct deciding *d)
{
	const struct reply_rules *reply = &d->plan->reply;

	for (size_t i = 0; i < reply->nview_fields; i++)
		if (reply->view_fields[i]->of_subject)
			return true;
	return d->virtual->accountable;
}

/* The projection of the collection that the chosen fields come from. */
static void project_stored(struct deciding *d, const struct element *projection)
{
	const struct reply_rules *reply = &d->plan->reply;
	const struct collection *c = d->virtual->from;
	bool subject = needs_subject(d), id = subject;
	struct bytes *paths =
		arena_array(d->arena, reply->nview_fields + POLICY_SUBJECT_PATHS, sizeof(*paths));
	struct edit *edit;
	struct buf built;
	size_t begun, n = 0;

	for (size_t i = 0; i < reply->nview_fields; i++)
		if (!reply->view_fields[i]->of_subject)
			add_once(paths, &n, reply->view_fields[i]->path);
	for (size_t i = 0; subject && i < c->nsubject_paths; i++)
		add_once(paths, &n, c->subject_paths[i]);
	buf_init(&built, DOC_MAX_LEN);
	begun = doc_put_document(&built, NAME("projection"));
	for (size_t i = 0; i < n; i++) {
		id |= bytes_equal_str(paths[i], "_id");
		doc_put_int32(&built, paths[i], 1);
	}
	/* An empty projection would show everything. */
	if (!id && n)
		doc_put_int32(&built, NAME("_id"), 0);
	else if (!n)
		doc_put_int32(&built, NAME("_id"), 1);
	doc_end(&built, begun);
	edit = projection ? plan_edit(d, EDIT_PUT, projection->whole.at)
			  : plan_edit(d, EDIT_APPEND, d->c->body.at);
	edit->put = plan_bytes(d, &built);
}

/* Fields of find that mean the same on the collection; others do not pass. */
static bool check_view_fields(struct deciding *d)
{
	static const char *const refused[] = {"hint", "min", "max", "returnKey", "showRecordId",
		"tailable", "awaitData", "oplogReplay", "let"};

	for (size_t i = 0; i < COUNT_OF(refused); i++)
		if (command_field(d->c, refused[i]))
			return fault_name(d->why, FAULT_VIEW, bytes_str(refused[i]));
	return true;
}

static void point_find_to_collection(struct deciding *d)
{
	struct edit *edit = plan_edit(d, EDIT_PUT, d->c->first.whole.at);
	struct buf built;

	buf_init(&built, DOC_MAX_LEN);
	doc_put_string(&built, d->c->name, d->virtual->from->name);
	edit->put = plan_bytes(d, &built);
	d->plan->upstream_collection = d->virtual->from->name;
}

/* As a find on the collection, whose rows are made on their way back: indexes are used. */
static bool find_rows(struct deciding *d)
{
	const struct element *filter, *projection;
	struct bytes none = {0};
	struct analysis a;

	analysis_init(&a, d->arena);
	if (!check_view_fields(d) || !body_field(d, "filter", TYPE_DOCUMENT, &filter) ||
		!body_field(d, "projection", TYPE_DOCUMENT, &projection))
		return false;
	if (filter && !analyse_filter(&a, filter->value, bytes_of("", 0), "filter", d->why))
		return false;
	if (projection && !check_projection(d, projection))
		return false;
	if (projection && !analyse_projection(&a, projection, false, none, d->why))
		return false;
	if (!sort_at_random(d, &a))
		return false;
	if (a.unproven.len)
		return fault_name(d->why, FAULT_VIEW, a.unproven);
	if (a.raises && d->rows.len)
		return fault_name(d->why, FAULT_RAISES, bytes_str("$expr"));
	if (!translate_uses(d, &a) || !choose_fields(d, &a))
		return false;
	project_stored(d, projection);
	point_find_to_collection(d);
	d->plan->reply.form = REPLY_CURSOR;
	d->plan->reply.view = d->virtual;
	d->plan->reply.collection = d->virtual->from;
	d->plan->reply.names_subjects = d->virtual->accountable;
	return wrap_filter(d, d->c->body, filter, "filter") &&
	       check_collation(d, d->c->body, command_field(d->c, "collation"));
}

bool decide_view_find(struct deciding *d)
{
	return (!d->virtual->min_group && find_rows(d)) || find_behind(d);
}
