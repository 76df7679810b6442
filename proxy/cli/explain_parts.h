/* explain_parts.h - parts of what `policy explain` says. */
#ifndef PROXY_CLI_EXPLAIN_PARTS_H
#define PROXY_CLI_EXPLAIN_PARTS_H

#include "cli/args.h"
#include "policy/policy.h"

/* "care_team=Ada,Bruno" or "care_team=[1, 2]": what relations give.  Complains and returns
 * false. */
bool explain_lists(const struct args_list *given, const struct policy *p, struct arena *arena,
	struct facts *facts) MUST_CHECK;

/* "plaintext", "not shown", …, or the mask's name. */
const char *explain_clearance(const struct view_node *node);
/* What a mask leaves of a value, in words, into `out`. */
void explain_mask(const struct mask *m, struct buf *out);

/* Prints lines of at most 80 columns: the first goes on at column `indent`, where the others
 * begin. */
void explain_wrapped(size_t indent, const char *text);

/* Prints the user's grants on the namespace that did not decide, and why. */
void explain_grants(const struct policy *p, const struct facts *facts, const struct command *c,
	const struct plan *plan);
/* The same as a JSON array. */
void explain_grants_json(const struct policy *p, const struct facts *facts, const struct command *c,
	const struct plan *plan);

#endif
