#include "util/clock.h"

#include <string.h>
#include <time.h>

#include "util/civil.h"

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

static void put_digits(char *out, unsigned n, size_t count)
{
	for (; count; n /= 10)
		out[--count] = (char)('0' + n % 10);
}

void clock_format(int64_t realtime_us, char out[CLOCK_TS_SIZE])
{
	const int64_t day_us = INT64_C(86400) * 1000000,
		      days = civil_floor_div(realtime_us, day_us);
	const uint64_t us = (uint64_t)(realtime_us - days * day_us);
	const unsigned seconds = (unsigned)(us / 1000000);
	unsigned month, day;
	int64_t year;

	civil_date(days, &year, &month, &day);
	memcpy(out, "0000-00-00T00:00:00.000000Z", CLOCK_TS_SIZE);
	put_digits(out, (unsigned)year, 4);
	put_digits(out + 5, month, 2);
	put_digits(out + 8, day, 2);
	put_digits(out + 11, seconds / 3600, 2);
	put_digits(out + 14, seconds / 60 % 60, 2);
	put_digits(out + 17, seconds % 60, 2);
	put_digits(out + 20, (unsigned)(us % 1000000), 6);
}
