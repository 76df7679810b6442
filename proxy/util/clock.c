#include "util/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
	return (uint64_t)read_us(CLOCK_MONOTONIC);
}

uint64_t clock_boottime_ms(void)
{
	return (uint64_t)read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_realtime_us(void)
{
	return read_us(CLOCK_REALTIME);
}

void clock_format(int64_t realtime_us, char out[CLOCK_TS_SIZE])
{
	time_t seconds = (time_t)(realtime_us / 1000000);
	struct tm utc;
	char ts[64]; /* roomier than any year needs */
	size_t n;

	gmtime_r(&seconds, &utc);
	n = strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(ts + n, sizeof(ts) - n, ".%06dZ", (int)(realtime_us % 1000000));
	memcpy(out, ts, CLOCK_TS_SIZE - 1);
	out[CLOCK_TS_SIZE - 1] = '\0';
}
