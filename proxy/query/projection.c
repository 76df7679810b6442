#include "query/analyse.h"
#include "query/operators.h"

/* What one projection is being read as. */
struct reading {
	bool in_pipeline;
	bool includes, excludes; /* some path but _id does */
	struct shape next;       /* of what comes out */
	const struct shape *before;
};

static bool is_operator(const struct element *e, struct element *op)
{
	struct doc_iter it;

	if (e->type != TYPE_DOCUMENT)
		return false;
	it = doc_iter_of(e->value);
	return doc_next(&it, op) && op->name.len && op->name.at[0] == '$';
}

static struct use use_of(const struct element *e, struct bytes path, enum use_kind kind)
{
	return (struct use){
		.kind = kind, .path = path, .sent = e->name, .element = *e, .place = "projection"};
}

/* Shows `path` under its own name: as it was, wherever that came from. */
static bool include(struct analysis *a, struct reading *r, const struct element *e,
	struct bytes path, struct fault *why)
{
	struct use use = use_of(e, path, USE_SHOW);

	r->includes = true;
	shape_carry(a, r->before, path, &r->next);
	return shape_use(a, &use, why);
}

static bool exclude(struct analysis *a, struct reading *r, const struct element *e,
	struct bytes path, struct fault *why)
{
	struct use use = use_of(e, path, USE_HIDE);

	r->excludes |= !bytes_equal_str(path, "_id");
	shape_put(a, &r->next, path, SHAPE_GONE, path);
	return analysis_add(a, &use, why);
}

/* The types that every server takes for "show" or "hide"; others it may read otherwise. */
static bool is_flag(const struct element *e)
{
	return e->type == TYPE_BOOL || element_is_number(e);
}

static bool show_elem_match(struct analysis *a, struct reading *r, const struct element *e,
	struct bytes path, const struct element *op, struct fault *why)
{
	struct use seen = use_of(e, path, USE_COMPARE);

	if (op->type != TYPE_DOCUMENT)
		return fault_name(why, FAULT_WRONG_TYPE, op->name);
	return shape_use(a, &seen, why) && analyse_filter(a, op->value, path, seen.place, why) &&
	       include(a, r, e, path, why);
}

/* $slice neither includes nor excludes: it leaves the others as they are. */
static bool show_slice(struct analysis *a, struct reading *r, const struct element *e,
	struct bytes path, struct fault *why)
{
	struct use use = use_of(e, path, USE_SHOW);

	shape_carry(a, r->before, path, &r->next);
	return shape_use(a, &use, why);
}

/* A new field where one may stand. */
static bool cover(struct analysis *a, const struct element *e, struct bytes sent, struct bytes path,
	const char *place, struct fault *why)
{
	struct use use = {
		.kind = USE_COVER, .path = path, .sent = sent, .element = *e, .place = place};

	return shape_use(a, &use, why);
}

/* A new field: moved from a path as it stands, or computed. */
static bool compute(struct analysis *a, struct reading *r, const struct element *e,
	struct bytes path, struct fault *why)
{
	struct bytes from, origin;

	r->includes = true;
	/* Servers differ in what find makes of a string: older ones take it for "show". */
	if (!r->in_pipeline)
		analysis_unproven(a, e->name);
	/* At the top, what is not included is not there. */
	if (memchr(path.at, '.', path.len) && !cover(a, e, e->name, path, "projection", why))
		return false;
	if (!analyse_expression(a, e, USE_MOVE, "projection", why))
		return false;
	if (expression_path(a, e, &from) && shape_origin(a, from, &origin))
		shape_put(a, &r->next, path, SHAPE_MOVED, origin);
	else
		shape_put(a, &r->next, path, SHAPE_COMPUTED, path);
	return true;
}

static bool read_fields(struct analysis *a, struct reading *r, struct bytes fields,
	struct bytes above, struct fault *why);

static bool read_document(struct analysis *a, struct reading *r, const struct element *e,
	struct bytes sent, struct bytes path, struct fault *why)
{
	struct element op;

	if (!is_operator(e, &op))
		return read_fields(a, r, e->value, sent, why);
	if (doc_count(e->value) != 1)
		return fault_name(why, FAULT_OPERATOR, op.name);
	if (element_named(&op, "$meta")) {
		analysis_unproven(a, op.name);
		return true;
	}
	if (!r->in_pipeline && element_named(&op, "$elemMatch"))
		return show_elem_match(a, r, e, path, &op, why);
	if (!r->in_pipeline && element_named(&op, "$slice"))
		return show_slice(a, r, e, path, why);
	return compute(a, r, e, path, why);
}

static bool read_field(struct analysis *a, struct reading *r, const struct element *e,
	struct bytes above, struct fault *why)
{
	struct bytes name = e->name, sent, path;

	/* The positional `a.$` of find shows the element that the filter met. */
	if (!r->in_pipeline && name.len > 2 && name.at[name.len - 1] == '$' &&
		name.at[name.len - 2] == '.')
		name.len -= 2;
	if (name.len && name.at[0] == '$')
		return fault_name(why, FAULT_OPERATOR, e->name);
	if (!name.len)
		return fault_name(why, FAULT_PATH, e->name);
	sent = path_join(a->arena, above, name);
	if (!path_normalise(a->arena, sent, &path, why))
		return false;
	if (path_is_reserved(path))
		return fault_name(why, FAULT_RESERVED, e->name);
	/* "a.0" is a field of that name, not the whole of `a`. */
	if (path.len != sent.len)
		analysis_unproven(a, e->name);
	if (is_flag(e))
		return (element_truth(e) ? include : exclude)(a, r, e, path, why);
	if (e->type == TYPE_DOCUMENT)
		return read_document(a, r, e, sent, path, why);
	if (e->type == TYPE_STRING || e->type == TYPE_ARRAY)
		return compute(a, r, e, path, why);
	return fault_name(why, FAULT_WRONG_TYPE, e->name);
}

static bool read_fields(struct analysis *a, struct reading *r, struct bytes fields,
	struct bytes above, struct fault *why)
{
	struct doc_iter it = doc_iter_of(fields);
	struct element e;

	while (doc_next(&it, &e))
		if (!read_field(a, r, &e, above, why))
			return false;
	return true;
}

static void note_projection(
	struct analysis *a, const struct element *projection, struct bytes stage, bool includes)
{
	struct projection_at *list =
		arena_array(a->arena, a->nprojections + 1, sizeof(*a->projections));

	if (a->nprojections)
		memcpy(list, a->projections, a->nprojections * sizeof(*list));
	list[a->nprojections++] = (struct projection_at){
		.kind = includes ? PROJECTION_INCLUDES : PROJECTION_EXCLUDES,
		.element = *projection,
		.stage = stage,
	};
	a->projections = list;
}

static void append(struct analysis *a, struct shape *to, const struct shape *from)
{
	for (size_t i = 0; i < from->count; i++)
		shape_put(a, to, from->entries[i].path, from->entries[i].kind,
			from->entries[i].origin);
}

/* _id comes along unless the projection names it. */
static void carry_id(struct analysis *a, struct reading *r)
{
	struct bytes id = bytes_str("_id");

	for (size_t i = 0; i < r->next.count; i++)
		if (path_relation(r->next.entries[i].path, id) != PATH_DISJOINT)
			return;
	shape_carry(a, r->before, id, &r->next);
}

bool analyse_projection(struct analysis *a, const struct element *projection, bool in_pipeline,
	struct bytes stage, struct fault *why)
{
	struct shape before = a->shape;
	struct reading r = {.in_pipeline = in_pipeline, .before = &before};

	if (projection->type != TYPE_DOCUMENT)
		return fault_name(why, FAULT_WRONG_TYPE, projection->name);
	if (!read_fields(a, &r, projection->value, bytes_of("", 0), why))
		return false;
	if (r.includes && r.excludes)
		return fault_name(why, FAULT_PROJECTION, projection->name);
	if (doc_is_empty(projection->value))
		return !in_pipeline || fault_name(why, FAULT_PROJECTION, projection->name);
	note_projection(a, projection, stage, r.includes);
	if (r.includes) {
		carry_id(a, &r);
		a->shape = r.next;
		return true;
	}
	/* What an exclusion leaves: all that was there, but for what is gone. */
	a->shape = (struct shape){.whole = before.whole};
	append(a, &a->shape, &before);
	append(a, &a->shape, &r.next);
	return true;
}

/* A path that a stage writes, normalised.  "a.0" is a field of that name, and the others of
 * `a` stay as they were. */
static bool written_path(
	struct analysis *a, struct bytes sent, struct bytes *path, struct fault *why)
{
	if (!sent.len || sent.at[0] == '$')
		return fault_name(why, FAULT_PATH, sent);
	if (!path_normalise(a->arena, sent, path, why))
		return false;
	if (path_is_reserved(*path))
		return fault_name(why, FAULT_RESERVED, sent);
	if (path->len != sent.len)
		analysis_unproven(a, sent);
	return true;
}

static bool set_fields(struct analysis *a, struct shape *next, struct bytes fields,
	struct bytes above, struct fault *why)
{
	struct doc_iter it = doc_iter_of(fields);
	struct element e, op;

	while (doc_next(&it, &e)) {
		struct bytes from, origin, path, sent = path_join(a->arena, above, e.name);

		if (!e.name.len || e.name.at[0] == '$')
			return fault_name(why, FAULT_PATH, e.name);
		if (!written_path(a, sent, &path, why))
			return false;
		if (e.type == TYPE_DOCUMENT && !doc_is_empty(e.value) && !is_operator(&e, &op)) {
			if (!set_fields(a, next, e.value, sent, why))
				return false;
			continue;
		}
		if (!cover(a, &e, sent, path, "$set", why) ||
			!analyse_expression(a, &e, USE_MOVE, "$set", why))
			return false;
		if (expression_path(a, &e, &from) && shape_origin(a, from, &origin))
			shape_put(a, next, path, SHAPE_MOVED, origin);
		else
			shape_put(a, next, path, SHAPE_COMPUTED, path);
	}
	return true;
}

/* All expressions see the documents as they came in. */
bool analyse_set(struct analysis *a, const struct element *e, struct bytes stage, struct fault *why)
{
	struct shape next = {0};

	if (e->type != TYPE_DOCUMENT || doc_is_empty(e->value))
		return fault_name(why, FAULT_WRONG_TYPE, e->name);
	if (!set_fields(a, &next, e->value, bytes_of("", 0), why))
		return false;
	note_projection(a, e, stage, false);
	append(a, &a->shape, &next);
	return true;
}

static bool unset_field(
	struct analysis *a, struct shape *next, const struct element *e, struct fault *why)
{
	struct use use = {.kind = USE_HIDE, .element = *e, .place = "$unset"};

	if (e->type != TYPE_STRING)
		return fault_name(why, FAULT_WRONG_TYPE, bytes_str("$unset"));
	use.sent = element_string(e);
	if (!written_path(a, use.sent, &use.path, why) || !analysis_add(a, &use, why))
		return false;
	shape_put(a, next, use.path, SHAPE_GONE, use.path);
	return true;
}

bool analyse_unset(
	struct analysis *a, const struct element *e, struct bytes stage, struct fault *why)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct shape next = {0};
	struct element name;

	if (e->type != TYPE_ARRAY) {
		if (!unset_field(a, &next, e, why))
			return false;
	} else {
		while (doc_next(&it, &name))
			if (!unset_field(a, &next, &name, why))
				return false;
	}
	note_projection(a, e, stage, false);
	append(a, &a->shape, &next);
	return true;
}

bool analyse_sort(struct analysis *a, struct bytes sort, const char *place, struct fault *why)
{
	struct doc_iter it = doc_iter_of(sort);
	struct element e;

	while (doc_next(&it, &e)) {
		struct use use = {.kind = USE_SORT, .sent = e.name, .element = e, .place = place};

		if (e.type == TYPE_DOCUMENT) { /* {$meta: …} */
			analysis_unproven(a, e.name);
			continue;
		}
		if (!element_is_number(&e))
			return fault_name(why, FAULT_WRONG_TYPE, e.name);
		if (bytes_equal_str(e.name, "$natural")) {
			a->first = e.name;
			analysis_unproven(a, e.name);
			continue;
		}
		if (!path_normalise(a->arena, e.name, &use.path, why) || !shape_use(a, &use, why) ||
			!shape_use_numbers(a, &use, e.name, why))
			return false;
	}
	return true;
}

bool analyse_keys(struct analysis *a, struct bytes keys, enum use_kind kind, const char *place,
	struct fault *why)
{
	struct doc_iter it = doc_iter_of(keys);
	struct element e;

	while (doc_next(&it, &e)) {
		struct use use = {.kind = kind, .sent = e.name, .element = e, .place = place};

		if (bytes_equal_str(e.name, "$natural"))
			continue;
		if (!path_normalise(a->arena, e.name, &use.path, why) ||
			!analysis_add(a, &use, why) || !shape_use_numbers(a, &use, e.name, why))
			return false;
	}
	return true;
}
