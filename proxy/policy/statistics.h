/* statistics.h - a question of a grant that gives statistics only, and how it is answered.
 *
 * The upstream is asked for one document, made of the secure view's documents in one pass:
 *
 *   {view: [SET], match: [SET], d0: [SET], d1: [SET], …, groups: [GROUP, …]}
 *
 * SET    {s, r}: how many subjects, and the sum of their noise keys; none: no subject.  `view`
 *        is of all documents, `match` of those that the filter takes, `d<i>` of those that
 *        its part <i> decides (condition.h).
 * GROUP  {_id: key, s, r, o, p, n, h, and for each path <i> t<i> b<i> m<i> c<i> d<i> e<i>
 *        [q<i> y<i>]}: s and r as above, o and p likewise of subjects with documents in no other
 *        group; n documents, at most h of one subject; t sum of the path's numbers, b of
 *        their absolute values, m the most of b that one subject has; c documents with a
 *        number, of d subjects, at most e of one; q sum of squares, at most y of one subject.
 *
 * Groups of fewer than min_group subjects are not in it.  What is answered of the others is
 * up to transform/statistics.c.
 */
#ifndef PROXY_POLICY_STATISTICS_H
#define PROXY_POLICY_STATISTICS_H

#include "query/condition.h"

#define STATISTICS_MIN_GROUP       11 /* unless the policy says another */
#define STATISTICS_MIN_GROUP_LEAST 2
#define STATISTICS_PER_DAY         50
#define STATISTICS_PER_DAY_MAX     10000
#define STATISTICS_PATHS_MAX       20    /* of numbers, in one question */
#define STATISTICS_OUTPUTS_MAX     100   /* accumulators */
#define STATISTICS_KEYS_MAX        10    /* parts of a key */
#define STATISTICS_STEPS_MAX       20    /* stages after the group */
#define STATISTICS_GROUPS_MAX      10000 /* in one answer */
#define STATISTICS_NUMBER_MAX      1e150 /* larger ones are none: their squares must be finite */

/* What a grant says of them. */
struct statistics_limits {
	uint32_t min_group; /* 0: the grant gives documents */
	uint32_t per_day;   /* different questions of one user */
};

enum statistic_kind {
	STATISTIC_COUNT,     /* of documents */
	STATISTIC_SUM,       /* of a path's numbers */
	STATISTIC_AVERAGE,   /* likewise */
	STATISTIC_DEVIATION, /* $stdDevPop */
};

struct statistic {
	enum statistic_kind kind;
	struct bytes name;
	size_t path; /* number of the path */
};

/* What becomes of the groups, in this order. */
enum row_step_kind { ROWS_SORT, ROWS_SKIP, ROWS_LIMIT, ROWS_PROJECT };
struct row_field {
	struct bytes name; /* $project: that it gets */
	const char *from;  /* its path in the row */
	bool descending;   /* $sort */
};
struct row_step {
	enum row_step_kind kind;
	int64_t n; /* $skip, $limit */
	struct row_field *fields;
	size_t nfields;
};

struct statistics {
	struct statistics_limits limits;
	struct bytes ns;
	struct statistic *outputs;
	size_t noutputs;
	struct bytes *paths; /* of numbers */
	bool *squares;       /* by path: q and y are there */
	size_t npaths;
	size_t nparts;    /* of the filter */
	bool one_group;   /* no two documents that the filter takes are in different groups */
	bool without_key; /* rows have no _id */
	struct row_step *steps;
	size_t nsteps;
	/* The same for questions with the same filter and keys; not keyed. */
	uint8_t question[CONDITION_HASH_LEN];
};

#endif
