#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "util/memory.h"
#include "wire/doc.h"

#define EMPTY "\5\0\0\0\0"

/* One value of each type, and of each form that a type has. */
static const struct {
	const char *name;
	uint8_t type;
	const char *value;
	size_t len;
} values[] = {
	{"double", TYPE_DOUBLE, LITERAL("\0\0\0\0\0\0\xf8\x3f")},
	{"string", TYPE_STRING, LITERAL("\4\0\0\0abc\0")},
	{"empty string", TYPE_STRING, LITERAL("\1\0\0\0\0")},
	{"string with a NUL", TYPE_STRING, LITERAL("\4\0\0\0a\0c\0")},
	{"empty document", TYPE_DOCUMENT, LITERAL(EMPTY)},
	{"document", TYPE_DOCUMENT,
		LITERAL("\x0b\0\0\0\x0a"
			"a\0\x0a"
			"b\0\0")},
	{"array", TYPE_ARRAY,
		LITERAL("\x0c\0\0\0\x10"
			"0\0\1\0\0\0\0")},
	{"binary", TYPE_BINARY, LITERAL("\3\0\0\0\0abc")},
	{"empty binary", TYPE_BINARY, LITERAL("\0\0\0\0\x80")},
	{"old binary", TYPE_BINARY, LITERAL("\7\0\0\0\2\3\0\0\0abc")},
	{"encrypted", TYPE_BINARY, LITERAL("\1\0\0\0\6x")},
	{"undefined", TYPE_UNDEFINED, LITERAL("")},
	{"ObjectId", TYPE_OBJECT_ID, LITERAL("0123456789ab")},
	{"false", TYPE_BOOL, LITERAL("\0")},
	{"true", TYPE_BOOL, LITERAL("\1")},
	{"date", TYPE_DATE, LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff")},
	{"null", TYPE_NULL, LITERAL("")},
	{"regex", TYPE_REGEX, LITERAL("a.b\0i\0")},
	{"empty regex", TYPE_REGEX, LITERAL("\0\0")},
	{"DBPointer", TYPE_DB_POINTER,
		LITERAL("\2\0\0\0a\0"
			"0123456789ab")},
	{"code", TYPE_CODE, LITERAL("\2\0\0\0f\0")},
	{"symbol", TYPE_SYMBOL, LITERAL("\2\0\0\0s\0")},
	{"code with scope", TYPE_CODE_WITH_SCOPE, LITERAL("\x0f\0\0\0\2\0\0\0f\0" EMPTY)},
	{"int32", TYPE_INT32, LITERAL("\xff\xff\xff\xff")},
	{"timestamp", TYPE_TIMESTAMP, LITERAL("\1\0\0\0\2\0\0\0")},
	{"int64", TYPE_INT64, LITERAL("\xff\xff\xff\xff\xff\xff\xff\x7f")},
	{"decimal128", TYPE_DECIMAL128, LITERAL("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\x30")},
	{"max key", TYPE_MAX_KEY, LITERAL("")},
	{"min key", TYPE_MIN_KEY, LITERAL("")},
};

/* A copy that ends where its memory does, for address sanitizer; for free(). */
static struct bytes exact_copy(struct bytes b)
{
	uint8_t *copy = memory_new(b.len);

	if (b.len)
		memcpy(copy, b.at, b.len);
	return bytes_of(copy, b.len);
}

static bool passes(struct bytes doc, struct doc_facts *facts, struct fault *why)
{
	struct bytes copy = exact_copy(doc);
	bool passed = doc_check(copy, facts, why);

	assert_true(passed || why->code == FAULT_INVALID_BSON || why->code == FAULT_TOO_DEEP);
	free((void *)(uintptr_t)copy.at);
	return passed;
}

/* {k: value}, its length true whatever the value. */
static struct bytes document_around(struct buf *out, uint8_t type, struct bytes value)
{
	size_t begun;

	buf_clear(out);
	begun = doc_begin(out);
	doc_put_value(out, type, NAME("k"), value);
	doc_end(out, begun);
	return buf_bytes(out);
}

static void test_each_type(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		struct bytes value = bytes_of(values[i].value, values[i].len);
		struct bytes doc = document_around(&out, values[i].type, value);
		struct doc_iter it = doc_iter_of(doc);
		struct element e;
		struct fault why;

		if (!passes(doc, NULL, &why))
			fail_msg("%s: %s", values[i].name, why.detail);
		assert_true(doc_next(&it, &e));
		assert_int_equal(e.type, values[i].type);
		assert_true(bytes_equal_str(e.name, "k"));
		assert_true(bytes_equal(e.value, value));
		assert_ptr_equal(e.whole.at, doc.at + 4);
		assert_int_equal(e.whole.len, doc.len - 5);
		assert_false(doc_next(&it, &e));
		assert_false(it.failed);
	}
	buf_fini(&out);
}

/* A value cut anywhere, in a document that is otherwise right; and one with a byte more. */
static void test_each_type_cut(void **state)
{
	struct buf out;
	struct fault why;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		for (size_t len = 0; len < values[i].len; len++)
			if (passes(document_around(
					   &out, values[i].type, bytes_of(values[i].value, len)),
				    NULL, &why))
				fail_msg("%s cut to %zu bytes", values[i].name, len);
		if (passes(document_around(&out, values[i].type,
				   bytes_of(values[i].value, values[i].len + 1)),
			    NULL, &why))
			fail_msg("%s with a byte more", values[i].name);
	}
	buf_fini(&out);
}

/* A document of all types, cut anywhere: by its end, and with its length made to fit. */
static void test_torn(void **state)
{
	struct buf out;
	struct fault why;
	size_t begun, whole;

	(void)state;
	buf_init(&out, 2000);
	begun = doc_begin(&out);
	for (size_t i = 0; i < COUNT_OF(values); i++)
		doc_put_value(&out, values[i].type, bytes_str(values[i].name),
			bytes_of(values[i].value, values[i].len));
	doc_end(&out, begun);
	assert_true(passes(buf_bytes(&out), NULL, &why));
	whole = out.len;
	for (size_t len = 0; len < whole; len++) {
		struct bytes cut = exact_copy(bytes_head(buf_bytes(&out), len));
		struct doc_iter it = doc_iter_of(cut);
		struct element e;

		assert_false(doc_check(cut, NULL, &why));
		assert_true(it.failed);
		assert_false(doc_next(&it, &e));
		assert_int_equal(doc_at_front(cut).len, 0);
		assert_int_equal(doc_count(cut), 0);
		free((void *)(uintptr_t)cut.at);
	}
	for (size_t len = 4; len < whole; len++) {
		struct bytes cut = exact_copy(bytes_head(buf_bytes(&out), len));

		/* Whether it passes depends on where the cut is; it must not look beyond. */
		store_u32((uint8_t *)(uintptr_t)cut.at, (uint32_t)len);
		(void)!doc_check(cut, NULL, &why);
		(void)doc_count(cut);
		free((void *)(uintptr_t)cut.at);
	}
	buf_fini(&out);
}

/* Offsets of lengths in the documents of `values` with one. */
static const struct {
	uint8_t type;
	const char *value;
	size_t len;
	size_t offset; /* of a length in `value` */
} lengths[] = {
	{TYPE_STRING, LITERAL("\4\0\0\0abc\0"), 0},
	{TYPE_CODE, LITERAL("\4\0\0\0abc\0"), 0},
	{TYPE_SYMBOL, LITERAL("\4\0\0\0abc\0"), 0},
	{TYPE_DOCUMENT,
		LITERAL("\x0b\0\0\0\x0a"
			"a\0\x0a"
			"b\0\0"),
		0},
	{TYPE_ARRAY,
		LITERAL("\x0b\0\0\0\x0a"
			"0\0\x0a"
			"1\0\0"),
		0},
	{TYPE_DOCUMENT,
		LITERAL("\x10\0\0\0\2"
			"a\0\4\0\0\0abc\0\0"),
		7},
	{TYPE_BINARY, LITERAL("\3\0\0\0\0abc"), 0},
	{TYPE_BINARY, LITERAL("\7\0\0\0\2\3\0\0\0abc"), 0},
	{TYPE_BINARY, LITERAL("\7\0\0\0\2\3\0\0\0abc"), 5},
	{TYPE_DB_POINTER,
		LITERAL("\4\0\0\0abc\0"
			"0123456789ab"),
		0},
	{TYPE_CODE_WITH_SCOPE,
		LITERAL("\x15\0\0\0\2\0\0\0f\0\x0b\0\0\0\x0a"
			"a\0\x0a"
			"b\0\0"),
		0},
	{TYPE_CODE_WITH_SCOPE,
		LITERAL("\x15\0\0\0\2\0\0\0f\0\x0b\0\0\0\x0a"
			"a\0\x0a"
			"b\0\0"),
		4},
	{TYPE_CODE_WITH_SCOPE,
		LITERAL("\x15\0\0\0\2\0\0\0f\0\x0b\0\0\0\x0a"
			"a\0\x0a"
			"b\0\0"),
		10},
};

static void test_lengths_that_lie(void **state)
{
	struct buf out;
	struct fault why;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct bytes doc = document_around(
			&out, lengths[i].type, bytes_of(lengths[i].value, lengths[i].len));
		size_t at = 4 + 3 + lengths[i].offset;
		const uint32_t truth = load_u32(doc.at + at);
		const uint32_t lies[] = {0, 1, 3, 4, 5, truth - 1, truth + 1, truth + 4, 1000,
			INT32_MAX - 4, INT32_MAX, 0x80000000, UINT32_MAX - 4, UINT32_MAX};

		assert_true(passes(doc, NULL, &why));
		for (size_t k = 0; k < COUNT_OF(lies); k++) {
			if (lies[k] == truth)
				continue;
			buf_patch_u32(&out, at, lies[k]);
			if (passes(buf_bytes(&out), NULL, &why))
				fail_msg("case %zu: a length of %u for %u", i, lies[k], truth);
		}
	}
	buf_fini(&out);
}

/* Whole documents that two parsers could read differently, or that nobody should read. */
static const struct {
	const char *name;
	const char *bytes;
	size_t len;
	bool accepted;
} documents[] = {
	{"nothing", LITERAL(""), false},
	{"an empty one", LITERAL(EMPTY), true},
	{"a length too small", LITERAL("\4\0\0\0\0"), false},
	{"a length too large", LITERAL("\6\0\0\0\0"), false},
	{"a negative length", LITERAL("\xff\xff\xff\xff\0"), false},
	{"no NUL at its end", LITERAL("\5\0\0\0\1"), false},
	{"a byte behind its end", LITERAL(EMPTY "\0"), false},
	{"a NUL where an element could begin",
		LITERAL("\x09\0\0\0\0\x0a"
			"a\0\0"),
		false},
	{"a name without an end",
		LITERAL("\7\0\0\0\x0a"
			"a\0"),
		false},
	{"an empty name", LITERAL("\7\0\0\0\x0a\0\0"), true},
	{"a name in UTF-8", LITERAL("\x09\0\0\0\x0a\xc3\xa9\0\0"), true},
	{"a name in Latin-1", LITERAL("\x08\0\0\0\x0a\xe9\0\0"), false},
	{"a deep name in Latin-1", LITERAL("\x10\0\0\0\3a\0\x08\0\0\0\x0a\xe9\0\0\0"), false},
	{"a name with a surrogate", LITERAL("\x0a\0\0\0\x0a\xed\xa0\x80\0\0"), false},
	{"a string in Latin-1", LITERAL("\x0e\0\0\0\2a\0\2\0\0\0\xe9\0\0"), true},
	{"a name twice",
		LITERAL("\x0b\0\0\0\x0a"
			"a\0\x0a"
			"a\0\0"),
		true},
	{"a bool of 2",
		LITERAL("\x09\0\0\0\x08"
			"b\0\2\0"),
		false},
	{"a bool of 255",
		LITERAL("\x09\0\0\0\x08"
			"b\0\xff\0"),
		false},
	{"an old binary without its inner length", LITERAL("\x10\0\0\0\5b\0\3\0\0\0\2abc\0"),
		false},
	{"an old binary that is empty", LITERAL("\x11\0\0\0\5b\0\4\0\0\0\2\0\0\0\0\0"), true},
	{"a scope in which a bool is 2",
		LITERAL("\x1b\0\0\0\x0f"
			"c\0\x13\0\0\0\2\0\0\0f\0\x09\0\0\0\x08"
			"b\0\2\0\0"),
		false},
	{"a string that has no room for its NUL", LITERAL("\x0c\0\0\0\2s\0\0\0\0\0\0"), false},
	{"an inner document shorter than its length", LITERAL("\x0c\0\0\0\3d\0\4\0\0\0\0"), false},
	{"bytes behind a scope",
		LITERAL("\x18\0\0\0\x0f"
			"c\0\x10\0\0\0\2\0\0\0f\0" EMPTY "\0\0"),
		false},
	{"a code whose text does not end",
		LITERAL("\x0e\0\0\0\x0d"
			"c\0\2\0\0\0ff\0"),
		false},
};

static void test_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(documents); i++) {
		struct fault why = {.detail = "accepted"};

		if (passes(bytes_of(documents[i].bytes, documents[i].len), NULL, &why) !=
			documents[i].accepted)
			fail_msg("%s: %s", documents[i].name, why.detail);
	}
	assert_int_equal(doc_at_front(bytes_of(NULL, 0)).len, 0);
	assert_true(doc_iter_of(bytes_of(NULL, 0)).failed);
}

static void test_types(void **state)
{
	static const char sized[] =
		"\x01\x02\x03\x04\x05\x07\x08\x09\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13";
	static const char empty[] = "\x06\x0a\x7f\xff";
	struct buf out;
	struct fault why;

	(void)state;
	buf_init(&out, 1000);
	for (int type = 0; type < 256; type++) {
		struct bytes doc = document_around(&out, (uint8_t)type, bytes_of(NULL, 0));
		bool accepted = passes(doc, NULL, &why);

		/* Without a value only those pass that have none. */
		assert_int_equal(accepted, memchr(empty, type, sizeof(empty) - 1) != NULL);
		if (!memchr(sized, type, sizeof(sized) - 1))
			continue;
		for (size_t i = 0; i < COUNT_OF(values); i++)
			accepted |= values[i].type == type;
		assert_true(accepted);
	}
	buf_fini(&out);
}

/* A document of `depth` levels, each but the first reached by a value of `type`. */
static struct bytes nested(struct buf *out, uint8_t type, unsigned depth)
{
	size_t begun[DOC_DEPTH_MAX + 2], scope[DOC_DEPTH_MAX + 2] = {0};

	buf_clear(out);
	begun[0] = doc_begin(out);
	for (unsigned i = 1; i < depth; i++) {
		doc_put_value(out, type, NAME("0"), bytes_of(NULL, 0));
		scope[i] = out->len;
		if (type == TYPE_CODE_WITH_SCOPE)
			buf_put(out, bytes_of("....\2\0\0\0f\0", 10));
		begun[i] = doc_begin(out);
	}
	for (unsigned i = depth; i-- > 0;) {
		doc_end(out, begun[i]);
		if (i && type == TYPE_CODE_WITH_SCOPE)
			buf_patch_u32(out, scope[i], (uint32_t)(out->len - scope[i]));
	}
	return buf_bytes(out);
}

static void test_depth(void **state)
{
	static const uint8_t types[] = {TYPE_DOCUMENT, TYPE_ARRAY, TYPE_CODE_WITH_SCOPE};
	struct buf out;

	(void)state;
	buf_init(&out, 100000);
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		struct doc_facts facts = {0};
		struct fault why;

		assert_true(passes(nested(&out, types[i], 1), &facts, &why));
		assert_int_equal(facts.depth, 1);
		assert_true(passes(nested(&out, types[i], DOC_DEPTH_MAX), &facts, &why));
		assert_int_equal(facts.depth, DOC_DEPTH_MAX);
		assert_false(passes(nested(&out, types[i], DOC_DEPTH_MAX + 1), &facts, &why));
		assert_int_equal(why.code, FAULT_TOO_DEEP);
	}
	buf_fini(&out);
}

#define ENCRYPTED(name, byte) "\5" name "\0\1\0\0\0\6" byte

static const char with_encrypted[] = "\x4e\0\0\0" ENCRYPTED("a", "1") "\3d\0\x0e\0\0\0" ENCRYPTED(
	"b", "2") "\0"
		  "\4l\0\x0e\0\0\0" ENCRYPTED(
			  "0", "3") "\0"
				    "\5o\0\1\0\0\0\0x"
				    "\x0f"
				    "c\0\x18\0\0\0\2\0\0\0f\0\x0e\0\0\0" ENCRYPTED("s", "4") "\0\0";

struct visits {
	char seen[8];
	size_t count, stop_after;
};

static bool visit(void *context, struct bytes content)
{
	struct visits *v = context;

	assert_int_equal(content.len, 1);
	v->seen[v->count++] = (char)content.at[0];
	return v->count != v->stop_after;
}

static void test_encrypted(void **state)
{
	static char bytes[sizeof(with_encrypted) - 1];
	struct visits all = {.stop_after = 99}, some = {.stop_after = 2};
	struct doc_facts facts = {.encrypted = 10};
	struct bytes doc = bytes_of(bytes, sizeof(bytes));
	struct fault why;

	(void)state;
	memcpy(bytes, with_encrypted, sizeof(bytes));
	store_u32((uint8_t *)bytes, sizeof(bytes));
	if (!passes(doc, &facts, &why))
		fail_msg("%s", why.detail);
	assert_int_equal(facts.encrypted, 14);
	assert_true(doc_each_encrypted(doc, visit, &all));
	assert_string_equal(all.seen, "1234");
	assert_false(doc_each_encrypted(doc, visit, &some));
	assert_string_equal(some.seen, "12");
}

static void test_find(void **state)
{
	static const struct bytes names[] = {
		BYTES_LITERAL("a"), BYTES_LITERAL("x"), BYTES_LITERAL("l"), BYTES_LITERAL("")};
	struct element found[COUNT_OF(names)];
	struct buf out;
	struct bytes doc;
	struct element e;
	int64_t value;
	size_t begun, inner;

	(void)state;
	buf_init(&out, 1000);
	begun = doc_begin(&out);
	doc_put_int32(&out, NAME("a"), 1);
	doc_put_int32(&out, NAME("a.b"), 2);
	inner = doc_put_document(&out, NAME("d"));
	doc_put_int32(&out, NAME("a"), 3);
	doc_put_document(&out, NAME("e"));
	doc_end(&out, out.len - 4);
	doc_end(&out, inner);
	inner = doc_put_array(&out, NAME("l"));
	doc_put_int32(&out, NAME("0"), 4);
	doc_end(&out, inner);
	doc_put_int32(&out, NAME("a"), 5);
	doc_end(&out, begun);
	doc = buf_bytes(&out);

	assert_int_equal(doc_count(doc), 5);
	assert_true(doc_find(doc, "a", &e) && element_int(&e, &value) && value == 1);
	assert_true(doc_find(doc, "a.b", &e) && element_int(&e, &value) && value == 2);
	assert_false(doc_find(doc, "aa", &e));
	assert_false(doc_find(doc, "", &e));
	assert_true(doc_find_path(doc, "d.a", &e) && element_int(&e, &value) && value == 3);
	assert_true(doc_find_path(doc, "a", &e) && element_int(&e, &value) && value == 1);
	assert_true(doc_find_path(doc, "d.e", &e) && doc_is_empty(e.value));
	assert_false(doc_find_path(doc, "l.0", &e));
	assert_false(doc_find_path(doc, "a.b", &e));
	assert_false(doc_find_path(doc, "d.e.x", &e));
	assert_false(doc_find_path(doc, "d.", &e));
	assert_false(doc_is_empty(doc));
	doc_find_each(doc, names, COUNT_OF(names), found);
	assert_true(element_int(&found[0], &value) && value == 1);
	assert_int_equal(found[1].type, 0);
	assert_int_equal(found[2].type, TYPE_ARRAY);
	assert_int_equal(found[3].type, 0);
	/* What stands behind a document is not its own. */
	buf_put_str(&out, "rest");
	assert_int_equal(doc_at_front(buf_bytes(&out)).len, out.len - 4);
	assert_int_equal(doc_count(buf_bytes(&out)), 5);
	buf_fini(&out);
}

#define DECIMAL(low, high) low high

/* What a number says as an integer (0: nothing), as a double, and as a truth. */
static const struct {
	const char *name;
	uint8_t type;
	const char *value;
	size_t len;
	bool is_int, is_double, truth;
	int64_t whole;
	double number;
} numbers[] = {
	{"int32", TYPE_INT32, LITERAL("\xfe\xff\xff\xff"), true, true, true, -2, -2},
	{"int32 0", TYPE_INT32, LITERAL("\0\0\0\0"), true, true, false, 0, 0},
	{"int64", TYPE_INT64, LITERAL("\0\0\0\0\1\0\0\0"), true, true, true, 1LL << 32,
		4294967296.0},
	{"int64 0", TYPE_INT64, LITERAL("\0\0\0\0\0\0\0\0"), true, true, false, 0, 0},
	{"3.0", TYPE_DOUBLE, LITERAL("\0\0\0\0\0\0\x08\x40"), true, true, true, 3, 3},
	{"1.5", TYPE_DOUBLE, LITERAL("\0\0\0\0\0\0\xf8\x3f"), false, true, true, 0, 1.5},
	{"-0.0", TYPE_DOUBLE, LITERAL("\0\0\0\0\0\0\0\x80"), true, true, false, 0, 0},
	{"2^63", TYPE_DOUBLE, LITERAL("\0\0\0\0\0\0\xe0\x43"), false, true, true, 0,
		9223372036854775808.0},
	{"2^63-1024", TYPE_DOUBLE, LITERAL("\xff\xff\xff\xff\xff\xff\xdf\x43"), true, true, true,
		9223372036854774784, 9223372036854774784.0},
	{"-2^63", TYPE_DOUBLE, LITERAL("\0\0\0\0\0\0\xe0\xc3"), true, true, true, INT64_MIN,
		-9223372036854775808.0},
	{"infinity", TYPE_DOUBLE, LITERAL("\0\0\0\0\0\0\xf0\x7f"), false, true, true, 0, INFINITY},
	{"true", TYPE_BOOL, LITERAL("\1"), false, false, true, 0, 0},
	{"false", TYPE_BOOL, LITERAL("\0"), false, false, false, 0, 0},
	{"null", TYPE_NULL, LITERAL(""), false, false, false, 0, 0},
	{"a string", TYPE_STRING, LITERAL("\2\0\0\0x\0"), false, false, false, 0, 0},
	{"decimal 1", TYPE_DECIMAL128, LITERAL(DECIMAL("\1\0\0\0\0\0\0\0", "\0\0\0\0\0\0\x40\x30")),
		false, false, true, 0, 0},
	{"decimal -1", TYPE_DECIMAL128,
		LITERAL(DECIMAL("\1\0\0\0\0\0\0\0", "\0\0\0\0\0\0\x40\xb0")), false, false, true, 0,
		0},
	{"decimal 2^64", TYPE_DECIMAL128,
		LITERAL(DECIMAL("\0\0\0\0\0\0\0\0", "\1\0\0\0\0\0\x40\x30")), false, false, true, 0,
		0},
	{"decimal 0", TYPE_DECIMAL128, LITERAL(DECIMAL("\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\x40\x30")),
		false, false, false, 0, 0},
	{"decimal 0E+3", TYPE_DECIMAL128,
		LITERAL(DECIMAL("\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\x46\x30")), false, false, false,
		0, 0},
	{"decimal NaN", TYPE_DECIMAL128, LITERAL(DECIMAL("\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\x7c")),
		false, false, true, 0, 0},
	{"decimal infinity", TYPE_DECIMAL128,
		LITERAL(DECIMAL("\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\x78")), false, false, true, 0,
		0},
	{"the largest decimal", TYPE_DECIMAL128,
		LITERAL(DECIMAL(
			"\xff\xff\xff\xff\x63\x8e\x8d\x37", "\xc0\x87\xad\xbe\x09\xed\xff\x5f")),
		false, false, true, 0, 0},
	{"a coefficient one too large means 0", TYPE_DECIMAL128,
		LITERAL(DECIMAL("\0\0\0\0\x64\x8e\x8d\x37", "\xc0\x87\xad\xbe\x09\xed\x41\x30")),
		false, false, false, 0, 0},
	{"so does the large form", TYPE_DECIMAL128,
		LITERAL(DECIMAL("\1\0\0\0\0\0\0\0", "\0\0\0\0\0\0\x10\x6c")), false, false, false,
		0, 0},
};

static void test_numbers(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		struct bytes doc = document_around(
			&out, numbers[i].type, bytes_of(numbers[i].value, numbers[i].len));
		struct element e;
		int64_t whole = 0;
		double number = 0;

		assert_true(doc_find(doc, "k", &e));
		if (element_int(&e, &whole) != numbers[i].is_int ||
			element_double(&e, &number) != numbers[i].is_double ||
			element_truth(&e) != numbers[i].truth || whole != numbers[i].whole ||
			number != numbers[i].number)
			fail_msg("%s: %lld, %g, %d", numbers[i].name, (long long)whole, number,
				element_truth(&e));
		assert_int_equal(element_is_number(&e), numbers[i].is_double);
	}
	buf_fini(&out);
}

static void test_build(void **state)
{
	static const char expected[] = "\x9d\0\0\0"
				       "\2s\0\2\0\0\0x\0"
				       "\5b\0\2\0\0\0\x80xy"
				       "\x10i\0\xfe\xff\xff\xff"
				       "\x12l\0\xfe\xff\xff\xff\xff\xff\xff\xff"
				       "\1d\0\0\0\0\0\0\0\xf8\x3f"
				       "\x08t\0\1"
				       "\x08"
				       "f\0\0"
				       "\x09w\0\1\0\0\0\0\0\0\0"
				       "\x0an\0"
				       "\x11z\0\2\0\0\0\1\0\0\0"
				       "\3o\0\x12\0\0\0\4a\0\x0a\0\0\0\x08"
				       "10\0\1\0\0"
				       "\2s\0\2\0\0\0x\0"
				       "\x0a\0"
				       "\7v\0"
				       "0123456789ab"
				       "\0";
	char index[DOC_INDEX_MAX];
	struct buf out;
	size_t begun, inner, innermost;
	struct element e;

	(void)state;
	buf_init(&out, 1000);
	begun = doc_begin(&out);
	doc_put_string(&out, NAME("s"), bytes_str("x"));
	doc_put_binary(&out, NAME("b"), 0x80, bytes_str("xy"));
	doc_put_int32(&out, NAME("i"), -2);
	doc_put_int64(&out, NAME("l"), -2);
	doc_put_double(&out, NAME("d"), 1.5);
	doc_put_bool(&out, NAME("t"), true);
	doc_put_bool(&out, NAME("f"), false);
	doc_put_date(&out, NAME("w"), 1);
	doc_put_null(&out, NAME("n"));
	doc_put_timestamp(&out, NAME("z"), 1ull << 32 | 2);
	inner = doc_put_document(&out, NAME("o"));
	innermost = doc_put_array(&out, NAME("a"));
	doc_put_bool(&out, doc_index_name(10, index), true);
	doc_end(&out, innermost);
	doc_end(&out, inner);
	doc_end(&out, begun);
	assert_true(doc_find(buf_bytes(&out), "s", &e));
	out.len--;
	doc_put_element(&out, &e);
	doc_put_null(&out, NAME(""));
	doc_put_value(&out, TYPE_OBJECT_ID, NAME("v"), bytes_str("0123456789ab"));
	doc_end(&out, begun);
	assert_int_equal(out.len, sizeof(expected) - 1);
	assert_memory_equal(out.at + 4, expected + 4, out.len - 4);
	assert_int_equal(load_u32(out.at), out.len);
	buf_fini(&out);
}

static void test_build_over_limit(void **state)
{
	(void)state;
	for (size_t max = 0; max < 40; max++) {
		struct buf out;
		size_t begun, inner;

		buf_init(&out, max);
		begun = doc_begin(&out);
		inner = doc_put_document(&out, NAME("outer"));
		doc_put_string(&out, NAME("name"), bytes_str("value"));
		doc_end(&out, inner);
		doc_end(&out, begun);
		assert_int_equal(out.failed, max < 5 + 7 + 5 + 6 + 10);
		assert_true(out.len <= max);
		buf_fini(&out);
	}
}

static void test_index_names(void **state)
{
	char out[DOC_INDEX_MAX];

	(void)state;
	assert_true(bytes_equal_str(doc_index_name(0, out), "0"));
	assert_true(bytes_equal_str(doc_index_name(1000, out), "1000"));
	assert_true(bytes_equal_str(doc_index_name(SIZE_MAX, out), "18446744073709551615"));
}

static void test_views(void **state)
{
	struct buf out;
	struct element e;
	uint8_t subtype;

	(void)state;
	buf_init(&out, 1000);
	assert_true(doc_find(
		document_around(&out, TYPE_STRING, bytes_of("\4\0\0\0a\0c\0", 8)), "k", &e));
	assert_true(bytes_equal(element_string(&e), bytes_of("a\0c", 3)));
	assert_true(element_named(&e, "k"));
	assert_false(element_named(&e, "kk"));
	assert_false(element_named(&e, ""));
	assert_true(doc_find(
		document_around(&out, TYPE_BINARY, bytes_of("\3\0\0\0\6abc", 8)), "k", &e));
	assert_true(bytes_equal_str(element_binary(&e, &subtype), "abc"));
	assert_int_equal(subtype, BINARY_ENCRYPTED);
	assert_true(
		doc_find(document_around(&out, TYPE_BINARY, bytes_of("\0\0\0\0\0", 5)), "k", &e));
	assert_int_equal(element_binary(&e, &subtype).len, 0);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_type),
		cmocka_unit_test(test_each_type_cut),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_lengths_that_lie),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_encrypted),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_build_over_limit),
		cmocka_unit_test(test_index_names),
		cmocka_unit_test(test_views),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
