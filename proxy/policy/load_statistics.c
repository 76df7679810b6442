#include "policy/loader.h"

/* statistics: {min_group: 11, queries_per_day: 50} */

static void load_limit(
	struct loader *l, const struct yaml_node *node, int64_t low, int64_t high, uint32_t *limit)
{
	int64_t n;

	if (node && load_int(l, node, low, high, &n))
		*limit = (uint32_t)n;
}

/* Patients are counted by what tells one from another. */
static void check_collection(struct loader *l, const struct yaml_node *node, const struct grant *g)
{
	for (size_t i = 0; i < l->policy->ncollections; i++) {
		const struct collection *c = &l->policy->collections[i];

		if (!bytes_equal(c->db, g->db) || !bytes_equal(c->name, g->collection))
			continue;
		if (!c->nsubjects)
			complain(l->complaints, node->at, "give the collection a `subject`",
				"statistics of %.*s would not know its patients apart",
				BYTES_ARG(c->ns));
		return;
	}
	complain(l->complaints, node->at, "name one collection of `collections:`, no view of it",
		"statistics are of a collection that the policy describes");
}

void load_statistics(struct loader *l, const struct yaml_node *node, struct grant *g)
{
	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_STATISTICS))
		return;
	g->statistics = (struct statistics_limits){
		.min_group = STATISTICS_MIN_GROUP, .per_day = STATISTICS_PER_DAY};
	load_limit(l, yaml_get(node, "min_group"), STATISTICS_MIN_GROUP_LEAST, POLICY_MIN_GROUP_MAX,
		&g->statistics.min_group);
	load_limit(l, yaml_get(node, "queries_per_day"), 1, STATISTICS_PER_DAY_MAX,
		&g->statistics.per_day);
	if (g->actions != ACTION_READ || g->nchanges)
		complain(l->complaints, node->at, "do: [read], without change",
			"who gets statistics only can only read");
	check_collection(l, node, g);
}
