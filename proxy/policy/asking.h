/* asking.h - what the parts that read a statistical question share; private to policy/. */
#ifndef PROXY_POLICY_ASKING_H
#define PROXY_POLICY_ASKING_H

#include "policy/barrier.h"
#include "policy/decide.h"
#include "policy/statistics.h"

enum key_kind { KEY_CONSTANT, KEY_PATH, KEY_PARTS, KEY_BUCKETS };

/* A path that the question looks at, as the role sees it: c0, c1, … of what goes in. */
struct asked_column {
	struct bytes path;
	const struct mask *mask; /* NULL: as it is */
};
#define ASKED_COLUMNS_MAX (CONDITIONS_MAX + STATISTICS_KEYS_MAX + STATISTICS_PATHS_MAX)

struct key_part {
	struct bytes name;
	bool is_constant;
	struct element constant; /* a value without its name */
	size_t column;
};

struct asking {
	struct deciding *d;
	struct statistics *statistics;
	struct conditions conditions;
	struct asked_column columns[ASKED_COLUMNS_MAX];
	size_t ncolumns;
	size_t numbers[STATISTICS_PATHS_MAX]; /* columns of statistics->paths */
	enum key_kind kind;
	struct key_part keys[STATISTICS_KEYS_MAX];
	size_t nkeys;
	struct bytes boundaries; /* of $bucket: an array */
	struct element others;   /* of $bucket: `default` */
	bool unwinds;            /* the only key, an array, stands for each of its elements */
	/* Names that rows have, for what comes after the group. */
	struct bytes names[STATISTICS_OUTPUTS_MAX + 1];
	size_t nnames;
};

bool refuse_asking(const struct asking *a, struct bytes what);
/* Judges a path that a question looks at, notes its classes as shown if they will be, and
 * gives it a column. */
bool ask_path(struct asking *a, struct bytes path, bool shown, size_t *column) MUST_CHECK;
/* Of the path that a string like "$a.b" names; false and a fault for anything else. */
bool ask_reference(struct asking *a, const struct element *e, size_t *column) MUST_CHECK;
bool read_asked_filter(struct asking *a, struct bytes filter) MUST_CHECK;

/* $group, $sortByCount, $bucket, $count: the one stage that makes groups. */
bool is_grouping(struct bytes name);
bool read_grouping(struct asking *a, const struct element *stage) MUST_CHECK;
bool add_count(struct asking *a, struct bytes name) MUST_CHECK;
bool add_key(struct asking *a, struct bytes name, size_t column) MUST_CHECK;
/* $sort, $skip, $limit, $project behind it. */
bool read_step(struct asking *a, const struct element *stage) MUST_CHECK;
bool add_sort(struct asking *a, struct bytes name, bool descending) MUST_CHECK;

/* The question for the upstream, as `pipeline`; the row filter is its first stage. */
void put_asking(struct buf *out, struct asking *a);
void hash_question(struct asking *a);

#endif
