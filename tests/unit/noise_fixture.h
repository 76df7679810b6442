/* noise_fixture.h - a master key, and what is known of many draws. */
#ifndef TESTS_UNIT_NOISE_FIXTURE_H
#define TESTS_UNIT_NOISE_FIXTURE_H

#include "unit.h"

#include <math.h>

#include "transform/noise.h"

static inline struct master *master_of(uint8_t first)
{
	uint8_t bytes[MASTER_LEN] = {first};
	struct fault why;
	struct master *m = master_new(bytes, false, &why);

	assert_non_null(m);
	return m;
}

struct moments {
	double n, sum, squares, least, most;
};

static inline void moments_add(struct moments *m, double x)
{
	m->n++;
	m->sum += x;
	m->squares += x * x;
	m->least = m->n == 1 || x < m->least ? x : m->least;
	m->most = m->n == 1 || x > m->most ? x : m->most;
}

static inline void moments_check(const struct moments *m, double variance, double bound)
{
	double mean = m->sum / m->n, sd = sqrt(variance / m->n);

	assert_true(fabs(mean) < 5 * sd);
	assert_true(fabs(m->squares / m->n - variance) < 10 * variance / sqrt(m->n));
	assert_true(m->least >= -bound && m->most <= bound);
	assert_true(m->least < -bound / 2 && m->most > bound / 2);
}

#endif
