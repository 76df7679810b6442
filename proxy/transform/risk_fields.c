/* Which fields count as what, where nobody says so. */
#include "query/path.h"
#include "transform/risk.h"

#define DEPTH_MAX 32u

static void add(struct risk_paths *list, struct bytes path)
{
	for (size_t i = 0; i < list->count; i++)
		if (bytes_equal(list->at[i], path))
			return;
	if (list->count == RISK_PATHS_MAX)
		list->more = true;
	else
		list->at[list->count++] = path;
}

static class_set class_at(const struct collection *c, struct bytes path)
{
	bool at;

	return (class_set)1 << view_node_of(&c->tree, path, &at)->class;
}

/* Classes of which values are accounted for, but for those that subjects are made of. */
static class_set sensitive_classes(const struct collection *c)
{
	class_set set = c->accountable;

	for (size_t i = 0; i < c->nsubject_paths; i++)
		set &= ~class_at(c, c->subject_paths[i]);
	return set;
}

void risk_view_fields(
	const struct virtual_view *v, struct risk_paths *quasi, struct risk_paths *sensitive)
{
	class_set set = sensitive_classes(v->from);

	for (size_t i = 0; i < v->nfields; i++) {
		const struct view_field *f = &v->fields[i];

		if (f->of_subject || (f->mask && f->mask->kind == MASK_PSEUDONYM) ||
			!policy_view_shows(v, f))
			continue;
		add(class_at(v->from, f->path) & set ? sensitive : quasi, f->name);
	}
}

static bool is_encrypted(const struct collection *c, struct bytes path)
{
	for (size_t i = 0; i < c->nfields; i++)
		if (c->fields[i].encrypted != NO_FIELD &&
			path_relation(c->fields[i].path, path) != PATH_DISJOINT)
			return true;
	return false;
}

void risk_stored_fields(const struct collection *c, const struct risk_paths *found,
	struct risk_paths *quasi, struct risk_paths *sensitive)
{
	class_set set = sensitive_classes(c);

	for (size_t i = 0; i < found->count; i++)
		if (!is_encrypted(c, found->at[i]))
			add(class_at(c, found->at[i]) & set ? sensitive : quasi, found->at[i]);
	quasi->more = found->more;
}

static void find_in(struct bytes doc, struct bytes above, unsigned depth, struct arena *arena,
	struct risk_paths *found)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		struct bytes path;

		/* Names that no path can hold, the driver's own and the proxy's are no fields. */
		if (!e.name.len || memchr(e.name.at, '.', e.name.len) || e.name.at[0] == '$' ||
			(!above.len && (element_named(&e, "_id") || element_named(&e, "__mw"))))
			continue;
		path = above.len ? path_join(arena, above, e.name) : arena_copy(arena, e.name);
		if (e.type == TYPE_DOCUMENT && depth < DEPTH_MAX && !doc_is_empty(e.value))
			find_in(e.value, path, depth + 1, arena, found);
		else
			add(found, path);
	}
}

void risk_find_paths(struct bytes doc, struct arena *arena, struct risk_paths *found)
{
	find_in(doc, bytes_of("", 0), 0, arena, found);
}
