#include "util/civil.h"

int64_t civil_days(int64_t year, unsigned month, unsigned day)
{
	int64_t era;
	unsigned yoe, doy, doe;

	year -= month <= 2;
	era = civil_floor_div(year, 400);
	yoe = (unsigned)(year - era * 400);
	doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

void civil_date(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t era = civil_floor_div(days + 719468, 146097);
	unsigned doe = (unsigned)(days + 719468 - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;

	*day = doy - (153 * mp + 2) / 5 + 1;
	*month = mp < 10 ? mp + 3 : mp - 9;
	*year = (int64_t)yoe + era * 400 + (*month <= 2);
}

static bool digits(const uint8_t *at, size_t n, unsigned *value)
{
	*value = 0;
	for (size_t i = 0; i < n; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		*value = *value * 10 + (at[i] - '0');
	}
	return true;
}

bool civil_parse(struct bytes text, int64_t *days)
{
	unsigned year, month, day, real_month, real_day;
	int64_t real_year;

	if (text.len != 10 || text.at[4] != '-' || text.at[7] != '-' ||
		!digits(text.at, 4, &year) || !digits(text.at + 5, 2, &month) ||
		!digits(text.at + 8, 2, &day) || !month || month > 12 || !day || day > 31)
		return false;
	*days = civil_days(year, month, day);
	/* The 30th of February would come back as another day. */
	civil_date(*days, &real_year, &real_month, &real_day);
	return real_year == year && real_month == month && real_day == day;
}
