#include "policy/decide.h"
#include "query/match.h"

/* A value on its way in, at a place of the tree. */
struct placed {
	const struct placed *above; /* the document that it is in; NULL: none */
	const struct view_node *node;
	bool at; /* at the node itself; else below what the policy names */
	struct bytes name;
	unsigned depth;
};

/* For errors only. */
static struct bytes path_of(struct deciding *d, const struct placed *place)
{
	return place->above ? path_join(d->arena, path_of(d, place->above), place->name)
			    : place->name;
}

static bool refuse_value(struct deciding *d, enum fault_code code, const struct placed *place)
{
	return fault_name(d->why, code, path_of(d, place));
}

static bool check_placed(
	struct deciding *d, const struct placed *place, const struct element *value);

/* A name that the policy knows must not stand twice: readers would differ about it. */
static bool check_names_once(struct deciding *d, const struct placed *place, struct bytes doc)
{
	const struct view_node *node = place->node, *first = NULL;
	uint64_t few = 0, *seen = &few;
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	if (!place->at || !node->nchildren)
		return true;
	if (node->nchildren > 64)
		seen = arena_array(d->arena, (node->nchildren + 63u) / 64, sizeof(*seen));
	while (doc_next(&it, &e)) {
		const struct view_node *child = view_node_child(node, e.name);
		size_t i = child ? (size_t)(child - node->children) : 0;

		if (!child)
			continue;
		if (seen[i / 64] >> i % 64 & 1 && (!first || child < first))
			first = child;
		seen[i / 64] |= UINT64_C(1) << i % 64;
	}
	return !first || fault_name(d->why, FAULT_FIELD_TWICE,
				 path_join(d->arena, path_of(d, place), first->name));
}

static bool check_fields(struct deciding *d, const struct placed *place, struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	if (!check_names_once(d, place, doc))
		return false;
	while (doc_next(&it, &e)) {
		const struct view_node *child =
			place->at ? view_node_child(place->node, e.name) : NULL;
		struct placed inner = {
			.above = place,
			.node = child ? child : place->node,
			.at = child != NULL,
			.name = e.name,
			.depth = place->depth + 1,
		};

		if (!check_placed(d, &inner, &e))
			return false;
	}
	return true;
}

/* The elements of an array stand where the array does. */
static bool check_items(struct deciding *d, const struct placed *place, struct bytes array)
{
	struct doc_iter it = doc_iter_of(array);
	struct element e;

	while (doc_next(&it, &e))
		if (!check_placed(d, place, &e))
			return false;
	return true;
}

static bool check_placed(
	struct deciding *d, const struct placed *place, const struct element *value)
{
	const struct view_node *node = place->node;
	bool is_id = place->depth == 1 && bytes_equal_str(place->name, "_id");

	if (place->at && node->type && value->type != node->type)
		return refuse_value(d,
			node->field == NO_FIELD ? FAULT_WRONG_TYPE : FAULT_ENCRYPTED_TYPE, place);
	if (value->type == TYPE_DOCUMENT && !doc_is_empty(value->value) && !is_id)
		return check_fields(d, place, value->value);
	if (value->type == TYPE_ARRAY && !doc_is_empty(value->value))
		return check_items(d, place, value->value);
	/* A new document brings its _id whoever makes it. */
	return node->writable || is_id || refuse_value(d, FAULT_NOT_WRITABLE, place);
}

bool check_new_value(
	struct deciding *d, const struct view_node *node, bool at, const struct element *value)
{
	const struct placed place = {.node = node, .at = at, .name = value->name, .depth = 2};

	return check_placed(d, &place, value);
}

bool check_new_document(struct deciding *d, struct bytes doc)
{
	const struct placed place = {.node = &d->view->root, .at = true};
	struct element own;

	if (doc_find(doc, "__mw", &own))
		return fault_name(d->why, FAULT_RESERVED, own.name);
	if (!check_fields(d, &place, doc))
		return false;
	if (d->rows.len && !match_document(d->rows, doc))
		return fault_name(d->why, FAULT_UNAUTHORIZED, d->plan->ns);
	return true;
}
