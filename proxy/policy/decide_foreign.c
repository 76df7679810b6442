#include "policy/barrier.h"
#include "policy/foreign.h"
#include "query/operators.h"

/* Stages that read other collections: each of these is read as the same role may see it,
 * through stages of its own at the head of the sub-pipeline. */

static bool refuse_stage(const struct placing *p, const struct element *stage)
{
	return fault_name(p->d->why, FAULT_STAGE, stage->name);
}

/* Each collection once, however often it is read. */
static bool add_named(struct placing *p, const struct deciding *f)
{
	const struct collection *c = deciding_collection(f);

	if (!must_name_behind(f))
		return true;
	for (size_t i = 0; i < p->nnamed; i++)
		if (deciding_collection(&p->named[i]) == c && p->named[i].virtual == f->virtual)
			return true;
	if (p->nnamed == REPLY_FOREIGN_MAX)
		return fault_name(p->d->why, FAULT_NAMES_SUBJECTS, c->name);
	p->named[p->nnamed++] = *f;
	return true;
}

bool choose_foreign(struct placing *p, struct bytes name, struct foreign *f)
{
	struct deciding *d = p->d;

	f->match = bytes_of("", 0);
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
	f->d.asks = false;
	f->d.view = NULL;
	f->d.rows = bytes_of("", 0);
	f->d.rows_sealed = false;
	if (!choose_grant(&f->d, ACTION_READ)) {
		d->plan->needs = f->plan.needs;
		d->plan->observed |= f->plan.observed;
		return false;
	}
	d->plan->observed |= f->plan.observed;
	d->by_bytes |= f->d.rows.len > 0 || view_is_by_bytes(&f->d);
	/* Whatever is put into the request belongs to the one plan that there is. */
	f->d.plan = d->plan;
	if (p->named)
		return add_named(p, &f->d);
	if (must_name_behind(&f->d) && !d->plan->reply.names_group)
		return fault_name(d->why, FAULT_NAMES_SUBJECTS, name);
	d->plan->reply.reaches = true;
	d->plan->reply.relations |= f->plan.reply.relations;
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

	if (f->match.len) {
		buf_init(&built, DOC_SLACK_LEN);
		buf_put(&built, stages);
		buf_put(&built, f->match);
		stages = plan_bytes(p->d, &built);
	}
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

struct lookup {
	struct element from, local_field, foreign_field, let, pipeline;
	struct bytes local_path, foreign_path;
	struct bytes holder; /* the stage's document */
};

bool foreign_path(struct placing *p, const struct element *field, struct bytes *path)
{
	if (field->type != TYPE_STRING)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, field->name);
	if (!path_normalise(p->d->arena, element_string(field), path, p->d->why))
		return false;
	if (path_is_reserved(*path))
		return fault_name(p->d->why, FAULT_RESERVED, *path);
	/* An expression takes no index into an array for a path. */
	return bytes_equal(*path, element_string(field)) ||
	       fault_name(p->d->why, FAULT_FOREIGN_FIELD, element_string(field));
}

/* foreignField is matched on what is stored: that must be what the role sees. */
bool foreign_is_stored_plain(const struct foreign *f, struct bytes path)
{
	const struct view_node *node;
	bool at;

	if (f->d.virtual)
		return false;
	node = view_node_of(&f->d.view->root, path, &at);
	return at ? node->all_plaintext && !node->any_encrypted
		  : node->clearance == CLEAR_PLAINTEXT && node->field == NO_FIELD;
}

/* Ciphertext would be compared where the role sees a value. */
static bool shows_sealed(const struct foreign *f, struct bytes path)
{
	const struct view_node *node;
	struct bytes rest = path, name;
	bool at;

	if (f->d.virtual) {
		(void)path_next(&rest, &name);
		for (size_t i = 0; i < f->d.virtual->nfields; i++) {
			const struct view_field *field = &f->d.virtual->fields[i];

			if (!bytes_equal(field->name, name))
				continue;
			if (!barrier_shows_field(f->d.virtual, field))
				return true;
			if (field->of_subject || field->mask)
				return false;
			node = view_node_of(&f->d.virtual->from->tree, field->path, &at);
			return at ? node->any_encrypted : node->field != NO_FIELD;
		}
		return false;
	}
	node = view_node_of(&f->d.view->root, path, &at);
	return at ? node->any_encrypted : node->field != NO_FIELD;
}

static bool check_foreign_field(struct placing *p, const struct foreign *f, struct lookup *l)
{
	if (!l->foreign_field.type)
		return true;
	if (!l->local_field.type)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, bytes_str("localField"));
	if (!foreign_path(p, &l->local_field, &l->local_path) ||
		!foreign_path(p, &l->foreign_field, &l->foreign_path))
		return false;
	return foreign_is_stored_plain(f, l->foreign_path) || !shows_sealed(f, l->foreign_path) ||
	       fault_name(p->d->why, FAULT_FOREIGN_FIELD, element_string(&l->foreign_field));
}

/* [value], its elements, or [null] for what is not there. */
static void put_as_list(struct buf *out, struct bytes name, struct bytes ref)
{
	struct call cond = call_begin(out, name, "$cond"), or ;
	size_t list;

	put_is_array(out, NAME("0"), ref);
	doc_put_string(out, NAME("1"), ref);
	list = doc_put_array(out, NAME("2"));
	or = call_begin(out, NAME("0"), "$ifNull");
	doc_put_string(out, NAME("0"), ref);
	doc_put_null(out, NAME("1"));
	call_end(out, or);
	doc_end(out, list);
	call_end(out, cond);
}

#define LOCAL_VARIABLE "mw_local"

/* let: {mw_local: "$localField"} */
static void bind_local(struct placing *p, const struct lookup *l)
{
	const char *ref = arena_format(p->d->arena, "$%.*s", BYTES_ARG(l->local_path));
	struct edit *edit;
	struct buf built;
	size_t let = 0;

	buf_init(&built, DOC_MAX_LEN);
	if (!l->let.type)
		let = doc_put_document(&built, NAME("let"));
	doc_put_string(&built, NAME(LOCAL_VARIABLE), bytes_str(ref));
	if (!l->let.type)
		doc_end(&built, let);
	edit = plan_edit(p->d, EDIT_APPEND, l->let.type ? l->let.value.at : l->holder.at);
	edit->put = plan_bytes(p->d, &built);
}

/* {$match: {$expr: {$gt: [{$size: {$setIntersection: [local, foreign]}}, 0]}}}: what
 * localField and foreignField mean, on what the role sees.  These two leave the stage. */
static struct bytes match_shown(struct placing *p, const struct lookup *l)
{
	struct deciding *d = p->d;
	struct buf built;
	struct stages s = {.out = &built};
	size_t stage, match, expr, size;
	struct call greater, both;

	buf_init(&built, DOC_MAX_LEN);
	stage = stage_begin(&s);
	match = doc_put_document(&built, NAME("$match"));
	expr = doc_put_document(&built, NAME("$expr"));
	{
		greater = (struct call){.doc = expr, .list = doc_put_array(&built, NAME("$gt"))};
		size = doc_put_document(&built, NAME("0"));
		both = call_begin(&built, NAME("$size"), "$setIntersection");
		put_as_list(&built, NAME("0"), NAME("$$" LOCAL_VARIABLE));
		put_as_list(&built, NAME("1"),
			bytes_str(arena_format(d->arena, "$%.*s", BYTES_ARG(l->foreign_path))));
		call_end(&built, both);
		doc_end(&built, size);
		doc_put_int32(&built, NAME("1"), 0);
		call_end(&built, greater);
	}
	doc_end(&built, match);
	doc_end(&built, stage);
	bind_local(p, l);
	plan_edit(d, EDIT_DROP, l->local_field.whole.at);
	plan_edit(d, EDIT_DROP, l->foreign_field.whole.at);
	return plan_bytes(d, &built);
}

static bool read_lookup(const struct placing *p, const struct element *e, struct lookup *l)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct element field;

	*l = (struct lookup){.holder = e->value};
	if (e->type != TYPE_DOCUMENT)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, e->name);
	while (doc_next(&it, &field)) {
		struct element *place = NULL;

		if (element_named(&field, "from"))
			place = &l->from;
		else if (element_named(&field, "foreignField"))
			place = &l->foreign_field;
		else if (element_named(&field, "localField"))
			place = &l->local_field;
		else if (element_named(&field, "let"))
			place = &l->let;
		else if (element_named(&field, "pipeline"))
			place = &l->pipeline;
		else if (!element_named(&field, "as"))
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
	if (l->let.type && l->let.type != TYPE_DOCUMENT)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, bytes_str("let"));
	return true;
}

static bool place_lookup(struct placing *p, const struct element *e)
{
	struct foreign f;
	struct lookup l;

	if (!read_lookup(p, e, &l) || !choose_foreign(p, element_string(&l.from), &f))
		return false;
	if (p->named)
		return !l.pipeline.type || place_stages(p, l.pipeline.value);
	if (!check_foreign_field(p, &f, &l))
		return false;
	if (l.foreign_field.type && !foreign_is_stored_plain(&f, l.foreign_path))
		f.match = match_shown(p, &l);
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
	if (p->named)
		return true;
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
	if (p->named)
		return !pipeline.type || place_stages(p, pipeline.value);
	point_to(p, &f, &coll);
	return put_head(p, &f, pipeline.type ? &pipeline : NULL, e->value);
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
	return (stage == STAGE_UNION ? place_union : place_graph)(p, e);
}

static void put_behind(struct placing *p, enum edit_kind kind, const uint8_t *at)
{
	if (p->behind.len)
		plan_edit(p->d, kind, at)->put = p->behind;
	p->behind = bytes_of("", 0);
}

static bool place_stages(struct placing *p, struct bytes pipeline)
{
	struct doc_iter it = doc_iter_of(pipeline);
	struct element stage, e;

	while (doc_next(&it, &stage)) {
		put_behind(p, EDIT_BEFORE, stage.whole.at);
		if (!stage_field(&stage, &e, p->d->why) || !place_stage(p, &e))
			return false;
	}
	put_behind(p, EDIT_APPEND, pipeline.at);
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

bool foreign_subjects(struct deciding *d, struct bytes pipeline,
	struct deciding named[REPLY_FOREIGN_MAX], size_t *count)
{
	struct placing p = {.d = d, .named = named};
	bool fine = place_stages(&p, pipeline);

	*count = p.nnamed;
	return fine;
}
