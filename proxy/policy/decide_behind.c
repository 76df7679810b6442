#include "policy/barrier.h"
#include "policy/decide.h"
#include "query/operators.h"

/* Commands that run behind the secure view's stages: what could not be proven to read only
 * what the role may see is run on documents as the role may see them.  The stages go in
 * front of the first stage that needs them; those before it still use indexes. */

/* Something below is masked in a way that only this proxy can compute. */
static bool hides_computable(const struct view_node *node, bool below)
{
	if (node->clearance == CLEAR_CIPHERTEXT ||
		(node->clearance == CLEAR_MASK && !barrier_can_show(node)))
		return true;
	for (size_t i = 0; below && i < node->nchildren; i++)
		if (hides_computable(&node->children[i], true))
			return true;
	return false;
}

static bool shows_any(const struct view_node *node, bool below)
{
	if (barrier_can_show(node))
		return true;
	for (size_t i = 0; below && i < node->nchildren; i++)
		if (shows_any(&node->children[i], true))
			return true;
	return false;
}

/* Ciphertext stands at the node or below it: what is not shown is not there. */
static bool shows_ciphertext(const struct view_node *node, bool below)
{
	if (node->field != NO_FIELD && node->clearance == CLEAR_PLAINTEXT)
		return true;
	for (size_t i = 0; below && i < node->nchildren; i++)
		if (shows_ciphertext(&node->children[i], true))
			return true;
	return false;
}

static bool names_its_value(const struct use *u)
{
	return u->path.len && u->kind != USE_SHOW && u->kind != USE_HIDE && u->kind != USE_COVER;
}

/* A path that the client names must be what it would be in a reply. */
static bool check_named(struct deciding *d, const struct use *u)
{
	const struct view_node *node;
	bool at;

	node = view_node_of(&d->view->root, u->path, &at);
	if (!shows_any(node, at) || (u->kind != USE_EXISTS && hides_computable(node, at)))
		return fault_name(d->why, FAULT_NOT_READABLE, u->sent);
	return !shows_ciphertext(node, at) || check_ciphertext_serves(d, u, node, at);
}

static bool check_view_named(struct deciding *d, const struct use *u)
{
	const struct virtual_view *v = d->virtual;
	const struct view_node *node;
	struct bytes rest = u->path, name;
	bool at;

	(void)path_next(&rest, &name);
	for (size_t i = 0; i < v->nfields; i++) {
		const struct view_field *f = &v->fields[i];

		if (!bytes_equal(f->name, name))
			continue;
		if (!barrier_shows_field(v, f))
			return fault_name(d->why, FAULT_NOT_READABLE, u->sent);
		if (f->of_subject || f->mask)
			return true;
		node = view_node_of(&v->from->tree, path_join(d->arena, f->path, rest), &at);
		return check_ciphertext_serves(d, u, node, at);
	}
	return true; /* nothing of that name is there */
}

static bool check_behind(struct deciding *d, const struct analysis *a)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct use *u = &a->uses[i];

		if (path_is_reserved(u->path))
			return fault_name(d->why, FAULT_RESERVED, u->sent);
		if (!names_its_value(u))
			continue;
		if (!(d->virtual ? check_view_named : check_named)(d, u))
			return false;
	}
	return true;
}

/* In front of the barrier stands what keeps documents as they are. */
static bool keeps_documents(const struct element *stage)
{
	struct fault unwanted;
	struct element e;

	if (!stage_field(stage, &e, &unwanted))
		return false;
	return stage_operator(e.name) == STAGE_MATCH || stage_operator(e.name) == STAGE_SORT ||
	       stage_operator(e.name) == STAGE_HARMLESS;
}

/* How many stages are proven, one by one, and need no barrier. */
static size_t count_proven(struct deciding *d, struct bytes pipeline)
{
	struct doc_iter it = doc_iter_of(pipeline);
	struct element stage;
	size_t n = 0;

	while (!d->virtual && doc_next(&it, &stage) && keeps_documents(&stage)) {
		size_t nedits = d->plan->nedits, nsearched = d->plan->nsearched;
		struct fault unwanted, *why = d->why;
		struct analysis a;
		bool proven;

		analysis_init(&a, d->arena);
		d->why = &unwanted;
		proven = analyse_stage(&a, &stage, &unwanted) && check_proven(d, &a) &&
			 check_uses(d, &a);
		d->why = why;
		if (!proven) {
			d->plan->nedits = nedits;
			d->plan->nsearched = nsearched;
			break;
		}
		n++;
	}
	return n;
}

/* The classes that a reply could tell of. */
void note_node_shown(struct reply_rules *reply, const struct view_node *node, bool below)
{
	class_set bit = node->class == NO_CLASS ? 0 : (class_set)1 << node->class;

	if (barrier_can_show(node) && node->clearance == CLEAR_PLAINTEXT)
		reply->shown |= bit;
	else if (barrier_can_show(node))
		reply->shown_masked |= bit;
	for (size_t i = 0; below && i < node->nchildren; i++)
		note_node_shown(reply, &node->children[i], true);
}

static void note_shown_fields(struct reply_rules *reply, const struct virtual_view *v)
{
	for (size_t i = 0; i < v->nfields; i++) {
		const struct view_field *f = &v->fields[i];
		class_set bit;
		bool at;

		if (f->of_subject || !barrier_shows_field(v, f))
			continue;
		bit = (class_set)1 << view_node_of(&v->from->tree, f->path, &at)->class;
		if (f->mask)
			reply->shown_masked |= bit;
		else
			reply->shown |= bit;
	}
}

const struct view_node *open_tree(struct deciding *d)
{
	struct view_node *root = arena_alloc(d->arena, sizeof(*root));

	*root = (struct view_node){
		.clearance = CLEAR_PLAINTEXT,
		.class = NO_CLASS,
		.field = NO_FIELD,
		.part = NO_PART,
	};
	hide_path(d->arena, root, bytes_str("__mw"));
	return root;
}

void note_what_is_shown(struct reply_rules *reply, const struct deciding *d)
{
	if (d->virtual)
		note_shown_fields(reply, d->virtual);
	else
		note_node_shown(reply, &d->view->root, true);
}

void finish_behind(struct deciding *d)
{
	struct reply_rules *reply = &d->plan->reply;

	reply->behind_barrier = true;
	reply->tree = open_tree(d);
	if (d->virtual) {
		reply->view = d->virtual;
		reply->collection = d->virtual->from;
	}
	note_what_is_shown(reply, d);
}

bool view_is_by_bytes(const struct deciding *d)
{
	return d->virtual ? d->virtual->min_group != 0 : d->view->compares_names;
}

struct bytes view_stages(struct deciding *d, bool with_rows)
{
	struct bytes stages = d->virtual ? d->virtual->stages : d->view->stages;
	struct buf built;
	struct stages s = {.out = &built};

	if (!d->rows.len)
		return stages;
	buf_init(&built, DOC_SLACK_LEN);
	if (with_rows)
		put_rows(&s, d->rows);
	put_fence(&s);
	buf_put(&built, stages);
	return plan_bytes(d, &built);
}

/* Puts fence and secure view into the pipeline before stage `at`, and the row filter in
 * front of everything. */
static bool put_stages(struct deciding *d, const struct element *pipeline, size_t at)
{
	struct doc_iter it = doc_iter_of(pipeline->value);
	struct element stage;
	struct bytes stages = view_stages(d, false);
	bool before;

	do
		before = doc_next(&it, &stage);
	while (before && at-- > 0);
	if (stages.len && before)
		plan_edit(d, EDIT_BEFORE, stage.whole.at)->put = stages;
	else if (stages.len)
		plan_edit(d, EDIT_APPEND, pipeline->value.at)->put = stages;
	return prepend_rows(d, pipeline, false);
}

bool check_stages_behind(struct deciding *d, struct bytes pipeline, size_t at)
{
	struct doc_iter it = doc_iter_of(pipeline);
	struct analysis a;
	struct element stage;
	size_t i = 0;

	analysis_init(&a, d->arena);
	while (doc_next(&it, &stage))
		if (i++ >= at && !analyse_stage(&a, &stage, d->why))
			return false;
	if (a.first.len)
		return fault_name(d->why, FAULT_NOT_PROVEN, a.first);
	return check_behind(d, &a) && place_foreign_barriers(d, pipeline, a.reaches);
}

/* Options that reach the stored documents from beside the pipeline. */
static bool check_options(struct deciding *d)
{
	const struct element *let, *hint = command_field(d->c, "hint");
	struct analysis a;

	analysis_init(&a, d->arena);
	if (!body_field(d, "let", TYPE_DOCUMENT, &let))
		return false;
	if (let && !analyse_expression(&a, let, USE_COMPUTE, "let", d->why))
		return false;
	if (a.count || a.unproven.len)
		return fault_name(d->why, FAULT_NOT_PROVEN, bytes_str("let"));
	if (d->virtual)
		return !hint || fault_name(d->why, FAULT_NOT_PROVEN, bytes_str("hint"));
	return check_hint(d, &a, hint) && check_proven(d, &a) && check_uses(d, &a);
}

void point_to_collection(struct deciding *d)
{
	struct edit *edit = plan_edit(d, EDIT_PUT, d->c->first.whole.at);
	struct buf built;

	buf_init(&built, DOC_MAX_LEN);
	doc_put_string(&built, bytes_str("aggregate"),
		d->virtual ? d->virtual->from->name : d->plan->collection);
	edit->put = plan_bytes(d, &built);
	if (d->virtual)
		d->plan->upstream_collection = d->virtual->from->name;
}

/* What of the pipeline is not proven, behind fence and secure view. */
static bool place_behind(struct deciding *d, const struct element *pipeline, size_t proven)
{
	return check_stages_behind(d, pipeline->value, proven) && put_stages(d, pipeline, proven);
}

static bool place_named(struct deciding *d, const struct element *pipeline, size_t proven)
{
	size_t nsearched = d->plan->nsearched;
	struct element joined;

	if (!join_to_subjects(d, pipeline, proven, &joined))
		return false;
	/* The same stages once more, in other bytes. */
	(void)count_proven(d, joined.value);
	d->plan->nsearched = nsearched;
	return place_behind(d, &joined, proven);
}

bool run_behind(struct deciding *d, const struct element *pipeline, enum reply_form form)
{
	size_t proven;

	d->plan->nedits = d->plan->nsearched = 0;
	d->plan->reply = (struct reply_rules){.form = form};
	d->rows_sealed = false;
	d->by_bytes |= view_is_by_bytes(d);
	if (!check_options(d))
		return false;
	proven = count_proven(d, pipeline->value);
	if (!(must_name_behind(d) ? place_named : place_behind)(d, pipeline, proven))
		return false;
	point_to_collection(d);
	finish_behind(d);
	return check_collation(d, d->c->body, command_field(d->c, "collation"));
}
