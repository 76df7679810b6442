#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include <bson/bson.h>

#include "policy/policy.h"
#include "util/memory.h"

static struct arena arena;
static struct policy *policy;

#define NOW_MS 1795000000000ll

static struct attribute house = {BYTES_LITERAL("house"), BYTES_LITERAL("north")};
static struct bytes roles[] = {BYTES_LITERAL("carer"), BYTES_LITERAL("head")};
static struct user carl = {.name = BYTES_LITERAL("carl"), .roles = roles, .nroles = 1};
static struct user hans = {
	.name = BYTES_LITERAL("hans"), .roles = roles + 1, .nroles = 1, .attributes = &house};

static int set_up(void **state)
{
	const char *source = getenv("srcdir");
	char *folder = memory_format("%s/tests/policy/rows", source ? source : ".");
	struct complaints complaints;

	(void)state;
	arena_init(&arena);
	complaints_init(&complaints);
	policy = policy_load(folder, &complaints);
	if (!policy)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	complaints_fini(&complaints);
	free(folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	policy_unref(policy);
	arena_fini(&arena);
	return 0;
}

static struct facts facts_of(struct user *user)
{
	return (struct facts){.user = user,
		.method = AUTH_SCRAM,
		.now_us = NOW_MS * 1000,
		.vault = bytes_str("encryption.__keyVault")};
}

static const struct relation *named(const char *name)
{
	for (size_t i = 0; i < policy->nrelations; i++)
		if (bytes_equal_str(policy->relations[i].name, name))
			return &policy->relations[i];
	fail_msg("no relation %s", name);
	return NULL;
}

static struct bytes bson_of(const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	struct bytes copy;

	if (!doc)
		fail_msg("%s: %s", json, error.message);
	copy = arena_copy(&arena, bytes_of(bson_get_data(doc), doc->len));
	bson_destroy(doc);
	return copy;
}

static void assert_json(struct bytes document, const char *expected)
{
	bson_t view;
	char *json;

	assert_true(bson_init_static(&view, document.at, document.len));
	json = bson_as_relaxed_extended_json(&view, NULL);
	assert_string_equal(json, expected);
	bson_free(json);
}

static void assert_list(struct bytes array, const char *expected)
{
	char *whole = memory_format("{ \"v\" : %s }", expected);
	struct buf out;

	buf_init(&out, 1u << 20);
	doc_begin(&out);
	doc_put_value(&out, TYPE_ARRAY, NAME("v"), array);
	doc_end(&out, 0);
	assert_json(buf_bytes(&out), whole);
	buf_fini(&out);
	free(whole);
}

/* ------------------------------------------------------------------ reading */

static void test_find(void **state)
{
	struct facts facts = facts_of(&carl);
	struct fault why = {.code = FAULT_NONE};
	struct command c;
	struct plan plan;

	(void)state;
	assert_true(
		policy_relation_find(policy, named("care_team"), &facts, &arena, &c, &plan, &why));
	assert_json(c.body,
		"{ \"find\" : \"team\", \"filter\" : { \"user\" : \"carl\", \"until\" : { \"$gt\" "
		": { "
		"\"$date\" : \"2026-11-18T11:06:40Z\" } } }, \"projection\" : { \"patient\" : 1, "
		"\"_id\" : 0 }, \"limit\" : 10001, \"batchSize\" : 10002, \"collation\" : { "
		"\"locale\" : \"simple\" }, \"$db\" : \"clinic\" }");
	assert_int_equal(plan.nedits, 0);
	/* Of an encrypted path, what it is compared with is sealed. */
	assert_true(
		policy_relation_find(policy, named("contacts"), &facts, &arena, &c, &plan, &why));
	assert_int_equal(plan.nedits, 1);
	assert_int_equal(plan.edits[0].kind, EDIT_SEAL);
	assert_ptr_equal(
		plan.reply.collection, policy_collection(policy, bytes_str("clinic.contacts")));
}

static void test_find_without_attribute(void **state)
{
	struct facts facts = facts_of(&hans);
	struct fault why = {.code = FAULT_NONE};
	struct command c;
	struct plan plan;

	(void)state;
	hans.nattributes = 0;
	assert_false(policy_relation_find(policy, named("wards"), &facts, &arena, &c, &plan, &why));
	assert_int_equal(why.code, FAULT_UNAUTHORIZED);
	hans.nattributes = 1;
	assert_true(policy_relation_find(policy, named("wards"), &facts, &arena, &c, &plan, &why));
	/* The key vault is nobody's. */
	facts.vault = bytes_str("clinic.heads");
	assert_false(policy_relation_find(policy, named("wards"), &facts, &arena, &c, &plan, &why));
}

static const struct {
	const char *relation, *batch, *list;
} answers[] = {
	{"care_team", "[]", "[  ]"},
	{"care_team", "[{\"patient\": \"Emma\"}, {\"patient\": \"Ada\"}, {\"patient\": \"Emma\"}]",
		"[ \"Ada\", \"Emma\" ]"},
	{"care_team", "[{}, {\"patient\": null}, {\"other\": \"Ada\"}, {\"patient\": {\"a\": 1}}]",
		"[  ]"},
	{"care_team", "[{\"patient\": [\"Emma\", \"Ada\"]}, {\"patient\": \"Felix\"}]",
		"[ \"Ada\", \"Emma\", \"Felix\" ]"},
	/* Compared with an encrypted text: nothing else can be sealed. */
	{"care_team", "[{\"patient\": 3}, {\"patient\": true}, {\"patient\": \"3\"}]", "[ \"3\" ]"},
	/* Of any type; what would mean something of its own in $in does not count. */
	{"wards", "[{\"list\": {\"ward\": 3}}, {\"list\": {\"ward\": \"W1\"}}]", "[ \"W1\", 3 ]"},
	{"wards", "[{\"list\": [{\"ward\": \"W2\"}, {\"ward\": [\"W1\", \"W2\"]}, {}, \"W3\"]}]",
		"[ \"W1\", \"W2\" ]"},
	{"wards",
		"[{\"list\": {\"ward\": {\"$regularExpression\": {\"pattern\": \".\", \"options\": "
		"\"\"}}}}, {\"list\": {\"ward\": {\"$gt\": \"\"}}}, {\"list\": {\"ward\": "
		"\"${user.id}\"}}]",
		"[ \"${user.id}\" ]"},
	{"wards",
		"[{\"list\": {\"ward\": {\"$numberDouble\": \"NaN\"}}}, {\"list\": {\"ward\": "
		"1.5}}]",
		"[ 1.5 ]"},
};

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(answers); i++) {
		char *reply = memory_format(
			"{\"cursor\": {\"firstBatch\": %s, \"id\": 0, \"ns\": \"x\"}, \"ok\": 1}",
			answers[i].batch);
		struct fault why;
		struct buf out;

		buf_init(&out, 1u << 20);
		assert_true(policy_relation_values(
			named(answers[i].relation), bson_of(reply), &out, &why));
		assert_list(buf_bytes(&out), answers[i].list);
		buf_fini(&out);
		free(reply);
	}
}

/* An answer with `documents` times `each` different values of `size` bytes. */
static struct bytes large_answer(size_t documents, size_t each, size_t size)
{
	struct buf out;
	size_t begun, cursor, batch, n = 0;
	char *text = memory_new(size + 1);
	struct bytes copy;

	buf_init(&out, 64u << 20);
	begun = doc_begin(&out);
	cursor = doc_put_document(&out, NAME("cursor"));
	batch = doc_put_array(&out, NAME("firstBatch"));
	memset(text, 'x', size);
	for (size_t i = 0; i < documents; i++) {
		char index[DOC_INDEX_MAX], number[9];
		size_t document = doc_put_document(&out, doc_index_name(i, index));
		size_t values = doc_put_array(&out, NAME("patient"));

		for (size_t k = 0; k < each; k++) {
			snprintf(number, sizeof(number), "%08zu", n++);
			memcpy(text, number, 8);
			doc_put_string(&out, doc_index_name(k, index), bytes_of(text, size));
		}
		doc_end(&out, values);
		doc_end(&out, document);
	}
	doc_end(&out, batch);
	doc_end(&out, cursor);
	doc_end(&out, begun);
	copy = arena_copy(&arena, buf_bytes(&out));
	buf_fini(&out);
	free(text);
	return copy;
}

static enum fault_code size_fault(size_t documents, size_t each, size_t size)
{
	struct fault why = {.code = FAULT_NONE};
	struct buf out;

	buf_init(&out, 64u << 20);
	if (policy_relation_values(
		    named("care_team"), large_answer(documents, each, size), &out, &why))
		assert_int_equal(doc_count(buf_bytes(&out)), documents * each);
	buf_fini(&out);
	return why.code;
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(size_fault(10000, 1, 8), FAULT_NONE);
	assert_int_equal(size_fault(10001, 1, 8), FAULT_RELATION_TOO_LONG);
	assert_int_equal(size_fault(10001, 0, 8), FAULT_RELATION_TOO_LONG);
	assert_int_equal(size_fault(1, 10000, 8), FAULT_NONE);
	assert_int_equal(size_fault(1, 10001, 8), FAULT_RELATION_TOO_LONG);
	/* Four megabytes: a string takes its length, its bytes and a NUL. */
	assert_int_equal(size_fault(4096, 1, 1024 - 5), FAULT_NONE);
	assert_int_equal(size_fault(4096, 1, 1025 - 5), FAULT_RELATION_TOO_LONG);
}

static void test_open_cursor(void **state)
{
	struct fault why = {.code = FAULT_NONE};
	struct buf out;

	(void)state;
	buf_init(&out, 1u << 20);
	assert_false(policy_relation_values(named("wards"),
		bson_of("{\"cursor\": {\"firstBatch\": [], \"id\": 7}, \"ok\": 1}"), &out, &why));
	assert_int_equal(why.code, FAULT_RELATION_TOO_LONG);
	assert_false(policy_relation_values(named("wards"), bson_of("{\"ok\": 1}"), &out, &why));
	assert_int_equal(why.code, FAULT_RELATION);
	buf_fini(&out);
}

/* ----------------------------------------------------------------- deciding */

static struct command *find_command(void)
{
	struct command *c = arena_alloc(&arena, sizeof(*c));
	struct fault why;
	struct buf out;
	size_t frame;

	buf_init(&out, 1u << 16);
	frame = frame_begin(&out, 1, 0, OPCODE_MSG);
	buf_put_u32(&out, 0);
	buf_put_u8(&out, 0);
	buf_put(&out, bson_of("{\"find\": \"patients\", \"filter\": {}, \"$db\": \"clinic\"}"));
	frame_end(&out, frame);
	assert_true(command_parse(c, arena_copy(&arena, buf_bytes(&out)), &why));
	buf_fini(&out);
	return c;
}

static struct relation_list *list_of(const char *relation, const char *values)
{
	struct relation_list *list = arena_alloc(&arena, sizeof(*list));
	struct element array;

	assert_true(doc_find(bson_of(values), "v", &array));
	*list = (struct relation_list){.of = named(relation), .values = array.value};
	policy_relation_print(list);
	return list;
}

static void test_decision(void **state)
{
	const struct relation_list *lists[] = {list_of("care_team", "{\"v\": [\"Ada\", \"$x\"]}")};
	struct facts facts = facts_of(&carl);
	struct fault why = {.code = FAULT_NONE};
	struct element branches, first;
	struct plan plan;

	(void)state;
	assert_false(policy_decide(policy, &facts, find_command(), &arena, &plan, &why));
	assert_int_equal(why.code, FAULT_RELATION);
	assert_ptr_equal(plan.needs, named("care_team"));
	facts.lists = lists;
	facts.nlists = 1;
	assert_true(policy_decide(policy, &facts, find_command(), &arena, &plan, &why));
	assert_null(plan.needs);
	/* What is protected from the role is left out beside it. */
	assert_true(doc_find(plan.rows, "$and", &branches));
	assert_true(doc_find(branches.value, "0", &first));
	assert_json(first.value, "{ \"name\" : { \"$in\" : [ \"Ada\", \"$x\" ] } }");
}

static void test_cursors(void **state)
{
	const struct relation_list *lists[] = {list_of("care_team", "{\"v\": [\"Ada\"]}")};
	const struct relation_list *others[] = {
		list_of("care_team", "{\"v\": [\"Ada\", \"Eve\"]}")};
	struct bytes ns = bytes_str("clinic.patients");
	struct facts facts = facts_of(&carl);
	const struct relation *needs;
	struct fault why;
	struct plan plan;

	(void)state;
	facts.lists = lists;
	facts.nlists = 1;
	assert_true(policy_decide(policy, &facts, find_command(), &arena, &plan, &why));
	reply_rules_print(&plan.reply, policy, &facts, ns);
	assert_true(policy_still_allows(policy, &facts, &plan.reply, ns, &needs));
	assert_null(needs);
	facts.lists = others;
	assert_false(policy_still_allows(policy, &facts, &plan.reply, ns, &needs));
	assert_null(needs);
	facts.nlists = 0;
	assert_false(policy_still_allows(policy, &facts, &plan.reply, ns, &needs));
	assert_ptr_equal(needs, named("care_team"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_find_without_attribute),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_open_cursor),
		cmocka_unit_test(test_decision),
		cmocka_unit_test(test_cursors),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
