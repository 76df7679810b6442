#include "policy/lint_inside.h"
#include "query/match.h"

/* ----------------------------------------------------------- unreachable grants */

static bool name_covers(struct bytes wide, struct bytes narrow)
{
	return bytes_equal_str(wide, "*") || bytes_equal(wide, narrow);
}

static bool has_purpose(const struct grant *g, struct bytes purpose)
{
	for (size_t i = 0; i < g->npurposes; i++)
		if (bytes_equal(g->purposes[i], purpose))
			return true;
	return false;
}

static bool purposes_cover(const struct grant *wide, const struct grant *narrow)
{
	if (!wide->npurposes)
		return true;
	for (size_t i = 0; i < narrow->npurposes; i++)
		if (!has_purpose(wide, narrow->purposes[i]))
			return false;
	return narrow->npurposes != 0;
}

/* Of two that are as wide as each other the first decides. */
static bool decides_instead(const struct policy *p, const struct grant *wide,
	const struct grant *narrow, struct bytes ns, bool before)
{
	const uint32_t writing = ACTION_INSERT | ACTION_UPDATE | ACTION_DELETE;

	return grant_is_wider(p, wide, narrow, ns, (narrow->actions & writing) != 0) &&
	       (before || !grant_is_wider(p, narrow, wide, ns, false));
}

static bool decides_instead_everywhere(
	const struct policy *p, const struct grant *wide, const struct grant *narrow, bool before)
{
	bool described = false;

	for (size_t i = 0; i < p->ncollections; i++) {
		const struct collection *c = &p->collections[i];

		if (!grant_covers(narrow, c->db, c->name))
			continue;
		described = true;
		if (!decides_instead(p, wide, narrow, c->ns, before))
			return false;
	}
	for (size_t i = 0; i < p->nviews; i++) {
		const struct virtual_view *v = &p->views[i];

		if (!grant_covers(narrow, v->db, v->name))
			continue;
		described = true;
		if (!decides_instead(p, wide, narrow, v->ns, before))
			return false;
	}
	if (described && !bytes_equal_str(narrow->collection, "*"))
		return true;
	/* No namespace is empty: it stands for all that the policy does not describe. */
	return decides_instead(p, wide, narrow, bytes_str(""), before);
}

/* Whenever `narrow` could decide, `wide` does: both are grants of one role, so that no
 * comment.role tells them apart. */
static bool hides(
	const struct policy *p, const struct grant *wide, const struct grant *narrow, bool before)
{
	return (wide->actions & narrow->actions) == narrow->actions &&
	       name_covers(wide->db, narrow->db) &&
	       name_covers(wide->collection, narrow->collection) && purposes_cover(wide, narrow) &&
	       decides_instead_everywhere(p, wide, narrow, before);
}

static void lint_unreachable(struct linting *l, const struct role *role)
{
	for (size_t i = 0; i < role->ngrants; i++) {
		const struct grant *narrow = &role->grants[i];
		size_t k = 0;

		while (k < role->ngrants &&
			(k == i || !hides(l->policy, &role->grants[k], narrow, k < i)))
			k++;
		if (k < role->ngrants)
			lint_add(l, LINT_UNREACHABLE_GRANT, narrow->at, "take one of the two out",
				"%.*s never decides: %.*s is at least as wide",
				BYTES_ARG(narrow->rule), BYTES_ARG(role->grants[k].rule));
	}
}

/* ----------------------------------------------------- rows that can be written */

struct row_path {
	struct linting *l;
	const struct role *role;
	const struct collection *collection;
	const struct grant *grant; /* whose rows they are; NULL: the view's */
	const struct virtual_view *view;
};

struct touching {
	struct bytes path;
	bool touched;
};

static void touch(void *context, struct bytes path)
{
	struct touching *t = context;

	t->touched |= path_relation(path, t->path) != PATH_DISJOINT;
}

/* A filter that names the path itself refuses every update of it. */
static bool is_held(const struct grant *g, struct bytes path)
{
	struct touching t = {.path = path};

	if (g->rows.len)
		match_each_path(g->rows, touch, &t);
	return t.touched;
}

static bool may_write(const struct policy *p, const struct grant *g, const struct collection *c,
	struct bytes path)
{
	const struct secure_view *v = g->views[c - p->collections];
	bool at;

	return v && g->actions & ACTION_UPDATE && view_node_of(&v->root, path, &at)->writable;
}

static void check_row_path(void *context, struct bytes path)
{
	struct row_path *r = context;
	const struct policy *p = r->l->policy;
	const struct grant *own = r->grant;
	struct bytes rows_of = own ? own->rule : r->view->ns;

	/* An insert needs the path, and may only set what the filter wants. */
	if (own && may_write(p, own, r->collection, path) && !(own->actions & ACTION_INSERT))
		lint_add(r->l, LINT_WRITABLE_ROW_PATH, own->at, "take it out of `change`",
			"%.*s may change '%.*s', by which its own rows are chosen: every such "
			"update is refused",
			BYTES_ARG(own->rule), BYTES_ARG(path));
	for (size_t i = 0; i < r->role->ngrants; i++) {
		const struct grant *other = &r->role->grants[i];

		if (other == own || !may_write(p, other, r->collection, path) ||
			is_held(other, path))
			continue;
		lint_add(r->l, LINT_WRITABLE_ROW_PATH, other->at,
			"take it out of `change`, or give it the same `rows`",
			"%.*s may change '%.*s', by which the rows of %.*s are chosen: whoever "
			"holds the role can move documents into them",
			BYTES_ARG(other->rule), BYTES_ARG(path), BYTES_ARG(rows_of));
	}
}

static bool reads_view(const struct role *role, const struct virtual_view *v)
{
	for (size_t i = 0; i < role->ngrants; i++)
		if (role->grants[i].actions & ACTION_READ &&
			grant_covers(&role->grants[i], v->db, v->name))
			return true;
	return false;
}

static void lint_rows(struct linting *l, const struct role *role)
{
	const struct policy *p = l->policy;

	for (size_t k = 0; k < role->ngrants; k++) {
		const struct grant *g = &role->grants[k];

		for (size_t i = 0; g->rows.len && i < p->ncollections; i++) {
			struct row_path r = {l, role, &p->collections[i], g, NULL};

			if (g->views[i])
				match_each_path(g->rows, check_row_path, &r);
		}
	}
	for (size_t i = 0; i < p->nviews; i++) {
		const struct virtual_view *v = &p->views[i];
		struct row_path r = {l, role, v->from, NULL, v};

		if (v->rows.len && reads_view(role, v))
			match_each_path(v->rows, check_row_path, &r);
	}
}

/* Not to be forgotten once it has been tried. */
static void lint_observed(struct linting *l, const struct role *role)
{
	for (size_t i = 0; i < role->nobserved; i++)
		lint_add(l, LINT_OBSERVED_GRANT, role->observed[i].at,
			"take `mode: observe` away once the records say that it fits",
			"%.*s is only observed: it is not enforced",
			BYTES_ARG(role->observed[i].rule));
}

void lint_grants(struct linting *l)
{
	for (size_t i = 0; i < l->policy->nroles; i++) {
		lint_observed(l, &l->policy->roles[i]);
		lint_unreachable(l, &l->policy->roles[i]);
		lint_rows(l, &l->policy->roles[i]);
	}
}
