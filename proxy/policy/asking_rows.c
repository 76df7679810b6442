#include "policy/asking.h"

/* What comes behind the group.  Only the proxy can carry it out: the database does not know
 * what the client is told, and an order by what it does know would tell it. */

static struct row_step *next_step(struct asking *a, enum row_step_kind kind, struct bytes name)
{
	struct statistics *s = a->statistics;
	struct row_step *step;

	if (s->nsteps == STATISTICS_STEPS_MAX) {
		(void)refuse_asking(a, name);
		return NULL;
	}
	if (!s->steps)
		s->steps = arena_array(a->d->arena, STATISTICS_STEPS_MAX, sizeof(*s->steps));
	step = &s->steps[s->nsteps++];
	*step = (struct row_step){.kind = kind};
	return step;
}

static struct row_field *next_field(struct asking *a, struct row_step *step, size_t most)
{
	if (!step->fields)
		step->fields = arena_array(a->d->arena, most, sizeof(*step->fields));
	return &step->fields[step->nfields++];
}

/* A field that rows have, or a part of a key. */
static bool is_there(const struct asking *a, struct bytes path)
{
	struct bytes first;

	if (!path_next(&path, &first))
		return false;
	for (size_t i = 0; i < a->nnames; i++)
		if (bytes_equal(a->names[i], first))
			return true;
	return false;
}

bool add_sort(struct asking *a, struct bytes name, bool descending)
{
	struct row_step *step = next_step(a, ROWS_SORT, name);

	if (!step)
		return false;
	*next_field(a, step, 1) =
		(struct row_field){.from = arena_text(a->d->arena, name), .descending = descending};
	return true;
}

static bool read_sort(struct asking *a, const struct element *stage)
{
	struct row_step *step = next_step(a, ROWS_SORT, stage->name);
	struct doc_iter it = doc_iter_of(stage->value);
	struct element e;
	int64_t n;

	if (!step)
		return false;
	if (stage->type != TYPE_DOCUMENT || doc_is_empty(stage->value))
		return fault_name(a->d->why, FAULT_WRONG_TYPE, stage->name);
	while (doc_next(&it, &e)) {
		if (!is_there(a, e.name) || !element_int(&e, &n) || (n != 1 && n != -1))
			return refuse_asking(a, e.name);
		*next_field(a, step, doc_count(stage->value)) = (struct row_field){
			.from = arena_text(a->d->arena, e.name), .descending = n < 0};
	}
	return true;
}

static bool read_number(struct asking *a, enum row_step_kind kind, const struct element *stage)
{
	struct row_step *step = next_step(a, kind, stage->name);

	if (!step)
		return false;
	return (element_int(stage, &step->n) && step->n >= (kind == ROWS_LIMIT)) ||
	       fault_name(a->d->why, FAULT_BAD_VALUE, stage->name);
}

static bool is_kept(const struct element *e)
{
	return (e->type == TYPE_BOOL || element_is_number(e)) && element_truth(e);
}

/* {name: 1}, or {name: "$path"}. */
static bool read_projected(
	struct asking *a, struct row_step *step, size_t most, const struct element *e)
{
	struct bytes from = e->name, text;

	if (e->type == TYPE_STRING) {
		text = element_string(e);
		if (text.len < 2 || text.at[0] != '$' || text.at[1] == '$')
			return refuse_asking(a, e->name);
		from = bytes_from(text, 1);
	} else if (!is_kept(e)) {
		return refuse_asking(a, e->name);
	}
	if (!is_there(a, from) || memchr(e->name.at, '.', e->name.len) || !e->name.len ||
		e->name.at[0] == '$' || path_is_reserved(e->name))
		return refuse_asking(a, e->name);
	for (size_t i = 0; i < step->nfields; i++)
		if (bytes_equal(step->fields[i].name, e->name))
			return refuse_asking(a, e->name);
	*next_field(a, step, most) = (struct row_field){
		.name = arena_copy(a->d->arena, e->name), .from = arena_text(a->d->arena, from)};
	return true;
}

/* What is named, and _id unless it is named with 0. */
static bool read_project(struct asking *a, const struct element *stage)
{
	struct row_step *step = next_step(a, ROWS_PROJECT, stage->name);
	struct bytes id = bytes_str("_id");
	struct doc_iter it = doc_iter_of(stage->value);
	struct element e;
	size_t most = doc_count(stage->value) + 1;
	bool named_id = doc_find_name(stage->value, id, &e);

	if (!step)
		return false;
	if (stage->type != TYPE_DOCUMENT || most > COUNT_OF(a->names))
		return refuse_asking(a, stage->name);
	if (!named_id && is_there(a, id))
		*next_field(a, step, most) = (struct row_field){.name = id, .from = "_id"};
	while (doc_next(&it, &e)) {
		if (element_named(&e, "_id") && e.type != TYPE_STRING && !is_kept(&e) &&
			(e.type == TYPE_BOOL || element_is_number(&e)))
			continue;
		if (!read_projected(a, step, most, &e))
			return false;
	}
	if (step->nfields == (named_id ? 0 : is_there(a, id)))
		return refuse_asking(a, stage->name);
	a->nnames = 0;
	for (size_t i = 0; i < step->nfields; i++)
		a->names[a->nnames++] = step->fields[i].name;
	return true;
}

bool read_step(struct asking *a, const struct element *stage)
{
	if (element_named(stage, "$sort"))
		return read_sort(a, stage);
	if (element_named(stage, "$skip"))
		return read_number(a, ROWS_SKIP, stage);
	if (element_named(stage, "$limit"))
		return read_number(a, ROWS_LIMIT, stage);
	if (element_named(stage, "$project"))
		return read_project(a, stage);
	return refuse_asking(a, stage->name);
}
