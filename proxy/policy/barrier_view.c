#include "policy/barrier.h"

/* The stages of a virtual view. */

void put_masked_path(struct buf *out, struct bytes name, const struct mask *mask, struct bytes ref)
{
	struct call cond = call_begin(out, name, "$cond"), inner;
	size_t outer, map;

	put_is_array(out, NAME("0"), ref);
	outer = doc_put_document(out, NAME("1"));
	map = doc_put_document(out, NAME("$map"));
	doc_put_string(out, NAME("input"), ref);
	doc_put_string(out, NAME("as"), NAME("e"));
	inner = call_begin(out, NAME("in"), "$cond");
	put_is_type(out, NAME("0"), NAME("$$e"), "array");
	doc_put_null(out, NAME("1"));
	put_mask_expression(out, NAME("2"), mask, NAME("$$e"));
	call_end(out, inner);
	doc_end(out, map);
	doc_end(out, outer);
	inner = call_begin(out, NAME("2"), "$cond");
	put_is_type(out, NAME("0"), ref, "missing");
	doc_put_string(out, NAME("1"), NAME("$$REMOVE"));
	put_mask_expression(out, NAME("2"), mask, ref);
	call_end(out, inner);
	call_end(out, cond);
}

static void put_pseudonym(struct buf *out, const struct view_field *f, struct bytes ref)
{
	struct call or = call_begin(out, f->name, "$ifNull");

	doc_put_string(out, NAME("0"), ref);
	doc_put_null(out, NAME("1"));
	call_end(out, or);
}

bool barrier_shows_field(const struct virtual_view *v, const struct view_field *f)
{
	const struct view_node *node;
	bool at;

	if (f->of_subject || !f->mask)
		return true;
	node = view_node_of(&v->from->tree, f->path, &at);
	return barrier_can_compute(f->mask) &&
	       (f->mask->kind == MASK_CONSTANT ||
		       (at ? !node->any_encrypted : node->field == NO_FIELD));
}

static void put_view_field(struct buf *out, struct arena *arena, const struct view_field *f)
{
	const char *ref = f->of_subject ? arena_format(arena, "$__mw.p.%s", f->mask->stored)
					: arena_format(arena, "$%.*s", BYTES_ARG(f->path));

	if (f->of_subject)
		put_pseudonym(out, f, bytes_str(ref));
	else if (f->mask)
		put_masked_path(out, f->name, f->mask, bytes_str(ref));
	else
		doc_put_string(out, f->name, bytes_str(ref));
}

static bool has_field(const struct virtual_view *v, const char *name)
{
	for (size_t i = 0; i < v->nfields; i++)
		if (bytes_equal_str(v->fields[i].name, name))
			return true;
	return false;
}

/* Natural order would tie a pseudonym's row to the row of another view. */
static void put_random_order(struct stages *s, const struct virtual_view *v)
{
	size_t stage, sort;
	bool has_pseudonym = false;

	for (size_t i = 0; i < v->nfields; i++)
		has_pseudonym |= v->fields[i].mask && v->fields[i].mask->kind == MASK_PSEUDONYM;
	if (!has_pseudonym)
		return;
	stage = stage_begin(s);
	sort = doc_put_document(s->out, NAME("$sort"));
	doc_put_int32(s->out, NAME("__mw.o"), 1);
	doc_end(s->out, sort);
	doc_end(s->out, stage);
}

/* Rows whose like are fewer than `min_group` are not there.  Pseudonyms tell rows of one
 * kind apart, and do not count. */
static void put_min_group(struct stages *s, struct arena *arena, const struct virtual_view *v)
{
	size_t stage = stage_begin(s), window, by, output, sum;

	window = doc_put_document(s->out, NAME("$setWindowFields"));
	by = doc_put_document(s->out, NAME("partitionBy"));
	for (size_t i = 0; i < v->nfields; i++) {
		const struct view_field *f = &v->fields[i];

		if (!(f->mask && f->mask->kind == MASK_PSEUDONYM) && barrier_shows_field(v, f))
			doc_put_string(s->out, f->name,
				bytes_str(arena_format(arena, "$%.*s", BYTES_ARG(f->name))));
	}
	doc_end(s->out, by);
	output = doc_put_document(s->out, NAME("output"));
	sum = doc_put_document(s->out, NAME("__mw"));
	doc_put_int32(s->out, NAME("$sum"), 1);
	doc_end(s->out, sum);
	doc_end(s->out, output);
	doc_end(s->out, window);
	doc_end(s->out, stage);
	stage = stage_begin(s);
	window = doc_put_document(s->out, NAME("$match"));
	by = doc_put_document(s->out, NAME("__mw"));
	doc_put_int32(s->out, NAME("$gte"), (int32_t)v->min_group);
	doc_end(s->out, by);
	doc_end(s->out, window);
	doc_end(s->out, stage);
	stage = stage_begin(s);
	doc_put_string(s->out, NAME("$unset"), NAME("__mw"));
	doc_end(s->out, stage);
}

bool build_virtual_stages(struct arena *arena, const struct virtual_view *v, struct bytes *stages)
{
	struct buf built;
	struct stages s = {.out = &built};
	size_t stage, project;

	buf_init(&built, BARRIER_LEN_MAX);
	put_random_order(&s, v);
	stage = stage_begin(&s);
	project = doc_put_document(s.out, NAME("$project"));
	if (!has_field(v, "_id"))
		doc_put_int32(s.out, NAME("_id"), 0);
	for (size_t i = 0; i < v->nfields; i++)
		if (barrier_shows_field(v, &v->fields[i]))
			put_view_field(s.out, arena, &v->fields[i]);
	doc_end(s.out, project);
	doc_end(s.out, stage);
	if (v->min_group)
		put_min_group(&s, arena, v);
	return finish_stages(arena, &built, stages);
}
