#include "policy/barrier.h"
#include "policy/decide.h"
#include "query/operators.h"

/* Stages that read other collections: each of these is read as the same role may see it,
 * through stages of its own at the head of the sub-pipeline. */

struct placing {
	struct deciding *d;
	size_t placed;
};

/* Another collection, decided as a command of its own under the same role. */
struct foreign {
	struct deciding d;
	struct plan plan;
};

static bool refuse_stage(const struct placing *p, const struct element *stage)
{
	return fault_name(p->d->why, FAULT_STAGE, stage->name);
}

static bool choose_foreign(const struct placing *p, struct bytes name, struct foreign *f)
{
	struct deciding *d = p->d;

	f->d = *d;
	f->plan = (struct plan){.row = d->plan->row,
		.db = d->plan->db,
		.collection = name,
		.purpose = d->plan->purpose,
		.policy = d->policy,
		.arena = d->arena};
	if (!collection_name_fits(name) || d->plan->db.len + 1 + name.len > COMMAND_NS_MAX)
		return fault_name(d->why, FAULT_INVALID_NAMESPACE, name);
	f->plan.ns = arena_dotted(d->arena, d->plan->db, name);
	f->d.plan = &f->plan;
	f->d.comment_role = d->plan->role;
	f->d.virtual = NULL;
	f->d.view = NULL;
	f->d.rows = bytes_of("", 0);
	if (!choose_grant(&f->d, ACTION_READ)) {
		d->plan->needs = f->plan.needs;
		return false;
	}
	/* Whatever is put into the request belongs to the one plan that there is. */
	f->d.plan = d->plan;
	if (must_name_behind(&f->d))
		return fault_name(d->why, FAULT_NAMES_SUBJECTS, name);
	d->plan->reply.reaches = true;
	note_what_is_shown(&d->plan->reply, &f->d);
	return true;
}

static bool place_stages(struct placing *p, struct bytes pipeline);

/* The barrier at the head of a sub-pipeline; without one, it becomes `holder`'s. */
static bool put_head(
	struct placing *p, struct foreign *f, const struct element *pipeline, struct bytes holder)
{
	struct bytes stages = view_stages(&f->d, true);
	struct edit *edit;
	struct buf built;
	size_t begun;

	if (stages.len && pipeline) {
		plan_edit(p->d, EDIT_PREPEND, pipeline->value.at)->put = stages;
	} else if (stages.len) {
		buf_init(&built, DOC_MAX_LEN);
		begun = doc_put_array(&built, NAME("pipeline"));
		buf_put(&built, stages);
		doc_end(&built, begun);
		edit = plan_edit(p->d, EDIT_APPEND, holder.at);
		edit->put = plan_bytes(p->d, &built);
		stages = bytes_from(edit->put, 1 + sizeof("pipeline") + 4);
	}
	if (f->d.rows.len && !seal_row_literals(&f->d, rows_of_stage(stages)))
		return false;
	return !pipeline || place_stages(p, pipeline->value);
}

static void point_to(struct placing *p, const struct foreign *f, const struct element *from)
{
	struct edit *edit;
	struct buf built;

	if (!f->d.virtual)
		return;
	buf_init(&built, DOC_MAX_LEN);
	doc_put_string(&built, from->name, f->d.virtual->from->name);
	edit = plan_edit(p->d, EDIT_PUT, from->whole.at);
	edit->put = plan_bytes(p->d, &built);
}

/* foreignField is matched on the documents as they are stored. */
static bool check_foreign_field(
	struct placing *p, const struct foreign *f, const struct element *field)
{
	const struct view_node *node;
	struct bytes path;
	bool at;

	if (field->type != TYPE_STRING)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, field->name);
	if (!path_normalise(p->d->arena, element_string(field), &path, p->d->why))
		return false;
	if (f->d.virtual)
		return fault_name(p->d->why, FAULT_FOREIGN_FIELD, element_string(field));
	if (path_is_reserved(path))
		return fault_name(p->d->why, FAULT_RESERVED, path);
	node = view_node_of(&f->d.view->root, path, &at);
	if (!(at ? node->all_plaintext && !node->any_encrypted
		 : node->clearance == CLEAR_PLAINTEXT && node->field == NO_FIELD))
		return fault_name(p->d->why, FAULT_FOREIGN_FIELD, element_string(field));
	return true;
}

struct lookup {
	struct element from, foreign_field, pipeline;
};

static bool read_lookup(const struct placing *p, const struct element *e, struct lookup *l)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct element field;

	*l = (struct lookup){0};
	if (e->type != TYPE_DOCUMENT)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, e->name);
	while (doc_next(&it, &field)) {
		struct element *place = NULL;

		if (element_named(&field, "from"))
			place = &l->from;
		else if (element_named(&field, "foreignField"))
			place = &l->foreign_field;
		else if (element_named(&field, "pipeline"))
			place = &l->pipeline;
		else if (!element_named(&field, "localField") && !element_named(&field, "let") &&
			 !element_named(&field, "as"))
			return fault_name(p->d->why, FAULT_UNKNOWN_FIELD, field.name);
		if (!place)
			continue;
		if (place->type)
			return fault_name(p->d->why, FAULT_FIELD_TWICE, field.name);
		*place = field;
	}
	if (l->from.type != TYPE_STRING)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, bytes_str("from"));
	if (l->pipeline.type && l->pipeline.type != TYPE_ARRAY)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, bytes_str("pipeline"));
	return true;
}

static bool place_lookup(struct placing *p, const struct element *e)
{
	struct foreign f;
	struct lookup l;

	if (!read_lookup(p, e, &l) || !choose_foreign(p, element_string(&l.from), &f))
		return false;
	if (l.foreign_field.type && !check_foreign_field(p, &f, &l.foreign_field))
		return false;
	point_to(p, &f, &l.from);
	return put_head(p, &f, l.pipeline.type ? &l.pipeline : NULL, e->value);
}

/* {$unionWith: "name"} as {$unionWith: {coll: "name", pipeline: […]}}. */
static bool place_named_union(struct placing *p, const struct element *e)
{
	struct bytes stages;
	struct edit *edit;
	struct buf built;
	struct foreign f;
	size_t outer, list;

	if (!choose_foreign(p, element_string(e), &f))
		return false;
	stages = view_stages(&f.d, true);
	buf_init(&built, DOC_MAX_LEN);
	outer = doc_put_document(&built, e->name);
	doc_put_string(
		&built, NAME("coll"), f.d.virtual ? f.d.virtual->from->name : element_string(e));
	list = doc_put_array(&built, NAME("pipeline"));
	buf_put(&built, stages);
	doc_end(&built, list);
	doc_end(&built, outer);
	edit = plan_edit(p->d, EDIT_PUT, e->whole.at);
	edit->put = plan_bytes(p->d, &built);
	if (!f.d.rows.len)
		return true;
	stages = bytes_from(edit->put, edit->put.len - stages.len - 2);
	return seal_row_literals(&f.d, rows_of_stage(stages));
}

static bool place_union(struct placing *p, const struct element *e)
{
	struct element coll = {0}, pipeline = {0}, field;
	struct doc_iter it = doc_iter_of(e->value);
	struct foreign f;

	if (e->type == TYPE_STRING)
		return place_named_union(p, e);
	if (e->type != TYPE_DOCUMENT)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, e->name);
	while (doc_next(&it, &field)) {
		if (element_named(&field, "coll") && !coll.type)
			coll = field;
		else if (element_named(&field, "pipeline") && !pipeline.type)
			pipeline = field;
		else
			return fault_name(p->d->why, FAULT_UNKNOWN_FIELD, field.name);
	}
	if (coll.type != TYPE_STRING)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, bytes_str("coll"));
	if (pipeline.type && pipeline.type != TYPE_ARRAY)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, bytes_str("pipeline"));
	if (!choose_foreign(p, element_string(&coll), &f))
		return false;
	point_to(p, &f, &coll);
	return put_head(p, &f, pipeline.type ? &pipeline : NULL, e->value);
}

/* $graphLookup has no place for a barrier: only what needs none can be walked. */
static bool check_graph(struct placing *p, const struct element *e)
{
	struct element from;
	struct foreign f;

	if (e->type != TYPE_DOCUMENT || !options_stand_once(e->value, p->d->why) ||
		!doc_find(e->value, "from", &from) || from.type != TYPE_STRING)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, bytes_str("from"));
	if (!choose_foreign(p, element_string(&from), &f))
		return false;
	return (!f.d.virtual && f.d.view->transparent && !f.d.rows.len) || refuse_stage(p, e);
}

static bool place_facet(struct placing *p, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct element sub;

	if (e->type != TYPE_DOCUMENT)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, e->name);
	while (doc_next(&it, &sub)) {
		if (sub.type != TYPE_ARRAY)
			return fault_name(p->d->why, FAULT_WRONG_TYPE, sub.name);
		if (!place_stages(p, sub.value))
			return false;
	}
	return true;
}

static bool place_stage(struct placing *p, const struct element *e)
{
	enum stage_treatment stage = stage_operator(e->name);

	if (stage == STAGE_UNKNOWN)
		return refuse_stage(p, e);
	if (stage == STAGE_FACET)
		return place_facet(p, e);
	if (stage != STAGE_LOOKUP && stage != STAGE_UNION && stage != STAGE_GRAPH)
		return true;
	p->placed++;
	if (stage == STAGE_LOOKUP)
		return place_lookup(p, e);
	return (stage == STAGE_UNION ? place_union : check_graph)(p, e);
}

static bool place_stages(struct placing *p, struct bytes pipeline)
{
	struct doc_iter it = doc_iter_of(pipeline);
	struct element stage, e;

	while (doc_next(&it, &stage))
		if (!stage_field(&stage, &e, p->d->why) || !place_stage(p, &e))
			return false;
	return true;
}

bool place_foreign_barriers(struct deciding *d, struct bytes pipeline, size_t reaches)
{
	struct placing p = {.d = d};

	if (!place_stages(&p, pipeline))
		return false;
	/* One that stands where no pipeline was looked for is not forwarded. */
	return p.placed == reaches || fault_name(d->why, FAULT_STAGE, bytes_str("$lookup"));
}
