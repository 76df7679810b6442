/* Grants that are only observed: what they would have done is told, and they do nothing. */
#include "unit.h"

#include <bson/bson.h>

#include "policy/policy.h"
#include "policy_texts.h"

#define POLICY                                                                                  \
	"mongoward: 1\n"                                                                        \
	"classes: {identity: {}, medical: {}}\n"                                                \
	"collections:\n"                                                                        \
	"  clinic.cases:\n"                                                                     \
	"    subject: [{of: [ssn]}]\n"                                                          \
	"    fields:\n"                                                                         \
	"      ssn: {class: identity}\n"                                                        \
	"      name: {class: identity}\n"                                                       \
	"      illness: {class: medical}\n"                                                     \
	"      ward: {class: technical, type: string}\n"                                        \
	"  clinic.notes: {fields: {text: {class: medical}}}\n"                                  \
	"relations:\n"                                                                          \
	"  team: {from: clinic.teams, where: {user: \"${user.id}\"}, gives: ward}\n"            \
	"roles:\n"                                                                              \
	"  nurse:\n"                                                                            \
	"    grants:\n"                                                                         \
	"      - {namespace: clinic.cases, do: [read, update], see: {\"*\": plaintext}, "       \
	"change: [medical]}\n"                                                                  \
	"      - {namespace: clinic.cases, do: [read], mode: observe, rows: {ward: "            \
	"\"${user.ward}\"}, see: {medical: plaintext, name: {mask: partial, keep_first: 1}}}\n" \
	"      - {namespace: clinic.notes, do: [read], see: {\"*\": plaintext}}\n"              \
	"  tried:\n"                                                                            \
	"    mode: observe\n"                                                                   \
	"    grants:\n"                                                                         \
	"      - {namespace: clinic.notes, do: [read], see: {\"*\": plaintext}}\n"              \
	"      - {namespace: clinic.cases, do: [read], statistics: {min_group: 11}, see: "      \
	"{medical: plaintext}}\n"                                                               \
	"  listed:\n"                                                                           \
	"    grants:\n"                                                                         \
	"      - {namespace: clinic.cases, do: [read], see: {\"*\": plaintext}}\n"              \
	"      - {namespace: clinic.cases, do: [read], mode: observe, rows: {ward: {$in: "      \
	"\"${team}\"}}, see: {\"*\": plaintext}}\n"                                             \
	"  same:\n"                                                                             \
	"    grants:\n"                                                                         \
	"      - {namespace: clinic.cases, do: [read], see: {illness: {mask: bands, edges: "    \
	"[1, 2]}, name: {mask: constant, value: x}}}\n"                                         \
	"      - {namespace: clinic.cases, do: [read], mode: observe, see: {illness: {mask: "   \
	"bands, edges: [1, 2]}, name: {mask: constant, value: x}}}\n"

#define FIND "{\"find\": \"cases\", \"$db\": \"clinic\"}"
#define UPDATE                                                                           \
	"{\"update\": \"cases\", \"$db\": \"clinic\", \"updates\": [{\"q\": {}, \"u\": " \
	"{\"$set\": "                                                                    \
	"{\"illness\": \"Flu\"}}, \"multi\": true}]}"
#define COUNT "{\"count\": \"cases\", \"$db\": \"clinic\", \"query\": {}}"
#define JOIN                                                                             \
	"{\"aggregate\": \"notes\", \"$db\": \"clinic\", \"cursor\": {}, \"pipeline\": " \
	"[{\"$lookup\": {\"from\": \"cases\", \"as\": \"c\", \"pipeline\": []}}]}"

static struct policy *policy;

static const struct {
	const char *roles[2];
	const char *ward; /* NULL: the user has none */
	const char *command;
	bool allowed;      /* as it is enforced */
	const char *would; /* "-": nothing is observed; "yes" or "no" */
	const char *rule;
	bool identity_less, medical_less, rows, statistics;
} cases[] = {
	/* The wide grant goes on deciding; the narrow one says what it would have hidden. */
	{{"nurse"}, "W1", FIND, true, "yes", "roles.nurse.grants[1]", true, false, true, false},
	{{"nurse"}, NULL, FIND, true, "no", "roles.nurse.grants[1]", false, false, false, false},
	/* It stands in the place of the others: what it does not allow would be refused. */
	{{"nurse"}, "W1", UPDATE, true, "no", "", false, false, false, false},
	/* Of other namespaces nothing is observed. */
	{{"nurse"}, "W1", "{\"find\": \"notes\", \"$db\": \"clinic\"}", true, "-", "", false, false,
		false, false},
	/* A collection that is only joined counts, too. */
	{{"nurse"}, "W1", JOIN, true, "yes", "roles.nurse.grants[2]", false, false, false, false},
	/* What is observed gives nothing by itself. */
	{{"tried"}, NULL, "{\"find\": \"notes\", \"$db\": \"clinic\"}", false, "yes",
		"roles.tried.grants[0]", false, false, false, false},
	{{"tried"}, NULL, FIND, false, "no", "roles.tried.grants[1]", false, false, false, false},
	{{"nurse", "tried"}, "W1", "{\"find\": \"notes\", \"$db\": \"clinic\"}", true, "yes",
		"roles.tried.grants[0]", false, false, false, false},
	{{"listed", "tried"}, NULL, COUNT, true, "no", "", false, false, false, false},
	/* Nobody has read the list that only the observed rows need. */
	{{"listed"}, NULL, FIND, true, "yes", "roles.listed.grants[1]", false, false, true, false},
	/* What is the same is not said to be less. */
	{{"same"}, NULL, FIND, true, "yes", "roles.same.grants[1]", false, false, false, false},
};

static bool has_class(class_set set, const char *name)
{
	for (size_t i = 0; i < policy->nclasses; i++)
		if (bytes_equal_str(policy->classes[i], name))
			return set >> i & 1;
	fail_msg("no class %s", name);
	return false;
}

static void run_case(size_t i)
{
	struct bytes roles[2];
	struct attribute ward = {bytes_str("ward"), bytes_str(cases[i].ward ? cases[i].ward : "")};
	struct user user = {.name = bytes_str("ada"), .roles = roles};
	struct facts facts = {.user = &user, .method = AUTH_SCRAM, .vault = bytes_str("a.b")};
	bson_t *doc = bson_new_from_json((const uint8_t *)cases[i].command, -1, NULL);
	struct observation o;
	struct command c;
	struct arena arena;
	struct buf message;
	struct plan plan;
	struct fault why;
	size_t frame;
	bool allowed;

	for (size_t k = 0; k < 2 && cases[i].roles[k]; k++)
		roles[user.nroles++] = bytes_str(cases[i].roles[k]);
	user.attributes = &ward;
	user.nattributes = cases[i].ward != NULL;
	arena_init(&arena);
	buf_init(&message, 65536);
	frame = frame_begin(&message, 1, 0, OPCODE_MSG);
	buf_put_u32(&message, 0);
	buf_put_u8(&message, 0);
	buf_put(&message, bytes_of(bson_get_data(doc), doc->len));
	frame_end(&message, frame);
	assert_true(command_parse(&c, buf_bytes(&message), &why));
	allowed = policy_decide(policy, &facts, &c, &arena, &plan, &why);
	assert_int_equal(allowed, cases[i].allowed);
	assert_false(plan.observed);
	policy_observe(policy, &facts, &c, &arena, &plan, allowed, &o);
	if (o.there != (*cases[i].would != '-') ||
		(o.there && o.allowed != (*cases[i].would == 'y')))
		fail_msg("case %zu: there %d allowed %d", i, o.there, o.allowed);
	if (o.there) {
		assert_int_equal(o.allowed, o.code == FAULT_NONE);
		if (!bytes_equal_str(o.rule, cases[i].rule))
			fail_msg("case %zu: %.*s", i, BYTES_ARG(o.rule));
		assert_int_equal(has_class(o.less, "identity"), cases[i].identity_less);
		assert_int_equal(has_class(o.less, "medical"), cases[i].medical_less);
		assert_int_equal(o.other_rows, cases[i].rows);
		assert_int_equal(o.as_statistics, cases[i].statistics);
	}
	bson_destroy(doc);
	buf_fini(&message);
	arena_fini(&arena);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		run_case(i);
}

static void test_nobody_knows_of_it(void **state)
{
	struct bytes role = bytes_str("tried");
	struct user user = {.name = bytes_str("ada"), .roles = &role, .nroles = 1};
	struct facts facts = {.user = &user, .method = AUTH_SCRAM};

	(void)state;
	assert_false(policy_knows(policy, &facts, bytes_str("clinic"), bytes_str("notes")));
	assert_false(policy_knows(policy, &facts, bytes_str("clinic"), bytes_str("")));
	assert_false(policy_knows_options(policy, &facts, bytes_str("clinic"), bytes_str("notes")));
}

#define HEAD                                                                                     \
	"mongoward: 1\nclasses: {m: {}}\ncollections: {d.c: {subject: [{of: [s]}], fields: {s: " \
	"{class: m}}}}\n"
#define GRANT "namespace: d.c, do: [read]"

static const struct {
	const char *text, *said;
} wrong[] = {
	{HEAD "roles: {r: {mode: watch}}", "unknown mode"},
	{HEAD "roles: {r: {grants: [{" GRANT ", mode: [observe]}]}}", "unknown mode"},
	{HEAD "roles: {r: {mode: observe, grants: [{" GRANT ", mode: enforce}]}}",
		"a grant of an observed role cannot be enforced"},
	{HEAD "roles: {r: {mode: observe, limits: {documents_per_day: 1}}}",
		"limits of a role cannot be observed"},
	{HEAD "roles: {r: {mode: observe, care: true}}", "care of a role cannot be observed"},
	{HEAD "roles: {r: {mode: observe, break_glass: {purpose: p, subjects: 1, per_day: 1, "
	      "unreviewed_max: 1, grants: [{" GRANT "}]}}}",
		"break_glass of a role cannot be observed"},
	{HEAD "roles: {r: {break_glass: {purpose: p, subjects: 1, per_day: 1, unreviewed_max: 1, "
	      "grants: [{" GRANT ", mode: observe}]}}}",
		"a break-glass cannot be observed"},
};

static void test_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		struct complaints complaints;

		complaints_init(&complaints);
		assert_null(load_policy_text("p.yaml", wrong[i].text, &complaints));
		if (!memmem(complaints.lines.at, complaints.lines.len, wrong[i].said,
			    strlen(wrong[i].said)))
			fail_msg(
				"%s: %.*s", wrong[i].said, BYTES_ARG(buf_bytes(&complaints.lines)));
		complaints_fini(&complaints);
	}
}

static int set_up(void **state)
{
	struct complaints complaints;

	(void)state;
	complaints_init(&complaints);
	policy = load_policy_text("p.yaml", POLICY, &complaints);
	if (!policy)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	complaints_fini(&complaints);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	policy_unref(policy);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nobody_knows_of_it),
		cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
