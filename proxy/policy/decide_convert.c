#include "policy/decide.h"
#include "policy/barrier.h"

/* find, count and distinct as pipelines, which run behind the secure view's stages. */

struct converting {
	struct deciding *d;
	struct buf built; /* elements for the body's end; the pipeline is the first */
	struct stages stages;
	size_t pipeline;
};

static void begin_pipeline(struct converting *c, struct deciding *d)
{
	*c = (struct converting){.d = d};
	buf_init(&c->built, DOC_SLACK_LEN);
	c->pipeline = doc_put_array(&c->built, NAME("pipeline"));
	c->stages.out = &c->built;
}

/* {name: the document that the command holds under `field`}; none for an empty one. */
static bool put_stage(struct converting *c, const char *name, const char *field)
{
	const struct element *e;
	size_t stage;

	if (!body_field(c->d, field, TYPE_DOCUMENT, &e))
		return false;
	if (!e || doc_is_empty(e->value))
		return true;
	stage = stage_begin(&c->stages);
	doc_put_value(&c->built, TYPE_DOCUMENT, bytes_str(name), e->value);
	doc_end(&c->built, stage);
	return true;
}

static void put_number_stage(struct converting *c, const char *name, int64_t n)
{
	size_t stage = stage_begin(&c->stages);

	doc_put_int64(&c->built, bytes_str(name), n);
	doc_end(&c->built, stage);
}

/* A whole number that is not negative; 0 where there is none. */
static bool read_number(struct deciding *d, const char *name, int64_t *n)
{
	const struct element *e = command_field(d->c, name);

	*n = 0;
	if (!e || e->type == TYPE_NULL)
		return true;
	return (element_int(e, n) && *n >= 0) ||
	       fault_name(d->why, FAULT_BAD_VALUE, bytes_str(name));
}

static bool refuse_flags(struct deciding *d)
{
	static const char *const flags[] = {
		"returnKey", "showRecordId", "oplogReplay", "tailable", "awaitData"};
	const struct element *e;

	for (size_t i = 0; i < COUNT_OF(flags); i++)
		if ((e = command_field(d->c, flags[i])) && element_truth(e))
			return fault_name(d->why, FAULT_NOT_PROVEN, bytes_str(flags[i]));
	if (command_field(d->c, "min") || command_field(d->c, "max"))
		return fault_name(d->why, FAULT_NOT_PROVEN,
			bytes_str(command_field(d->c, "min") ? "min" : "max"));
	return true;
}

/* Operators that find alone has in a projection. */
static bool check_projection(struct deciding *d)
{
	const struct element *projection;
	struct doc_iter it;
	struct element e, op;

	if (!body_field(d, "projection", TYPE_DOCUMENT, &projection))
		return false;
	if (!projection)
		return true;
	it = doc_iter_of(projection->value);
	while (doc_next(&it, &e)) {
		struct doc_iter inner = doc_iter_of(e.value);

		if (e.name.len > 1 && e.name.at[e.name.len - 1] == '$')
			return fault_name(d->why, FAULT_NOT_PROVEN, e.name);
		if (e.type != TYPE_DOCUMENT || !doc_next(&inner, &op))
			continue;
		if (element_named(&op, "$slice") || element_named(&op, "$elemMatch") ||
			element_named(&op, "$meta"))
			return fault_name(d->why, FAULT_NOT_PROVEN, op.name);
	}
	return true;
}

/* Takes what the pipeline says now out of the body, and puts the pipeline in. */
static bool finish(
	struct converting *c, enum reply_form form, const char *const *fields, size_t nfields)
{
	struct deciding *d = c->d;
	struct bytes added;
	struct element pipeline;
	struct doc_iter it;

	if (c->built.failed) {
		buf_fini(&c->built);
		return fault_set(d->why, FAULT_DOCUMENT_TOO_LARGE, "a command grew too large");
	}
	added = plan_bytes(d, &c->built);
	it = (struct doc_iter){.at = added.at, .end = added.at + added.len};
	if (!doc_next(&it, &pipeline) || !run_behind(d, &pipeline, form))
		return false;
	plan_edit(d, EDIT_APPEND, d->c->body.at)->put = added;
	for (size_t i = 0; i < nfields; i++) {
		const struct element *e = command_field(d->c, fields[i]);

		if (e)
			plan_edit(d, EDIT_DROP, e->whole.at);
	}
	return true;
}

static void put_cursor(struct converting *c, bool sized, int64_t size)
{
	size_t cursor = doc_put_document(&c->built, NAME("cursor"));

	/* The subjects are a document of their own in the first batch. */
	if (sized)
		doc_put_int64(
			&c->built, NAME("batchSize"), size + (must_name_behind(c->d) ? 1 : 0));
	doc_end(&c->built, cursor);
}

#define FIRST_BATCH 101 /* of a find that does not say how many */

bool find_behind(struct deciding *d)
{
	static const char *const fields[] = {"filter", "sort", "projection", "skip", "limit",
		"batchSize", "singleBatch", "noCursorTimeout", "allowPartialResults", "returnKey",
		"showRecordId", "oplogReplay", "tailable", "awaitData"};
	const struct element *sized = command_field(d->c, "batchSize");
	const struct element *single = command_field(d->c, "singleBatch");
	int64_t skip, limit, size;
	struct converting c;

	if (!refuse_flags(d) || !check_projection(d) || !read_number(d, "skip", &skip) ||
		!read_number(d, "limit", &limit) || !read_number(d, "batchSize", &size))
		return false;
	/* One batch, and then no cursor: as many as fit into it are all there are. */
	if (single && element_truth(single)) {
		int64_t most = size ? size : FIRST_BATCH;

		limit = limit && (limit < most || !size) ? limit : most;
		size = limit + 1;
	}
	begin_pipeline(&c, d);
	if (!put_stage(&c, "$match", "filter") || !put_stage(&c, "$sort", "sort")) {
		buf_fini(&c.built);
		return false;
	}
	if (skip)
		put_number_stage(&c, "$skip", skip);
	if (limit)
		put_number_stage(&c, "$limit", limit);
	if (!put_stage(&c, "$project", "projection")) {
		buf_fini(&c.built);
		return false;
	}
	doc_end(&c.built, c.pipeline);
	put_cursor(&c, sized || size, size);
	return finish(&c, REPLY_CURSOR, fields, COUNT_OF(fields));
}

/* {$group: {_id: null, n: {$sum: 1}}} */
static void put_count(struct converting *c)
{
	size_t stage = stage_begin(&c->stages), group, sum;

	group = doc_put_document(&c->built, NAME("$group"));
	doc_put_null(&c->built, NAME("_id"));
	sum = doc_put_document(&c->built, NAME("n"));
	doc_put_int32(&c->built, NAME("$sum"), 1);
	doc_end(&c->built, sum);
	doc_end(&c->built, group);
	doc_end(&c->built, stage);
}

bool count_behind(struct deciding *d)
{
	static const char *const fields[] = {"query", "skip", "limit", "fields"};
	const struct element *e = command_field(d->c, "limit");
	int64_t skip, limit = 0;
	struct converting c;

	if (!read_number(d, "skip", &skip))
		return false;
	/* A negative limit counts as if it were none. */
	if (e && e->type != TYPE_NULL && (!element_int(e, &limit) || limit == INT64_MIN))
		return fault_name(d->why, FAULT_BAD_VALUE, bytes_str("limit"));
	begin_pipeline(&c, d);
	if (!put_stage(&c, "$match", "query")) {
		buf_fini(&c.built);
		return false;
	}
	if (skip)
		put_number_stage(&c, "$skip", skip);
	if (limit)
		put_number_stage(&c, "$limit", limit < 0 ? -limit : limit);
	put_count(&c);
	doc_end(&c.built, c.pipeline);
	put_cursor(&c, false, 0);
	return finish(&c, REPLY_COUNTED, fields, COUNT_OF(fields));
}

/* {$project: {_id: 0, v: "$key"}}, and each value of arrays once: {$unwind: …}. */
static void put_values(struct converting *c, struct bytes path)
{
	size_t stage = stage_begin(&c->stages), inner;

	inner = doc_put_document(&c->built, NAME("$project"));
	doc_put_int32(&c->built, NAME("_id"), 0);
	doc_put_string(&c->built, NAME("v"),
		bytes_str(arena_format(c->d->arena, "$%.*s", BYTES_ARG(path))));
	doc_end(&c->built, inner);
	doc_end(&c->built, stage);
	stage = stage_begin(&c->stages);
	inner = doc_put_document(&c->built, NAME("$unwind"));
	doc_put_string(&c->built, NAME("path"), NAME("$v"));
	doc_put_bool(&c->built, NAME("preserveNullAndEmptyArrays"), true);
	doc_end(&c->built, inner);
	doc_end(&c->built, stage);
}

/* What is there, each value once, in one document. */
static void put_collected(struct converting *c)
{
	size_t stage = stage_begin(&c->stages), outer, inner;

	outer = doc_put_document(&c->built, NAME("$match"));
	inner = doc_put_document(&c->built, NAME("v"));
	doc_put_bool(&c->built, NAME("$exists"), true);
	doc_end(&c->built, inner);
	doc_end(&c->built, outer);
	doc_end(&c->built, stage);
	stage = stage_begin(&c->stages);
	outer = doc_put_document(&c->built, NAME("$group"));
	doc_put_string(&c->built, NAME("_id"), NAME("$v"));
	doc_end(&c->built, outer);
	doc_end(&c->built, stage);
	stage = stage_begin(&c->stages);
	outer = doc_put_document(&c->built, NAME("$group"));
	doc_put_null(&c->built, NAME("_id"));
	inner = doc_put_document(&c->built, NAME("values"));
	doc_put_string(&c->built, NAME("$push"), NAME("$_id"));
	doc_end(&c->built, inner);
	doc_end(&c->built, outer);
	doc_end(&c->built, stage);
}

bool distinct_behind(struct deciding *d)
{
	static const char *const fields[] = {"key", "query"};
	const struct element *key = command_field(d->c, "key");
	struct converting c;
	struct bytes path;

	if (!key || key->type != TYPE_STRING)
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("key"));
	if (!path_normalise(d->arena, element_string(key), &path, d->why))
		return false;
	/* A pipeline takes no index into an array for a path. */
	if (!bytes_equal(path, element_string(key)))
		return fault_name(d->why, FAULT_NOT_PROVEN, element_string(key));
	begin_pipeline(&c, d);
	if (!put_stage(&c, "$match", "query")) {
		buf_fini(&c.built);
		return false;
	}
	put_values(&c, path);
	put_collected(&c);
	doc_end(&c.built, c.pipeline);
	put_cursor(&c, false, 0);
	return finish(&c, REPLY_COLLECTED, fields, COUNT_OF(fields));
}
