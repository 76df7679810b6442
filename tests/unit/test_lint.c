#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/lint.h"
#include "policy_texts.h"
#include "util/file.h"
#include "util/memory.h"

/* Each case is a policy behind these lines; what is expected is every warning, as
 * `line:column name: what`, in any order. */
#define HEAD        "mongoward: 1\n"
#define CLASSES     "classes: {identity: {}, demo: {}, admin: {}}\n"
#define READ_ALL    "  all: {grants: [{namespace: \"*\", do: [read], see: {\"*\": plaintext}}]}\n"
#define FIELDS(...) "collections: {c.p: {subject: [{of: [name]}], fields: {" __VA_ARGS__ "}}}\n"
#define PLAIN       FIELDS("name: {class: identity}, age: {class: demo}, ward: {class: admin}")
#define SOME        HEAD CLASSES PLAIN "roles:\n" READ_ALL
#define GRANT(...)  "      - {namespace: c.p, " __VA_ARGS__ "}\n"
#define ROLE        "  r:\n    grants:\n"

static const struct {
	const char *name, *policy;
	const char *said[4];
} cases[] = {
	{"nothing", SOME, {NULL}},

	/* Grants that never decide: line 6 is the role, 8 and 9 its grants. */
	{"the same grant twice", SOME ROLE GRANT("do: [read]") GRANT("do: [read]"),
		{"9:9 unreachable-grant: roles.r.grants[1] never decides: roles.r.grants[0] is "
		 "at least as wide"}},
	{"a narrower one behind",
		SOME ROLE GRANT("do: [read], see: {\"*\": plaintext}")
			GRANT("do: [read], see: {demo: plaintext}"),
		{"9:9 unreachable-grant: roles.r.grants[1] never decides: roles.r.grants[0] is "
		 "at least as wide"}},
	{"a narrower one before",
		SOME ROLE GRANT("do: [read], see: {demo: plaintext}")
			GRANT("do: [read], see: {\"*\": plaintext}"),
		{"8:9 unreachable-grant: roles.r.grants[0] never decides: roles.r.grants[1] is "
		 "at least as wide"}},
	{"one with rows behind one without",
		SOME ROLE GRANT("do: [read]") GRANT("do: [read], rows: {ward: w}"),
		{"9:9 unreachable-grant: roles.r.grants[1] never decides: roles.r.grants[0] is "
		 "at least as wide"}},
	{"one for a purpose behind one for any",
		SOME ROLE GRANT("do: [read]") GRANT("do: [read], purpose: [care]"),
		{"9:9 unreachable-grant: roles.r.grants[1] never decides: roles.r.grants[0] is "
		 "at least as wide"}},
	{"of a wildcard",
		SOME ROLE "      - {namespace: \"c.*\", do: [read, insert], see: {\"*\": "
			  "plaintext}}\n" GRANT("do: [read], see: {demo: plaintext}"),
		{"9:9 unreachable-grant: roles.r.grants[1] never decides: roles.r.grants[0] is "
		 "at least as wide"}},
	{"of a collection that is not described",
		SOME ROLE "      - {namespace: c.x, do: [read]}\n      - {namespace: c.x, do: "
			  "[read]}\n",
		{"9:9 unreachable-grant: roles.r.grants[1] never decides: roles.r.grants[0] is "
		 "at least as wide"}},
	{"another action", SOME ROLE GRANT("do: [read]") GRANT("do: [read, insert]"), {NULL}},
	{"another collection",
		SOME ROLE GRANT("do: [read]") "      - {namespace: c.q, do: [read]}\n", {NULL}},
	{"a wildcard behind what it covers in part",
		SOME ROLE GRANT("do: [read]") "      - {namespace: \"c.*\", do: [read]}\n", {NULL}},
	{"other rows",
		SOME ROLE GRANT("do: [read], rows: {ward: a}") GRANT("do: [read], rows: {ward: b}"),
		{NULL}},
	{"other classes",
		SOME ROLE GRANT("do: [read], see: {demo: plaintext}")
			GRANT("do: [read], see: {admin: plaintext}"),
		{NULL}},
	{"another purpose",
		SOME ROLE GRANT("do: [read], purpose: [a]") GRANT("do: [read], purpose: [b]"),
		{NULL}},
	{"any purpose behind one", SOME ROLE GRANT("do: [read], purpose: [a]") GRANT("do: [read]"),
		{NULL}},
	{"any purpose and more behind one",
		SOME ROLE GRANT("do: [read], purpose: [a]")
			GRANT("do: [read], see: {demo: plaintext}"),
		{"8:9 unreachable-grant: roles.r.grants[0] never decides: roles.r.grants[1] is "
		 "at least as wide"}},
	{"more to write",
		SOME ROLE GRANT("do: [update], see: {\"*\": plaintext}")
			GRANT("do: [update], see: {\"*\": plaintext}, change: [demo]"),
		{NULL}},
	{"of another role", SOME ROLE GRANT("do: [read]") "  s:\n    grants:\n" GRANT("do: [read]"),
		{NULL}},

	/* Classes. */
	{"a class without a field",
		HEAD "classes: {identity: {}, demo: {}, admin: {}, spare: {}}\n" PLAIN
		     "roles:\n" READ_ALL,
		{"2:46 empty-class: the class 'spare' has no field"}},
	{"one that unlisted fields have",
		HEAD "classes: {identity: {}, rest: {}}\ncollections: {c.p: {fields: {name: "
		     "{class: identity}}, unlisted: rest}}\nroles:\n" READ_ALL,
		{NULL}},
	{"restricted and technical, listed",
		HEAD "classes: {restricted: {}, technical: {}}\nroles:\n" READ_ALL, {NULL}},
	{"a class that nobody reads",
		HEAD CLASSES PLAIN "roles:\n" ROLE GRANT("do: [read], see: {identity: plaintext, "
							 "demo: {mask: round, to: 5}}"),
		{"2:35 unread-class: nobody reads the class 'admin'"}},
	{"one that is written only",
		HEAD CLASSES PLAIN "roles:\n" ROLE GRANT("do: [read], see: {identity: plaintext, "
							 "demo: plaintext}")
			GRANT("do: [insert], see: {admin: plaintext}, change: [admin]"),
		{"2:35 unread-class: nobody reads the class 'admin'"}},
	{"one that a path opens",
		HEAD CLASSES PLAIN "roles:\n" ROLE GRANT("do: [read], see: {identity: plaintext, "
							 "demo: plaintext, ward: plaintext}"),
		{NULL}},
	{"one that a view shows, and one that a view without readers does",
		HEAD CLASSES PLAIN "views: {c.v: {from: c.p, fields: {w: {of: ward}}}, c.u: {from: "
				   "c.p, fields: {a: {of: age}}}}\n"
				   "roles:\n  r: {grants: [{namespace: c.v, do: [read]}, "
				   "{namespace: c.p, do: [read], see: {identity: plaintext}}]}\n",
		{"2:25 unread-class: nobody reads the class 'demo'"}},

	/* Quasi-identifiers. */
	{"age and ward, told by names",
		HEAD CLASSES FIELDS("name: {class: identity}, age: {class: demo}, x.hospital: "
				    "{class: admin}") "roles:\n" READ_ALL ROLE
			GRANT("do: [read], see: {demo: plaintext, admin: plaintext}"),
		{"8:9 quasi-identifiers: roles.r.grants[0] shows age or date of birth and postal "
		 "code, city or hospital of c.p in plaintext: together they single patients out"}},
	{"one of them masked",
		HEAD CLASSES FIELDS("name: {class: identity}, age: {class: demo}, x.hospital: "
				    "{class: admin}") "roles:\n" READ_ALL ROLE
			GRANT("do: [read], see: {demo: {mask: round, to: 10}, admin: plaintext}"),
		{NULL}},
	{"with the name beside them",
		HEAD CLASSES FIELDS("name: {class: identity}, age: {class: demo}, x.hospital: "
				    "{class: admin}") "roles:\n" READ_ALL ROLE
			GRANT("do: [read], see: {\"*\": plaintext}"),
		{NULL}},
	{"without read",
		HEAD CLASSES FIELDS("name: {class: identity}, age: {class: demo}, x.hospital: "
				    "{class: admin}") "roles:\n" READ_ALL ROLE
			GRANT("do: [index], see: {demo: plaintext, admin: plaintext}"),
		{NULL}},
	{"the policy says that it is none",
		HEAD CLASSES FIELDS("name: {class: identity}, age: {class: demo}, x.hospital: "
				    "{class: admin, quasi: []}") "roles:\n" READ_ALL ROLE
			GRANT("do: [read], see: {demo: plaintext, admin: plaintext}"),
		{NULL}},
	{"the policy says that it is one",
		HEAD CLASSES FIELDS("name: {class: identity}, age: {class: demo}, ward: {class: "
				    "admin, quasi: [place]}") "roles:\n" READ_ALL ROLE
			GRANT("do: [read], see: {demo: plaintext, admin: plaintext}"),
		{"8:9 quasi-identifiers: roles.r.grants[0] shows age or date of birth and postal "
		 "code, city or hospital of c.p in plaintext: together they single patients out"}},
	{"a class that holds two",
		HEAD "classes: {identity: {}, demo: {about: x, quasi: [birth, gender]}}\n" FIELDS(
			"name: {class: identity}, person: {class: demo}") "roles:\n" READ_ALL ROLE
			GRANT("do: [read], see: {demo: plaintext}"),
		{"8:9 quasi-identifiers: roles.r.grants[0] shows age or date of birth and gender "
		 "of c.p in plaintext: together they single patients out"}},
	{"a class that holds two, of which one has a path of its own and a mask",
		HEAD "classes: {identity: {}, demo: {quasi: [birth, gender]}}\n" FIELDS(
			"name: {class: identity}, person: {class: demo}") "roles:\n" READ_ALL ROLE
			GRANT("do: [read], see: {demo: plaintext, person.birthDate: {mask: "
			      "truncate, to: year}}"),
		{NULL}},
	{"a view",
		HEAD CLASSES PLAIN "views: {c.v: {from: c.p, fields: {years: {of: age}, sex: {of: "
				   "ward}}}}\nroles:\n" READ_ALL,
		{"4:9 quasi-identifiers: c.v shows age or date of birth and gender in plaintext: "
		 "together they single patients out"}},
	{"a view with a mask",
		HEAD CLASSES PLAIN "views: {c.v: {from: c.p, fields: {years: {of: age, mask: "
				   "round, to: 5}, sex: {of: ward}}}}\nroles:\n" READ_ALL,
		{NULL}},
	{"a view without rare rows",
		HEAD CLASSES PLAIN "views: {c.v: {from: c.p, min_group: 2, fields: {years: {of: "
				   "age}, sex: {of: ward}}}}\nroles:\n" READ_ALL,
		{NULL}},
	{"a view with the name",
		HEAD CLASSES PLAIN "views: {c.v: {from: c.p, fields: {years: {of: age}, sex: {of: "
				   "ward}, n: {of: name}}}}\nroles:\n" READ_ALL,
		{NULL}},

	/* Rows that can be written. */
	{"the own rows",
		SOME ROLE GRANT("do: [read, update], rows: {ward: w}, see: {\"*\": plaintext}, "
				"change: [admin]"),
		{"8:9 writable-row-path: roles.r.grants[0] may change 'ward', by which its own "
		 "rows are chosen: every such update is refused"}},
	{"the own rows, to insert",
		SOME ROLE GRANT("do: [read, insert], rows: {ward: w}, see: {\"*\": plaintext}, "
				"change: [admin]"),
		{NULL}},
	{"another class than the rows'",
		SOME ROLE GRANT("do: [read, update], rows: {ward: w}, see: {\"*\": plaintext}, "
				"change: [demo]"),
		{NULL}},
	{"by another grant of the role",
		SOME ROLE GRANT("do: [read], rows: {ward: w}, see: {\"*\": plaintext}")
			GRANT("do: [update], change: [admin]"),
		{"9:9 writable-row-path: roles.r.grants[1] may change 'ward', by which the rows of "
		 "roles.r.grants[0] are chosen: whoever holds the role can move documents into "
		 "them"}},
	{"by another grant that has rows of its own",
		SOME ROLE GRANT("do: [read], rows: {ward: w}, see: {\"*\": plaintext}")
			GRANT("do: [update], rows: {ward: w, age: 3}, change: [admin]"),
		{"9:9 writable-row-path: roles.r.grants[1] may change 'ward', by which its own "
		 "rows are chosen: every such update is refused"}},
	{"of a view",
		HEAD CLASSES PLAIN "views: {c.v: {from: c.p, rows: {ward: w}, fields: {years: {of: "
				   "age}}}}\nroles:\n" READ_ALL
				   "  r: {grants: [{namespace: c.v, do: [read]}, {namespace: c.p, "
				   "do: [update], change: [admin]}]}\n",
		{"7:46 writable-row-path: roles.r.grants[1] may change 'ward', by which the rows "
		 "of c.v are chosen: whoever holds the role can move documents into them"}},
};

static bool is_said(const char *const said[4], const char *text)
{
	for (size_t i = 0; i < 4 && said[i]; i++)
		if (strcmp(said[i], text) == 0)
			return true;
	return false;
}

static struct policy *load(const char *text)
{
	struct complaints complaints;
	struct policy *p;

	complaints_init(&complaints);
	p = load_policy_text("f.yaml", text, &complaints);
	if (!p)
		fail_msg("%.*s%s", BYTES_ARG(buf_bytes(&complaints.lines)), text);
	complaints_fini(&complaints);
	return p;
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct policy *p = load(cases[i].policy);
		size_t wanted = 0;
		struct lints lints;

		while (wanted < 4 && cases[i].said[wanted])
			wanted++;
		lints_init(&lints);
		policy_lint(p, NULL, &lints);
		for (size_t k = 0; k < lints.count; k++) {
			const struct lint *l = &lints.list[k];
			char *text = memory_format("%u:%u %s: %s", l->at.line, l->at.column,
				lint_name(l->kind), l->what);

			assert_true(l->hint && *l->hint);
			assert_string_equal(l->at.file, "f.yaml");
			if (!is_said(cases[i].said, text))
				fail_msg("%s: not wanted: %s", cases[i].name, text);
			free(text);
		}
		if (lints.count != wanted)
			fail_msg("%s: %zu warnings", cases[i].name, lints.count);
		lints_fini(&lints);
		policy_unref(p);
	}
}

static void test_attributes(void **state)
{
	static const char users_text[] = "users:\n  a: {roles: [r], attributes: {ward: w}}\n";
	char folder[] = "/tmp/test_lint.XXXXXX";
	struct policy *p = load(HEAD CLASSES PLAIN
		"roles:\n" READ_ALL ROLE GRANT("do: [read], rows: {ward: \"${user.ward}\"}")
			GRANT("do: [read], rows: {$or: [{ward: \"${user.wing}\"}, {name: "
			      "\"${user.id}\"}]}"));
	struct complaints complaints;
	struct lints lints;
	struct users *users;
	char *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	file = memory_format("%s/users.yaml", folder);
	assert_true(file_create(file, bytes_of(users_text, sizeof(users_text) - 1), 0600));
	complaints_init(&complaints);
	users = users_load(file, &complaints);
	assert_non_null(users);
	lints_init(&lints);
	policy_lint(p, users, &lints);
	assert_int_equal(lints.count, 1);
	assert_int_equal(lints.list[0].kind, LINT_UNUSED_ATTRIBUTE);
	assert_int_equal(lints.list[0].at.line, 9);
	assert_string_equal(lints.list[0].what,
		"no user has the attribute wing, without which roles.r.grants[1] grants nothing");
	lints_fini(&lints);
	users_unref(users);
	policy_unref(p);
	complaints_fini(&complaints);
	unlink(file);
	rmdir(folder);
	free(file);
}

/* Those beyond the limit are counted. */
static void test_limit(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct policy *p;
		struct lints lints;
		struct buf text;

		(void)state;
		buf_init(&text, 1u << 20);
		buf_put_str(&text, HEAD CLASSES PLAIN "roles:\n" READ_ALL ROLE);
		for (size_t i = 0; i < LINTS_MAX + 1 + more; i++)
			buf_put_str(&text, GRANT("do: [read]"));
		buf_put_u8(&text, 0);
		p = load((const char *)text.at);
		lints_init(&lints);
		policy_lint(p, NULL, &lints);
		assert_int_equal(lints.count, LINTS_MAX + more);
		lints_fini(&lints);
		policy_unref(p);
		buf_fini(&text);
	}
}

static const struct {
	const char *policy, *said;
} mistakes[] = {
	{HEAD "classes: {a: {quasi: [birth, wealth]}}\n",
		"f.yaml:2:30: unknown kind of quasi-identifier (birth, gender, place or stay)\n"},
	{HEAD "classes: {a: {quasi: birth}}\n",
		"f.yaml:2:22: a list is expected (write it as `[a, b]`)\n"},
	{HEAD "classes: {a: {kind: x}}\n",
		"f.yaml:2:15: unknown key 'kind'; known here: about quasi\n"},
	{HEAD "classes: {a: [x]}\n",
		"f.yaml:2:14: a mapping is expected (write it as `key: value`)\n"},
	{HEAD "classes: {a: {about: {}}}\n", "f.yaml:2:22: a text is expected\n"},
	{HEAD "classes: {a: {}}\ncollections: {c.p: {fields: {f: {class: a, quasi: [[]]}}}}\n",
		"f.yaml:3:52: unknown kind of quasi-identifier (birth, gender, place or stay)\n"},
};

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
		struct complaints complaints;

		complaints_init(&complaints);
		assert_null(load_policy_text("f.yaml", mistakes[i].policy, &complaints));
		buf_put_u8(&complaints.lines, 0);
		assert_string_equal((const char *)complaints.lines.at, mistakes[i].said);
		complaints_fini(&complaints);
	}
}

static const struct {
	const char *path;
	quasi_set set;
} names[] = {
	{"age", 1u << QUASI_BIRTH},
	{"personal_info.dateOfBirth", 1u << QUASI_BIRTH},
	{"DATE-OF_BIRTH", 1u << QUASI_BIRTH},
	{"x.Sexe", 1u << QUASI_GENDER},
	{"address.zip_code", 1u << QUASI_PLACE},
	{"admission_info.date_admission", 1u << QUASI_STAY},
	{"admission_info", 0},
	{"age.x", 0},
	{"wage", 0},
	{"", 0},
	{"_", 0},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0},
};

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		assert_int_equal(quasi_of_name(bytes_str(names[i].path)), names[i].set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
