#include "query/path.h"
#include "transform/inside.h"

/* What a server says of how it would carry a command out: the stages of the plan and the
 * indexes that they use.  Values of the query, bounds of indexes, other plans, hosts and
 * parameters stay here. */

enum explained { EXPLAINED_COPY, EXPLAINED_INSIDE, EXPLAINED_LIST };
static const struct {
	struct bytes name;
	enum explained treatment;
} known[] = {
#define EXPLAINED(name, treatment) {BYTES_LITERAL(name), EXPLAINED_##treatment},
#include "transform/explained.def"
#undef EXPLAINED
};

struct explaining {
	const struct reply_context *x;
	struct buf *out;
};

static void put_inside(struct explaining *e, struct bytes doc);

/* An index over what the role does not see is not spoken of. */
static bool shows_index(const struct explaining *x, struct bytes doc)
{
	const struct secure_view *secure = x->x->rules->secure;
	struct element keys, key;
	struct doc_iter it;
	bool at;

	if (!doc_find(doc, "keyPattern", &keys) || keys.type != TYPE_DOCUMENT || !secure)
		return false;
	it = doc_iter_of(keys.value);
	while (doc_next(&it, &key)) {
		const struct view_node *node = view_node_of(&secure->root, key.name, &at);

		if (!(at ? node->all_plaintext : node->clearance == CLEAR_PLAINTEXT))
			return false;
	}
	return true;
}

/* A stage of a pipeline: its name, and of a cursor the plan. */
static void put_stage(struct explaining *x, const struct element *e)
{
	size_t begun = doc_put_document(x->out, e->name);

	if (element_named(e, "$cursor") && e->type == TYPE_DOCUMENT)
		put_inside(x, e->value);
	doc_end(x->out, begun);
}

static void put_list(struct explaining *x, const struct element *list)
{
	size_t begun = doc_put_array(x->out, list->name), inner;
	struct doc_iter it = doc_iter_of(list->value);
	struct element e;

	while (doc_next(&it, &e)) {
		if (e.type != TYPE_DOCUMENT)
			continue;
		inner = doc_put_document(x->out, e.name);
		put_inside(x, e.value);
		doc_end(x->out, inner);
	}
	doc_end(x->out, begun);
}

static void put_known(struct explaining *x, const struct element *e, bool index)
{
	size_t begun;

	for (size_t i = 0; i < COUNT_OF(known); i++) {
		if (!bytes_equal(known[i].name, e->name))
			continue;
		if (known[i].treatment == EXPLAINED_LIST && e->type == TYPE_ARRAY) {
			put_list(x, e);
		} else if (known[i].treatment == EXPLAINED_INSIDE && e->type == TYPE_DOCUMENT) {
			begun = doc_put_document(x->out, e->name);
			put_inside(x, e->value);
			doc_end(x->out, begun);
		} else if (known[i].treatment == EXPLAINED_COPY && !element_is_document(e)) {
			doc_put_element(x->out, e);
		}
	}
	if (index && (element_named(e, "keyPattern") || element_named(e, "indexName")))
		doc_put_element(x->out, e);
}

static void put_inside(struct explaining *x, struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	bool index = shows_index(x, doc);
	struct element e;

	while (doc_next(&it, &e)) {
		if (e.name.len && e.name.at[0] == '$')
			put_stage(x, &e);
		else
			put_known(x, &e, index);
	}
}

void put_explained(const struct reply_context *x, const struct element *e, struct buf *out)
{
	struct explaining explaining = {.x = x, .out = out};

	put_known(&explaining, e, false);
}
