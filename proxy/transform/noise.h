/* noise.h - what is added to the numbers of an answer; private to transform/.
 *
 * Noise has two layers.  One is drawn from the set of subjects and the number itself, so
 * that the same patients always have the same, however a question finds them: asking in
 * other ways does not take it away.  The other is drawn from the question and from all that
 * its answer rests on: without it two questions with equal answers would show that nobody
 * is in the one and not in the other, and of two answers, before and after a change, the one
 * group that changed would stand out.  Both are functions of a key of their own: nothing is
 * drawn anew, and every proxy with the same master key answers alike.
 *
 * A layer's whole part is the number of ones in 8 bits less 4: of variance 2, at most 4
 * either way.
 */
#ifndef PROXY_TRANSFORM_NOISE_H
#define PROXY_TRANSFORM_NOISE_H

#include "transform/inside.h"

#define NOISE_LAYER_MAX 4
#define NOISE_WHOLE_MAX (2 * NOISE_LAYER_MAX)

/* A set of subjects: how many, and the sum of their noise keys. */
struct subject_set {
	int64_t n, keys;
};

struct noise_source {
	const struct master *master;
	struct bytes ns;
	struct token question; /* keyed */
};

struct noise {
	int64_t whole; /* for what is counted one by one */
	double real;   /* the same, smeared over one unit: for sums, in units of the most that
			* one subject has */
	double share;  /* 0 … 1, even, of the first layer */
};

/* `answer` is of all that the answer rests on; `what` and `path` tell the numbers of one set
 * apart; `value` is the true one. */
void noise_of(const struct noise_source *source, const struct token *answer,
	const struct subject_set *set, const char *what, struct bytes path, double value,
	struct noise *noise);

#endif
