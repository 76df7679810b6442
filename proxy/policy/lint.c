#include "policy/lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/lint_inside.h"
#include "util/memory.h"

#define WHAT_MAX 1024u

static const char *const names[LINT_KIND_COUNT] = {
#define LINT(id, name) [LINT_##id] = name,
#include "policy/lints.def"
#undef LINT
};

const char *lint_name(enum lint_kind kind)
{
	return names[kind];
}

void lints_init(struct lints *l)
{
	*l = (struct lints){0};
}

void lints_fini(struct lints *l)
{
	for (size_t i = 0; i < l->count && i < LINTS_MAX; i++)
		free(l->list[i].what);
	free(l->list);
	*l = (struct lints){0};
}

void lint_add(struct linting *l, enum lint_kind kind, struct place at, const char *hint,
	const char *format, ...)
{
	struct lints *out = l->out;
	char what[WHAT_MAX];
	va_list args;

	if (out->count++ >= LINTS_MAX)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	memory_grow(&out->list, out->count - 1, &out->capacity, sizeof(*out->list));
	out->list[out->count - 1] = (struct lint){kind, at, memory_text(bytes_str(what)), hint};
}

void policy_lint(const struct policy *p, const struct users *users, struct lints *out)
{
	struct linting l = {.policy = p, .users = users, .out = out};

	arena_init(&l.arena);
	lint_classes(&l);
	lint_grants(&l);
	lint_quasi(&l);
	lint_attributes(&l);
	arena_fini(&l.arena);
}

/* ------------------------------------------------------------------ attributes */

static bool any_user_has(const struct users *users, struct bytes name)
{
	for (size_t i = 0; i < users_count(users); i++)
		if (user_attribute(users_at(users, i), name).len)
			return true;
	return false;
}

static void lint_templates(struct linting *l, const struct grant *g, struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		struct bytes name;

		if (element_is_document(&e))
			lint_templates(l, g, e.value);
		else if (e.type == TYPE_STRING && is_user_template(element_string(&e), &name) &&
			 !any_user_has(l->users, name))
			lint_add(l, LINT_UNUSED_ATTRIBUTE, g->at,
				"mongoward user add --attr …, or correct its name",
				"no user has the attribute %.*s, without which %.*s grants nothing",
				BYTES_ARG(name), BYTES_ARG(g->rule));
	}
}

void lint_attributes(struct linting *l)
{
	const struct policy *p = l->policy;

	for (size_t i = 0; l->users && i < p->nroles; i++)
		for (size_t k = 0; k < p->roles[i].ngrants; k++)
			if (p->roles[i].grants[k].rows.len)
				lint_templates(
					l, &p->roles[i].grants[k], p->roles[i].grants[k].rows);
}
