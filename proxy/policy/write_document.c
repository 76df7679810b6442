#include "policy/decide.h"
#include "query/match.h"

/* A value on its way in, at a place of the tree. */
struct placed {
	const struct view_node *node;
	bool at; /* at the node itself; else below what the policy names */
	struct bytes path;
	unsigned depth;
};

static bool refuse_value(struct deciding *d, enum fault_code code, struct bytes path)
{
	return fault_name(d->why, code, path);
}

static bool check_placed(
	struct deciding *d, const struct placed *place, const struct element *value);

/* A name that the policy knows must not stand twice: readers would differ about it. */
static bool check_once(struct deciding *d, const struct placed *place, const struct view_node *node,
	struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;
	size_t n = 0;

	while (doc_next(&it, &e))
		n += bytes_equal(e.name, node->name);
	return n <= 1 ||
	       refuse_value(d, FAULT_FIELD_TWICE, path_join(d->arena, place->path, node->name));
}

static bool check_names_once(struct deciding *d, const struct placed *place, struct bytes doc)
{
	for (size_t i = 0; place->at && i < place->node->nchildren; i++)
		if (!check_once(d, place, &place->node->children[i], doc))
			return false;
	return true;
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
			.node = child ? child : place->node,
			.at = child != NULL,
			.path = place->path.len ? path_join(d->arena, place->path, e.name) : e.name,
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
	bool is_id = place->depth == 1 && bytes_equal_str(place->path, "_id");

	if (place->at && node->type && value->type != node->type)
		return refuse_value(d,
			node->field == NO_FIELD ? FAULT_WRONG_TYPE : FAULT_ENCRYPTED_TYPE,
			place->path);
	if (value->type == TYPE_DOCUMENT && !doc_is_empty(value->value) && !is_id)
		return check_fields(d, place, value->value);
	if (value->type == TYPE_ARRAY && !doc_is_empty(value->value))
		return check_items(d, place, value->value);
	/* A new document brings its _id whoever makes it. */
	return node->writable || is_id || refuse_value(d, FAULT_NOT_WRITABLE, place->path);
}

bool check_new_value(
	struct deciding *d, const struct view_node *node, bool at, const struct element *value)
{
	const struct placed place = {.node = node, .at = at, .path = value->name, .depth = 2};

	return check_placed(d, &place, value);
}

bool check_new_document(struct deciding *d, struct bytes doc)
{
	const struct placed place = {.node = &d->view->root, .at = true};
	struct element own;

	if (doc_find(doc, "__mw", &own))
		return refuse_value(d, FAULT_RESERVED, own.name);
	if (!check_fields(d, &place, doc))
		return false;
	if (d->rows.len && !match_document(d->rows, doc))
		return refuse_value(d, FAULT_UNAUTHORIZED, d->plan->ns);
	return true;
}
