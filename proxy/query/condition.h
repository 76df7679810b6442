/* condition.h - a filter of plain comparisons, taken apart into its conditions.
 *
 * Understands equality, $eq $ne $in $nin $gt $gte $lt $lte $exists $not $and $or $nor with
 * single values.  Each comparison is a leaf, each value of a list one of its own: the filter
 * can be written again without any part of it, to ask what that part decides.  What is written
 * means what was read; nothing else of a client's filter is sent.
 */
#ifndef PROXY_QUERY_CONDITION_H
#define PROXY_QUERY_CONDITION_H

#include "util/arena.h"
#include "wire/doc.h"

#define CONDITIONS_MAX     20 /* leaves */
#define CONDITION_PARTS    (2 * CONDITIONS_MAX)
#define CONDITION_HASH_LEN 32u

enum condition_kind {
	CONDITION_ALL,  /* $and */
	CONDITION_ANY,  /* $or */
	CONDITION_NONE, /* $nor */
	CONDITION_LEAF,
};

struct condition {
	enum condition_kind kind;
	struct condition *first, *next; /* child, sibling */
	/* of a leaf */
	struct bytes path; /* as sent */
	struct bytes as;   /* that is written in its place; at first the same */
	const char *op;    /* "$eq", "$gt", …, "$exists" */
	struct element operand;
};

struct conditions {
	struct arena *arena;
	struct condition root; /* a CONDITION_ALL */
	struct condition *leaves[CONDITIONS_MAX];
	size_t nleaves;
};

void conditions_init(struct conditions *c, struct arena *arena);
/* Adds a filter to those that must all hold; borrows its bytes.  `code` is the fault for
 * what is not understood, with the operator's or the path's name. */
bool conditions_read(struct conditions *c, struct bytes filter, enum fault_code code,
	struct fault *why) MUST_CHECK;
/* The parts of the filter: its leaves, and what joins several, but for what cannot decide about
 * less than one of those that it joins.  Returns their number. */
size_t conditions_parts(const struct conditions *c, const struct condition *parts[CONDITION_PARTS]);
/* Appends the filter as a document under `name`; without one part, unless that is NULL. */
void conditions_put(struct buf *out, struct bytes name, const struct conditions *c,
	const struct condition *without);
/* Appends, likewise, the filter for all that a part decides: what the filter takes, and
 * would not take without it, or the other way round. */
void conditions_put_decided(struct buf *out, struct bytes name, const struct conditions *c,
	const struct condition *part);
/* Whether the filter takes only one value at this path. */
bool conditions_fix(const struct conditions *c, struct bytes path);
/* The same for filters that are the same but for order, repetition, spelling of operators and
 * types of whole numbers.  Not keyed. */
void conditions_hash(const struct conditions *c, uint8_t hash[CONDITION_HASH_LEN]);

#endif
