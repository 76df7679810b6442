#include "unit.h"

#include <bson/bson.h>

#include "keys/wellformed.h"

static const struct {
	const char *name;
	uint8_t type;
	const char *bytes;
	size_t len;
	bool accepted;
} cases[] = {
#define CASE(name, type, bytes, accepted)                                  \
	{                                                                  \
		name, BSON_TYPE_##type, bytes, sizeof(bytes) - 1, accepted \
	}
	CASE("string", UTF8, "\3\0\0\0ab\0", true),
	CASE("empty string", UTF8, "\1\0\0\0\0", true),
	CASE("string with a NUL inside", UTF8, "\4\0\0\0a\0b\0", true),
	CASE("string of length 0", UTF8, "\0\0\0\0", false),
	CASE("string without NUL", UTF8, "\2\0\0\0ab", false),
	CASE("string too short", UTF8, "\4\0\0\0ab\0", false),
	CASE("string too long", UTF8, "\2\0\0\0a\0b", false),
	CASE("string of negative length", UTF8, "\xff\xff\xff\xff\0", false),
	CASE("string without a length", UTF8, "\1\0\0", false),
	CASE("code", CODE, "\2\0\0\0x\0", true),
	CASE("code without NUL", CODE, "\1\0\0\0x", false),
	CASE("symbol", SYMBOL, "\2\0\0\0x\0", true),
	CASE("symbol and a byte", SYMBOL, "\2\0\0\0x\0\0", false),
	CASE("int32", INT32, "1234", true),
	CASE("int32 of 3", INT32, "123", false),
	CASE("int32 of 5", INT32, "12345", false),
	CASE("int64", INT64, "12345678", true),
	CASE("int64 of 4", INT64, "1234", false),
	CASE("double", DOUBLE, "12345678", true),
	CASE("double of 9", DOUBLE, "123456789", false),
	CASE("date", DATE_TIME, "12345678", true),
	CASE("timestamp", TIMESTAMP, "12345678", true),
	CASE("timestamp of 7", TIMESTAMP, "1234567", false),
	CASE("decimal", DECIMAL128, "1234567812345678", true),
	CASE("decimal of 15", DECIMAL128, "123456781234567", false),
	CASE("object id", OID, "123456789012", true),
	CASE("object id of 11", OID, "12345678901", false),
	CASE("false", BOOL, "\0", true),
	CASE("true", BOOL, "\1", true),
	CASE("neither", BOOL, "\2", false),
	CASE("bool of 0", BOOL, "", false),
	CASE("null", NULL, "", true),
	CASE("null of 1", NULL, "\0", false),
	CASE("undefined", UNDEFINED, "", true),
	CASE("min key", MINKEY, "", true),
	CASE("max key", MAXKEY, "", true),
	CASE("type 0", EOD, "", false),
	CASE("binary", BINARY, "\2\0\0\0\0ab", true),
	CASE("empty binary", BINARY, "\0\0\0\0\x80", true),
	CASE("binary without subtype", BINARY, "\0\0\0\0", false),
	CASE("binary too short", BINARY, "\3\0\0\0\0ab", false),
	CASE("binary too long", BINARY, "\1\0\0\0\0ab", false),
	CASE("old binary", BINARY, "\6\0\0\0\2\2\0\0\0ab", true),
	CASE("old binary, lengths differ", BINARY, "\6\0\0\0\2\1\0\0\0ab", false),
	CASE("old binary without second length", BINARY, "\3\0\0\0\2abc", false),
	CASE("regex", REGEX, "a\0i\0", true),
	CASE("empty regex", REGEX, "\0\0", true),
	CASE("regex without options", REGEX, "a\0", false),
	CASE("regex without end", REGEX, "a\0i", false),
	CASE("regex and a byte", REGEX, "a\0i\0i", false),
	CASE("pointer", DBPOINTER,
		"\2\0\0\0a\0"
		"123456789012",
		true),
	CASE("pointer with a short id", DBPOINTER,
		"\2\0\0\0a\0"
		"12345678901",
		false),
	CASE("pointer without id", DBPOINTER, "\2\0\0\0a\0", false),
	CASE("empty document", DOCUMENT, "\5\0\0\0\0", true),
	CASE("empty array", ARRAY, "\5\0\0\0\0", true),
	CASE("document", DOCUMENT,
		"\x0c\0\0\0\x10"
		"a\0"
		"1234\0",
		true),
	CASE("document of 4", DOCUMENT, "\4\0\0\0", false),
	CASE("document without end", DOCUMENT, "\5\0\0\0\1", false),
	CASE("document too short", DOCUMENT, "\6\0\0\0\0", false),
	CASE("document too long", DOCUMENT, "\5\0\0\0\0\0", false),
	CASE("document that ends early", DOCUMENT, "\6\0\0\0\0\0", false),
	CASE("element without a name's end", DOCUMENT,
		"\7\0\0\0\x0a"
		"a\0",
		false),
	CASE("element with a torn value", DOCUMENT,
		"\x0b\0\0\0\x10"
		"a\0"
		"123\0",
		false),
	CASE("element of a type nobody knows", DOCUMENT,
		"\x08\0\0\0\x14"
		"a\0\0",
		false),
	CASE("element with a bad bool", DOCUMENT,
		"\x09\0\0\0\x08"
		"a\0\2\0",
		false),
	CASE("document in a document", DOCUMENT,
		"\x0d\0\0\0\3"
		"a\0"
		"\5\0\0\0\0\0",
		true),
	CASE("longer than what it is in", DOCUMENT,
		"\x0d\0\0\0\3"
		"a\0"
		"\6\0\0\0\0\0",
		false),
	CASE("name that is not UTF-8", DOCUMENT, "\x08\0\0\0\x0a\xff\0\0", true),
	CASE("code with scope", CODEWSCOPE, "\x0f\0\0\0\2\0\0\0x\0\5\0\0\0\0", true),
	CASE("code with scope, too short", CODEWSCOPE, "\x0e\0\0\0\2\0\0\0x\0\5\0\0\0\0", false),
	CASE("code with scope, too long", CODEWSCOPE, "\x10\0\0\0\2\0\0\0x\0\5\0\0\0\0\0", false),
	CASE("code without scope", CODEWSCOPE, "\x0a\0\0\0\2\0\0\0x\0", false),
	CASE("code with a bad scope", CODEWSCOPE, "\x0f\0\0\0\2\0\0\0x\0\5\0\0\0\1", false),
#undef CASE
};

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		bool accepted =
			wellformed_value(cases[i].type, bytes_of(cases[i].bytes, cases[i].len));

		if (accepted != cases[i].accepted)
			fail_msg("%s: %s", cases[i].name, accepted ? "accepted" : "refused");
	}
	assert_false(wellformed_value(0x14, bytes_str("")));
	assert_false(wellformed_value(0x80, bytes_str("")));
}

/* Documents in documents, `depth` of them. */
static bool accepts_depth(size_t depth)
{
	static uint8_t nest[8 * 256];
	size_t len = 5;

	memcpy(nest, "\5\0\0\0\0", len);
	for (size_t i = 1; i < depth; i++) {
		memmove(nest + 7, nest, len);
		len += 8;
		store_u32(nest, (uint32_t)len);
		memcpy(nest + 4,
			"\3"
			"d",
			3);
		nest[len - 1] = 0;
	}
	return wellformed_value(BSON_TYPE_DOCUMENT, bytes_of(nest, len));
}

static void test_depth(void **state)
{
	(void)state;
	assert_true(accepts_depth(1));
	assert_true(accepts_depth(WELLFORMED_DEPTH_MAX));
	assert_false(accepts_depth(WELLFORMED_DEPTH_MAX + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
