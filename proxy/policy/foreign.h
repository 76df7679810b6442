/* foreign.h - other collections that a pipeline reads; private to policy/. */
#ifndef PROXY_POLICY_FOREIGN_H
#define PROXY_POLICY_FOREIGN_H

#include "policy/decide.h"

struct placing {
	struct deciding *d;
	size_t placed;
	struct bytes behind;    /* stages that go behind the one that was placed last; or empty */
	struct deciding *named; /* when only those are looked for whose subjects are to be named */
	size_t nnamed;
};

/* Another collection, decided as a command of its own under the same role. */
struct foreign {
	struct deciding d;
	struct plan plan;
	struct bytes
		match; /* a stage behind the barrier that stands for a foreignField; or empty */
};

/* Decides `name`, and notes what the decision on the whole needs to know of it. */
bool choose_foreign(struct placing *p, struct bytes name, struct foreign *f) MUST_CHECK;
/* A field's text as a path that names the same in a document and in an expression. */
bool foreign_path(struct placing *p, const struct element *field, struct bytes *path) MUST_CHECK;
/* Whether what is stored at the path is what the role sees. */
bool foreign_is_stored_plain(const struct foreign *f, struct bytes path);
bool place_graph(struct placing *p, const struct element *e) MUST_CHECK;

#endif
