#include "policy/barrier.h"
#include "policy/decide.h"

/* A stage that writes where a field is hidden from the role would show by the place of what
 * it writes, or by how often it writes it into an array, that something is there.  What is
 * hidden is taken away in front of the stage: {$unset: [name, …]}. */

static bool node_is_gone(const struct view_node *node, bool below)
{
	if (node->clearance != CLEAR_REMOVE)
		return false;
	for (size_t i = 0; below && i < node->nchildren; i++)
		if (!node_is_gone(&node->children[i], true))
			return false;
	return true;
}

/* Whether nothing of the path's first component is shown: then that is what goes away.
 * Deeper down servers differ in what they do to arrays on the way. */
bool can_uncover(const struct secure_view *view, struct bytes path, struct bytes *hidden)
{
	const struct view_node *node;
	struct bytes rest = path;
	bool at;

	if (!path_next(&rest, hidden))
		return false;
	node = view_node_of(&view->root, *hidden, &at);
	return node_is_gone(node, at);
}

/* In a policy of default deny every new name is one. */
#define HIDDEN_MAX 200

struct hidden {
	struct bytes paths[HIDDEN_MAX];
	size_t count;
};

static bool add_hidden(struct deciding *d, struct hidden *list, const struct use *u)
{
	struct bytes path;

	if (u->kind != USE_COVER || !can_uncover(d->view, u->path, &path))
		return true;
	for (size_t i = 0; i < list->count; i++)
		if (bytes_equal(list->paths[i], path))
			return true;
	if (list->count == HIDDEN_MAX)
		return fault_set(
			d->why, FAULT_TOO_COMPLEX, "over %d new fields in one stage", HIDDEN_MAX);
	list->paths[list->count++] = path;
	return true;
}

static void hide_before(struct deciding *d, struct bytes stage, const struct hidden *list)
{
	struct stages stages;
	struct buf built;
	size_t begun, names;

	if (!list->count)
		return;
	buf_init(&built, DOC_SLACK_LEN);
	stages = (struct stages){.out = &built};
	begun = stage_begin(&stages);
	names = doc_put_array(&built, NAME("$unset"));
	for (size_t i = 0; i < list->count; i++)
		doc_put_string(&built, bytes_str(arena_format(d->arena, "%zu", i)), list->paths[i]);
	doc_end(&built, names);
	doc_end(&built, begun);
	plan_edit(d, EDIT_BEFORE, stage.at)->put = plan_bytes(d, &built);
}

bool uncover(struct deciding *d, const struct analysis *a)
{
	size_t i = 0;

	while (!d->view->transparent && i < a->count) {
		struct bytes stage = a->uses[i].stage;
		struct hidden list = {.count = 0};

		for (; i < a->count && a->uses[i].stage.at == stage.at; i++)
			if (!add_hidden(d, &list, &a->uses[i]))
				return false;
		hide_before(d, stage, &list);
	}
	return true;
}
