/* lint.h - what a policy may say and yet hardly means; `policy check` warns of it. */
#ifndef PROXY_POLICY_LINT_H
#define PROXY_POLICY_LINT_H

#include "auth/users.h"
#include "policy/policy.h"

#define LINTS_MAX 100 /* further ones are counted, not kept */

enum lint_kind {
#define LINT(id, name) LINT_##id,
#include "policy/lints.def"
#undef LINT
	LINT_KIND_COUNT
};

struct lint {
	enum lint_kind kind;
	struct place at; /* borrowed from the policy */
	char *what;      /* as the policy spells names: not yet made printable */
	const char *hint;
};

struct lints {
	struct lint *list;
	size_t count; /* those kept are the first LINTS_MAX of them */
	size_t capacity;
};

void lints_init(struct lints *l);
void lints_fini(struct lints *l);

/* Adds everything that is found in a policy that loads; `users` may be NULL. */
void policy_lint(const struct policy *p, const struct users *users, struct lints *out);
const char *lint_name(enum lint_kind kind);

#endif
