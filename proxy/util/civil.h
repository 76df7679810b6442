/* civil.h - days and dates of the proleptic Gregorian calendar, in UTC; no clock is read.
 * Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
#ifndef PROXY_UTIL_CIVIL_H
#define PROXY_UTIL_CIVIL_H

#include "util/bytes.h"

/* Rounds towards minus infinity; `b` is positive. */
static inline int64_t civil_floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a day; `month` 1 to 12, `day` 1 to 31. */
int64_t civil_days(int64_t year, unsigned month, unsigned day);
void civil_date(int64_t days, int64_t *year, unsigned *month, unsigned *day);

/* "2027-06-30" of a day that exists; false for anything else. */
bool civil_parse(struct bytes text, int64_t *days);

#endif
