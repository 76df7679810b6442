#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include <bson/bson.h>
#include <sodium.h>

#include "query/commands.h"
#include "session/inside.h"

static const char policy_text[] =
	"mongoward: 1\n"
	"classes: {open: {}}\n"
	"collections:\n"
	"  x.y: {fields: {a: {class: open}, b.c: {class: open}, \"b.d\": {class: open}}}\n"
	"roles:\n"
	"  all: {grants: [{namespace: x.y, do: [read], see: {\"*\": plaintext}}]}\n";

static struct policy *policy;
static struct arena arena;
static struct buf message, text, scratch;

static int begin(void **state)
{
	struct complaints complaints;

	(void)state;
	complaints_init(&complaints);
	policy = policy_load_text("p.yaml", bytes_str(policy_text), &complaints);
	if (!policy)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	complaints_fini(&complaints);
	arena_init(&arena);
	buf_init(&message, FRAME_MESSAGE_MAX);
	buf_init(&text, 2 * FRAME_MESSAGE_MAX);
	buf_init(&scratch, AUDIT_SHAPE_MAX);
	return 0;
}

static int end(void **state)
{
	(void)state;
	policy_unref(policy);
	arena_fini(&arena);
	buf_fini(&message);
	buf_fini(&text);
	buf_fini(&scratch);
	return 0;
}

/* ----------------------------------------------------------------- commands */

struct open_message {
	size_t frame, doc;
};

static struct open_message begin_message(void)
{
	struct open_message m;

	buf_clear(&message);
	m.frame = frame_begin(&message, 1, 0, OPCODE_MSG);
	buf_put_u32(&message, 0);
	buf_put_u8(&message, 0);
	m.doc = doc_begin(&message);
	return m;
}

/* The shape of what `message` holds. */
static struct audit_record end_message(struct open_message m)
{
	struct audit_record r = {.shape_hash = NULL};
	struct plan plan = {.ns = bytes_str("x.y")};
	struct command command;
	struct fault why;

	doc_put_string(&message, NAME("$db"), NAME("x"));
	doc_end(&message, m.doc);
	frame_end(&message, m.frame);
	assert_false(message.failed);
	if (!command_parse(&command, buf_bytes(&message), &why))
		fail_msg("%s", why.detail);
	plan.row = command_look_up(command.name);
	record_shape(&r, &scratch, &arena, policy, &plan, &command);
	return r;
}

static struct audit_record shape_of_json(const char *json)
{
	struct open_message m = begin_message();
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);

	if (!doc)
		fail_msg("%s: %s", json, error.message);
	/* Its elements, without length and end. */
	buf_put(&message, bytes_of(bson_get_data(doc) + 4, doc->len - 5));
	bson_destroy(doc);
	return end_message(m);
}

static void test_shapes(void **state)
{
	static const struct {
		const char *command, *shape;
	} cases[] = {
		{"{\"find\": \"y\"}", "{\"find\":\"y\"}"},
		{"{\"find\": \"y\", \"filter\": {\"a\": \"secret\"}, \"limit\": 5}",
			"{\"find\":\"y\",\"filter\":{\"a\":\"?string\"},\"limit\":\"?int\"}"},
		{"{\"find\": \"y\", \"filter\": {\"b\": {\"c\": 1, \"e\": 2}, \"b.d\": true}}",
			"{\"find\":\"y\",\"filter\":{\"b\":{\"c\":\"?int\",\"?1\":\"?int\"},\"b."
			"d\":"
			"\"?bool\"}}"},
		/* Nobody's own names, nor operators that there are not. */
		{"{\"find\": \"y\", \"filter\": {\"Ada Durand\": 1, \"a\": {\"$Ada\": 1, \"$gt\": "
		 "1}}}",
			"{\"find\":\"y\",\"filter\":{\"?1\":\"?int\",\"a\":{\"$gt\":\"?int\",\"?\":"
			"1}}}"},
		{"{\"find\": \"y\", \"filter\": {\"a.Ada\": 1, \"b.c.x.y\": 2, \"b.e\": 3, "
		 "\"x.a\": 4}}",
			"{\"find\":\"y\",\"filter\":{\"a.?1\":\"?int\",\"b.c.?2\":\"?int\",\"b.?"
			"3\":"
			"\"?int\",\"?4\":\"?int\"}}"},
		/* A name below one of nobody's is nobody's. */
		{"{\"find\": \"y\", \"filter\": {\"x\": {\"a\": 1}}}",
			"{\"find\":\"y\",\"filter\":{\"?1\":{\"?1\":\"?int\"}}}"},
		/* Paths of the policy in expressions, but no other text. */
		{"{\"aggregate\": \"y\", \"pipeline\": [{\"$group\": {\"_id\": \"$a\", \"n\": "
		 "{\"$sum\": 1}, "
		 "\"v\": {\"$first\": \"$$ROOT.b.c.Ada\"}, \"t\": {\"$max\": \"$Ada\"}, \"x\": "
		 "{\"$min\": "
		 "\"$$Ada\"}, \"y\": {\"$push\": \"$$ROOT\"}, \"z\": {\"$last\": \"$\"}}}]}",
			"{\"aggregate\":\"y\",\"pipeline\":[{\"$group\":{\"_id\":\"$a\",\"?1\":{\"$"
			"sum\":"
			"\"?int\"},\"?2\":{\"$first\":\"$$ROOT.b.c.?\"},\"?3\":{\"$max\":\"?"
			"path\"},\"?4\":"
			"{\"$min\":\"?path\"},\"?5\":{\"$push\":\"$$ROOT\"},\"?6\":{\"$last\":\"?"
			"path\"}}}]}"},
		{"{\"distinct\": \"y\", \"key\": \"b.c.Ada\", \"query\": {}}",
			"{\"distinct\":\"y\",\"key\":\"b.c.?\",\"query\":{}}"},
		{"{\"distinct\": \"y\", \"key\": \"a\"}", "{\"distinct\":\"y\",\"key\":\"a\"}"},
		{"{\"distinct\": \"y\", \"key\": \"Ada\"}",
			"{\"distinct\":\"y\",\"key\":\"?string\"}"},
		{"{\"insert\": \"y\", \"documents\": [{\"a\": 1, \"Ada\": 2, \"b\": {\"c\": 1, "
		 "\"d.e\": 2}}]}",
			"{\"insert\":\"y\",\"documents\":[{\"a\":\"?int\",\"b\":{\"c\":\"?int\",\"?"
			"\":1},"
			"\"?\":1}]}"},
		/* What options name, where it is the policy's word. */
		{"{\"aggregate\": \"y\", \"pipeline\": [{\"$lookup\": {\"from\": \"y\", "
		 "\"localField\": \"a\", \"foreignField\": \"Ada\", \"as\": \"a\"}}, "
		 "{\"$unionWith\": \"Ada\"}, {\"$unwind\": \"$Ada\"}]}",
			"{\"aggregate\":\"y\",\"pipeline\":[{\"$lookup\":{\"from\":\"y\","
			"\"localField\":\"a\",\"foreignField\":\"?string\",\"as\":\"?string\"}},{"
			"\"$unionWith\":\"?string\"},{\"$unwind\":\"?path\"}]}"},
		{"{\"distinct\": \"y\", \"key\": \"a.Ada\"}",
			"{\"distinct\":\"y\",\"key\":\"a.?\"}"},
		{"{\"distinct\": \"y\", \"key\": \"Ada\", \"collation\": {\"locale\": "
		 "\"simple\"}}",
			"{\"distinct\":\"y\",\"key\":\"?string\",\"collation\":{\"locale\":"
			"\"simple\"}}"},
		{"{\"update\": \"y\", \"updates\": [{\"q\": {\"a\": true}, \"u\": {}, \"upsert\": "
		 "true, \"multi\": false}]}",
			"{\"update\":\"y\",\"updates\":[{\"q\":{\"a\":\"?bool\"},\"u\":{},"
			"\"upsert\":true,\"multi\":false}]}"},
		/* Arrays as their distinct shapes. */
		{"{\"find\": \"y\", \"filter\": {\"a\": {\"$in\": [1, 2, \"x\", 3, \"y\", []]}}}",
			"{\"find\":\"y\",\"filter\":{\"a\":{\"$in\":[\"?int\",\"?string\",[]]}}}"},
		{"{\"find\": \"y\", \"lsid\": {\"id\": 1}, \"comment\": \"Ada\", \"Ada\": 1}",
			"{\"find\":\"y\",\"?\":1}"},
		{"{\"nonsense\": \"y\", \"filter\": {}}", "{\"?\":1}"},
		{"{\"find\": 1}", "{\"find\":\"?int\"}"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct audit_record r = shape_of_json(cases[i].command);

		assert_null(r.shape_hash);
		if (!bytes_equal_str(r.shape, cases[i].shape))
			fail_msg("%s: %.*s", cases[i].command, BYTES_ARG(r.shape));
	}
}

/* -------------------------------------------------------------------- limits */

#define AROUND "{\"find\":\"y\",\"filter\":{}}"
#define NULLS  "\"a\":\"?null\","
#define INTS   "\"a\":\"?int\","

/* A find whose shape has exactly `len` bytes; that shape is in `text`. */
static struct audit_record shape_of_len(size_t len)
{
	/* The last one has no comma; an int is a byte shorter than a null. */
	size_t n = (len - strlen(AROUND) + 1) / strlen(NULLS) + 1;
	size_t nints = n * strlen(NULLS) - (len - strlen(AROUND) + 1);
	struct open_message m = begin_message();
	size_t filter;

	assert_true(nints <= n);
	buf_clear(&text);
	doc_put_string(&message, NAME("find"), NAME("y"));
	filter = doc_put_document(&message, NAME("filter"));
	buf_put_str(&text, "{\"find\":\"y\",\"filter\":{");
	for (size_t i = 0; i < n; i++) {
		if (i < nints)
			doc_put_int32(&message, NAME("a"), 1);
		else
			doc_put_null(&message, NAME("a"));
		buf_put_str(&text, i < nints ? INTS : NULLS);
	}
	doc_end(&message, filter);
	text.len--;
	buf_put_str(&text, "}}");
	assert_int_equal(text.len, len);
	return end_message(m);
}

static void expect_hash_of_text(const struct audit_record *r)
{
	uint8_t hash[crypto_generichash_BYTES];

	crypto_generichash(hash, sizeof(hash), text.at, text.len, NULL, 0);
	assert_int_equal(r->shape.len, 0);
	assert_non_null(r->shape_hash);
	assert_memory_equal(r->shape_hash, hash, AUDIT_SHAPE_HASH_LEN);
}

/* Up to AUDIT_SHAPE_MAX it is written; what is longer is known by the hash of all of it. */
static void test_long_shapes(void **state)
{
	static const size_t longer[] = {1, 2, 100, 1000000};
	struct audit_record r;

	(void)state;
	for (size_t len = AUDIT_SHAPE_MAX - 2; len <= AUDIT_SHAPE_MAX; len++) {
		r = shape_of_len(len);
		assert_null(r.shape_hash);
		assert_true(bytes_equal(r.shape, buf_bytes(&text)));
	}
	for (size_t i = 0; i < COUNT_OF(longer); i++) {
		r = shape_of_len(AUDIT_SHAPE_MAX + longer[i]);
		expect_hash_of_text(&r);
	}
}

/* A shape over the length that a message may have is not made. */
static void test_longest_shape(void **state)
{
	struct audit_record r;

	(void)state;
	r = shape_of_len(FRAME_MESSAGE_MAX);
	expect_hash_of_text(&r);
	r = shape_of_len(FRAME_MESSAGE_MAX + 1);
	buf_clear(&text);
	buf_put_str(&text, "{\"?\":\"long\"}");
	expect_hash_of_text(&r);
}

#define MEMBERS 5000u

/* A document of which one member, that at `at`, is an int. */
static void put_member_document(size_t index, size_t at)
{
	char name[DOC_INDEX_MAX];
	size_t doc = doc_put_document(&message, doc_index_name(index, name));

	for (size_t i = 0; i < MEMBERS; i++)
		if (i == at)
			doc_put_int32(&message, NAME("a"), 1);
		else
			doc_put_null(&message, NAME("a"));
	doc_end(&message, doc);
}

static void put_member_text(size_t at)
{
	buf_put_str(&text, "{");
	for (size_t i = 0; i < MEMBERS; i++)
		buf_put_str(&text, i == at ? INTS : NULLS);
	text.len--;
	buf_put_str(&text, "},");
}

/* `ndistinct` documents that differ late, the last of them again and again, and another. */
static struct audit_record shape_of_many(size_t ndistinct, size_t nrepeated)
{
	struct open_message m = begin_message();
	size_t filter, array, n = 0;

	doc_put_string(&message, NAME("find"), NAME("y"));
	filter = doc_put_document(&message, NAME("filter"));
	array = doc_put_array(&message, NAME("$or"));
	for (size_t i = 0; i < ndistinct; i++)
		put_member_document(n++, MEMBERS - 1 - i);
	for (size_t i = 0; i < nrepeated; i++)
		put_member_document(n++, MEMBERS - ndistinct);
	put_member_document(n++, 0);
	doc_end(&message, array);
	doc_end(&message, filter);
	return end_message(m);
}

static void put_text_of_many(size_t ndistinct, bool another)
{
	buf_clear(&text);
	buf_put_str(&text, "{\"find\":\"y\",\"filter\":{\"$or\":[");
	for (size_t i = 0; i < ndistinct; i++)
		put_member_text(MEMBERS - 1 - i);
	if (another)
		put_member_text(0);
	text.len--;
	buf_put_str(&text, "]}}");
}

static void test_distinct_shapes(void **state)
{
	static const struct {
		size_t ndistinct, nrepeated;
		bool another;
	} cases[] = {
		{1, 0, true},
		{2, 10, true},
		{63, 0, true},
		{64, 0, false},
		/* So many bytes are compared that no more are looked for. */
		{63, 200, true},
		{63, 300, false},
	};
	struct audit_record r;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		r = shape_of_many(cases[i].ndistinct, cases[i].nrepeated);
		put_text_of_many(cases[i].ndistinct, cases[i].another);
		expect_hash_of_text(&r);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {CASE(test_shapes), CASE(test_long_shapes),
		CASE(test_longest_shape), CASE(test_distinct_shapes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
