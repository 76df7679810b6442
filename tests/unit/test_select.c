#include "unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include <bson/bson.h>

#include "upstream/inside.h"
#include "util/memory.h"

#define NOW_US       (INT64_C(1) << 50)
#define HEARTBEAT_US 10000000u
#define THRESHOLD_US 15000u

struct node {
	enum server_kind kind;
	const char *tags; /* or NULL */
	unsigned rtt_us;
	unsigned lag_s; /* of its last write behind now */
	bool down, nowhere;
};

#define P SERVER_PRIMARY
#define S SERVER_SECONDARY

/* Sets of servers; what names them below is the index of each. */
static const struct node none[1];
static const struct node replicas[] = {
	{P, "{\"dc\": \"a\"}", 1000, 0, false, false},
	{S, "{\"dc\": \"a\", \"disk\": \"ssd\"}", 2000, 0, false, false},
	{S, "{\"dc\": \"b\", \"disk\": \"ssd\"}", 3000, 0, false, false},
	{S, NULL, 4000, 0, false, false},
	{SERVER_UNKNOWN, "{\"dc\": \"b\"}", 100, 0, false, false},
};
static const struct node alone[] = {{P, "{\"dc\": \"a\"}", 1000, 0, false, false}};
static const struct node headless[] = {
	{SERVER_UNKNOWN, NULL, 0, 0, false, false},
	{S, "{\"dc\": \"a\"}", 1000, 0, false, false},
	{S, "{\"dc\": \"b\"}", 2000, 0, false, false},
};
static const struct node wounded[] = {
	{P, NULL, 1000, 0, true, false},
	{S, NULL, 1000, 0, true, false},
	{S, NULL, 1000, 0, false, true},
	{S, NULL, 1000, 0, false, false},
};
static const struct node dead[] = {
	{P, NULL, 1000, 0, true, false},
	{S, NULL, 1000, 0, true, false},
	{SERVER_MONGOS, NULL, 1000, 0, true, false},
	{SERVER_STANDALONE, NULL, 1000, 0, false, true},
};
static const struct node far[] = {
	{P, NULL, 50000, 0, false, false},
	{S, NULL, 10000, 0, false, false},
	{S, NULL, 10000 + THRESHOLD_US, 0, false, false},
	{S, NULL, 10000 + THRESHOLD_US + 1, 0, false, false},
};
static const struct node late[] = {
	{P, NULL, 1000, 10, false, false},
	{S, NULL, 1000, 10, false, false},
	{S, NULL, 1000, 100, false, false}, /* 90 s behind, and 10 s that nobody has looked */
	{S, NULL, 1000, 101, false, false},
};
static const struct node late_headless[] = {
	{S, NULL, 1000, 10, false, false},
	{S, NULL, 1000, 100, false, false},
	{S, NULL, 1000, 101, false, false},
};
static const struct node mongos[] = {
	{SERVER_MONGOS, NULL, 1000, 0, false, false},
	{SERVER_MONGOS, NULL, 1000 + THRESHOLD_US, 0, false, false},
	{SERVER_MONGOS, NULL, 1001 + THRESHOLD_US, 0, false, false},
	{SERVER_MONGOS, NULL, 1000, 0, true, false},
};
static const struct node standalone[] = {{SERVER_STANDALONE, NULL, 1000, 0, false, false}};
static const struct node direct[] = {{SERVER_DIRECT, "{\"dc\": \"a\"}", 1000, 0, false, false}};

static struct bytes document_of(const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	uint8_t *copy;
	uint32_t len;

	assert_non_null(doc);
	len = doc->len;
	copy = memcpy(memory_new(len), bson_get_data(doc), len);
	bson_destroy(doc);
	return bytes_of(copy, len);
}

static void drop(struct bytes document)
{
	union {
		const uint8_t *borrowed;
		uint8_t *owned;
	} at = {document.at};

	free(at.owned);
}

static struct topology *topology_of(const struct node *nodes, size_t n)
{
	struct topology *t = topology_new(n);

	for (size_t i = 0; i < n; i++) {
		struct server *s = &t->servers[i];

		s->id = (server_id)i + 1;
		s->kind = nodes[i].kind;
		s->down = nodes[i].down;
		s->naddresses = nodes[i].nowhere ? 0 : 1;
		s->rtt_us = nodes[i].rtt_us;
		s->last_update_us = NOW_US;
		s->last_write_ms = NOW_US / 1000 - (int64_t)nodes[i].lag_s * 1000;
		if (nodes[i].tags)
			s->tags = document_of(nodes[i].tags);
	}
	return t;
}

static const char *select_text(
	const struct topology *t, const struct upstream_want *want, char out[3 * SERVERS_MAX])
{
	static const struct selection limits = {THRESHOLD_US, HEARTBEAT_US};
	uint8_t chosen[SERVERS_MAX];
	size_t n = topology_select(t, &limits, want, chosen);

	out[0] = 0;
	for (size_t i = 0; i < n; i++)
		sprintf(out + strlen(out), i ? " %u" : "%u", chosen[i]);
	return out;
}

static void expect(const struct topology *t, const char *preference, bool write, const char *chosen)
{
	struct upstream_want want = {.write = write};
	struct bytes document = {0};
	char text[3 * SERVERS_MAX];

	if (preference)
		document = document_of(preference);
	want.preference = document;
	assert_string_equal(select_text(t, &want, text), chosen);
	drop(document);
}

#define NODES(nodes)         (nodes), COUNT_OF(nodes)
#define MODE(mode)           "{\"mode\": \"" mode "\"}"
#define TAGGED(mode, tags)   "{\"mode\": \"" mode "\", \"tags\": [" tags "]}"
#define STALE(mode, seconds) "{\"mode\": \"" mode "\", \"maxStalenessSeconds\": " seconds "}"

struct select_case {
	const struct node *nodes;
	size_t n;
	const char *preference; /* or NULL */
	const char *chosen;
};

static void run_cases(const struct select_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct topology *t = topology_of(cases[i].nodes, cases[i].n);

		expect(t, cases[i].preference, false, cases[i].chosen);
		topology_unref(t);
	}
}

static void test_modes(void **state)
{
	static const struct select_case cases[] = {
		{NODES(replicas), NULL, "0"},
		{NODES(replicas), "{}", "0"},
		{NODES(replicas), MODE("primary"), "0"},
		{NODES(replicas), MODE("primaryPreferred"), "0"},
		{NODES(replicas), MODE("secondary"), "1 2 3"},
		{NODES(replicas), MODE("secondaryPreferred"), "1 2 3"},
		{NODES(replicas), MODE("nearest"), "0 1 2 3"},
		{NODES(alone), MODE("primary"), "0"},
		{NODES(alone), MODE("primaryPreferred"), "0"},
		{NODES(alone), MODE("secondary"), ""},
		{NODES(alone), MODE("secondaryPreferred"), "0"},
		{NODES(alone), MODE("nearest"), "0"},
		{NODES(headless), NULL, ""},
		{NODES(headless), MODE("primary"), ""},
		{NODES(headless), MODE("primaryPreferred"), "1 2"},
		{NODES(headless), MODE("secondary"), "1 2"},
		{NODES(headless), MODE("secondaryPreferred"), "1 2"},
		{NODES(headless), MODE("nearest"), "1 2"},
		{NODES(wounded), MODE("primary"), ""},
		{NODES(wounded), MODE("primaryPreferred"), "3"},
		{NODES(wounded), MODE("secondary"), "3"},
		{NODES(wounded), MODE("secondaryPreferred"), "3"},
		{NODES(wounded), MODE("nearest"), "3"},
		{NODES(dead), NULL, ""},
		{NODES(dead), MODE("nearest"), ""},
		{none, 0, NULL, ""},
		{none, 0, MODE("primary"), ""},
		{none, 0, MODE("primaryPreferred"), ""},
		{none, 0, MODE("secondary"), ""},
		{none, 0, MODE("secondaryPreferred"), ""},
		{none, 0, MODE("nearest"), ""},
		{none, 1, MODE("nearest"), ""},
	};

	(void)state;
	run_cases(cases, COUNT_OF(cases));
}

static void test_tags(void **state)
{
	static const struct select_case cases[] = {
		{NODES(replicas), TAGGED("secondary", ""), "1 2 3"},
		{NODES(replicas), TAGGED("secondary", "{}"), "1 2 3"},
		{NODES(replicas), TAGGED("secondary", "{\"dc\": \"a\"}"), "1"},
		{NODES(replicas), TAGGED("secondary", "{\"disk\": \"ssd\"}"), "1 2"},
		{NODES(replicas), TAGGED("secondary", "{\"disk\": \"ssd\", \"dc\": \"b\"}"), "2"},
		{NODES(replicas), TAGGED("secondary", "{\"disk\": \"ssd\", \"dc\": \"c\"}"), ""},
		{NODES(replicas), TAGGED("secondary", "{\"dc\": \"c\"}, {\"dc\": \"b\"}, {}"), "2"},
		{NODES(replicas), TAGGED("secondary", "{\"dc\": \"c\"}, {}"), "1 2 3"},
		{NODES(replicas), TAGGED("secondary", "{\"dc\": \"c\"}"), ""},
		{NODES(replicas), TAGGED("secondary", "{\"dc\": \"\"}"), ""},
		{NODES(replicas), TAGGED("secondary", "{\"DC\": \"a\"}"), ""},
		{NODES(replicas), TAGGED("secondary", "{\"dc\": 1}"), ""},
		{NODES(replicas), TAGGED("secondary", "1, {}"), ""},
		{NODES(replicas), TAGGED("secondaryPreferred", "{\"dc\": \"c\"}"), "0"},
		{NODES(replicas), TAGGED("secondaryPreferred", "{\"dc\": \"b\"}"), "2"},
		{NODES(replicas), TAGGED("primaryPreferred", "{\"dc\": \"b\"}"), "0"},
		{NODES(replicas), TAGGED("primary", "{\"dc\": \"b\"}"), "0"},
		{NODES(replicas), TAGGED("nearest", "{\"dc\": \"a\"}"), "0 1"},
		{NODES(replicas), TAGGED("nearest", "{\"dc\": \"c\"}"), ""},
		{NODES(headless), TAGGED("primaryPreferred", "{\"dc\": \"b\"}"), "2"},
		{NODES(headless), TAGGED("primaryPreferred", "{\"dc\": \"c\"}"), ""},
		{none, 0, TAGGED("nearest", "{\"dc\": \"a\"}, {}"), ""},
	};

	(void)state;
	run_cases(cases, COUNT_OF(cases));
}

/* As many sets as are looked at, and one more. */
static void test_many_tag_sets(void **state)
{
	struct topology *t = topology_of(NODES(replicas));
	char preference[4096];

	(void)state;
	for (unsigned over = 0; over < 2; over++) {
		strcpy(preference, "{\"mode\": \"secondary\", \"tags\": [");
		for (unsigned i = 0; i < 31 + over; i++)
			strcat(preference, "{\"dc\": \"nowhere\"}, ");
		strcat(preference, "{\"dc\": \"b\"}]}");
		expect(t, preference, false, over ? "" : "2");
	}
	topology_unref(t);
}

static void test_staleness(void **state)
{
	static const struct select_case cases[] = {
		{NODES(late), MODE("secondary"), "1 2 3"},
		{NODES(late), STALE("secondary", "-1"), "1 2 3"},
		{NODES(late), STALE("secondary", "0"), "1 2 3"},
		{NODES(late), STALE("secondary", "101"), "1 2 3"},
		{NODES(late), STALE("secondary", "100"), "1 2"},
		{NODES(late), STALE("secondary", "99.999"), "1"},
		{NODES(late), STALE("secondary", "10"), "1"},
		{NODES(late), STALE("secondary", "9"), ""},
		{NODES(late), STALE("secondaryPreferred", "9"), "0"},
		{NODES(late), STALE("nearest", "100"), "0 1 2"},
		{NODES(late), STALE("primary", "9"), "0"},
		{NODES(late), STALE("secondary", "1e300"), "1 2 3"},
		{NODES(late_headless), STALE("secondary", "101"), "0 1 2"},
		{NODES(late_headless), STALE("secondary", "100"), "0 1"},
		{NODES(late_headless), STALE("secondary", "99"), "0"},
		{NODES(late_headless), STALE("nearest", "9"), ""},
		{NODES(direct), STALE("secondary", "1"), "0"},
	};

	(void)state;
	run_cases(cases, COUNT_OF(cases));
}

/* Dates that a server only says.  Beyond some they are all the same. */
static void test_hostile_dates(void **state)
{
	static const struct {
		int64_t ms;
		int order;
	} dates[] = {
		{INT64_MIN, 0},
		{INT64_MIN / 1000, 0},
		{-1, 1},
		{0, 1},
		{INT64_MAX / 1000, 2},
		{INT64_MAX / 1000 + 1, 2},
		{INT64_MAX, 2},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(dates); i++)
		for (size_t k = 0; k < COUNT_OF(dates); k++) {
			bool stale = dates[k].order < dates[i].order;
			struct topology *t = topology_of(NODES(late));

			t->nservers = 2;
			t->servers[0].last_write_ms = dates[i].ms;
			t->servers[1].last_write_ms = dates[k].ms;
			expect(t, STALE("secondary", "100"), false, stale ? "" : "1");
			t->servers[0].kind = SERVER_SECONDARY;
			expect(t, STALE("nearest", "100"), false,
				dates[k].order == dates[i].order ? "0 1"
				: stale                          ? "0"
								 : "1");
			topology_unref(t);
		}
}

static void test_latency_window(void **state)
{
	static const struct select_case cases[] = {
		{NODES(far), NULL, "0"},
		{NODES(far), MODE("secondary"), "1 2"},
		{NODES(far), MODE("nearest"), "1 2"},
		{NODES(mongos), NULL, "0 1"},
		{NODES(mongos), TAGGED("secondary", "{\"dc\": \"a\"}"), "0 1"},
	};

	(void)state;
	run_cases(cases, COUNT_OF(cases));
}

/* One server, whatever it is, takes all; a mongos judges the preference itself. */
static void test_any(void **state)
{
	static const struct select_case cases[] = {
		{NODES(standalone), NULL, "0"},
		{NODES(standalone), MODE("secondary"), "0"},
		{NODES(direct), MODE("primary"), "0"},
		{NODES(direct), TAGGED("secondary", "{\"dc\": \"z\"}"), "0"},
	};
	static const struct {
		const struct node *nodes;
		size_t n;
		const char *chosen;
	} writes[] = {
		{NODES(replicas), "0"},
		{NODES(headless), ""},
		{NODES(wounded), ""},
		{NODES(far), "0"},
		{NODES(mongos), "0 1"},
		{NODES(standalone), "0"},
		{NODES(direct), "0"},
		{none, 0, ""},
	};

	(void)state;
	run_cases(cases, COUNT_OF(cases));
	for (size_t i = 0; i < COUNT_OF(writes); i++) {
		struct topology *t = topology_of(writes[i].nodes, writes[i].n);

		expect(t, NULL, true, writes[i].chosen);
		/* A write asks for no preference. */
		expect(t, MODE("secondary"), true, writes[i].chosen);
		topology_unref(t);
	}
}

/* What is no preference fits no server. */
static void test_malformed(void **state)
{
	static const struct select_case cases[] = {
		{NODES(replicas), MODE("Primary"), ""},
		{NODES(replicas), MODE(""), ""},
		{NODES(replicas), MODE("primary "), ""},
		{NODES(replicas), MODE("secondary\\u0000"), ""},
		{NODES(replicas), "{\"mode\": 1}", ""},
		{NODES(replicas), "{\"mode\": null}", ""},
		{NODES(replicas), "{\"mode\": \"nearest\", \"tags\": {}}", ""},
		{NODES(replicas), "{\"mode\": \"nearest\", \"tags\": \"dc\"}", ""},
		{NODES(replicas), STALE("nearest", "\"10\""), ""},
		{NODES(replicas), STALE("nearest", "true"), ""},
		{NODES(replicas), "{\"other\": 1}", "0"},
	};

	(void)state;
	run_cases(cases, COUNT_OF(cases));
}

/* Bytes that are no document: nothing is read beyond them. */
static void test_torn(void **state)
{
	struct bytes whole = document_of(TAGGED("secondary", "{\"dc\": \"c\"}, {\"dc\": \"a\"}"));
	struct topology *t = topology_of(NODES(replicas));
	char text[3 * SERVERS_MAX];

	(void)state;
	for (size_t cut = 0; cut <= whole.len; cut++) {
		uint8_t *copy = memory_array(cut ? cut : 1, 1);
		struct upstream_want want = {.preference = bytes_of(copy, cut)};

		memcpy(copy, whole.at, cut);
		(void)select_text(t, &want, text);
		if (cut == whole.len)
			assert_string_equal(text, "1");
		free(copy);
	}
	drop(whole);
	topology_unref(t);
}

static void test_one_server(void **state)
{
	struct upstream_want want = {.server = 3};
	struct topology *t = topology_of(NODES(replicas));
	char text[3 * SERVERS_MAX];

	(void)state;
	assert_string_equal(select_text(t, &want, text), "2");
	want.write = true; /* of a transaction: there and nowhere else */
	assert_string_equal(select_text(t, &want, text), "2");
	t->servers[2].down = true;
	assert_string_equal(select_text(t, &want, text), "");
	want.server = 5; /* not known now */
	assert_string_equal(select_text(t, &want, text), "");
	want.server = 99;
	assert_string_equal(select_text(t, &want, text), "");
	topology_unref(t);
	t = topology_of(none, 0);
	want.server = 1;
	assert_string_equal(select_text(t, &want, text), "");
	topology_unref(t);
}

/* As many as fit, and more. */
static void test_many_servers(void **state)
{
	struct node nodes[SERVERS_MAX + 2];
	struct selection limits = {THRESHOLD_US, HEARTBEAT_US};
	struct upstream_want want = {.server = SERVER_ANY};
	uint8_t chosen[SERVERS_MAX];
	struct topology *t;

	(void)state;
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t over = 0; over <= 2; over++) {
			struct bytes nearest = document_of(MODE("nearest"));

			for (size_t i = 0; i < COUNT_OF(nodes); i++)
				nodes[i] = (struct node){.kind = kind ? SERVER_MONGOS : S};
			t = topology_of(nodes, SERVERS_MAX + over);
			want.preference = nearest;
			assert_int_equal(topology_select(t, &limits, &want, chosen), SERVERS_MAX);
			assert_int_equal(chosen[SERVERS_MAX - 1], SERVERS_MAX - 1);
			topology_unref(t);
			drop(nearest);
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_many_tag_sets),
		cmocka_unit_test(test_staleness),
		cmocka_unit_test(test_hostile_dates),
		cmocka_unit_test(test_latency_window),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_one_server),
		cmocka_unit_test(test_many_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
