#include "policy/decide.h"

struct bytes user_attribute(const struct user *user, struct bytes name)
{
	if (bytes_equal_str(name, "id"))
		return user->name;
	for (size_t i = 0; i < user->nattributes; i++)
		if (bytes_equal(user->attributes[i].name, name))
			return user->attributes[i].value;
	return bytes_of("", 0);
}

static bool is_in_network(const struct network *n, const uint8_t address[16])
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;
	unsigned mask = rest ? 0xffu << (8 - rest) & 0xffu : 0;

	if (memcmp(n->address, address, whole) != 0)
		return false;
	return !rest || ((n->address[whole] ^ address[whole]) & mask) == 0;
}

bool role_applies(const struct role *role, const struct facts *facts)
{
	bool reached = role->nnetworks == 0;

	if (!(facts->method == AUTH_SCRAM ? role->auth_scram : role->auth_x509))
		return false;
	if (role->until_us && facts->now_us >= role->until_us)
		return false;
	for (size_t i = 0; i < role->nnetworks; i++)
		reached |= is_in_network(&role->networks[i], facts->address);
	/* No users file holds such a pair; another source of roles could. */
	for (size_t i = 0; i < facts->user->nroles; i++)
		if (role_excludes(role, facts->user->roles[i]))
			return false;
	return reached;
}

bool role_is_asked(const struct deciding *d, const struct role *role)
{
	return role && (!d->comment_role.len || bytes_equal(d->comment_role, role->name)) &&
	       role_applies(role, d->facts);
}

const struct secure_view *grant_view(const struct policy *p, const struct grant *g, struct bytes ns)
{
	const struct collection *c = policy_collection(p, ns);

	return c ? g->views[c - p->collections] : g->other;
}

static bool bands_are_same(const struct mask *a, const struct mask *b)
{
	for (size_t i = 0; i < a->nedges; i++)
		if (a->edges[i] != b->edges[i])
			return false;
	for (size_t i = 0; a->nedges && i <= a->nedges; i++)
		if (!bytes_equal(a->labels[i], b->labels[i]))
			return false;
	return true;
}

static bool mask_is_same(const struct mask *a, const struct mask *b)
{
	return a == b || (a && b && a->kind == b->kind && a->keep_first == b->keep_first &&
				 a->keep_last == b->keep_last && bytes_equal(a->with, b->with) &&
				 bytes_equal(a->scope, b->scope) && a->nedges == b->nedges &&
				 a->to == b->to && a->unit == b->unit && bands_are_same(a, b) &&
				 a->constant.type == b->constant.type &&
				 bytes_equal(a->constant.value, b->constant.value));
}

bool clearance_is_wider(const struct view_node *a, const struct view_node *b)
{
	if (a->clearance == CLEAR_MASK && b->clearance == CLEAR_MASK)
		return mask_is_same(a->mask, b->mask);
	if (a->clearance == CLEAR_PLAINTEXT || b->clearance == CLEAR_REMOVE)
		return true;
	return a->clearance == b->clearance;
}

/* At every place that either tree tells apart. */
static bool tree_is_wider(const struct view_node *a, const struct view_node *b, bool writes)
{
	if (!clearance_is_wider(a, b) || (writes && b->writable && !a->writable))
		return false;
	for (size_t i = 0; i < b->nchildren; i++) {
		const struct view_node *own = view_node_child(a, b->children[i].name);

		if (!tree_is_wider(own ? own : a, &b->children[i], writes))
			return false;
	}
	for (size_t i = 0; i < a->nchildren; i++) {
		const struct view_node *other = view_node_child(b, a->children[i].name);

		if (!other && !tree_is_wider(&a->children[i], b, writes))
			return false;
	}
	return true;
}

/* Of the collection that a namespace, or the virtual view of that name, reads. */
static const struct hidden_rows *hidden_rows(
	const struct policy *p, const struct grant *g, struct bytes ns)
{
	static const struct hidden_rows nothing;
	const struct virtual_view *v = policy_view(p, ns);
	const struct collection *c = v ? v->from : policy_collection(p, ns);

	return c ? &g->hidden[c - p->collections] : &nothing;
}

/* Documents are more than statistics, and these more the smaller groups may be. */
static bool gives_more(const struct statistics_limits *a, const struct statistics_limits *b)
{
	if (!a->min_group || !b->min_group)
		return !a->min_group;
	return a->min_group <= b->min_group && a->per_day >= b->per_day;
}

bool grant_is_wider(const struct policy *p, const struct grant *a, const struct grant *b,
	struct bytes ns, bool writes)
{
	const struct secure_view *v = grant_view(p, a, ns), *w = grant_view(p, b, ns);

	if (hidden_rows(p, a, ns)->lines & ~hidden_rows(p, b, ns)->lines)
		return false;
	if (a == b || policy_view(p, ns))
		return true;
	if (!gives_more(&a->statistics, &b->statistics))
		return false;
	if (a->rows.len && !bytes_equal(a->rows, b->rows))
		return false;
	return tree_is_wider(&v->root, &w->root, writes);
}

bool grant_fits_purpose(const struct grant *g, struct bytes purpose)
{
	for (size_t i = 0; i < g->npurposes; i++)
		if (bytes_equal(g->purposes[i], purpose))
			return true;
	return g->npurposes == 0;
}

/* Grants of one user that allow a command. */
struct candidates {
	const struct grant *list[POLICY_GRANTS_MAX];
	size_t count;
	bool purpose_missing; /* some would, but for the purpose */
};

static void add_candidates(struct deciding *d, const struct grant *grants, size_t n,
	uint32_t actions, struct candidates *found)
{
	const struct plan *plan = d->plan;

	for (size_t i = 0; i < n; i++) {
		const struct grant *g = &grants[i];

		if ((g->actions & actions) != actions ||
			!grant_covers(g, plan->db, plan->collection))
			continue;
		if (!grant_fits_purpose(g, plan->purpose))
			found->purpose_missing = true;
		else if (found->count < POLICY_GRANTS_MAX)
			found->list[found->count++] = g;
	}
}

/* Under break-glass, of nothing else. */
static void find_glass(struct deciding *d, uint32_t actions, struct candidates *found)
{
	const struct user *user = d->facts->user;

	for (size_t i = 0; i < user->nroles; i++) {
		const struct break_glass *b = glass_of_role(d, user->roles[i]);

		if (b)
			add_candidates(d, b->grants, b->ngrants, actions, found);
	}
}

static void find_candidates(struct deciding *d, uint32_t actions, struct candidates *found)
{
	const struct user *user = d->facts->user;

	for (size_t i = 0; i < user->nroles; i++) {
		const struct role *role = policy_role(d->policy, user->roles[i]);

		if (role_is_asked(d, role))
			add_candidates(d, role->grants, role->ngrants, actions, found);
	}
}

/* Whether the user has observed grants there, whatever they allow; with `found`, those that
 * allow the command. */
static bool find_observed(struct deciding *d, uint32_t actions, struct candidates *found)
{
	const struct user *user = d->facts->user;
	bool any = false;

	for (size_t i = 0; i < user->nroles; i++) {
		const struct role *role = policy_role(d->policy, user->roles[i]);

		if (!role_is_asked(d, role))
			continue;
		for (size_t k = 0; k < role->nobserved; k++)
			any |= grant_covers(&role->observed[k], d->plan->db, d->plan->collection);
		add_candidates(d, role->observed, role->nobserved, actions, found);
	}
	return any;
}

static const struct grant *widest(
	const struct deciding *d, const struct candidates *found, uint32_t actions)
{
	const uint32_t writing = ACTION_INSERT | ACTION_UPDATE | ACTION_DELETE;

	for (size_t i = 0; i < found->count; i++) {
		bool wider = true;

		for (size_t k = 0; k < found->count && wider; k++)
			wider = grant_is_wider(d->policy, found->list[i], found->list[k],
				d->plan->ns, (actions & writing) != 0);
		if (wider)
			return found->list[i];
	}
	return NULL;
}

static bool instantiate(struct deciding *d, struct bytes rows, struct bytes *out)
{
	struct instance i = {.policy = d->policy, .facts = d->facts};
	struct buf built;

	buf_init(&built, DOC_MAX_LEN);
	if (instance_put(&i, rows, &built)) {
		*out = plan_bytes(d, &built);
		return true;
	}
	buf_wipe(&built);
	d->plan->needs = i.needs;
	return false;
}

/* {$and: [a, b]} */
static struct bytes both(struct deciding *d, struct bytes a, struct bytes b)
{
	struct buf built;
	size_t begun, list;

	buf_init(&built, 2 * DOC_MAX_LEN);
	begun = doc_begin(&built);
	list = doc_put_array(&built, NAME("$and"));
	doc_put_value(&built, TYPE_DOCUMENT, NAME("0"), a);
	doc_put_value(&built, TYPE_DOCUMENT, NAME("1"), b);
	doc_end(&built, list);
	doc_end(&built, begun);
	return plan_bytes(d, &built);
}

bool rows_of_grant(struct deciding *d, const struct grant *g, struct bytes ns, struct bytes *out)
{
	const struct virtual_view *v = policy_view(d->policy, ns);
	struct bytes rows = v ? v->rows : g->rows;
	struct bytes hidden = hidden_rows(d->policy, g, ns)->filter;

	*out = bytes_of("", 0);
	if (rows.len && !doc_is_empty(rows) && !instantiate(d, rows, out))
		return false;
	d->plan->reply.relations |= v ? v->relations : g->relations;
	if (hidden.len)
		*out = out->len ? both(d, *out, hidden) : hidden;
	return true;
}

static bool refuse(struct deciding *d, enum fault_code code)
{
	return fault_name(d->why, code, d->plan->ns);
}

bool choose_grant(struct deciding *d, uint32_t actions)
{
	struct candidates found NOT_SET;
	struct plan *plan = d->plan;
	bool glass;

	if (d->explains)
		actions = ACTION_EXPLAIN;
	plan->actions = actions;
	if (bytes_equal(plan->ns, d->facts->vault))
		return refuse(d, FAULT_UNAUTHORIZED);
	if (!asks_for_glass(d, &glass))
		return false;
	found.count = 0;
	found.purpose_missing = false;
	if (d->facts->observe && !glass)
		plan->observed = find_observed(d, actions, &found);
	if (!plan->observed)
		(glass ? find_glass : find_candidates)(d, actions, &found);
	if (!found.count)
		return refuse(d, found.purpose_missing ? FAULT_PURPOSE : FAULT_UNAUTHORIZED);
	d->grant = widest(d, &found, actions);
	if (!d->grant)
		return refuse(d, FAULT_ROLE_NEEDED);
	plan->rule = d->grant->rule;
	plan->role = d->grant->role;
	plan->glass = glass ? glass_of_role(d, plan->role) : NULL;
	if (d->grant->statistics.min_group && (!d->asks || d->explains))
		return fault_name(d->why, FAULT_STATISTICS, d->c->name);
	d->virtual = policy_view(d->policy, plan->ns);
	if (!d->virtual)
		d->view = grant_view(d->policy, d->grant, plan->ns);
	/* Without the attribute that its rows need, a grant grants nothing. */
	return rows_of_grant(d, d->grant, plan->ns, &d->rows) ||
	       refuse(d, plan->needs ? FAULT_RELATION : FAULT_UNAUTHORIZED);
}

bool policy_cares(const struct policy *p, const struct facts *facts, struct bytes role_name)
{
	for (size_t i = 0; facts->user && i < facts->user->nroles; i++) {
		const struct role *role = policy_role(p, facts->user->roles[i]);

		if (role && role->care && role_applies(role, facts) &&
			(!role_name.len || bytes_equal(role_name, role->name)))
			return true;
	}
	return false;
}

bool policy_knows(
	const struct policy *p, const struct facts *facts, struct bytes db, struct bytes collection)
{
	for (size_t i = 0; i < facts->user->nroles; i++) {
		const struct role *role = policy_role(p, facts->user->roles[i]);

		if (!role || !role_applies(role, facts))
			continue;
		for (size_t k = 0; k < role->ngrants; k++) {
			const struct grant *g = &role->grants[k];
			bool any = collection.len == 0 && !is_system_db(db) &&
				   (bytes_equal_str(g->db, "*") || bytes_equal(g->db, db));

			if (any || (collection.len && grant_covers(g, db, collection)))
				return true;
		}
	}
	return false;
}

bool policy_knows_options(
	const struct policy *p, const struct facts *facts, struct bytes db, struct bytes collection)
{
	for (size_t i = 0; i < facts->user->nroles; i++) {
		const struct role *role = policy_role(p, facts->user->roles[i]);

		if (!role || !role_applies(role, facts))
			continue;
		for (size_t k = 0; k < role->ngrants; k++)
			if (role->grants[k].actions & ACTION_METADATA &&
				grant_covers(&role->grants[k], db, collection))
				return true;
	}
	return false;
}

static const struct grant *grant_named(const struct grant *list, size_t n, struct bytes rule)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_equal(list[i].rule, rule))
			return &list[i];
	return NULL;
}

const struct grant *policy_grant(const struct policy *p, struct bytes name, struct bytes rule)
{
	const struct role *role = policy_role(p, name);
	const struct grant *found;

	if (!role)
		return NULL;
	found = grant_named(role->grants, role->ngrants, rule);
	if (!found)
		found = grant_named(role->observed, role->nobserved, rule);
	if (!found && role->break_glass)
		found = grant_named(role->break_glass->grants, role->break_glass->ngrants, rule);
	return found;
}
