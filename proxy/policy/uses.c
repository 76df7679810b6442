#include "policy/decide.h"

static bool refuse_use(struct deciding *d, const struct use *u, enum fault_code code)
{
	return fault_name(d->why, code, u->sent);
}

bool node_has_class(const struct view_node *node, class_set set, bool below)
{
	if (node->class != NO_CLASS && set & (class_set)1 << node->class)
		return true;
	for (size_t i = 0; below && i < node->nchildren; i++)
		if (node_has_class(&node->children[i], set, true))
			return true;
	return false;
}

static class_set classes_of(const struct view_node *node, bool below)
{
	class_set set = node->class == NO_CLASS ? 0 : (class_set)1 << node->class;

	for (size_t i = 0; below && i < node->nchildren; i++)
		set |= classes_of(&node->children[i], true);
	return set;
}

bool is_accountable(const struct deciding *d)
{
	return d->view && d->view->collection && d->view->collection->accountable;
}

/* Names a patient, or could: a part of the subject, or a value that is encrypted. */
static bool is_identifying(const struct deciding *d, struct bytes path)
{
	const struct collection *c = d->view->collection;

	for (size_t i = 0; i < c->nsubject_paths; i++)
		if (path_relation(c->subject_paths[i], path) != PATH_DISJOINT)
			return true;
	for (size_t i = 0; i < c->nfields; i++)
		if (c->fields[i].encrypted != NO_FIELD &&
			path_relation(c->fields[i].path, path) != PATH_DISJOINT)
			return true;
	return false;
}

/* Values that a group hands out, with nobody's name on them. */
static bool check_accountable(
	struct deciding *d, const struct use *u, const struct view_node *node, bool at)
{
	bool key = u->kind == USE_GROUP;
	bool collects = u->kind == USE_COLLECT ||
			(u->kind == USE_COMPUTE && strcmp(u->place, "$group") == 0);

	if (!is_accountable(d) || (!key && !collects))
		return true;
	if (is_identifying(d, u->path))
		return refuse_use(d, u, FAULT_NAMES_SUBJECTS);
	if (collects && node_has_class(node, d->view->collection->accountable, at))
		return refuse_use(d, u, FAULT_NAMES_SUBJECTS);
	return true;
}

static bool is_plaintext(const struct view_node *node, bool at)
{
	return at ? node->all_plaintext : node->clearance == CLEAR_PLAINTEXT;
}

static bool check_readable(
	struct deciding *d, const struct use *u, const struct view_node *node, bool at)
{
	struct bytes hidden;

	/* What is masked is one value: whether it has parts is hidden as well. */
	if (u->kind == USE_SHOW || u->kind == USE_HIDE)
		return at || node->clearance != CLEAR_MASK || refuse_use(d, u, FAULT_NOT_READABLE);
	/* A document or a list may be there for what is hidden in it alone. */
	if (u->kind == USE_EXISTS)
		return node->clearance == CLEAR_PLAINTEXT || refuse_use(d, u, FAULT_NOT_READABLE);
	if (is_plaintext(node, at) ||
		(u->kind == USE_COVER && can_uncover(d->view, u->path, &hidden)))
		return true;
	return refuse_use(d, u, FAULT_NOT_READABLE);
}

static bool check_literal_type(struct deciding *d, const struct use *u,
	const struct encrypted_field *field, const struct element *literal)
{
	return literal->type == field->type || refuse_use(d, u, FAULT_ENCRYPTED_TYPE);
}

static bool seal_literal(struct deciding *d, const struct use *u, int16_t number)
{
	const struct encrypted_field *field = &d->policy->encrypted[number];
	struct doc_iter it;
	struct element e;
	struct edit *edit;

	if (u->kind == USE_EQUAL && !check_literal_type(d, u, field, &u->literal))
		return false;
	it = doc_iter_of(u->literal.value);
	while (u->kind == USE_IN && doc_next(&it, &e))
		if (!check_literal_type(d, u, field, &e))
			return false;
	edit = plan_edit(d, u->kind == USE_IN ? EDIT_SEAL_IN : EDIT_SEAL, u->literal.whole.at);
	edit->field = number;
	return true;
}

static bool is_deterministic(const struct deciding *d, int16_t number)
{
	return d->policy->encrypted[number].deterministic;
}

/* What ciphertext can serve. */
bool check_ciphertext_serves(
	struct deciding *d, const struct use *u, const struct view_node *node, bool at)
{
	bool own = at && node->field != NO_FIELD;
	enum fault_code code =
		own && !is_deterministic(d, node->field) ? FAULT_ENCRYPTED_RANDOM : FAULT_ENCRYPTED;

	if (!(at ? node->any_encrypted : node->field != NO_FIELD))
		return true;
	switch (u->kind) {
	case USE_SHOW:
	case USE_HIDE:
	case USE_EXISTS:
	case USE_UNWIND:
	case USE_COVER:
	case USE_HINT:
	case USE_MOVE:
	case USE_COLLECT:
		return at || refuse_use(d, u, code);
	case USE_EQUAL:
	case USE_IN:
		if (own && code == FAULT_ENCRYPTED)
			return seal_literal(d, u, node->field);
		return refuse_use(d, u, code);
	case USE_GROUP:
		return (own && code == FAULT_ENCRYPTED) || refuse_use(d, u, code);
	case USE_COMPARE:
	case USE_SORT:
	case USE_COMPUTE:
	case USE_AVERAGE:
	case USE_SET:
	case USE_SET_NEW:
	case USE_UNSET:
	case USE_MODIFY:
	case USE_RENAME:
		break;
	}
	return refuse_use(d, u, code);
}

static bool shows_value(const struct use *u)
{
	switch (u->kind) {
	case USE_MOVE:
	case USE_GROUP:
	case USE_COLLECT:
	case USE_AVERAGE:
		return true;
	case USE_COMPUTE:
		return strcmp(u->place, "$expr") != 0;
	case USE_EQUAL:
	case USE_IN:
	case USE_EXISTS:
	case USE_COMPARE:
	case USE_SORT:
	case USE_UNWIND:
	case USE_COVER:
	case USE_HINT:
	case USE_SHOW:
	case USE_HIDE:
	case USE_SET:
	case USE_SET_NEW:
	case USE_UNSET:
	case USE_MODIFY:
	case USE_RENAME:
		break;
	}
	return false;
}

static bool is_normalized(const struct collection *c, struct bytes path)
{
	for (size_t i = 0; i < c->nsubjects; i++)
		for (size_t k = 0; k < c->subjects[i].nparts; k++)
			if (c->subjects[i].normalized &&
				bytes_equal(c->subject_paths[c->subjects[i].parts[k]], path))
				return true;
	return false;
}

static void note_searched(struct deciding *d, const struct use *u)
{
	struct plan *plan = d->plan;
	struct searched *list;

	if (u->kind != USE_EQUAL && u->kind != USE_IN)
		return;
	if (!d->view->collection || !is_identifying(d, u->path))
		return;
	list = arena_array(d->arena, plan->nsearched + 1, sizeof(*list));
	if (plan->nsearched)
		memcpy(list, plan->searched, plan->nsearched * sizeof(*list));
	list[plan->nsearched++] = (struct searched){
		.path = u->path,
		.literal = u->literal,
		.many = u->kind == USE_IN,
		.normalized = is_normalized(d->view->collection, u->path),
	};
	plan->searched = list;
}

static bool is_write(enum use_kind kind)
{
	return kind >= USE_SET;
}

static bool check_use(struct deciding *d, const struct use *u)
{
	const struct view_node *node;
	bool at;

	if (path_is_reserved(u->path))
		return refuse_use(d, u, FAULT_RESERVED);
	if (is_write(u->kind))
		return true;
	node = view_node_of(&d->view->root, u->path, &at);
	if (!d->view->transparent) {
		if (!check_readable(d, u, node, at) || !check_ciphertext_serves(d, u, node, at) ||
			!check_accountable(d, u, node, at))
			return false;
		/* The whole document holds what the proxy itself stores. */
		if (!u->path.len && u->kind == USE_COMPUTE)
			return refuse_use(d, u, FAULT_NOT_PROVEN);
	}
	if (shows_value(u))
		d->plan->reply.shown |= classes_of(node, at);
	note_searched(d, u);
	return true;
}

bool check_uses(struct deciding *d, const struct analysis *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (!check_use(d, &a->uses[i]))
			return false;
	return true;
}

bool check_taken_apart(struct deciding *d, const struct analysis *a)
{
	return !a->unproven.len || d->view->transparent ||
	       fault_name(d->why, FAULT_NOT_PROVEN, a->unproven);
}

bool check_proven(struct deciding *d, const struct analysis *a)
{
	if (!check_taken_apart(d, a))
		return false;
	/* The row filter and a predicate that raises may run in either order. */
	return !(a->raises && d->rows.len) || fault_name(d->why, FAULT_RAISES, bytes_str("$expr"));
}
