#include "policy/decide.h"
#include "query/match.h"

/* One update on its way through the checks. */
struct updating {
	struct deciding *d;
	const struct update_item *item;
	const struct analysis *update;
	const struct analysis *filter;
	struct subject_literals *literals;
	bool changes_subject;
};

static bool refuse_use(struct deciding *d, const struct use *u, enum fault_code code)
{
	return fault_name(d->why, code, u->sent);
}

struct row_check {
	struct bytes path;
	bool touched;
};

static void touch_row(void *context, struct bytes row_path)
{
	struct row_check *check = context;

	check->touched |= path_relation(row_path, check->path) != PATH_DISJOINT;
}

/* A document must stay among the rows that it was found in. */
static bool keeps_row(struct deciding *d, const struct use *u)
{
	struct row_check check = {.path = u->path};

	if (d->rows.len)
		match_each_path(d->rows, touch_row, &check);
	return !check.touched || refuse_use(d, u, FAULT_NOT_WRITABLE);
}

/* Whether a value changed can be told from nModified, an error, or the result. */
static bool check_reads(
	struct deciding *d, const struct use *u, const struct view_node *node, bool at)
{
	if (u->kind == USE_SET_NEW)
		return true;
	if (at ? node->all_plaintext : node->clearance == CLEAR_PLAINTEXT)
		return true;
	return refuse_use(d, u, FAULT_NOT_READABLE);
}

static bool check_encrypted(
	struct deciding *d, const struct use *u, const struct view_node *node, bool at)
{
	struct edit *edit;

	if (!(at ? node->any_encrypted : node->field != NO_FIELD) || u->kind == USE_UNSET)
		return at || node->field == NO_FIELD || refuse_use(d, u, FAULT_ENCRYPTED);
	if (!at || (u->kind != USE_SET && u->kind != USE_SET_NEW))
		return refuse_use(d, u, FAULT_ENCRYPTED);
	if (node->field != NO_FIELD) {
		edit = plan_edit(d, EDIT_SEAL, u->literal.whole.at);
		edit->field = node->field;
		return true;
	}
	edit = plan_edit(d, EDIT_WRITE_BELOW, u->literal.whole.at);
	edit->node = node;
	return true;
}

static bool check_write(struct updating *w, const struct use *u)
{
	struct deciding *d = w->d;
	const struct view_node *node;
	bool at;

	if (bytes_equal_str(u->path, "_id") && !d->view->transparent)
		return refuse_use(d, u, FAULT_NOT_WRITABLE);
	node = view_node_of(&d->view->root, u->path, &at);
	if (!(at ? node->all_writable : node->writable))
		return refuse_use(d, u, FAULT_NOT_WRITABLE);
	if (!keeps_row(d, u) || !check_reads(d, u, node, at))
		return false;
	/* A value that is renamed could end up in a class that more people read. */
	if (u->kind == USE_RENAME && !d->view->transparent)
		return refuse_use(d, u, FAULT_OPERATOR);
	if (u->kind == USE_SET || u->kind == USE_SET_NEW) {
		if (!check_new_value(d, node, at, &u->literal))
			return false;
	} else if (u->kind == USE_MODIFY && at && node->type == TYPE_STRING) {
		return refuse_use(d, u, FAULT_WRONG_TYPE);
	}
	return check_encrypted(d, u, node, at);
}

/* The part that a document, set as a whole, brings along. */
static void part_within(
	struct deciding *d, const struct use *u, struct bytes path, struct element *part)
{
	const char *below = arena_text(d->arena, bytes_from(path, u->path.len + 1));

	if (!doc_find_path(u->literal.value, below, part))
		part->type = 0;
}

/* Literals of the subject's parts, and whether the update changes any. */
static void note_parts(struct updating *w, const struct use *u)
{
	const struct collection *c = w->d->view->collection;

	for (size_t i = 0; i < c->nsubject_paths; i++) {
		enum path_relation r = path_relation(c->subject_paths[i], u->path);

		if (r == PATH_DISJOINT)
			continue;
		if (u->kind == USE_EQUAL) {
			if (r == PATH_SAME)
				w->literals->parts[i] = u->literal;
			continue;
		}
		if (u->kind < USE_SET)
			continue;
		w->changes_subject = true;
		w->literals->parts[i].type = 0;
		if (u->kind != USE_SET && u->kind != USE_SET_NEW)
			continue;
		if (r == PATH_SAME)
			w->literals->parts[i] = u->literal;
		else if (r == PATH_BELOW && u->literal.type == TYPE_DOCUMENT)
			part_within(w->d, u, c->subject_paths[i], &w->literals->parts[i]);
	}
}

static bool line_is_complete(const struct updating *w, const struct subject_line *line)
{
	for (size_t i = 0; i < line->nparts; i++)
		if (!w->literals->parts[line->parts[i]].type)
			return false;
	return true;
}

/* A part that changes without the others would make another patient of the document. */
static bool check_subject_change(struct updating *w)
{
	const struct collection *c = w->d->view->collection;

	for (size_t i = 0; i < w->update->count; i++) {
		const struct use *u = &w->update->uses[i];

		if (u->kind < USE_SET)
			continue;
		for (size_t k = 0; k < c->nsubjects; k++) {
			const struct subject_line *line = &c->subjects[k];

			for (size_t p = 0; line->nparts > 1 && p < line->nparts; p++)
				if (path_relation(c->subject_paths[line->parts[p]], u->path) !=
						PATH_DISJOINT &&
					!line_is_complete(w, line))
					return refuse_use(w->d, u, FAULT_SUBJECT_PART);
		}
	}
	return true;
}

/* The document of an operator, if the update has it. */
static const uint8_t *operator_at(const struct updating *w, const char *name)
{
	struct element e;

	return doc_find(w->item->update->value, name, &e) ? e.value.at : NULL;
}

static void forget_subject(struct updating *w)
{
	const uint8_t *unset = operator_at(w, "$unset");
	struct edit *edit;
	struct buf built;
	size_t begun = 0;

	buf_init(&built, 256);
	if (!unset)
		begun = doc_put_document(&built, NAME("$unset"));
	doc_put_string(&built, NAME("__mw.s"), NAME(""));
	doc_put_string(&built, NAME("__mw.rk"), NAME(""));
	doc_put_string(&built, NAME("__mw.p"), NAME(""));
	if (!unset)
		doc_end(&built, begun);
	edit = plan_edit(w->d, EDIT_APPEND, unset ? unset : w->item->update->value.at);
	edit->put = plan_bytes(w->d, &built);
}

/* Keeps what the proxy stores beside the document in step with it. */
static void keep_own_fields(struct updating *w)
{
	const struct collection *c = w->d->view->collection;
	const uint8_t *set = operator_at(w, "$set"), *fresh = operator_at(w, "$setOnInsert");
	struct edit *edit;

	if (!c || !c->stores_own)
		return;
	if (c->nsubjects && (w->changes_subject || w->item->upsert)) {
		if (line_is_complete(w, &c->subjects[0])) {
			edit = plan_edit(w->d, set ? EDIT_SUBJECT : EDIT_SUBJECT_OP,
				set ? set : w->item->update->value.at);
			edit->literals = w->literals;
			edit->collection = c;
		} else if (w->changes_subject) {
			forget_subject(w);
		}
	}
	if (w->item->upsert)
		plan_edit(w->d, fresh ? EDIT_ORDER : EDIT_ORDER_OP,
			fresh ? fresh : w->item->update->value.at);
}

/* What an upsert copies from its filter into a new document. */
static bool check_upsert(struct updating *w)
{
	struct deciding *d = w->d;

	if (d->rows.len)
		return fault_name(d->why, FAULT_UPSERT, bytes_str("upsert"));
	for (size_t i = 0; i < w->filter->count; i++) {
		const struct use *u = &w->filter->uses[i];
		const struct view_node *node;
		bool at;

		if (bytes_equal_str(u->path, "_id"))
			continue;
		/* A server may take a list of one for an equality, and copy its value. */
		if (u->kind == USE_IN && doc_count(u->literal.value) == 1 && !d->view->transparent)
			return fault_name(d->why, FAULT_UPSERT, u->sent);
		if (u->kind != USE_EQUAL)
			continue;
		node = view_node_of(&d->view->root, u->path, &at);
		if (!(at ? node->all_writable : node->writable))
			return refuse_use(d, u, FAULT_NOT_WRITABLE);
		if (!check_new_value(d, node, at, &u->literal))
			return false;
	}
	return true;
}

static bool check_operators(struct updating *w)
{
	struct deciding *d = w->d;
	const struct collection *c = d->view->collection;

	w->literals = arena_alloc(d->arena, sizeof(*w->literals));
	for (size_t i = 0; i < w->update->count; i++)
		if (w->update->uses[i].kind >= USE_SET && !check_write(w, &w->update->uses[i]))
			return false;
	if (w->item->upsert && !check_upsert(w))
		return false;
	for (size_t i = 0; c && w->item->upsert && i < w->filter->count; i++)
		note_parts(w, &w->filter->uses[i]);
	for (size_t i = 0; c && i < w->update->count; i++)
		note_parts(w, &w->update->uses[i]);
	if (c && !check_subject_change(w))
		return false;
	keep_own_fields(w);
	return true;
}

/* A replacement takes away what the role may not even see. */
static bool check_replacement(struct updating *w)
{
	struct deciding *d = w->d;
	struct edit *edit;

	if (!d->view->full || !d->view->writes_all)
		return fault_name(d->why, FAULT_REPLACEMENT, w->item->update->name);
	if (w->item->upsert && !check_upsert(w))
		return false;
	if (!check_new_document(d, w->item->update->value))
		return false;
	edit = plan_edit(d, EDIT_REPLACE, w->item->update->whole.at);
	edit->collection = d->view->collection;
	return true;
}

bool check_update_item(struct deciding *d, const struct update_item *item, struct analysis *filter)
{
	struct updating w = {.d = d, .item = item, .filter = filter};
	struct analysis update;
	bool replaces;

	analysis_init(&update, d->arena);
	w.update = &update;
	if (item->filter &&
		!analyse_filter(filter, item->filter->value, bytes_of("", 0), "filter", d->why))
		return false;
	if (item->sort && !analyse_sort(filter, item->sort->value, "sort", d->why))
		return false;
	if (!check_hint(d, filter, item->hint) || !check_proven(d, filter) ||
		!check_uses(d, filter))
		return false;
	if (!analyse_update(&update, item->update, item->array_filters, &replaces, d->why) ||
		!check_proven(d, &update) || !check_uses(d, &update))
		return false;
	if (!(replaces ? check_replacement : check_operators)(&w))
		return false;
	return wrap_filter(d, item->holder, item->filter, item->filter_name) &&
	       check_collation(d, item->holder, item->collation);
}
