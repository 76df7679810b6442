#include "policy/decide.h"

/* What became of each grant of a user when a command was decided. */

static struct bytes named_role(const struct command *c)
{
	const struct element *comment = command_field(c, "comment");
	struct element role;

	if (!comment || comment->type != TYPE_DOCUMENT ||
		!doc_find(comment->value, "role", &role) || role.type != TYPE_STRING)
		return bytes_of("", 0);
	return element_string(&role);
}

/* Of one that could have decided. */
static enum grant_fate fate_beside(
	const struct policy *p, const struct grant *g, const struct plan *plan)
{
	const uint32_t writing = ACTION_INSERT | ACTION_UPDATE | ACTION_DELETE;
	const struct grant *chosen = policy_grant(p, plan->role, plan->rule);

	if (!chosen)
		return GRANT_UNORDERED;
	if (chosen == g)
		return GRANT_CHOSEN;
	return grant_is_wider(p, g, chosen, plan->ns, (plan->actions & writing) != 0)
		       ? GRANT_AS_WIDE
		       : GRANT_NARROWER;
}

static enum grant_fate fate_of(const struct policy *p, const struct facts *facts,
	const struct role *role, const struct grant *g, struct bytes named, const struct plan *plan)
{
	if (!role_applies(role, facts))
		return GRANT_ROLE_UNUSABLE;
	if (named.len && !bytes_equal(named, role->name))
		return GRANT_ROLE_NOT_NAMED;
	if (g->observed != plan->observed)
		return g->observed ? GRANT_OBSERVED : GRANT_REPLACED;
	if ((g->actions & plan->actions) != plan->actions)
		return GRANT_OTHER_ACTIONS;
	if (!grant_fits_purpose(g, plan->purpose))
		return GRANT_OTHER_PURPOSE;
	return plan->glass ? GRANT_NOT_IN_EMERGENCY : fate_beside(p, g, plan);
}

void policy_each_grant(const struct policy *p, const struct facts *facts, const struct command *c,
	const struct plan *plan, grant_fate_fn *visit, void *context)
{
	struct bytes named = named_role(c);

	for (size_t i = 0; i < facts->user->nroles; i++) {
		const struct role *role = policy_role(p, facts->user->roles[i]);

		for (size_t k = 0; role && k < role->ngrants + role->nobserved; k++) {
			const struct grant *g = k < role->ngrants
							? &role->grants[k]
							: &role->observed[k - role->ngrants];

			if (grant_covers(g, plan->db, plan->collection))
				visit(context, g, fate_of(p, facts, role, g, named, plan));
		}
	}
}
