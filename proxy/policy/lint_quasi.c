/* Quasi-identifiers in the clear: two kinds of them, and no name, often make one patient. */
#include <stdio.h>

#include "policy/lint_inside.h"

#define KINDS_TEXT_MAX 256u
#define HINT                                                                                     \
	"mask one of them: bands, round, truncate; `mongoward policy risk` tells what they are " \
	"worth"

static const struct field *field_of(const struct collection *c, struct bytes path)
{
	for (size_t i = 0; i < c->nfields; i++)
		if (bytes_equal(c->fields[i].path, path))
			return &c->fields[i];
	return NULL;
}

static quasi_set own_kinds(const struct collection *c, struct bytes path)
{
	const struct field *field = field_of(c, path);

	return field && field->quasi_said ? field->quasi : quasi_of_name(path);
}

/* What a tree shows in plaintext.  A class that is said to hold kinds shows those that no
 * path of it is named for. */
struct showing {
	struct linting *l;
	const struct collection *collection;
	quasi_set shown;
	class_set plain;
	quasi_set named[POLICY_CLASSES_MAX + 2]; /* by class */
};

static quasi_set look(struct showing *s, const struct view_node *node, struct bytes path)
{
	quasi_set own = path.len ? own_kinds(s->collection, path) : 0, below = 0;
	bool plain = node->clearance == CLEAR_PLAINTEXT;

	for (size_t i = 0; i < node->nchildren; i++)
		below |= look(s, &node->children[i],
			path_join(&s->l->arena, path, node->children[i].name));
	if (plain)
		s->shown |= own & (quasi_set)~below;
	if (plain && node->declared)
		s->plain |= (class_set)1 << node->class;
	s->named[node->class] |= own;
	return own | below;
}

static quasi_set shown_by_tree(
	struct linting *l, const struct collection *c, const struct view_node *root)
{
	struct showing s = {.l = l, .collection = c};

	(void)look(&s, root, bytes_of("", 0));
	for (size_t i = 0; i < l->policy->nclasses; i++)
		if (s.plain & (class_set)1 << i)
			s.shown |= l->policy->class_facts[i].quasi & (quasi_set)~s.named[i];
	return s.shown;
}

static quasi_set shown_by_view(const struct linting *l, const struct virtual_view *v)
{
	quasi_set shown = 0;

	for (size_t i = 0; i < v->nfields; i++) {
		const struct view_field *f = &v->fields[i];
		const struct view_node *node;
		quasi_set kinds, of_class;
		bool at;

		if (f->of_subject || f->mask)
			continue;
		kinds = own_kinds(v->from, f->path);
		node = view_node_of(&v->from->tree, f->path, &at);
		of_class = l->policy->class_facts[node->class].quasi;
		/* Of a class with several kinds it is not known which one this is. */
		if (!kinds &&
			!(field_of(v->from, f->path) && field_of(v->from, f->path)->quasi_said))
			kinds = quasi_count(of_class) == 1 ? of_class : quasi_of_name(f->name);
		shown |= kinds;
	}
	return shown;
}

static bool view_shows(const struct virtual_view *v, struct bytes path)
{
	for (size_t i = 0; i < v->nfields; i++) {
		enum path_relation r = v->fields[i].of_subject
					       ? PATH_DISJOINT
					       : path_relation(v->fields[i].path, path);

		if (!v->fields[i].mask && (r == PATH_SAME || r == PATH_ABOVE))
			return true;
	}
	return false;
}

static bool tree_shows(const struct view_node *root, struct bytes path)
{
	bool at;

	return view_node_of(root, path, &at)->clearance == CLEAR_PLAINTEXT;
}

/* Whoever reads all of a subject needs no quasi-identifier to know who it is. */
static bool names_patients(
	const struct collection *c, const struct view_node *root, const struct virtual_view *v)
{
	for (size_t i = 0; i < c->nsubjects; i++) {
		const struct subject_line *line = &c->subjects[i];
		bool all = line->nparts != 0;

		for (size_t k = 0; k < line->nparts && all; k++) {
			struct bytes path = c->subject_paths[line->parts[k]];

			all = !bytes_equal_str(path, "_id") &&
			      (root ? tree_shows(root, path) : view_shows(v, path));
		}
		if (all)
			return true;
	}
	return false;
}

static void put_kinds(quasi_set set, char text[KINDS_TEXT_MAX])
{
	size_t at = 0;
	unsigned left = quasi_count(set);

	for (size_t i = 0; i < QUASI_COUNT && at < KINDS_TEXT_MAX; i++) {
		if (!(set & 1u << i))
			continue;
		left--;
		at += (size_t)snprintf(text + at, KINDS_TEXT_MAX - at, "%s%s",
			quasi_meaning((enum quasi_kind)i),
			left > 1    ? ", "
			: left == 1 ? " and "
				    : "");
	}
}

static void warn(
	struct linting *l, struct place at, struct bytes who, struct bytes ns, quasi_set shown)
{
	char kinds[KINDS_TEXT_MAX];

	if (quasi_count(shown) < 2)
		return;
	put_kinds(shown, kinds);
	lint_add(l, LINT_QUASI_IDENTIFIERS, at, HINT,
		"%.*s shows %s%s%.*s in plaintext: together they single patients out",
		BYTES_ARG(who), kinds, ns.len ? " of " : "", BYTES_ARG(ns));
}

static void lint_grant(struct linting *l, const struct grant *g)
{
	const struct policy *p = l->policy;

	for (size_t i = 0; i < p->ncollections; i++) {
		const struct secure_view *v = g->views[i];

		if (v && !v->full && !names_patients(v->collection, &v->root, NULL))
			warn(l, g->at, g->rule, v->collection->ns,
				shown_by_tree(l, v->collection, &v->root));
	}
}

void lint_quasi(struct linting *l)
{
	const struct policy *p = l->policy;

	for (size_t i = 0; i < p->nviews; i++)
		if (!p->views[i].min_group && !names_patients(p->views[i].from, NULL, &p->views[i]))
			warn(l, p->views[i].at, p->views[i].ns, bytes_of("", 0),
				shown_by_view(l, &p->views[i]));
	for (size_t i = 0; i < p->nroles; i++)
		for (size_t k = 0; k < p->roles[i].ngrants; k++)
			if (p->roles[i].grants[k].actions & ACTION_READ)
				lint_grant(l, &p->roles[i].grants[k]);
}
