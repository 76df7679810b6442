#include "policy/decide.h"

/* Every document of a reply that could hold an accountable value must tell whose it is:
 * what the client's projection leaves out is asked for all the same, and taken out of the
 * reply again. */

size_t telling_paths(const struct collection *c, struct bytes paths[ID_PART + 1])
{
	size_t n = 0;

	for (; n < c->nsubject_paths; n++)
		paths[n] = c->subject_paths[n];
	paths[n++] = bytes_str("_id");
	return n;
}

static bool is_below_body(const struct projection_at *p, const struct element *e)
{
	struct doc_iter it = doc_iter_of(p->element.value);
	struct element own;

	while (doc_next(&it, &own))
		if (own.whole.at == e->whole.at)
			return true;
	return false;
}

static bool refuse_projection(struct deciding *d, const struct use *u)
{
	return fault_name(d->why, FAULT_PROJECTION_SUBJECT, u->sent);
}

/* An inclusion: adds `path: 1` for a telling path that is not shown anyway. */
static bool include_telling(
	struct deciding *d, const struct analysis *a, struct bytes path, struct buf *added)
{
	bool shown = bytes_equal_str(path, "_id");

	for (size_t i = 0; i < a->count; i++) {
		const struct use *u = &a->uses[i];
		enum path_relation r = path_relation(u->path, path);

		/* Beside inclusions only _id can be hidden: it comes unless it is. */
		if (u->kind == USE_HIDE && r == PATH_SAME)
			plan_edit(d, EDIT_DROP, u->element.whole.at);
		if (u->kind != USE_SHOW || r == PATH_DISJOINT)
			continue;
		if (r == PATH_BELOW)
			return refuse_projection(d, u);
		shown = true;
	}
	if (!shown)
		doc_put_int32(added, path, 1);
	return true;
}

/* What the client asked for, and beside it, unseen, the parts of the subject. */
static struct view_node *included_tree(
	struct deciding *d, const struct analysis *a, const struct bytes *paths, size_t n)
{
	struct view_node *tree = copy_tree(d->arena, reply_tree(d, a));

	for (size_t i = 0; i < n; i++)
		view_node_add(d->arena, tree, paths[i])->part = (int8_t)(i == n - 1 ? ID_PART : i);
	mark_parts(tree);
	return tree;
}

/* An exclusion: whatever would take a telling path away stays, and is hidden here. */
static bool keep_telling(struct deciding *d, const struct analysis *a,
	const struct projection_at *p, struct bytes path, struct view_node *tree)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct use *u = &a->uses[i];
		enum path_relation r = path_relation(u->path, path);

		if (u->kind != USE_HIDE || (r != PATH_SAME && r != PATH_ABOVE))
			continue;
		if (!is_below_body(p, &u->element))
			return refuse_projection(d, u);
		plan_edit(d, EDIT_DROP, u->element.whole.at);
		hide_path(d->arena, tree, u->path);
	}
	return true;
}

static void append_to_projection(
	struct deciding *d, const struct projection_at *p, struct buf *added)
{
	struct edit *edit;

	if (added->len) {
		edit = plan_edit(d, EDIT_APPEND, p->element.value.at);
		edit->put = arena_copy(d->arena, buf_bytes(added));
	}
	buf_fini(added);
}

bool add_subject_to_find(struct deciding *d, const struct analysis *a)
{
	const struct projection_at *p = a->nprojections ? &a->projections[0] : NULL;
	bool includes = p && p->kind == PROJECTION_INCLUDES, fine = true;
	struct bytes paths[ID_PART + 1];
	struct view_node *tree;
	struct buf added;
	size_t n;

	if (!is_accountable(d))
		return true;
	d->plan->reply.names_subjects = true;
	if (!p)
		return true;
	n = telling_paths(d->view->collection, paths);
	tree = includes ? included_tree(d, a, paths, n) : copy_tree(d->arena, d->plan->reply.tree);
	buf_init(&added, DOC_MAX_LEN);
	for (size_t i = 0; fine && i < n; i++)
		fine = includes ? include_telling(d, a, paths[i], &added)
				: keep_telling(d, a, p, paths[i], tree);
	append_to_projection(d, p, &added);
	d->plan->reply.tree = tree;
	return fine;
}

/* Where a pipeline carries what tells whose a document is: __mw.q.a, __mw.q.b, … */
#define CARRIED "__mw.q"

struct bytes carried_name(size_t part, char out[2])
{
	out[0] = (char)('a' + part);
	out[1] = '\0';
	return bytes_of(out, 1);
}

/* {$addFields: {"__mw.q": {a: "$path", …}}} as an element of the pipeline. */
static struct bytes carrying_stage(struct deciding *d, const struct bytes *paths, size_t n)
{
	size_t stage, fields, parts;
	struct buf built;

	buf_init(&built, DOC_MAX_LEN);
	stage = doc_put_document(&built, NAME("0"));
	fields = doc_put_document(&built, NAME("$addFields"));
	parts = doc_put_document(&built, NAME(CARRIED));
	for (size_t i = 0; i < n; i++) {
		char name[2];

		doc_put_string(&built, carried_name(i, name),
			bytes_str(arena_format(d->arena, "$%.*s", BYTES_ARG(paths[i]))));
	}
	doc_end(&built, parts);
	doc_end(&built, fields);
	doc_end(&built, stage);
	return plan_bytes(d, &built);
}

static void clear_parts(struct view_node *node)
{
	node->part = NO_PART;
	node->any_part = false;
	for (size_t i = 0; i < node->nchildren; i++)
		clear_parts(&node->children[i]);
}

static void carry_parts(struct arena *arena, struct view_node *tree, size_t n)
{
	clear_parts(tree);
	for (size_t i = 0; i < n; i++) {
		struct view_node *node;
		char name[2];

		node = view_node_add(arena, tree,
			path_join(arena, bytes_str(CARRIED),
				arena_copy(arena, carried_name(i, name))));
		node->part = (int8_t)(i == n - 1 ? ID_PART : i);
		node->class = NO_CLASS;
		node->clearance = CLEAR_REMOVE;
	}
}

bool add_subject_to_pipeline(struct deciding *d, const struct analysis *a)
{
	struct bytes paths[ID_PART + 1];
	struct view_node *tree;
	struct edit *edit;
	struct buf keep;
	size_t n;

	if (!is_accountable(d) || a->grouped)
		return true;
	d->plan->reply.names_subjects = true;
	if (!a->nprojections)
		return true;
	n = telling_paths(d->view->collection, paths);
	edit = plan_edit(d, EDIT_BEFORE, a->projections[0].stage.at);
	edit->put = carrying_stage(d, paths, n);
	buf_init(&keep, 64);
	doc_put_int32(&keep, NAME(CARRIED), 1);
	for (size_t i = 0; i < a->nprojections; i++) {
		if (a->projections[i].kind != PROJECTION_INCLUDES)
			continue;
		edit = plan_edit(d, EDIT_APPEND, a->projections[i].element.value.at);
		edit->put = arena_copy(d->arena, buf_bytes(&keep));
	}
	buf_fini(&keep);
	tree = copy_tree(d->arena, d->plan->reply.tree);
	carry_parts(d->arena, tree, n);
	mark_parts(tree);
	d->plan->reply.tree = tree;
	return true;
}
