/* Finding records, and the times that can be asked for. */
#include "unit.h"

#include "audit_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "audit/query.h"

#define EVERY                                                \
	{                                                    \
		.since_us = INT64_MIN, .until_us = INT64_MAX \
	}

struct found {
	size_t count;
	uint64_t first;
	char user[64];
};

static bool on_hit(void *context, const struct query_hit *hit)
{
	struct found *f = context;
	struct bytes user = query_value(hit, LINE_KEY_user);

	if (!f->count++)
		f->first = hit->line->seq;
	snprintf(f->user, sizeof(f->user), "%.*s", BYTES_ARG(user));
	return true;
}

static struct found find(const char *path, const struct query_filter *filter)
{
	struct found f = {0};
	struct query *q = query_new(filter, on_hit, &f);

	assert_true(query_file(q, path));
	assert_int_equal(query_unreadable(q), 0);
	query_free(q);
	return f;
}

static const char small[] = "good/small/mw-1-000000000000.jsonl";
static const char events[] = "good/events/mw-1-000000000000.jsonl";

#define WORDS(...)                                                                            \
	{                                                                                     \
		(const char *const[]){__VA_ARGS__}, COUNT_OF(((const char *[]){__VA_ARGS__})) \
	}

static void test_words(void **state)
{
	struct query_filter every = EVERY, user = EVERY, class = EVERY, event = EVERY, ns = EVERY;
	struct query_filter escaped = EVERY, role = EVERY, none = EVERY;

	(void)state;
	assert_int_equal(find(small, &every).count, 7);
	user.users = (struct query_words)WORDS("nobody", "dr.martin");
	assert_int_equal(find(small, &user).count, 3); /* the outcome by its intent */
	class.classes = (struct query_words)WORDS("medical");
	assert_int_equal(find(small, &class).count, 1);
	class.classes = (struct query_words)WORDS("plaintext");
	assert_int_equal(find(small, &class).count, 0);
	event.events = (struct query_words)WORDS("start", "stop");
	assert_int_equal(find(small, &event).count, 2);
	ns.namespaces = (struct query_words)WORDS("h.p");
	assert_int_equal(find(small, &ns).count, 2);
	role.roles = (struct query_words)WORDS("doctor");
	assert_int_equal(find(small, &role).count, 1);
	none.purposes = (struct query_words)WORDS("research");
	assert_int_equal(find(small, &none).count, 0);
	escaped.users = (struct query_words)WORDS("x\",\"prev\":\"0\"}");
	assert_int_equal(find(events, &escaped).count, 2);
}

static void test_subjects(void **state)
{
	struct query_filter f = EVERY;
	struct found found;

	(void)state;
	f.subjects = (struct query_words)WORDS("325ec08fb884307b1f10dbfafdbaacc3");
	f.events = (struct query_words)WORDS("outcome");
	found = find(small, &f);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.user, "\"dr.martin\"");
	/* In the third part of a record, whose first part names the user. */
	f.subjects = (struct query_words)WORDS("56dea39172b41e99186618078b342422");
	f.events = (struct query_words){0};
	found = find(events, &f);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.first, 11);
	assert_string_equal(found.user, "\"dr.martin\"");
}

static void test_interval(void **state)
{
	struct query_filter f = EVERY;

	(void)state;
	assert_true(query_parse_time("2026-11-23T09:12:44.020424Z", &f.since_us));
	assert_true(query_parse_time("2026-11-23T09:12:44.022617", &f.until_us));
	assert_int_equal(find(small, &f).count, 3); /* from the first, before the second */
}

static void test_times(void **state)
{
	int64_t day, minute;

	(void)state;
	assert_true(query_parse_time("2026-11-23", &day));
	assert_true(query_parse_time("2026-11-23T00:01", &minute));
	assert_int_equal(minute - day, 60 * 1000000);
	assert_true(query_parse_time("2026-11-23T00:01Z", &minute));
	assert_false(query_parse_time("2026-11-23Z", &day));
	assert_false(query_parse_time("2026-02-30", &day));
	assert_false(query_parse_time("2026-11-23T24:00", &day));
	assert_false(query_parse_time("", &day));
	assert_false(query_parse_time("yesterday!", &day));
}

static void test_names(void **state)
{
	(void)state;
	assert_true(query_is_subject("325ec08fb884307b1f10dbfafdbaacc3"));
	assert_true(query_is_subject("~325ec08fb884307b1f10dbfafdbaacc3"));
	assert_false(query_is_subject("325EC08fb884307b1f10dbfafdbaacc3"));
	assert_false(query_is_subject("~"));
	assert_true(query_is_event("login_failed"));
	assert_false(query_is_event("read"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_names),
	};

	if (!enter_vectors())
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
