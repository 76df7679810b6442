/* clock.h - the time.  Not for wire, keys, query, policy and transform: they are told. */
#ifndef PROXY_UTIL_CLOCK_H
#define PROXY_UTIL_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_us(void); /* never goes back; since some start */
uint64_t clock_boottime_ms(void);  /* CLOCK_BOOTTIME: goes on while the machine sleeps */
int64_t clock_realtime_us(void);   /* since 1970-01-01 UTC */

#define CLOCK_TS_SIZE 28 /* "2026-11-23T09:12:44.018231Z" and a NUL */
/* `realtime_us`, of the years 0 to 9999, as UTC with six decimals. */
void clock_format(int64_t realtime_us, char out[CLOCK_TS_SIZE]);

#endif
