#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include <bson/bson.h>

#include "policy_texts.h"
#include "query/match.h"
#include "transform/policy_test.h"
#include "util/memory.h"

/* ------------------------------------------------------------------ loading */

#define HEAD "mongoward: 1\nclasses: {identity: {}, technical: {}}\ncollections:\n  db.c:\n"
#define FIELDS                                                                               \
	"    fields:\n"                                                                      \
	"      name: {class: identity, type: string, encrypt: {algorithm: deterministic}}\n" \
	"      ssn: {class: identity, type: string, encrypt: {algorithm: random}}\n"         \
	"      vip: {class: technical, type: bool}\n"                                        \
	"      n: {class: technical, type: int}\n"                                           \
	"      age: {class: identity, type: int, encrypt: {algorithm: deterministic}}\n"
#define ROLES           "roles: {a: {grants: [{namespace: db.c, do: [read]}]}}\n"
#define PROTECTED(line) HEAD FIELDS "    protected: [" line "]\n" ROLES
#define ROWS(filter) \
	HEAD FIELDS "roles: {a: {grants: [{namespace: db.c, do: [read], rows: " filter "}]}}\n"

#define TEAM "{from: db.team, where: {u: \"${user.id}\"}, gives: p}"
#define RELATION(relation, filter)                  \
	HEAD FIELDS "relations:\n  team: " relation \
		    "\nroles: {a: {grants: [{namespace: db.c, do: [read], rows: " filter "}]}}\n"
#define NUMBERS "subjects: 2, per_day: 4, unreviewed_max: 3"
#define GRANT   "{namespace: db.c, do: [read], see: {identity: plaintext}}"
#define GLASS_OF(glass)                                                                   \
	HEAD FIELDS "    subject: [{of: [name]}]\n"                                       \
		    "roles: {a: {grants: [{namespace: db.c, do: [read], rows: {n: 1}}], " \
		    "break_glass: " glass "}}\n"
#define GLASS(numbers, grant) GLASS_OF("{purpose: p, " numbers ", grants: [" grant "]}")
#define LIMITS(limits)        "mongoward: 1\nroles: {a: {limits: " limits "}}\n"
#define NETWORKS(list)        "mongoward: 1\nroles: {a: {networks: [" list "]}}\n"
#define EXCLUSIVE(lists)      "mongoward: 1\nroles: {a: {}, b: {}, c: {}}\nexclusive: " lists "\n"

static const struct {
	const char *name, *text, *complaint; /* NULL: none */
} mistakes[] = {
	{"protected", PROTECTED("{where: {vip: true}, only: [a]}"), NULL},
	{"two lines",
		PROTECTED("{where: {vip: true}, only: [a]}, {where: {n: {$gt: 3}}, only: [a]}"),
		NULL},
	{"no list", HEAD FIELDS "    protected: {where: {vip: true}, only: [a]}\n" ROLES,
		":11:16: a list is expected"},
	{"no where", PROTECTED("{only: [a]}"), ":11:17: protected rows need where and only"},
	{"no only", PROTECTED("{where: {vip: true}}"),
		":11:17: protected rows need where and only"},
	{"empty where", PROTECTED("{where: {}, only: [a]}"), ":11:25: `where` names no path"},
	{"empty only", PROTECTED("{where: {vip: true}, only: []}"),
		":11:44: no role could read these rows"},
	{"unknown role", PROTECTED("{where: {vip: true}, only: [b]}"),
		":11:44: there is no role 'b'"},
	{"unknown key", PROTECTED("{where: {vip: true}, only: [a], but: 1}"),
		":11:49: unknown key 'but'"},
	{"template", PROTECTED("{where: {name: \"${user.id}\"}, only: [a]}"),
		":11:32: '${user.id}' is somebody's own"},
	{"operator", PROTECTED("{where: {vip: {$regex: x}}, only: [a]}"),
		":11:25: '$regex' is not supported in rows"},
	{"type is ours", PROTECTED("{where: {vip: {$type: 4}}, only: [a]}"),
		":11:25: '$type' is not supported in rows"},
	{"reserved", PROTECTED("{where: {__mw.s: x}, only: [a]}"), ":11:25: __mw is reserved"},
	{"index", PROTECTED("{where: {a.0: x}, only: [a]}"), ":11:25: 'a.0' is not a field path"},
	{"random", PROTECTED("{where: {ssn: x}, only: [a]}"),
		":11:25: 'ssn' is encrypted: rows cannot compare it with $eq"},
	{"random there", PROTECTED("{where: {ssn: {$exists: true}}, only: [a]}"), NULL},
	{"order", PROTECTED("{where: {name: {$gt: x}}, only: [a]}"),
		":11:25: 'name' is encrypted: rows cannot compare it with $gt"},
	{"sealed null", PROTECTED("{where: {name: null}, only: [a]}"),
		":11:25: 'name' is encrypted, and is never equal to this value"},
	{"sealed number", PROTECTED("{where: {$or: [{n: 1}, {name: {$in: [x, 3]}}]}, only: [a]}"),
		":11:25: 'name' is encrypted, and is never equal to this value"},
	{"below sealed", PROTECTED("{where: {name.x: a}, only: [a]}"),
		":11:25: 'name.x' lies within an encrypted field"},
	{"sealed list", PROTECTED("{where: {name: {$not: {$in: [x, y]}}}, only: [a]}"), NULL},
	{"declared type", PROTECTED("{where: {vip: \"true\"}, only: [a]}"),
		":11:25: 'vip' is declared with another type"},
	{"declared null", PROTECTED("{where: {vip: null}, only: [a]}"), NULL},
	{"declared number", PROTECTED("{where: {n: {$lt: 1.5}}, only: [a]}"), NULL},
	{"rows of a random field", ROWS("{ssn: x}"), ":11:22: 'ssn' is encrypted"},
	{"rows of a sealed field", ROWS("{name: \"${user.id}\"}"), NULL},
	{"relation",
		RELATION("{from: db.team, where: {u: \"${user.id}\", t: {$gt: \"${now}\"}}, gives: "
			 "p}",
			"{name: {$in: \"${team}\"}}"),
		NULL},
	{"relation of sealed paths",
		RELATION("{from: db.c, where: {name: \"${user.id}\"}, gives: ssn}",
			"{n: {$in: \"${team}\"}}"),
		NULL},
	{"relation by a random path",
		RELATION("{from: db.c, where: {ssn: \"${user.id}\"}, gives: n}",
			"{n: {$in: \"${team}\"}}"),
		":12:29: 'ssn' is encrypted"},
	{"rows by a random path", RELATION(TEAM, "{ssn: {$in: \"${team}\"}}"),
		":13:22: 'ssn' is encrypted"},
	{"two types",
		RELATION(TEAM, "{$or: [{name: {$in: \"${team}\"}}, {age: {$in: \"${team}\"}}]}"),
		":13:22: the relation 'team' is compared with encrypted fields of two types"},
	{"a list as a value", RELATION(TEAM, "{name: \"${team}\"}"), ":13:65: '${team}' is a list"},
	{"not in a list", RELATION(TEAM, "{n: {$nin: \"${team}\"}}"),
		":13:69: '${team}' is a list"},
	{"a value as a list", RELATION(TEAM, "{n: {$in: \"${user.id}\"}}"),
		":13:68: '${user.id}' stands for nothing here"},
	{"no such relation", RELATION(TEAM, "{n: {$in: \"${others}\"}}"),
		":13:68: '${others}' stands for nothing here"},
	{"now in rows", RELATION(TEAM, "{n: {$gt: \"${now}\"}}"),
		":13:68: '${now}' stands for nothing here"},
	{"a relation in a relation",
		RELATION("{from: db.c, where: {n: {$in: \"${team}\"}}, gives: n}", "{n: 1}"),
		":12:39: '${team}' cannot stand in a relation"},
	{"no from", RELATION("{where: {n: 1}, gives: n}", "{n: 1}"),
		":12:9: a relation needs from, where and gives"},
	{"no collection", RELATION("{from: db, where: {n: 1}, gives: n}", "{n: 1}"),
		":12:16: 'db' is not a namespace"},
	{"a system database", RELATION("{from: admin.users, where: {n: 1}, gives: n}", "{n: 1}"),
		":12:16: 'admin' is a system database"},
	{"gives no path", RELATION("{from: db.c, where: {n: 1}, gives: a.0}", "{n: 1}"),
		":12:44: 'a.0' is not a field path"},
	{"gives a part", RELATION("{from: db.c, where: {n: 1}, gives: name.x}", "{n: 1}"),
		":12:44: 'name.x' lies within an encrypted field"},
	{"unknown key", RELATION("{from: db.c, where: {n: 1}, gives: n, for: 60}", "{n: 1}"),
		":12:47: unknown key 'for'"},
	{"date", RELATION("{from: db.c, where: {n: \"${now}\"}, gives: n}", "{n: 1}"),
		":12:29: 'n' is declared with another type"},
	{"reserved name", HEAD FIELDS "relations: {now: " TEAM "}\n" ROLES,
		":11:13: 'now' cannot name a relation"},
	{"of a view",
		HEAD FIELDS "views: {db.team: {from: db.c, fields: {n: {of: n}}}}\n"
			    "relations: {a: " TEAM "}\n" ROLES,
		":12:13: the relation 'a' is read from a view"},
	{"test without that relation",
		HEAD FIELDS ROLES
		"tests: [{name: t, as: {role: a, relations: {x: []}}, document: {}, "
		"row: true}]\n",
		":12:45: there is no relation 'x'"},
	{"exclusive", EXCLUSIVE("[[a, b], [b, c], [c, \"*\"]]"), NULL},
	{"no lists", EXCLUSIVE("[a, b]"), ":3:13: a list is expected"},
	{"one role", EXCLUSIVE("[[a]]"), ":3:13: at least two roles are expected"},
	{"no such role", EXCLUSIVE("[[a, d]]"), ":3:17: there is no role 'd'"},
	{"a role twice", EXCLUSIVE("[[a, b, a]]"), ":3:20: 'a' stands twice"},
	{"any twice", EXCLUSIVE("[[\"*\", a, \"*\"]]"), ":3:22: '*' stands twice"},
	{"break-glass", GLASS(NUMBERS, GRANT), NULL},
	{"no purpose", GLASS_OF("{" NUMBERS ", grants: [" GRANT "]}"),
		":12:81: a break-glass needs purpose"},
	{"no grants", GLASS_OF("{purpose: p, " NUMBERS "}"), ":12:81: a break-glass needs grants"},
	{"empty grants", GLASS_OF("{purpose: p, " NUMBERS ", grants: []}"),
		": 1 to 200 grants are expected"},
	{"no numbers", GLASS("subjects: 2", GRANT), ":12:81: a break-glass needs per_day"},
	{"no subjects", GLASS("subjects: 0, per_day: 2, unreviewed_max: 1", GRANT),
		":12:104: a whole number from 1 to 100"},
	{"most subjects", GLASS("subjects: 100, per_day: 10000, unreviewed_max: 10000", GRANT),
		NULL},
	{"too many subjects", GLASS("subjects: 101, per_day: 2, unreviewed_max: 1", GRANT),
		":12:104: a whole number from 1 to 100"},
	{"too many a day", GLASS("subjects: 2, per_day: 10001, unreviewed_max: 1", GRANT),
		": a whole number from 1 to 10000"},
	{"too many unreviewed", GLASS("subjects: 2, per_day: 2, unreviewed_max: 10001", GRANT),
		": a whole number from 1 to 10000"},
	{"unknown key", GLASS("cursors: 2, " NUMBERS, GRANT), ":12:94: unknown key 'cursors'"},
	{"writes", GLASS(NUMBERS, "{namespace: db.c, do: [read, update]}"),
		": a break-glass can only read"},
	{"changes", GLASS(NUMBERS, "{namespace: db.c, do: [read], change: [name]}"),
		": a break-glass changes nothing"},
	{"a grant's own purpose", GLASS(NUMBERS, "{namespace: db.c, do: [read], purpose: [q]}"),
		": a break-glass changes nothing"},
	{"any collection", GLASS(NUMBERS, "{namespace: db.*, do: [read]}"),
		": a break-glass finds the patients of one collection"},
	{"no subject there", GLASS(NUMBERS, "{namespace: db.d, do: [read]}"),
		": a break-glass finds the patients of one collection"},
	{"an ordinary purpose",
		HEAD FIELDS
		"    subject: [{of: [name]}]\nroles: {a: {grants: [{namespace: db.c, do: "
		"[read], purpose: [p]}], break_glass: {purpose: p, " NUMBERS ", grants: [" GRANT
		"]}}}\n",
		": 'p' is the purpose of an ordinary grant, too"},
	{"care", "mongoward: 1\nroles: {a: {care: true}, b: {care: false}}\n", NULL},
	{"some care", "mongoward: 1\nroles: {a: {care: some}}\n",
		":2:19: true or false is expected"},
	{"limits", LIMITS("{documents_per_day: 1, commands_per_minute: 1000000000000}"), NULL},
	{"no limit", LIMITS("{}"), ":2:21: no limit is named"},
	{"zero", LIMITS("{documents_per_day: 0}"), ":2:41: a whole number from 1 to"},
	{"too large", LIMITS("{commands_per_minute: 1000000000001}"),
		":2:43: a whole number from 1 to"},
	{"no number", LIMITS("{documents_per_day: few}"), ":2:41: a whole number from 1 to"},
	{"unknown limit", LIMITS("{bytes_per_day: 5}"), ":2:22: unknown key 'bytes_per_day'"},
	{"no mapping", LIMITS("20"), ":2:21: a mapping is expected"},
	{"rows of another type", ROWS("{n: \"${user.n}\"}"), ":11:22: 'n' is declared"},
	{"networks", NETWORKS("10.0.0.0/8, 1.2.3.4, \"::/0\", \"::ffff:1.2.3.4/128\""), NULL},
	{"bits with a sign", NETWORKS("10.0.0.0/+8"), ":2:24: a network is expected"},
	{"no bits", NETWORKS("10.0.0.0/"), ":2:24: a network is expected"},
	{"33 bits", NETWORKS("10.0.0.0/33"), ":2:24: a network is expected"},
	{"129 bits", NETWORKS("\"::1/129\""), ":2:24: a network is expected"},
	{"bits behind many zeros",
		NETWORKS("10.0.0.0/000000000000000000000000000000000000000000000000000000008"),
		":2:24: a network is expected"},
	{"a long name", NETWORKS("a.very.long.name.that.is.no.address.of.anything.at.all.example"),
		":2:24: a network is expected"},
	{"a mask's key without a mask",
		HEAD FIELDS "views: {db.v: {from: db.c, fields: {n: {of: n, edges: [1]}}}}\n" ROLES,
		":11:48: 'edges' means nothing without a mask"},
	{"another mask's key",
		HEAD FIELDS "views: {db.v: {from: db.c, fields: {n: {of: n, mask: round, to: 5, "
			    "with: x}}}}\n" ROLES,
		":11:68: 'with' means nothing to the mask round"},
	{"an unknown action grants nothing",
		"mongoward: 1\nroles: {a: {grants: [{namespace: \"*\", do: [reed]}]}}\n",
		":2:44: unknown action 'reed'"},
};

/* Sixteen lines, and one more. */
static char *many_lines(int n)
{
	struct buf text;
	char *copy;

	buf_init(&text, 1u << 16);
	buf_put_str(&text, HEAD FIELDS "    protected: [");
	for (int i = 0; i < n; i++)
		buf_put_format(&text, "%s{where: {n: %d}, only: [a]}", i ? ", " : "", i);
	buf_put_str(&text, "]\n" ROLES);
	copy = memory_text(buf_bytes(&text));
	buf_fini(&text);
	return copy;
}

static int check_text(const char *name, const char *text, const char *complaint)
{
	struct complaints complaints;
	struct policy *p;
	int failed = 0;

	complaints_init(&complaints);
	p = load_policy_text("p.yaml", text, &complaints);
	buf_put_u8(&complaints.lines, 0);
	if (complaint ? p || !strstr((const char *)complaints.lines.at, complaint) : !p) {
		fprintf(stderr, "%s: wanted %s, given: %s\n", name, complaint ? complaint : "none",
			(const char *)complaints.lines.at);
		failed = 1;
	}
	policy_unref(p);
	complaints_fini(&complaints);
	return failed;
}

static void test_mistakes(void **state)
{
	int failed = 0;
	char *most = many_lines(POLICY_PROTECTED_MAX), *more = many_lines(POLICY_PROTECTED_MAX + 1);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(mistakes); i++)
		failed += check_text(mistakes[i].name, mistakes[i].text, mistakes[i].complaint);
	failed += check_text("16 lines", most, NULL);
	failed += check_text("17 lines", more, ":11:16: over 16 kinds of protected rows");
	free(most);
	free(more);
	assert_int_equal(failed, 0);
}

static const struct {
	const char *roles[4];
	const char *pair[2]; /* NULL: none */
} holders[] = {
	{{"a"}, {NULL}},
	{{"a", "c"}, {NULL}},
	{{"a", "b"}, {"a", "b"}},
	{{"c", "b", "a"}, {"b", "a"}},
	{{"a", "a"}, {NULL}},
	{{"d"}, {NULL}},
	{{"d", "d"}, {NULL}},
	{{"c", "d"}, {"c", "d"}},
	{{"d", "unknown"}, {"d", "unknown"}},
	{{"unknown", "a"}, {NULL}},
};

static void test_exclusive(void **state)
{
	const char *text = "mongoward: 1\nroles: {a: {}, b: {}, c: {}, d: {}}\n"
			   "exclusive: [[a, b], [d, \"*\"]]\n";
	struct complaints complaints;
	struct policy *p;

	(void)state;
	complaints_init(&complaints);
	p = load_policy_text("p.yaml", text, &complaints);
	assert_non_null(p);
	for (size_t i = 0; i < COUNT_OF(holders); i++) {
		struct bytes roles[4], pair[2];
		size_t n = 0;

		for (; n < COUNT_OF(roles) && holders[i].roles[n]; n++)
			roles[n] = bytes_str(holders[i].roles[n]);
		if (policy_roles_exclude(p, roles, n, pair)) {
			assert_non_null(holders[i].pair[0]);
			assert_true(bytes_equal_str(pair[0], holders[i].pair[0]));
			assert_true(bytes_equal_str(pair[1], holders[i].pair[1]));
		} else {
			assert_null(holders[i].pair[0]);
		}
	}
	policy_unref(p);
	complaints_fini(&complaints);
}

/* ----------------------------------------------------------------- matching */

static const struct {
	const char *filter, *document;
	bool fits;
} matches[] = {
	{"{\"$nor\": [{\"a.b\": 1}, {\"a\": {\"@type\": 4}}, {\"a.b\": {\"@type\": 4}}]}",
		"{\"a\": {\"b\": 2}}", true},
	{"{\"$nor\": [{\"a.b\": 1}, {\"a\": {\"@type\": 4}}, {\"a.b\": {\"@type\": 4}}]}",
		"{\"a\": {\"b\": 1}}", false},
	{"{\"$nor\": [{\"a.b\": 1}, {\"a\": {\"@type\": 4}}, {\"a.b\": {\"@type\": 4}}]}", "{}",
		true},
	{"{\"$nor\": [{\"a.b\": 1}, {\"a\": {\"@type\": 4}}, {\"a.b\": {\"@type\": 4}}]}",
		"{\"a\": [{\"b\": 2}]}", false},
	{"{\"$nor\": [{\"a.b\": {\"$ne\": 1}}, {\"a.b\": {\"@type\": 4}}]}",
		"{\"a\": {\"b\": [1]}}", false},
	{"{\"$nor\": [{\"a.b\": {\"$ne\": 1}}, {\"a.b\": {\"@type\": 4}}]}", "{\"a\": {\"b\": []}}",
		false},
	{"{\"a\": {\"@type\": 4}}", "{\"a\": 4}", false},
};

static struct bytes bson_of(struct arena *arena, const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	uint8_t *copy, *at;
	size_t len;

	if (!doc)
		fail_msg("%s: %s", json, error.message);
	len = doc->len;
	copy = arena_alloc(arena, len);
	memcpy(copy, bson_get_data(doc), len);
	bson_destroy(doc);
	/* In extended JSON `$type` is part of a binary value. */
	while ((at = memmem(copy, len, "@type", 5)))
		*at = '$';
	return bytes_of(copy, len);
}

static void test_match(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < COUNT_OF(matches); i++) {
		bool fits = match_document(
			bson_of(&arena, matches[i].filter), bson_of(&arena, matches[i].document));

		if (fits != matches[i].fits)
			fail_msg("%s on %s", matches[i].filter, matches[i].document);
	}
	arena_fini(&arena);
}

/* ------------------------------------------------------------ its own tests */

static struct policy *load_clinic(void)
{
	const char *source = getenv("srcdir");
	char *folder = memory_format("%s/tests/policy/rows", source ? source : ".");
	struct complaints complaints;
	struct policy *p;

	complaints_init(&complaints);
	p = policy_load(folder, &complaints);
	if (!p)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	complaints_fini(&complaints);
	free(folder);
	return p;
}

static void test_own_tests(void **state)
{
	static const uint8_t key[MASTER_LEN] = {1, 2, 3};
	struct policy *p = load_clinic();
	struct complaints complaints;
	struct fault why;
	struct master *m = master_new(key, false, &why);

	(void)state;
	complaints_init(&complaints);
	if (policy_run_tests(p, m, bytes_str("encryption.__keyVault"), &complaints))
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	assert_true(p->ntests > 10);
	complaints_fini(&complaints);
	master_free(m);
	policy_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_exclusive),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_own_tests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
