#include "policy/decide.h"
#include "policy/loader.h"

static bool has_role(
	const struct policy *p, const struct user *user, struct complaints *complaints, size_t i)
{
	if (policy_role(p, user->roles[i]))
		return true;
	return complain(complaints, user->at, "take it away, or add it to the policy",
		"user %.*s has the role %.*s, which the policy does not have",
		BYTES_ARG(user->name), BYTES_ARG(user->roles[i]));
}

static void check_templates(struct bytes doc, const struct policy *p, const struct user *user,
	const struct grant *g, struct complaints *complaints)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		const struct relation *relation =
			e.type == TYPE_STRING ? relation_of_template(p, element_string(&e)) : NULL;
		struct bytes name;

		if (relation)
			check_templates(relation->where, p, user, g, complaints);
		else if (element_is_document(&e))
			check_templates(e.value, p, user, g, complaints);
		else if (e.type == TYPE_STRING && is_user_template(element_string(&e), &name) &&
			 !user_attribute(user, name).len)
			complain(complaints, user->at, "mongoward user add --attr …",
				"user %.*s lacks the attribute %.*s, without which %.*s grants "
				"nothing",
				BYTES_ARG(user->name), BYTES_ARG(name), BYTES_ARG(g->rule));
	}
}

/* Two grants for the same action on one collection, neither at least as wide as the other:
 * each such command must name its role. */
static void check_order(const struct policy *p, const struct user *user, const struct grant *a,
	const struct grant *b, struct complaints *complaints)
{
	const uint32_t writing = ACTION_INSERT | ACTION_UPDATE | ACTION_DELETE;
	uint32_t both = a->actions & b->actions;

	for (size_t i = 0; both && i < p->ncollections; i++) {
		const struct collection *c = &p->collections[i];
		bool writes = both & writing;

		if (!grant_covers(a, c->db, c->name) || !grant_covers(b, c->db, c->name))
			continue;
		if (grant_is_wider(p, a, b, c->ns, writes) ||
			grant_is_wider(p, b, a, c->ns, writes))
			continue;
		complain(complaints, user->at,
			"commands of this user must name their role in comment.role",
			"of %.*s and %.*s, both of user %.*s, none is the wider on %.*s",
			BYTES_ARG(a->rule), BYTES_ARG(b->rule), BYTES_ARG(user->name),
			BYTES_ARG(c->ns));
	}
}

static void check_pair(const struct policy *p, const struct user *user, const struct role *a,
	const struct role *b, struct complaints *complaints)
{
	for (size_t i = 0; i < a->ngrants; i++)
		for (size_t k = a == b ? i + 1 : 0; k < b->ngrants; k++)
			check_order(p, user, &a->grants[i], &b->grants[k], complaints);
}

static void check_attributes(const struct policy *p, const struct user *user,
	const struct grant *grants, size_t n, struct complaints *complaints)
{
	for (size_t i = 0; i < n; i++)
		if (grants[i].rows.len)
			check_templates(grants[i].rows, p, user, &grants[i], complaints);
}

static void check_user(
	const struct policy *p, const struct user *user, struct complaints *complaints)
{
	for (size_t i = 0; i < user->nroles; i++) {
		const struct role *role = policy_role(p, user->roles[i]);

		if (!has_role(p, user, complaints, i))
			continue;
		check_attributes(p, user, role->grants, role->ngrants, complaints);
		if (role->break_glass)
			check_attributes(p, user, role->break_glass->grants,
				role->break_glass->ngrants, complaints);
		for (size_t k = i; k < user->nroles; k++) {
			const struct role *other = policy_role(p, user->roles[k]);

			if (other)
				check_pair(p, user, role, other, complaints);
		}
	}
}

void policy_check_users(
	const struct policy *p, const struct users *users, struct complaints *complaints)
{
	for (size_t i = 0; i < users_count(users); i++)
		check_user(p, users_at(users, i), complaints);
	policy_check_exclusive(p, users, complaints);
}
