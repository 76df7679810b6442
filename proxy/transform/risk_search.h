/* risk_search.h - which few fields single most people out; private to transform/. */
#ifndef PROXY_TRANSFORM_RISK_SEARCH_H
#define PROXY_TRANSFORM_RISK_SEARCH_H

#include "transform/risk.h"
#include "transform/risk_table.h"

#define RISK_WORK_MAX 400000000u /* rows looked at, before fields are added one by one */

/* Fills in combinations, ncombinations and searched_all.  False when `tick` stopped it. */
bool risk_search(const struct risk_table *t, uint64_t work_max, risk_tick_fn *tick, void *context,
	struct risk_result *out) MUST_CHECK;

#endif
