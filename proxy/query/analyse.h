/* analyse.h - reads the parts of a command that hold paths, operators or expressions.
 *
 * Each adds its uses to the analysis; false and a fault for what is not understood.
 * Paths are looked up in the analysis' shape, so that a filter behind a $group is read
 * as what it is.
 */
#ifndef PROXY_QUERY_ANALYSE_H
#define PROXY_QUERY_ANALYSE_H

#include "query/use.h"

/* A filter: of find, count, delete, …, of $match (`place` "$match"), or what $elemMatch
 * holds.  `above` is the path that its own are relative to; empty at the top. */
bool analyse_filter(struct analysis *a, struct bytes filter, struct bytes above, const char *place,
	struct fault *why) MUST_CHECK;

/* An expression.  Paths that stand alone count as `pure`, others as USE_COMPUTE. */
bool analyse_expression(struct analysis *a, const struct element *e, enum use_kind pure,
	const char *place, struct fault *why) MUST_CHECK;
/* The stored or shaped path that a string like "$a.b" names, normalised; false when the
 * element is anything else.  "$$ROOT.a" and "$$CURRENT.a" are such strings, too. */
bool expression_path(struct analysis *a, const struct element *e, struct bytes *path);

/* find's projection, or $project; changes the shape. */
bool analyse_projection(struct analysis *a, const struct element *projection, bool in_pipeline,
	struct bytes stage, struct fault *why) MUST_CHECK;
bool analyse_sort(
	struct analysis *a, struct bytes sort, const char *place, struct fault *why) MUST_CHECK;
/* Keys of an index document: `hint`, `min`, `max`. */
bool analyse_keys(struct analysis *a, struct bytes keys, enum use_kind kind, const char *place,
	struct fault *why) MUST_CHECK;
/* One stage, an element of a pipeline; or all of them. */
bool analyse_stage(struct analysis *a, const struct element *stage, struct fault *why) MUST_CHECK;
bool analyse_pipeline(struct analysis *a, struct bytes pipeline, struct fault *why) MUST_CHECK;
/* {$set: …} and {$unset: …}; `stage` is the element that it stands in. */
bool analyse_set(struct analysis *a, const struct element *e, struct bytes stage,
	struct fault *why) MUST_CHECK;
bool analyse_unset(struct analysis *a, const struct element *e, struct bytes stage,
	struct fault *why) MUST_CHECK;
/* The one field of a stage document. */
bool stage_field(const struct element *stage, struct element *e, struct fault *why) MUST_CHECK;

/* An update: operators, a replacement (*replaces is set, and nothing is noted of its
 * content) or a pipeline (noted as unproven).  `filters` is arrayFilters, or NULL. */
bool analyse_update(struct analysis *a, const struct element *update, const struct element *filters,
	bool *replaces, struct fault *why) MUST_CHECK;

/* A document of options in which no name stands twice: readers would differ about it. */
bool options_stand_once(struct bytes options, struct fault *why) MUST_CHECK;

/* The name of a collection as a server takes it, not of a system collection. */
bool collection_name_fits(struct bytes name);

/* Judges {$documents: …} as the first stage where no collection is read; any other is a fault. */
bool analyse_documents(const struct element *stage, struct fault *why) MUST_CHECK;

#endif
