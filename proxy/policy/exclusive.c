#include "policy/decide.h"
#include "policy/loader.h"

/* Roles that one user may not hold together.  Each role knows which others end it. */

static bool is_any(const struct yaml_node *node)
{
	return bytes_equal_str(node->text, "*");
}

static bool stands_before(const struct yaml_node *list, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (bytes_equal(list->children[k].text, list->children[i].text))
			return true;
	return false;
}

static bool check_list(struct loader *l, const struct yaml_node *list)
{
	bool fine = true;

	if (!load_is_sequence(l, list))
		return false;
	if (list->count < 2)
		return complain(l->complaints, list->at, "[role, role], or [role, \"*\"]",
			"at least two roles are expected");
	for (size_t i = 0; i < list->count; i++) {
		const struct yaml_node *node = &list->children[i];

		if (!load_is_text(l, node))
			fine = false;
		else if (!is_any(node) && !policy_role(l->policy, node->text))
			fine = complain(l->complaints, node->at, "name one of `roles:`",
				"there is no role '%.*s'", BYTES_ARG(node->text));
		else if (stands_before(list, i))
			fine = complain(l->complaints, node->at, "keep one of them",
				"'%.*s' stands twice", BYTES_ARG(node->text));
	}
	return fine;
}

static void exclude(struct loader *l, struct role *role, struct bytes other)
{
	struct bytes *longer;

	for (size_t i = 0; i < role->nexcludes; i++)
		if (bytes_equal(role->excludes[i], other))
			return;
	longer = arena_array(&l->policy->arena, role->nexcludes + 1, sizeof(*longer));
	if (role->nexcludes)
		memcpy(longer, role->excludes, role->nexcludes * sizeof(*longer));
	longer[role->nexcludes++] = other;
	role->excludes = longer;
}

static struct role *role_of(struct loader *l, struct bytes name)
{
	return &l->policy->roles[policy_role(l->policy, name) - l->policy->roles];
}

static void exclude_pair(
	struct loader *l, const struct yaml_node *one, const struct yaml_node *other)
{
	struct role *role = role_of(l, one->text);

	if (!is_any(other)) {
		exclude(l, role, role_of(l, other->text)->name);
		return;
	}
	role->alone = true;
	for (size_t i = 0; i < l->policy->nroles; i++)
		if (&l->policy->roles[i] != role)
			exclude(l, &l->policy->roles[i], role->name);
}

void load_exclusive(struct loader *l)
{
	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *lists = yaml_get(l->files[f], "exclusive");

		if (!lists || !load_is_sequence(l, lists))
			continue;
		for (size_t i = 0; i < lists->count; i++) {
			const struct yaml_node *list = &lists->children[i];

			if (!check_list(l, list))
				continue;
			for (size_t k = 0; k < list->count; k++)
				for (size_t m = 0; m < list->count; m++)
					if (k != m && !is_any(&list->children[k]))
						exclude_pair(
							l, &list->children[k], &list->children[m]);
		}
	}
}

bool role_excludes(const struct role *role, struct bytes other)
{
	if (bytes_equal(role->name, other))
		return false;
	for (size_t i = 0; i < role->nexcludes; i++)
		if (bytes_equal(role->excludes[i], other))
			return true;
	return role->alone;
}

bool policy_roles_exclude(
	const struct policy *p, const struct bytes *roles, size_t n, struct bytes pair[2])
{
	for (size_t i = 0; i < n; i++) {
		const struct role *role = policy_role(p, roles[i]);

		for (size_t k = 0; role && k < n; k++) {
			if (!role_excludes(role, roles[k]))
				continue;
			pair[0] = roles[i];
			pair[1] = roles[k];
			return true;
		}
	}
	return false;
}

bool policy_check_exclusive(
	const struct policy *p, const struct users *users, struct complaints *complaints)
{
	bool fine = true;

	for (size_t i = 0; i < users_count(users); i++) {
		const struct user *user = users_at(users, i);
		struct bytes pair[2];

		if (policy_roles_exclude(p, user->roles, user->nroles, pair))
			fine = complain(complaints, user->at, "take one of the two away",
				"user %.*s holds the roles %.*s and %.*s, which exclude each other",
				BYTES_ARG(user->name), BYTES_ARG(pair[0]), BYTES_ARG(pair[1]));
	}
	return fine;
}
