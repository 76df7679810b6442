#include "policy/loader.h"

/* The grants of a break-glass show single patients to somebody who names them: of one
 * collection that says whose its documents are, and to be read only. */
static void check_grant(struct loader *l, const struct yaml_node *node, const struct grant *g)
{
	struct bytes ns = arena_dotted(&l->scratch, g->db, g->collection);
	const struct collection *c = policy_collection(l->policy, ns);

	if (g->actions != ACTION_READ)
		complain(l->complaints, node->at, "do: [read]", "a break-glass can only read");
	if (g->observed)
		complain(l->complaints, node->at, "leave mode out",
			"a break-glass cannot be observed");
	if (g->nchanges || g->npurposes)
		complain(l->complaints, node->at, "leave change and purpose out",
			"a break-glass changes nothing, and has a purpose of its own");
	if (!c || !c->nsubjects)
		complain(l->complaints, node->at, "a collection of the policy with `subject:`",
			"a break-glass finds the patients of one collection");
}

static void load_grants(struct loader *l, const struct yaml_node *list, struct role *role)
{
	struct break_glass *b = role->break_glass;

	if (!load_is_sequence(l, list))
		return;
	if (!list->count || list->count > POLICY_GRANTS_MAX) {
		complain(l->complaints, list->at, NULL, "1 to %d grants are expected",
			POLICY_GRANTS_MAX);
		return;
	}
	b->grants = arena_array(&l->policy->arena, list->count, sizeof(*b->grants));
	b->ngrants = list->count;
	for (size_t i = 0; i < list->count; i++) {
		size_t before = l->complaints->count;

		load_grant(l, &list->children[i], role, &b->grants[i],
			arena_format(&l->policy->arena, "roles.%.*s.break_glass.grants[%zu]",
				BYTES_ARG(role->name), i));
		if (l->complaints->count == before)
			check_grant(l, &list->children[i], &b->grants[i]);
	}
}

static void load_number(struct loader *l, const struct yaml_node *glass, const char *name,
	int64_t most, uint32_t *number)
{
	const struct yaml_node *node = yaml_get(glass, name);
	int64_t n;

	if (!node)
		complain(l->complaints, glass->at, NULL, "a break-glass needs %s", name);
	else if (load_int(l, node, 1, most, &n))
		*number = (uint32_t)n;
}

/* Its own grants would have to be told from the role's by the reason alone. */
static void check_purpose(struct loader *l, const struct yaml_node *node, const struct role *role)
{
	for (size_t i = 0; i < role->ngrants; i++)
		for (size_t k = 0; k < role->grants[i].npurposes; k++)
			if (bytes_equal(role->grants[i].purposes[k], node->text))
				complain(l->complaints, node->at, "choose another purpose",
					"'%.*s' is the purpose of an ordinary grant, too",
					BYTES_ARG(node->text));
}

void load_break_glass(struct loader *l, const struct yaml_node *node, struct role *role)
{
	const struct yaml_node *purpose = yaml_get(node, "purpose");
	const struct yaml_node *grants = yaml_get(node, "grants");
	struct break_glass *b;

	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_GLASS))
		return;
	b = role->break_glass = arena_alloc(&l->policy->arena, sizeof(*b));
	if (!purpose) {
		complain(l->complaints, node->at, "purpose: emergency",
			"a break-glass needs purpose");
	} else if (load_is_text(l, purpose)) {
		b->purpose = load_copy(l, purpose->text);
		check_purpose(l, purpose, role);
	}
	load_number(l, node, "subjects", LANGUAGE_GLASS_SUBJECTS_MAX, &b->subjects);
	load_number(l, node, "per_day", LANGUAGE_GLASS_PER_DAY_MAX, &b->per_day);
	load_number(l, node, "unreviewed_max", LANGUAGE_GLASS_UNREVIEWED_MAX, &b->unreviewed_max);
	if (!grants)
		complain(l->complaints, node->at,
			"grants: [{namespace: db.collection, do: [read], …}]",
			"a break-glass needs grants");
	else
		load_grants(l, grants, role);
	l->policy->any_break_glass = true;
}
