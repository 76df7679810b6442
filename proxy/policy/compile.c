#include "policy/barrier.h"
#include "policy/loader.h"

/* A tree is built path by path, then resolved from its root down. */

static struct view_node *add_child(struct arena *arena, struct view_node *node, struct bytes name)
{
	struct view_node *children;

	for (size_t i = 0; i < node->nchildren; i++)
		if (bytes_equal(node->children[i].name, name))
			return &node->children[i];
	children = arena_array(arena, node->nchildren + 1u, sizeof(*children));
	if (node->nchildren)
		memcpy(children, node->children, node->nchildren * sizeof(*children));
	/* A name that a client sent lies in its message, which the tree outlives. */
	children[node->nchildren] = (struct view_node){
		.name = arena_copy(arena, name), .field = NO_FIELD, .part = NO_PART};
	node->children = children;
	return &children[node->nchildren++];
}

struct view_node *view_node_add(struct arena *arena, struct view_node *root, struct bytes path)
{
	struct bytes component;

	while (path_next(&path, &component))
		root = add_child(arena, root, component);
	return root;
}

const struct view_node *view_node_child(const struct view_node *node, struct bytes name)
{
	for (size_t i = 0; i < node->nchildren; i++)
		if (bytes_equal(node->children[i].name, name))
			return &node->children[i];
	return NULL;
}

const struct view_node *view_node_of(const struct view_node *root, struct bytes path, bool *at)
{
	struct bytes component;

	*at = true;
	while (path_next(&path, &component)) {
		const struct view_node *child = view_node_child(root, component);

		if (!child) {
			*at = false;
			return root;
		}
		root = child;
	}
	return root;
}

/* The skeleton that all views of a collection share; `c` NULL: nothing is declared. */
static void add_collection(struct arena *arena, struct view_node *root, const struct collection *c,
	uint8_t restricted, uint8_t technical)
{
	struct view_node *node;

	*root = (struct view_node){.field = NO_FIELD, .part = NO_PART, .declared = true};
	root->class = c ? c->unlisted : restricted;
	node = view_node_add(arena, root, bytes_str("_id"));
	node->class = technical;
	node->declared = true;
	view_node_add(arena, root, bytes_str("__mw"));
	for (size_t i = 0; c && i < c->nfields; i++) {
		node = view_node_add(arena, root, c->fields[i].path);
		node->class = c->fields[i].class;
		node->type = c->fields[i].type;
		node->field = c->fields[i].encrypted;
		node->declared = true;
	}
	view_node_add(arena, root, bytes_str("_id"))->part = ID_PART;
	for (size_t i = 0; c && i < c->nsubject_paths; i++)
		view_node_add(arena, root, c->subject_paths[i])->part = (int8_t)i;
}

struct resolving {
	const struct policy *policy;
	const struct see *sees; /* NULL: plaintext, and writable, throughout */
	size_t nsees;
	const struct see *changes;
	size_t nchanges;
};

static const struct see *find_see(const struct see *list, size_t n, struct bytes of)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_equal(list[i].of, of))
			return &list[i];
	return NULL;
}

/* A field's own path, then its class, then "*" (which leaves restricted out).  NULL: what
 * stands above decides, if it is of the same class. */
static const struct see *find_rule(const struct resolving *r, const struct see *list, size_t n,
	const struct view_node *node, struct bytes path)
{
	const struct see *rule = path.len ? find_see(list, n, path) : NULL;

	if (!rule && node->declared)
		rule = find_see(list, n, r->policy->classes[node->class]);
	if (!rule && node->declared && node->class != r->policy->restricted)
		rule = find_see(list, n, bytes_str("*"));
	return rule;
}

static void resolve_node(const struct resolving *r, struct view_node *node,
	const struct view_node *parent, struct bytes path)
{
	const struct see *see, *change;

	if (!r->sees) {
		node->clearance = CLEAR_PLAINTEXT;
		node->writable = true;
		return;
	}
	see = find_rule(r, r->sees, r->nsees, node, path);
	change = find_rule(r, r->changes, r->nchanges, node, path);
	if (see) {
		node->clearance = see->clearance;
		node->mask = see->mask;
	} else if (parent && parent->class == node->class) {
		node->clearance = parent->clearance;
		node->mask = parent->mask;
	}
	node->writable = change || (parent && parent->class == node->class && parent->writable);
}

static void resolve_below(
	const struct resolving *r, struct arena *arena, struct view_node *node, struct bytes path)
{
	node->all_plaintext = node->clearance == CLEAR_PLAINTEXT;
	node->all_writable = node->writable;
	node->any_encrypted = node->field != NO_FIELD;
	node->any_part = node->part != NO_PART;
	for (size_t i = 0; i < node->nchildren; i++) {
		struct view_node *child = &node->children[i];
		struct bytes child_path = path_join(arena, path, child->name);

		/* What the proxy itself stores is nobody's. */
		if (!path.len && bytes_equal_str(child->name, "__mw")) {
			child->clearance = CLEAR_REMOVE;
			continue;
		}
		if (!child->declared)
			child->class = node->class;
		resolve_node(r, child, node, child_path);
		resolve_below(r, arena, child, child_path);
		node->all_plaintext &= child->all_plaintext;
		node->all_writable &= child->all_writable;
		node->any_encrypted |= child->any_encrypted;
		node->any_part |= child->any_part;
	}
}

static void resolve(const struct resolving *r, struct arena *arena, struct view_node *root)
{
	resolve_node(r, root, NULL, bytes_of("", 0));
	resolve_below(r, arena, root, bytes_of("", 0));
}

void compile_collection(struct policy *p, struct collection *c)
{
	const struct resolving r = {.policy = p};

	add_collection(&p->arena, &c->tree, c, p->restricted, p->technical);
	resolve(&r, &p->arena, &c->tree);
}

static void add_rule_paths(struct arena *arena, const struct policy *p, struct view_node *root,
	const struct see *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool class = bytes_equal_str(list[i].of, "*");

		for (size_t k = 0; k < p->nclasses; k++)
			class |= bytes_equal(p->classes[k], list[i].of);
		if (!class)
			view_node_add(arena, root, list[i].of);
	}
}

static bool names_restricted(const struct policy *p, const struct grant *g)
{
	const struct see *see = find_see(g->sees, g->nsees, p->classes[p->restricted]);

	return see && see->clearance == CLEAR_PLAINTEXT;
}

static bool all_declared_plain(const struct collection *c, const struct view_node *root)
{
	for (size_t i = 0; c && i < c->nfields; i++) {
		bool at;

		if (!view_node_of(root, c->fields[i].path, &at)->all_plaintext)
			return false;
	}
	return true;
}

static struct secure_view *compile_view(
	struct loader *l, struct arena *arena, const struct grant *g, const struct collection *c)
{
	const struct policy *p = l->policy;
	static const struct see none;
	const struct resolving r = {
		.policy = p,
		.sees = g->sees ? g->sees : &none,
		.nsees = g->nsees,
		.changes = g->changes ? g->changes : &none,
		.nchanges = g->nchanges,
	};
	struct secure_view *v = arena_alloc(arena, sizeof(*v));

	v->collection = c;
	add_collection(arena, &v->root, c, p->restricted, p->technical);
	add_rule_paths(arena, p, &v->root, g->sees, g->nsees);
	add_rule_paths(arena, p, &v->root, g->changes, g->nchanges);
	resolve(&r, arena, &v->root);
	v->full = !g->rows.len && !(c && g->hidden[c - p->collections].lines) &&
		  v->root.all_plaintext && names_restricted(p, g);
	v->transparent = v->full && !(c && (c->any_encrypted || c->accountable || c->nsubjects));
	v->plain_declared = all_declared_plain(c, &v->root);
	v->writes_all = v->root.all_writable;
	v->compares_names = !v->transparent && barrier_compares_names(&v->root);
	if (!v->transparent && !build_view_stages(arena, &v->root, &v->stages))
		complain(l->complaints, g->at, "mask or hide fields nearer to the top",
			"what the grant sees of %.*s is nested too deeply for a pipeline",
			BYTES_ARG(c ? c->ns : g->rule));
	return v;
}

bool grant_covers(const struct grant *g, struct bytes db, struct bytes collection)
{
	if (is_system_db(db))
		return false;
	return (bytes_equal_str(g->db, "*") || bytes_equal(g->db, db)) &&
	       (bytes_equal_str(g->collection, "*") || bytes_equal(g->collection, collection));
}

/* Ciphertext that one sees, of values that one chooses, is a dictionary. */
static void refuse_dictionary(struct loader *l, const struct grant *g, const struct secure_view *v)
{
	const struct collection *c = v->collection;

	for (size_t i = 0; i < c->nfields; i++) {
		const struct view_node *node;
		bool at;

		if (c->fields[i].encrypted == NO_FIELD ||
			!l->policy->encrypted[c->fields[i].encrypted].deterministic)
			continue;
		node = view_node_of(&v->root, c->fields[i].path, &at);
		if (node->clearance == CLEAR_CIPHERTEXT && node->writable)
			complain(l->complaints, g->at, "take one of the two away",
				"the grant sees the ciphertext of '%.*s' and may write it: "
				"that is a dictionary of its values",
				BYTES_ARG(c->fields[i].path));
	}
}

static void refuse_reusable_subject(
	struct loader *l, const struct grant *g, const struct collection *c)
{
	if ((g->actions & (ACTION_INSERT | ACTION_DELETE)) != (ACTION_INSERT | ACTION_DELETE))
		return;
	for (size_t i = 0; i < c->nsubject_paths; i++)
		if (bytes_equal_str(c->subject_paths[i], "_id"))
			complain(l->complaints, g->at, "choose a subject that stays the patient's",
				"_id is the subject of %.*s, and this grant may delete and insert "
				"again under the same _id",
				BYTES_ARG(c->ns));
}

static void compile_grant(struct loader *l, struct grant *g)
{
	struct policy *p = l->policy;

	g->relations = relations_in(p, g->rows);
	g->views = arena_array(&p->arena, p->ncollections, sizeof(*g->views));
	for (size_t i = 0; i < p->ncollections; i++) {
		const struct collection *c = &p->collections[i];

		if (!grant_covers(g, c->db, c->name))
			continue;
		g->views[i] = compile_view(l, &p->arena, g, c);
		check_filter_types(l, g->at, g->rows, c);
		refuse_dictionary(l, g, g->views[i]);
		refuse_reusable_subject(l, g, c);
	}
	g->other = compile_view(l, &p->arena, g, NULL);
}

void compile_grants(struct loader *l)
{
	for (size_t i = 0; i < l->policy->nroles; i++) {
		struct role *role = &l->policy->roles[i];

		for (size_t k = 0; k < role->ngrants; k++) {
			role->grants[k].hidden = role->hidden;
			compile_grant(l, &role->grants[k]);
		}
		for (size_t k = 0; k < role->nobserved; k++) {
			role->observed[k].hidden = role->hidden;
			compile_grant(l, &role->observed[k]);
		}
		for (size_t k = 0; role->break_glass && k < role->break_glass->ngrants; k++) {
			role->break_glass->grants[k].hidden = role->hidden;
			compile_grant(l, &role->break_glass->grants[k]);
		}
	}
}
