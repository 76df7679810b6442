/* statistics.h - judges the groups of a statistical question; private to transform/. */
#ifndef PROXY_TRANSFORM_STATISTICS_H
#define PROXY_TRANSFORM_STATISTICS_H

#include "policy/statistics.h"
#include "transform/inside.h"

/* Documents of an answer: {_id: key, name: number, …}. */
struct rows {
	struct bytes *list;
	size_t n;
	struct arena *arena; /* that they live in */
};

/* The answer to a question, from the only document that the upstream has sent: groups that may
 * be told, with noise, as the question's last stages leave them.  `disclosure` gets what the
 * question counts as.  False: the document is not what was asked for, or there are too many
 * groups. */
bool answer_statistics(struct transform *t, const struct statistics *asked, struct bytes document,
	struct rows *rows, struct disclosure *disclosure, struct fault *why) MUST_CHECK;

/* What $sort, $skip, $limit and $project make of rows, which begin in the order of their keys. */
void step_rows(struct rows *rows, const struct statistics *asked);

#endif
