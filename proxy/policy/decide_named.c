#include "policy/barrier.h"
#include "policy/decide.h"

/* Behind a barrier nothing tells whose a document was.  Where that must be in the record, one
 * document that names the subjects of all documents that go in comes first, and the pipeline
 * is joined to it:
 *
 *   rows, proven stages, {$facet: the subjects}, {$lookup: those of other collections},
 *   {$unionWith: {coll, pipeline: [rows, proven stages, fence, secure view, the rest]}}
 *
 * Both read one snapshot, so that no document is in one and not in the other. */

/* An accountable value could leave. */
static bool shows_accountable(const struct view_node *node, class_set accountable)
{
	bool shown = node->clearance != CLEAR_REMOVE &&
		     !(node->clearance == CLEAR_MASK && node->mask->kind == MASK_CONSTANT);

	if (shown && node->class != NO_CLASS && accountable & (class_set)1 << node->class)
		return true;
	for (size_t i = 0; i < node->nchildren; i++)
		if (shows_accountable(&node->children[i], accountable))
			return true;
	return false;
}

bool must_name_behind(const struct deciding *d)
{
	if (d->virtual)
		return d->virtual->accountable;
	return d->view->collection && d->view->collection->accountable &&
	       shows_accountable(&d->view->root, d->view->collection->accountable);
}

/* [{$limit: N + 1}, {$project: {a: "$path", …}}], as stages */
static void put_telling(struct deciding *d, const struct collection *c, struct stages *s)
{
	struct bytes paths[ID_PART + 1];
	size_t n = telling_paths(c, paths), stage, parts;

	stage = stage_begin(s);
	doc_put_int64(s->out, NAME("$limit"), REPLY_SUBJECTS_MAX + 1);
	doc_end(s->out, stage);
	stage = stage_begin(s);
	parts = doc_put_document(s->out, NAME("$project"));
	doc_put_int32(s->out, NAME("_id"), 0);
	for (size_t i = 0; i < n; i++) {
		char name[2];

		doc_put_string(s->out, carried_name(i, name),
			bytes_str(arena_format(d->arena, "$%.*s", BYTES_ARG(paths[i]))));
	}
	doc_end(s->out, parts);
	doc_end(s->out, stage);
}

/* {$lookup: {from, pipeline: [rows, …], as: "__mw0"}}: of another collection all that the
 * role could see, since which of it a pipeline reads is not known beforehand. */
static void put_foreign(struct deciding *d, struct deciding *f, struct stages *s, size_t number)
{
	const struct collection *c = deciding_collection(f);
	size_t stage = stage_begin(s), lookup, list;
	struct stages inner = {.out = s->out};

	lookup = doc_put_document(s->out, NAME("$lookup"));
	doc_put_string(s->out, NAME("from"), c->name);
	list = doc_put_array(s->out, NAME("pipeline"));
	if (f->rows.len)
		put_rows(&inner, f->rows);
	put_telling(d, c, &inner);
	doc_end(s->out, list);
	doc_put_string(s->out, NAME("as"), bytes_str(arena_format(d->arena, "__mw%zu", number)));
	doc_end(s->out, lookup);
	doc_end(s->out, stage);
}

/* {$facet: {__mw: [{$limit: N + 1}, {$project: {a: "$path", …}}]}}: a $facet gives one
 * document, also where nothing goes in. */
static void put_subjects(struct deciding *d, struct stages *s)
{
	size_t stage = stage_begin(s), facet, list;
	struct stages of_facet = {.out = s->out};

	facet = doc_put_document(s->out, NAME("$facet"));
	list = doc_put_array(s->out, NAME("__mw"));
	put_telling(d, deciding_collection(d), &of_facet);
	doc_end(s->out, list);
	doc_end(s->out, facet);
	doc_end(s->out, stage);
}

static void put_join(struct deciding *d, struct stages *s, struct bytes pipeline)
{
	size_t stage = stage_begin(s), join = doc_put_document(s->out, NAME("$unionWith"));

	doc_put_string(
		s->out, NAME("coll"), d->virtual ? d->virtual->from->name : d->plan->collection);
	doc_put_value(s->out, TYPE_ARRAY, NAME("pipeline"), pipeline);
	doc_end(s->out, join);
	doc_end(s->out, stage);
}

/* The pipeline within a stage of that name. */
static struct element pipeline_within(const struct element *stage, const char *name)
{
	struct element inner, pipeline = {0};

	if (doc_find(stage->value, name, &inner))
		(void)doc_find(inner.value, "pipeline", &pipeline);
	return pipeline;
}

/* Seals the literals of the other collections' rows, and finds what put_join has put: after
 * the $facet come the $lookups, and at the end the $unionWith. */
static bool find_joined(struct deciding *d, struct bytes stages, struct deciding *named,
	size_t nnamed, struct element *joined)
{
	struct doc_iter it = {.at = stages.at, .end = stages.at + stages.len};
	struct element stage;

	(void)doc_next(&it, &stage);
	for (size_t i = 0; i < nnamed; i++) {
		struct element pipeline;

		if (!doc_next(&it, &stage))
			break;
		pipeline = pipeline_within(&stage, "$lookup");
		if (named[i].rows.len &&
			!seal_row_literals(&named[i], rows_of_stage(bytes_of(pipeline.value.at + 4,
							      pipeline.value.len - 5))))
			return false;
	}
	if (!doc_next(&it, &stage))
		return fault_set(d->why, FAULT_INTERNAL, "a pipeline is not joined");
	*joined = pipeline_within(&stage, "$unionWith");
	return true;
}

static void drop_from(struct deciding *d, struct bytes pipeline, size_t at)
{
	struct doc_iter it = doc_iter_of(pipeline);
	struct element stage;
	size_t i = 0;

	while (doc_next(&it, &stage))
		if (i++ >= at)
			plan_edit(d, EDIT_DROP, stage.whole.at);
}

/* The subjects are a document of their own in the first batch. */
static void widen_first_batch(struct deciding *d)
{
	const struct element *cursor = command_field(d->c, "cursor");
	struct element size;
	struct buf built;
	int64_t n;

	if (!cursor || cursor->type != TYPE_DOCUMENT ||
		!doc_find(cursor->value, "batchSize", &size) || !element_int(&size, &n) || n < 0 ||
		n >= INT32_MAX)
		return;
	buf_init(&built, 64);
	doc_put_int64(&built, size.name, n + 1);
	plan_edit(d, EDIT_PUT, size.whole.at)->put = plan_bytes(d, &built);
}

/* readConcern: {level: "snapshot"}, with the client's afterClusterTime.  A transaction reads
 * one anyway. */
static bool read_snapshot(struct deciding *d)
{
	const struct element *concern;
	struct element level = {0}, e;
	struct doc_iter it;
	struct edit *edit;
	struct buf built;
	size_t begun;

	if (d->explains || command_field(d->c, "autocommit"))
		return true;
	if (!body_field(d, "readConcern", TYPE_DOCUMENT, &concern))
		return false;
	if (concern && doc_find(concern->value, "level", &level) && level.type == TYPE_STRING &&
		bytes_equal_str(element_string(&level), "linearizable"))
		return fault_name(d->why, FAULT_NOT_PROVEN, bytes_str("linearizable"));
	d->plan->reply.hides_snapshot =
		level.type != TYPE_STRING || !bytes_equal_str(element_string(&level), "snapshot");
	buf_init(&built, 1024);
	begun = doc_put_document(&built, NAME("readConcern"));
	doc_put_string(&built, NAME("level"), NAME("snapshot"));
	if (concern) {
		it = doc_iter_of(concern->value);
		while (doc_next(&it, &e))
			if (element_named(&e, "afterClusterTime") ||
				element_named(&e, "atClusterTime"))
				doc_put_element(&built, &e);
	}
	doc_end(&built, begun);
	edit = concern ? plan_edit(d, EDIT_PUT, concern->whole.at)
		       : plan_edit(d, EDIT_APPEND, d->c->body.at);
	edit->put = plan_bytes(d, &built);
	return true;
}

bool join_to_subjects(
	struct deciding *d, const struct element *pipeline, size_t proven, struct element *joined)
{
	struct deciding named[REPLY_FOREIGN_MAX];
	struct reply_rules *reply = &d->plan->reply;
	struct buf built;
	struct stages s = {.out = &built};
	struct edit *edit;

	if (!foreign_subjects(d, pipeline->value, named, &reply->nforeign))
		return false;
	buf_init(&built, DOC_SLACK_LEN);
	put_subjects(d, &s);
	for (size_t i = 0; i < reply->nforeign; i++) {
		reply->foreign[i] = deciding_collection(&named[i]);
		put_foreign(d, &named[i], &s, i);
	}
	put_join(d, &s, pipeline->value);
	if (built.failed) {
		buf_fini(&built);
		return fault_set(d->why, FAULT_DOCUMENT_TOO_LARGE, "a pipeline grew too large");
	}
	drop_from(d, pipeline->value, proven);
	edit = plan_edit(d, EDIT_APPEND, pipeline->value.at);
	edit->put = plan_bytes(d, &built);
	if (!find_joined(d, edit->put, named, reply->nforeign, joined))
		return false;
	reply->names_group = true;
	widen_first_batch(d);
	return read_snapshot(d) && prepend_rows(d, pipeline, false);
}
