#include "unit.h"

#include <stdlib.h>

#include "util/memory.h"
#include "wire/command.h"

/* Documents for messages, as BSON. */
#define DB      "\2$db\0\5\0\0\0test\0"
#define PING_DB "\x1d\0\0\0\x10ping\0\1\0\0\0" DB "\0"
#define EMPTY   "\5\0\0\0\0"

struct part {
	const char *name; /* of a sequence; NULL for a body */
	const char *docs;
	size_t len;
};

static void put_msg(struct buf *out, uint32_t flags, const struct part *parts, size_t n)
{
	size_t begun = frame_begin(out, 7, 0, OPCODE_MSG), section;

	buf_put_u32(out, flags);
	for (size_t i = 0; i < n; i++) {
		buf_put_u8(out, parts[i].name != NULL);
		section = out->len;
		if (parts[i].name) {
			buf_put_u32(out, 0);
			buf_put(out, bytes_of(parts[i].name, strlen(parts[i].name) + 1));
		}
		buf_put(out, bytes_of(parts[i].docs, parts[i].len));
		if (parts[i].name)
			buf_patch_u32(out, section, (uint32_t)(out->len - section));
	}
	if (flags & WIRE_MSG_CHECKSUM)
		buf_put_u32(out, 0);
	frame_end(out, begun);
	if (flags & WIRE_MSG_CHECKSUM)
		buf_patch_u32(out, out->len - 4,
			frame_checksum(bytes_head(buf_bytes(out), out->len - 4)));
}

static void put_query(struct buf *out, const char *ns, struct bytes docs)
{
	size_t begun = frame_begin(out, 7, 0, OPCODE_QUERY);

	buf_put_u32(out, 4);
	buf_put(out, bytes_of(ns, strlen(ns) + 1));
	buf_put_u32(out, 0);
	buf_put_u32(out, UINT32_MAX);
	buf_put(out, docs);
	frame_end(out, begun);
}

/* Parses a copy that ends where its memory does; views of *c are not to be used. */
static enum fault_code verdict(struct command *c, struct bytes message)
{
	uint8_t *exact = memory_new(message.len);
	struct fault why = {.code = FAULT_NONE};
	bool accepted;

	if (message.len)
		memcpy(exact, message.at, message.len);
	accepted = command_parse(c, bytes_of(exact, message.len), &why);
	assert_int_equal(accepted, why.code == FAULT_NONE);
	free(exact);
	return why.code;
}

#define BODY(docs)                  \
	{                           \
		NULL, LITERAL(docs) \
	}
#define SEQ(name, docs)             \
	{                           \
		name, LITERAL(docs) \
	}

static const struct {
	const char *name;
	struct part parts[4];
	enum fault_code code;
	size_t nfields, encrypted;
} messages[] = {
	{"ping", {BODY(PING_DB)}, FAULT_NONE, 2, 0},
	{"a sequence", {BODY(PING_DB), SEQ("documents", EMPTY EMPTY)}, FAULT_NONE, 2, 0},
	{"a sequence in front", {SEQ("documents", EMPTY), BODY(PING_DB)}, FAULT_NONE, 2, 0},
	{"an empty sequence", {BODY(PING_DB), SEQ("documents", "")}, FAULT_NONE, 2, 0},
	{"two sequences", {BODY(PING_DB), SEQ("a", EMPTY), SEQ("b", EMPTY)}, FAULT_NONE, 2, 0},
	{"a sequence twice", {BODY(PING_DB), SEQ("a", EMPTY), SEQ("a", EMPTY)}, FAULT_MALFORMED, 0,
		0},
	{"a sequence whose name is a field's", {BODY(PING_DB), SEQ("ping", EMPTY)},
		FAULT_FIELD_TWICE, 0, 0},
	{"a sequence named $db", {BODY(PING_DB), SEQ("$db", EMPTY)}, FAULT_FIELD_TWICE, 0, 0},
	{"a sequence whose name is no UTF-8", {BODY(PING_DB), SEQ("\xff", EMPTY)}, FAULT_MALFORMED,
		0, 0},
	{"a sequence of what is no document",
		{BODY(PING_DB), SEQ("documents", "\x08\0\0\0\x0a\xff\0\0")}, FAULT_INVALID_BSON, 0,
		0},
	{"a sequence whose document does not end", {BODY(PING_DB), SEQ("documents", "\5\0\0\0\1")},
		FAULT_INVALID_BSON, 0, 0},
	{"an empty command", {BODY(EMPTY)}, FAULT_EMPTY_COMMAND, 0, 0},
	{"no $db", {BODY("\x0f\0\0\0\x10ping\0\1\0\0\0\0")}, FAULT_NO_DB, 0, 0},
	{"$db of another type", {BODY("\x18\0\0\0\x10ping\0\1\0\0\0\x10$db\0\1\0\0\0\0")},
		FAULT_WRONG_TYPE, 0, 0},
	{"a symbol as $db", {BODY("\x1d\0\0\0\x10ping\0\1\0\0\0\x0e$db\0\5\0\0\0test\0\0")},
		FAULT_WRONG_TYPE, 0, 0},
	{"$db twice", {BODY("\x2b\0\0\0\x10ping\0\1\0\0\0" DB DB "\0")}, FAULT_FIELD_TWICE, 0, 0},
	{"a field twice", {BODY("\x27\0\0\0\x10ping\0\1\0\0\0\x10ping\0\1\0\0\0" DB "\0")},
		FAULT_FIELD_TWICE, 0, 0},
	{"names that differ in case",
		{BODY("\x27\0\0\0\x10ping\0\1\0\0\0\x10Ping\0\1\0\0\0" DB "\0")}, FAULT_NONE, 3, 0},
	{"encrypted in body and sequence",
		{BODY("\x1d\0\0\0\5ping\0\1\0\0\0\6x" DB "\0") /* its length is put right */,
			SEQ("documents", "\x0e\0\0\0\5x\0\1\0\0\0\6y\0")},
		FAULT_NONE, 2, 2},
};

static void test_messages(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(messages); i++) {
		struct command c;
		enum fault_code code;
		size_t n = 0, at = 21;

		while (n < COUNT_OF(messages[i].parts) && messages[i].parts[n].docs)
			n++;
		buf_clear(&out);
		put_msg(&out, 0, messages[i].parts, n);
		if (!messages[i].parts[0].name)
			buf_patch_u32(&out, at, (uint32_t)messages[i].parts[0].len);
		code = verdict(&c, buf_bytes(&out));
		if (code != messages[i].code)
			fail_msg("%s: %s", messages[i].name, fault_code_name(code));
		assert_int_equal(c.request_id, 7);
		assert_int_equal(c.opcode, OPCODE_MSG);
		if (code != FAULT_NONE)
			continue;
		assert_int_equal(c.nfields, messages[i].nfields);
		assert_int_equal(c.encrypted, messages[i].encrypted);
	}
	buf_fini(&out);
}

static void test_views(void **state)
{
	static const struct part parts[] = {BODY(PING_DB), SEQ("documents", EMPTY EMPTY)};
	const struct wire_seq *seq;
	struct command_docs docs;
	struct bytes doc;
	struct buf out;
	struct command c;
	struct fault why;
	bool bad = false;

	(void)state;
	buf_init(&out, 1000);
	put_msg(&out, WIRE_MSG_MORE_TO_COME | WIRE_MSG_CHECKSUM, parts, 2);
	assert_true(command_parse(&c, buf_bytes(&out), &why));
	assert_true(bytes_equal_str(c.name, "ping"));
	assert_int_equal(c.first.type, TYPE_INT32);
	assert_true(bytes_equal_str(c.db, "test"));
	assert_true(command_is_unacknowledged(&c));
	assert_ptr_equal(command_field(&c, "ping"), &c.fields[0]);
	assert_ptr_equal(command_field(&c, "$db"), &c.fields[1]);
	assert_null(command_field(&c, "documents"));
	seq = command_seq(&c, "documents");
	assert_non_null(seq);
	assert_int_equal(seq->docs.len, 10);
	assert_null(command_seq(&c, "ping"));
	assert_true(command_docs(&c, "documents", &docs));
	assert_true(command_docs_next(&docs, &doc, &bad) && doc.len == 5);
	assert_true(command_docs_next(&docs, &doc, &bad) && doc.len == 5);
	assert_false(command_docs_next(&docs, &doc, &bad));
	assert_false(bad);
	assert_false(command_docs(&c, "ping", &docs));
	assert_false(command_docs(&c, "absent", &docs));
	buf_fini(&out);
}

static void put_command_with(struct buf *out, uint8_t type, struct bytes documents)
{
	struct buf body;
	struct part part = {0};
	size_t begun;

	buf_init(&body, 1000);
	begun = doc_begin(&body);
	doc_put_value(&body, type, NAME("documents"), documents);
	doc_put_string(&body, NAME("$db"), bytes_str("test"));
	doc_end(&body, begun);
	part.docs = (const char *)body.at;
	part.len = body.len;
	put_msg(out, 0, &part, 1);
	buf_fini(&body);
}

static void test_documents_of_an_array(void **state)
{
	static const struct {
		const char *array;
		size_t len;
		size_t count;
		bool bad;
	} cases[] = {
		{LITERAL("\5\0\0\0\0"), 0, false},
		{LITERAL("\x15\0\0\0\3"
			 "0\0" EMPTY "\3"
			 "1\0" EMPTY "\0"),
			2, false},
		{LITERAL("\x11\0\0\0\3"
			 "0\0" EMPTY "\x08"
			 "1\0\1\0"),
			1, true},
		{LITERAL("\x15\0\0\0\3"
			 "0\0" EMPTY "\4"
			 "1\0" EMPTY "\0"),
			1, true},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct command_docs docs;
		struct command c;
		struct bytes doc;
		struct fault why;
		size_t count = 0;
		bool bad = false;

		buf_clear(&out);
		put_command_with(&out, TYPE_ARRAY, bytes_of(cases[i].array, cases[i].len));
		assert_true(command_parse(&c, buf_bytes(&out), &why));
		assert_true(command_docs(&c, "documents", &docs));
		while (command_docs_next(&docs, &doc, &bad))
			count++;
		assert_int_equal(count, cases[i].count);
		assert_int_equal(bad, cases[i].bad);
	}
	buf_clear(&out);
	put_command_with(&out, TYPE_DOCUMENT, bytes_of(EMPTY, 5));
	{
		struct command_docs docs;
		struct command c;
		struct fault why;

		assert_true(command_parse(&c, buf_bytes(&out), &why));
		assert_false(command_docs(&c, "documents", &docs));
	}
	buf_fini(&out);
}

static enum fault_code verdict_of_db(struct buf *out, struct bytes db)
{
	struct buf body;
	struct command c;
	struct part part = {0};
	size_t begun;

	buf_init(&body, 1000);
	begun = doc_begin(&body);
	doc_put_int32(&body, NAME("ping"), 1);
	doc_put_string(&body, NAME("$db"), db);
	doc_end(&body, begun);
	part.docs = (const char *)body.at;
	part.len = body.len;
	buf_clear(out);
	put_msg(out, 0, &part, 1);
	buf_fini(&body);
	return verdict(&c, buf_bytes(out));
}

static void test_databases(void **state)
{
	static const struct {
		const char *db;
		size_t len;
		bool accepted;
	} cases[] = {
		{LITERAL("test"), true},
		{LITERAL("admin"), true},
		{LITERAL("$external"), true},
		{LITERAL("h\xc3\xb4pital"), true},
		{LITERAL("a-b_c"), true},
		{LITERAL(""), false},
		{LITERAL("a.b"), false},
		{LITERAL("a b"), false},
		{LITERAL("a/b"), false},
		{LITERAL("a\\b"), false},
		{LITERAL("a\"b"), false},
		{LITERAL("$a"), false},
		{LITERAL("$external2"), false},
		{LITERAL("a\0b"), false},
		{LITERAL("a\xff"), false},
	};
	char longest[COMMAND_DB_MAX + 1];
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		enum fault_code code = verdict_of_db(&out, bytes_of(cases[i].db, cases[i].len));

		if (code != (cases[i].accepted ? FAULT_NONE : FAULT_INVALID_DB))
			fail_msg("'%s': %s", cases[i].db, fault_code_name(code));
	}
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(verdict_of_db(&out, bytes_of(longest, COMMAND_DB_MAX)), FAULT_NONE);
	assert_int_equal(
		verdict_of_db(&out, bytes_of(longest, COMMAND_DB_MAX + 1)), FAULT_INVALID_DB);
	buf_fini(&out);
}

static void test_number_of_fields(void **state)
{
	struct buf out, body;

	(void)state;
	buf_init(&out, 10000);
	buf_init(&body, 10000);
	for (size_t n = COMMAND_FIELDS_MAX - 1; n <= COMMAND_FIELDS_MAX + 1; n++) {
		struct part part = {0};
		char name[DOC_INDEX_MAX];
		struct command c;
		size_t begun;

		buf_clear(&body);
		begun = doc_begin(&body);
		for (size_t i = 1; i < n; i++)
			doc_put_null(&body, doc_index_name(i, name));
		doc_put_string(&body, NAME("$db"), bytes_str("test"));
		doc_end(&body, begun);
		part.docs = (const char *)body.at;
		part.len = body.len;
		buf_clear(&out);
		put_msg(&out, 0, &part, 1);
		assert_int_equal(verdict(&c, buf_bytes(&out)),
			n <= COMMAND_FIELDS_MAX ? FAULT_NONE : FAULT_TOO_MANY_FIELDS);
	}
	buf_fini(&body);
	buf_fini(&out);
}

/* A document of exactly `len` bytes with a $db. */
static void put_large(struct buf *out, size_t len)
{
	size_t begun = doc_begin(out), fixed = 5 + 14 + 4 + 4 + 1;
	uint8_t *room;

	doc_put_string(out, NAME("$db"), bytes_str("test"));
	doc_put_value(out, TYPE_STRING, NAME("xx"), bytes_of(NULL, 0));
	buf_put_u32(out, (uint32_t)(len - fixed + 1));
	room = buf_reserve(out, len - fixed);
	assert_non_null(room);
	memset(room, 'x', len - fixed);
	buf_commit(out, len - fixed);
	buf_put_u8(out, 0);
	doc_end(out, begun);
	assert_int_equal(out->len - begun, len);
}

static void test_document_size(void **state)
{
	static const struct {
		size_t len;
		enum fault_code code;
	} cases[] = {
		{DOC_MAX_LEN, FAULT_NONE},
		{DOC_SLACK_LEN, FAULT_NONE},
		{DOC_SLACK_LEN + 1, FAULT_DOCUMENT_TOO_LARGE},
	};
	struct buf docs, out;

	(void)state;
	buf_init(&docs, DOC_SLACK_LEN + 1);
	buf_init(&out, FRAME_MESSAGE_MAX);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct part parts[] = {BODY(PING_DB), {"documents", NULL, 0}};
		struct command c;

		buf_clear(&docs);
		put_large(&docs, cases[i].len);
		parts[1].docs = (const char *)docs.at;
		parts[1].len = docs.len;
		buf_clear(&out);
		put_msg(&out, 0, parts, 2);
		assert_int_equal(verdict(&c, buf_bytes(&out)), cases[i].code);
		parts[1].name = NULL;
		buf_clear(&out);
		put_msg(&out, 0, &parts[1], 1);
		assert_int_equal(verdict(&c, buf_bytes(&out)), cases[i].code);
	}
	buf_fini(&docs);
	buf_fini(&out);
}

#define HELLO "\x13\0\0\0\x10isMaster\0\1\0\0\0\0"

static const struct {
	const char *name;
	const char *ns;
	const char *docs;
	size_t len;
	enum fault_code code;
	const char *command;
} queries[] = {
	{"isMaster", "admin.$cmd", LITERAL(HELLO), FAULT_NONE, "isMaster"},
	{"wrapped", "admin.$cmd", LITERAL("\x20\0\0\0\3$query\0" HELLO "\0"), FAULT_NONE,
		"isMaster"},
	{"wrapped, the old way", "admin.$cmd", LITERAL("\x1f\0\0\0\3query\0" HELLO "\0"),
		FAULT_NONE, "isMaster"},
	{"wrapped, with more", "admin.$cmd", LITERAL("\x23\0\0\0\3$query\0" HELLO "\x0ax\0\0"),
		FAULT_NONE, "isMaster"},
	{"wrapped twice", "admin.$cmd",
		LITERAL("\x3b\0\0\0\3$query\0" HELLO "\3$query\0" HELLO "\0"), FAULT_FIELD_TWICE,
		NULL},
	{"a wrapper that is no document", "admin.$cmd", LITERAL("\x11\0\0\0\x10$query\0\1\0\0\0\0"),
		FAULT_NONE, "$query"},
	{"a wrapper behind a field", "admin.$cmd",
		LITERAL("\x23\0\0\0\x0ax\0\3$query\0" HELLO "\0"), FAULT_NONE, "x"},
	{"an empty wrapper", "admin.$cmd", LITERAL("\x12\0\0\0\3$query\0" EMPTY "\0"),
		FAULT_EMPTY_COMMAND, NULL},
	{"a field twice", "admin.$cmd", LITERAL("\x0b\0\0\0\x0ax\0\x0ax\0\0"), FAULT_FIELD_TWICE,
		NULL},
	{"a collection", "test.people", LITERAL(HELLO), FAULT_OP_QUERY, NULL},
	{"no database", ".$cmd", LITERAL(HELLO), FAULT_OP_QUERY, NULL},
	{"nothing but a suffix", "$cmd", LITERAL(HELLO), FAULT_OP_QUERY, NULL},
	{"a dot too many", "a.b.$cmd", LITERAL(HELLO), FAULT_INVALID_DB, NULL},
	{"no document", "admin.$cmd", LITERAL(""), FAULT_MALFORMED, NULL},
	{"two documents", "admin.$cmd", LITERAL(HELLO EMPTY), FAULT_MALFORMED, NULL},
	{"a document too short", "admin.$cmd", LITERAL("\4\0\0\0"), FAULT_INVALID_BSON, NULL},
	{"a bad document", "admin.$cmd", LITERAL("\x08\0\0\0\x0a\xff\0\0"), FAULT_INVALID_BSON,
		NULL},
};

static void test_queries(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(queries); i++) {
		struct command c;
		struct fault why = {.code = FAULT_NONE};

		buf_clear(&out);
		put_query(&out, queries[i].ns, bytes_of(queries[i].docs, queries[i].len));
		(void)!command_parse(&c, buf_bytes(&out), &why);
		if (why.code != queries[i].code)
			fail_msg("%s: %s %s", queries[i].name, fault_code_name(why.code),
				why.detail);
		assert_int_equal(c.opcode, OPCODE_QUERY);
		assert_int_equal(c.request_id, 7);
		if (!queries[i].command)
			continue;
		assert_true(bytes_equal_str(c.name, queries[i].command));
		assert_true(bytes_equal_str(c.db, "admin"));
		assert_false(command_is_unacknowledged(&c));
	}
	buf_fini(&out);
}

static void test_headers(void **state)
{
	static const struct {
		uint32_t length, opcode;
		enum fault_code code;
		int32_t answered;
	} cases[] = {
		{16, OPCODE_MSG, FAULT_MALFORMED, OPCODE_MSG},
		{15, OPCODE_MSG, FAULT_MALFORMED, OPCODE_MSG},
		{17, OPCODE_MSG, FAULT_MALFORMED, OPCODE_MSG},
		{16, OPCODE_QUERY, FAULT_MALFORMED, OPCODE_QUERY},
		{15, OPCODE_QUERY, FAULT_MALFORMED, OPCODE_QUERY},
		{16, OPCODE_REPLY, FAULT_OPCODE, OPCODE_MSG},
		{16, OPCODE_COMPRESSED, FAULT_OPCODE, OPCODE_MSG},
		{16, 2002, FAULT_OPCODE, OPCODE_MSG},
		{FRAME_MESSAGE_MAX + 1, OPCODE_MSG, FAULT_MESSAGE_TOO_LARGE, OPCODE_MSG},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint8_t header[FRAME_HEADER_LEN];
		struct command c;

		store_u32(header, cases[i].length);
		store_u32(header + 4, 99);
		store_u32(header + 8, 0);
		store_u32(header + 12, cases[i].opcode);
		assert_int_equal(verdict(&c, bytes_of(header, sizeof(header))), cases[i].code);
		assert_int_equal(c.request_id, 99);
		assert_int_equal(c.opcode, cases[i].answered);
		assert_int_equal(
			verdict(&c, bytes_of(header, sizeof(header) - 1)), FAULT_MALFORMED);
	}
}

/* Cut anywhere it is refused; with its length made to fit, too, but where a section ends. */
static void expect_no_cut(struct bytes message, const size_t *ends, size_t nends)
{
	for (size_t len = 0; len < message.len; len++) {
		uint8_t *cut = memory_new(len);
		struct command c;
		struct fault why;
		bool at_end = false, accepted;

		memcpy(cut, message.at, len);
		assert_false(command_parse(&c, bytes_of(cut, len), &why));
		if (len >= 4)
			store_u32(cut, (uint32_t)len);
		for (size_t i = 0; i < nends; i++)
			at_end |= ends[i] == len;
		accepted = command_parse(&c, bytes_of(cut, len), &why);
		assert_int_equal(accepted, at_end);
		free(cut);
	}
}

static void test_torn(void **state)
{
	static const struct part parts[] = {BODY(PING_DB), SEQ("documents", EMPTY PING_DB EMPTY)};
	const size_t body_end = 16 + 4 + 1 + sizeof(PING_DB) - 1;
	struct command c;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	put_msg(&out, 0, parts, 2);
	expect_no_cut(buf_bytes(&out), &body_end, 1);
	/* A whole message, and more behind it than its length says. */
	buf_patch_u32(&out, 0, (uint32_t)body_end);
	assert_int_equal(verdict(&c, bytes_head(buf_bytes(&out), body_end)), FAULT_NONE);
	assert_int_equal(verdict(&c, buf_bytes(&out)), FAULT_MALFORMED);
	buf_clear(&out);
	put_msg(&out, WIRE_MSG_CHECKSUM, parts, 2);
	expect_no_cut(buf_bytes(&out), NULL, 0);
	buf_clear(&out);
	put_query(&out, "admin.$cmd", bytes_of(HELLO, sizeof(HELLO) - 1));
	expect_no_cut(buf_bytes(&out), NULL, 0);
	buf_fini(&out);
}

/* Any one bit of a message with a checksum: refused. */
static void test_checksum(void **state)
{
	static const struct part parts[] = {BODY(PING_DB), SEQ("documents", EMPTY)};
	struct buf out;
	struct command c;

	(void)state;
	buf_init(&out, 1000);
	put_msg(&out, WIRE_MSG_CHECKSUM, parts, 2);
	assert_int_equal(verdict(&c, buf_bytes(&out)), FAULT_NONE);
	for (size_t bit = 0; bit < out.len * 8; bit++) {
		out.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(verdict(&c, buf_bytes(&out)), FAULT_NONE);
		out.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_documents_of_an_array),
		cmocka_unit_test(test_databases),
		cmocka_unit_test(test_number_of_fields),
		cmocka_unit_test(test_document_size),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
