/* lint_inside.h - what the lints share. */
#ifndef PROXY_POLICY_LINT_INSIDE_H
#define PROXY_POLICY_LINT_INSIDE_H

#include "policy/decide.h"
#include "policy/lint.h"
#include "policy/loader.h"

struct linting {
	const struct policy *policy;
	const struct users *users; /* or NULL */
	struct lints *out;
	struct arena arena;
};

void lint_add(struct linting *l, enum lint_kind kind, struct place at, const char *hint,
	const char *format, ...) PRINTF_LIKE(5, 6);

void lint_grants(struct linting *l);  /* unreachable, rows that can be written */
void lint_classes(struct linting *l); /* empty, unread */
void lint_quasi(struct linting *l);
void lint_attributes(struct linting *l);

#endif
