#include "policy/decide.h"

/* Trees of replies: the view's own, or a copy that a projection or a pipeline has changed. */

static void copy_into(
	struct arena *arena, struct view_node *to, const struct view_node *from, struct bytes name)
{
	*to = *from;
	to->name = name;
	to->children = arena_array(arena, from->nchildren, sizeof(*to->children));
	for (size_t i = 0; i < from->nchildren; i++)
		copy_into(arena, &to->children[i], &from->children[i], from->children[i].name);
}

struct view_node *copy_tree(struct arena *arena, const struct view_node *root)
{
	struct view_node *copy = arena_alloc(arena, sizeof(*copy));

	copy_into(arena, copy, root, root->name);
	return copy;
}

static void keep_names(struct arena *arena, struct view_node *node)
{
	node->name = arena_copy(arena, node->name);
	for (size_t i = 0; i < node->nchildren; i++)
		keep_names(arena, &node->children[i]);
}

struct view_node *keep_tree(struct arena *arena, const struct view_node *root)
{
	struct view_node *copy = copy_tree(arena, root);

	keep_names(arena, copy);
	return copy;
}

static void hide_below(struct view_node *node)
{
	node->clearance = CLEAR_REMOVE;
	for (size_t i = 0; i < node->nchildren; i++)
		hide_below(&node->children[i]);
}

void mark_parts(struct view_node *node)
{
	node->any_part = node->part != NO_PART;
	for (size_t i = 0; i < node->nchildren; i++) {
		mark_parts(&node->children[i]);
		node->any_part |= node->children[i].any_part;
	}
}

/* The node of a path; what is missing on the way is as what stands above it, of which it has
 * been a part. */
static struct view_node *add_alike(struct arena *arena, struct view_node *root, struct bytes path)
{
	struct bytes name;

	while (path_next(&path, &name)) {
		bool known = view_node_child(root, name) != NULL;
		struct view_node *node = view_node_add(arena, root, name);

		if (!known) {
			node->clearance = root->clearance;
			node->mask = root->mask;
			node->class = root->class;
		}
		root = node;
	}
	return root;
}

void hide_path(struct arena *arena, struct view_node *root, struct bytes path)
{
	hide_below(add_alike(arena, root, path));
}

/* What a pipeline has put at `path`: the node of its origin, with all below. */
static void graft(struct arena *arena, struct view_node *root, const struct view_node *model,
	const struct shape_entry *entry)
{
	struct view_node *node = add_alike(arena, root, entry->path);
	struct bytes name = node->name;
	const struct view_node *from;
	bool at;

	if (entry->kind == SHAPE_GONE) {
		hide_below(node);
		return;
	}
	if (entry->kind == SHAPE_COMPUTED) {
		*node = (struct view_node){
			.name = name,
			.clearance = CLEAR_PLAINTEXT,
			.class = NO_CLASS,
			.field = NO_FIELD,
			.part = NO_PART,
		};
		return;
	}
	from = view_node_of(model, entry->origin, &at);
	if (at) {
		copy_into(arena, node, from, name);
		return;
	}
	/* Below what the policy names: as that is, but without its children. */
	*node = *from;
	node->name = name;
	node->children = NULL;
	node->nchildren = 0;
	node->field = NO_FIELD;
	node->part = NO_PART;
}

const struct view_node *reply_tree(struct deciding *d, const struct analysis *a)
{
	const struct view_node *model = &d->view->root;
	struct view_node *root;

	if (d->view->transparent || (a->shape.whole && !a->shape.count))
		return model;
	if (a->shape.whole) {
		root = copy_tree(d->arena, model);
	} else {
		root = arena_alloc(d->arena, sizeof(*root));
		*root = (struct view_node){.field = NO_FIELD, .part = NO_PART, .class = NO_CLASS};
	}
	for (size_t i = 0; i < a->shape.count; i++)
		graft(d->arena, root, model, &a->shape.entries[i]);
	/* Whatever a stage was called, what the proxy stores is nobody's. */
	hide_path(d->arena, root, bytes_str("__mw"));
	mark_parts(root);
	return root;
}
