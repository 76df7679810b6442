#include "policy/decide.h"

void policy_fill_lists(const struct policy *p, struct facts *facts, struct arena *arena)
{
	static const uint8_t nothing[] = {5, 0, 0, 0, 0};
	const struct relation_list **all = arena_array(arena, p->nrelations, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < p->nrelations; i++) {
		const struct relation_list *known = facts_list(facts, &p->relations[i]);
		struct relation_list *empty;

		if (!known) {
			empty = arena_alloc(arena, sizeof(*empty));
			empty->of = &p->relations[i];
			empty->values = bytes_of(nothing, sizeof(nothing));
			known = empty;
		}
		all[n++] = known;
	}
	facts->lists = all;
	facts->nlists = n;
}

/* Classes at the places of which `own` shows something that `tried` does not. */
static class_set shown_less(const struct view_node *tried, const struct view_node *own)
{
	class_set less = 0;

	if (own->class != NO_CLASS && !clearance_is_wider(tried, own))
		less |= (class_set)1 << own->class;
	for (size_t i = 0; i < own->nchildren; i++) {
		const struct view_node *same = view_node_child(tried, own->children[i].name);

		less |= shown_less(same ? same : tried, &own->children[i]);
	}
	for (size_t i = 0; i < tried->nchildren; i++)
		if (!view_node_child(own, tried->children[i].name))
			less |= shown_less(&tried->children[i], own);
	return less;
}

void policy_observe(const struct policy *p, const struct facts *facts, const struct command *c,
	struct arena *arena, const struct plan *plan, bool allowed, struct observation *out)
{
	struct facts tried = *facts;
	struct plan would;
	struct fault why = {.code = FAULT_NONE};

	*out = (struct observation){.there = false};
	if (!p->any_observed)
		return;
	tried.observe = true;
	policy_fill_lists(p, &tried, arena);
	out->allowed = policy_decide(p, &tried, c, arena, &would, &why);
	out->there = would.observed;
	if (!out->there)
		return;
	out->code = why.code;
	out->rule = would.rule;
	if (!allowed || !out->allowed)
		return;
	out->other_rows = !bytes_equal(plan->rows, would.rows);
	out->as_statistics = would.reply.statistics && !plan->reply.statistics;
	if (plan->reply.secure && would.reply.secure)
		out->less = shown_less(&would.reply.secure->root, &plan->reply.secure->root);
}
