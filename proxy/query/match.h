/* match.h - evaluates the simple filters that row filters are made of.
 *
 * Understands equality, $eq $ne $in $nin $gt $gte $lt $lte $exists $not $and $or $nor on
 * scalar values, as the server does: comparison within one kind of type, numbers across
 * theirs, null equal to absent.  An array anywhere on a path of the filter makes a
 * document fit nothing: with the server it would fit too much.  Where that must hold on
 * the server, too, {path: {$type: array}} asks for it; it is no part of what is checked.
 */
#ifndef PROXY_QUERY_MATCH_H
#define PROXY_QUERY_MATCH_H

#include "wire/doc.h"

/* Whether match_document understands all of it.  `what` of the fault names what not. */
bool match_check(struct bytes filter, struct fault *why) MUST_CHECK;
/* For a filter that was checked. */
bool match_document(struct bytes filter, struct bytes doc);
/* Calls `visit` with every path whose value a checked filter looks at. */
typedef void match_path_fn(void *context, struct bytes path);
void match_each_path(struct bytes filter, match_path_fn *visit, void *context);
/* Calls `visit` with every value that a checked filter names, its path and the operator
 * ("$eq" where none is written); for a list with each value of it. */
typedef void match_literal_fn(
	void *context, struct bytes path, struct bytes op, const struct element *literal);
void match_each_literal(struct bytes filter, match_literal_fn *visit, void *context);
/* {$type: …}: about arrays, not about a value. */
bool match_is_guard(const struct element *e);

/* <0, 0, >0; false when the two are of different kinds of type and have no order. */
bool match_compare(const struct element *a, const struct element *b, int *order);

#endif
