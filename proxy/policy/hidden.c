#include "policy/loader.h"

#include "query/match.h"

/* What `protected` hides from a role, as one filter that leaves it out. */

static bool is_named(const struct protected_rows *line, struct bytes role)
{
	for (size_t i = 0; i < line->nonly; i++)
		if (bytes_equal(line->only[i], role))
			return true;
	return false;
}

/* Branches of a $nor on their way. */
struct hiding {
	struct buf *out;
	size_t n;
};

static size_t begin_branch(struct hiding *h)
{
	char index[DOC_INDEX_MAX];

	return doc_put_document(h->out, doc_index_name(h->n++, index));
}

/* An array on the way to a value, or in its place, could hold what `where` looks for
 * without being it: such a document is taken for a protected one. */
static void hide_arrays(void *context, struct bytes path)
{
	struct hiding *h = context;

	for (size_t len = 1; len <= path.len; len++) {
		size_t branch, value;

		if (len < path.len && path.at[len] != '.')
			continue;
		branch = begin_branch(h);
		value = doc_put_document(h->out, bytes_head(path, len));
		doc_put_int32(h->out, NAME("$type"), TYPE_ARRAY);
		doc_end(h->out, value);
		doc_end(h->out, branch);
	}
}

static void hide_line(struct hiding *h, const struct protected_rows *line)
{
	char index[DOC_INDEX_MAX];

	doc_put_value(h->out, TYPE_DOCUMENT, doc_index_name(h->n++, index), line->where);
	match_each_path(line->where, hide_arrays, h);
}

static void hide_from(struct loader *l, const struct role *role, const struct collection *c,
	struct hidden_rows *hidden)
{
	struct hiding h = {0};
	struct buf built;
	size_t begun, branches;

	buf_init(&built, DOC_MAX_LEN);
	h.out = &built;
	begun = doc_begin(&built);
	branches = doc_put_array(&built, NAME("$nor"));
	for (size_t i = 0; i < c->nprotected; i++) {
		if (is_named(&c->protected_rows[i], role->name))
			continue;
		hidden->lines |= 1u << i;
		hide_line(&h, &c->protected_rows[i]);
	}
	doc_end(&built, branches);
	doc_end(&built, begun);
	if (hidden->lines && built.failed)
		complain(l->complaints, c->at, NULL, "the protected rows are too many");
	else if (hidden->lines)
		hidden->filter = load_copy(l, buf_bytes(&built));
	buf_fini(&built);
}

static void check_roles(struct loader *l, const struct protected_rows *line)
{
	for (size_t i = 0; i < line->nonly; i++)
		if (!policy_role(l->policy, line->only[i]))
			complain(l->complaints, line->at, "name one of `roles:`",
				"there is no role '%.*s'", BYTES_ARG(line->only[i]));
}

void compile_hidden(struct loader *l)
{
	struct policy *p = l->policy;

	for (size_t i = 0; i < p->ncollections; i++)
		for (size_t k = 0; k < p->collections[i].nprotected; k++)
			check_roles(l, &p->collections[i].protected_rows[k]);
	for (size_t i = 0; i < p->nroles; i++) {
		struct role *role = &p->roles[i];

		role->hidden = arena_array(&p->arena, p->ncollections, sizeof(*role->hidden));
		for (size_t k = 0; k < p->ncollections; k++)
			if (p->collections[k].nprotected)
				hide_from(l, role, &p->collections[k], &role->hidden[k]);
	}
}
