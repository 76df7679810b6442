#include "policy/lint_inside.h"

static class_set bit_of(uint8_t class)
{
	return class == NO_CLASS ? 0 : (class_set)1 << class;
}

/* Classes of which something is shown, whatever the clearance. */
static class_set shown_below(const struct view_node *node)
{
	class_set set = node->clearance == CLEAR_REMOVE ? 0 : bit_of(node->class);

	for (size_t i = 0; i < node->nchildren; i++)
		set |= shown_below(&node->children[i]);
	return set;
}

static class_set shown_by_grant(const struct policy *p, const struct grant *g)
{
	class_set set = 0;

	if (!(g->actions & ACTION_READ))
		return 0;
	for (size_t i = 0; i < p->ncollections; i++)
		if (g->views[i])
			set |= shown_below(&g->views[i]->root);
	for (size_t i = 0; i < p->nviews; i++) {
		const struct virtual_view *v = &p->views[i];

		if (!grant_covers(g, v->db, v->name))
			continue;
		for (size_t k = 0; k < v->nfields; k++) {
			bool at;

			if (!v->fields[k].of_subject)
				set |= bit_of(view_node_of(&v->from->tree, v->fields[k].path, &at)
						      ->class);
		}
	}
	return set;
}

static class_set classes_with_fields(const struct policy *p)
{
	class_set set = 0;

	for (size_t i = 0; i < p->ncollections; i++) {
		set |= bit_of(p->collections[i].unlisted);
		for (size_t k = 0; k < p->collections[i].nfields; k++)
			set |= bit_of(p->collections[i].fields[k].class);
	}
	return set;
}

void lint_classes(struct linting *l)
{
	const struct policy *p = l->policy;
	class_set used = classes_with_fields(p), shown = 0;

	for (size_t i = 0; i < p->nroles; i++) {
		const struct break_glass *b = p->roles[i].break_glass;

		for (size_t k = 0; k < p->roles[i].ngrants; k++)
			shown |= shown_by_grant(p, &p->roles[i].grants[k]);
		for (size_t k = 0; b && k < b->ngrants; k++)
			shown |= shown_by_grant(p, &b->grants[k]);
	}
	for (size_t i = 0; i < p->nclasses; i++) {
		const struct class_facts *facts = &p->class_facts[i];
		/* These two are there by themselves; restricted is meant to be read by nobody. */
		bool own = i == p->restricted || i == p->technical;

		if (!facts->listed || i == p->restricted)
			continue;
		if (!(used & bit_of((uint8_t)i)) && !own)
			lint_add(l, LINT_EMPTY_CLASS, facts->at,
				"take it out, or give it to a field",
				"the class '%.*s' has no field", BYTES_ARG(p->classes[i]));
		else if (used & bit_of((uint8_t)i) && !(shown & bit_of((uint8_t)i)))
			lint_add(l, LINT_UNREAD_CLASS, facts->at,
				"name it in the `see` of a grant with `read`, or let it be",
				"nobody reads the class '%.*s'", BYTES_ARG(p->classes[i]));
	}
}
