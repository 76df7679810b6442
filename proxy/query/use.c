#include "query/use.h"

#include <stdlib.h>

#include "util/memory.h"

void analysis_init(struct analysis *a, struct arena *arena)
{
	*a = (struct analysis){.arena = arena, .shape = {.whole = true}};
}

/* Doubles an array that lives in the arena. */
static void *grown(
	struct arena *arena, const void *old, size_t count, size_t *capacity, size_t size)
{
	void *fresh;

	*capacity = *capacity ? *capacity * 2 : 4;
	fresh = arena_array(arena, *capacity, size);
	if (count)
		memcpy(fresh, old, count * size);
	return fresh;
}

bool analysis_add(struct analysis *a, const struct use *use, struct fault *why)
{
	if (a->count == USES_MAX)
		return fault_set(why, FAULT_TOO_COMPLEX, "over %d uses of paths", USES_MAX);
	if (a->count == a->capacity)
		a->uses = grown(a->arena, a->uses, a->count, &a->capacity, sizeof(*use));
	a->uses[a->count] = *use;
	a->uses[a->count++].stage = a->stage;
	return true;
}

void analysis_unproven(struct analysis *a, struct bytes construct)
{
	if (!a->unproven.len)
		a->unproven = construct;
}

void shape_put(struct analysis *a, struct shape *s, struct bytes path, enum shape_kind kind,
	struct bytes origin)
{
	if (s->count == s->capacity)
		s->entries =
			grown(a->arena, s->entries, s->count, &s->capacity, sizeof(*s->entries));
	s->entries[s->count++] = (struct shape_entry){.path = path, .kind = kind, .origin = origin};
}

/* Servers differ in what they take away through arrays: what a path with a dot hides may
 * still be there. */
static bool is_surely_gone(const struct shape_entry *e)
{
	return e->kind == SHAPE_GONE && !memchr(e->path.at, '.', e->path.len);
}

/* The newest entry that is the path itself or lies above it. */
static const struct shape_entry *covering(const struct shape *s, struct bytes path)
{
	for (size_t i = s->count; i-- > 0;) {
		const struct shape_entry *e = &s->entries[i];
		enum path_relation r = path_relation(e->path, path);

		if ((r == PATH_SAME || r == PATH_ABOVE) &&
			(e->kind != SHAPE_GONE || is_surely_gone(e)))
			return e;
	}
	return NULL;
}

static struct bytes origin_of(
	struct arena *arena, const struct shape_entry *entry, struct bytes path)
{
	struct bytes rest = bytes_from(path, entry->path.len ? entry->path.len + 1 : 0);

	return path.len == entry->path.len ? entry->origin : path_join(arena, entry->origin, rest);
}

/* Whether anything below `path` has an entry of its own. */
static bool has_parts(const struct shape *s, struct bytes path)
{
	for (size_t i = 0; i < s->count; i++)
		if (path_relation(s->entries[i].path, path) == PATH_BELOW)
			return true;
	return false;
}

bool shape_origin(const struct analysis *a, struct bytes path, struct bytes *origin)
{
	const struct shape_entry *entry = covering(&a->shape, path);

	if (has_parts(&a->shape, path))
		return false;
	if (entry && entry->kind == SHAPE_MOVED) {
		*origin = origin_of(a->arena, entry, path);
		return true;
	}
	*origin = path;
	return !entry && a->shape.whole;
}

void shape_carry(struct analysis *a, const struct shape *from, struct bytes path, struct shape *to)
{
	const struct shape_entry *entry = covering(from, path);

	if (entry && entry->kind == SHAPE_MOVED)
		shape_put(a, to, path, SHAPE_MOVED, origin_of(a->arena, entry, path));
	else if (entry)
		shape_put(a, to, path, entry->kind, path);
	else if (from->whole)
		shape_put(a, to, path, SHAPE_MOVED, path);
	for (size_t i = 0; i < from->count; i++)
		if (path_relation(from->entries[i].path, path) == PATH_BELOW)
			shape_put(a, to, from->entries[i].path, from->entries[i].kind,
				from->entries[i].origin);
}

/* A look at a whole is a look at its parts, and compares whatever they are. */
static bool use_parts(struct analysis *a, const struct use *use, struct fault *why)
{
	size_t n = a->shape.count;

	for (size_t i = 0; i < n; i++) {
		const struct shape_entry *e = &a->shape.entries[i];
		struct use part = *use;

		if (path_relation(e->path, use->path) != PATH_BELOW || e->kind != SHAPE_MOVED)
			continue;
		part.path = e->origin;
		if (part.kind == USE_EQUAL || part.kind == USE_IN)
			part.kind = USE_COMPARE;
		if (!analysis_add(a, &part, why))
			return false;
	}
	return true;
}

bool shape_use(struct analysis *a, const struct use *use, struct fault *why)
{
	const struct shape_entry *entry = covering(&a->shape, use->path);
	struct use whole = *use;

	if (has_parts(&a->shape, use->path) && !use_parts(a, use, why))
		return false;
	if (entry && entry->kind != SHAPE_MOVED)
		return true;
	if (!entry && !a->shape.whole)
		return true;
	if (entry)
		whole.path = origin_of(a->arena, entry, use->path);
	return analysis_add(a, &whole, why);
}

bool shape_use_numbers(
	struct analysis *a, const struct use *use, struct bytes sent, struct fault *why)
{
	struct use literal = *use;

	if (!path_is_numbered(a->arena, sent, &literal.path))
		return true;
	if (literal.kind == USE_EQUAL || literal.kind == USE_IN || literal.kind == USE_EXISTS)
		literal.kind = USE_COMPARE;
	return shape_use(a, &literal, why);
}
