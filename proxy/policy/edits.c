#include "policy/decide.h"

#include "query/match.h"
#include "util/buf.h"

struct edit *plan_add_edit(struct plan *plan, enum edit_kind kind, const uint8_t *at)
{
	struct edit *edit;

	if (plan->nedits == plan->edits_capacity) {
		size_t capacity = plan->edits_capacity ? plan->edits_capacity * 2 : 8;
		struct edit *fresh = arena_array(plan->arena, capacity, sizeof(*fresh));

		if (plan->nedits)
			memcpy(fresh, plan->edits, plan->nedits * sizeof(*fresh));
		plan->edits = fresh;
		plan->edits_capacity = capacity;
	}
	edit = &plan->edits[plan->nedits++];
	*edit = (struct edit){.at = at, .kind = kind, .field = NO_FIELD};
	return edit;
}

struct edit *plan_edit(struct deciding *d, enum edit_kind kind, const uint8_t *at)
{
	return plan_add_edit(d->plan, kind, at);
}

const struct collection *deciding_collection(const struct deciding *d)
{
	if (d->virtual)
		return d->virtual->from;
	return d->view ? d->view->collection : NULL;
}

struct bytes plan_bytes(struct deciding *d, struct buf *built)
{
	struct bytes copy = arena_copy(d->arena, buf_bytes(built));

	buf_fini(built);
	return copy;
}

bool body_field_is(struct deciding *d, const struct element **e, uint8_t type)
{
	/* Left out, so that what an edit adds under this name stands alone. */
	if ((*e)->type == TYPE_NULL) {
		plan_edit(d, EDIT_DROP, (*e)->whole.at);
		*e = NULL;
	}
	return !*e || (*e)->type == type || fault_name(d->why, FAULT_WRONG_TYPE, (*e)->name);
}

bool seal_literals(
	struct plan *plan, const struct collection *c, struct bytes filter, struct fault *why)
{
	struct analysis a;

	analysis_init(&a, plan->arena);
	if (!analyse_filter(&a, filter, bytes_of("", 0), "rows", why))
		return false;
	for (size_t i = 0; i < a.count; i++) {
		const struct use *u = &a.uses[i];
		const struct view_node *node;
		struct edit *edit;
		bool at;

		node = view_node_of(&c->tree, u->path, &at);
		if (!at || node->field == NO_FIELD || u->kind == USE_EXISTS ||
			match_is_guard(&u->element))
			continue;
		if (u->kind != USE_EQUAL && u->kind != USE_IN)
			return fault_name(why, FAULT_UNAUTHORIZED, plan->ns);
		edit = plan_add_edit(
			plan, u->kind == USE_IN ? EDIT_SEAL_IN : EDIT_SEAL, u->literal.whole.at);
		edit->field = node->field;
	}
	return true;
}

/* The row filter as bytes whose own literals under encrypted paths are sealed, too. */
bool seal_row_literals(struct deciding *d, struct bytes rows)
{
	const struct collection *c = deciding_collection(d);

	return !c || seal_literals(d->plan, c, rows, d->why);
}

bool wrap_filter(
	struct deciding *d, struct bytes holder, const struct element *filter, const char *name)
{
	struct edit *edit;
	struct buf built;

	if (!d->rows.len)
		return true;
	if (filter) {
		bool sealed = d->rows_sealed;

		edit = plan_edit(d, EDIT_WRAP, filter->whole.at);
		edit->put = d->rows;
		d->rows_sealed = true;
		return sealed || seal_row_literals(d, d->rows);
	}
	buf_init(&built, DOC_MAX_LEN);
	doc_put_value(&built, TYPE_DOCUMENT, bytes_str(name), d->rows);
	edit = plan_edit(d, EDIT_APPEND, holder.at);
	edit->put = plan_bytes(d, &built);
	/* The copy is what is sent: its literals are sealed there. */
	return seal_row_literals(d, bytes_from(edit->put, strlen(name) + 2));
}

static bool is_simple(const struct element *collation)
{
	struct element locale;

	return collation->type == TYPE_DOCUMENT && doc_count(collation->value) == 1 &&
	       doc_find(collation->value, "locale", &locale) && locale.type == TYPE_STRING &&
	       bytes_equal_str(element_string(&locale), "simple");
}

/* Equality that chooses rows, breaks the glass or counts who is alike is meant as it is
 * written. */
static bool needs_simple_collation(const struct deciding *d)
{
	return d->rows.len || d->plan->glass || d->by_bytes ||
	       (d->grant && d->grant->statistics.min_group);
}

bool check_collation(struct deciding *d, struct bytes holder, const struct element *collation)
{
	struct edit *edit;
	struct buf built;
	size_t begun;

	if (!needs_simple_collation(d))
		return true;
	if (collation)
		return is_simple(collation) || fault_name(d->why, FAULT_COLLATION, collation->name);
	/* The collection may have a collation of its own, under which more rows would fit. */
	buf_init(&built, 256);
	begun = doc_put_document(&built, NAME("collation"));
	doc_put_string(&built, NAME("locale"), NAME("simple"));
	doc_end(&built, begun);
	edit = plan_edit(d, EDIT_APPEND, holder.at);
	edit->put = plan_bytes(d, &built);
	return true;
}
