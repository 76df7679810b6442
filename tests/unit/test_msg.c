#include "unit.h"

#include "util/buf.h"
#include "wire/msg.h"

/* An OP_MSG is a header, flags, then sections; the header is not looked at here. */
#define HEADER "hhhhhhhhhhhhhhhh"
#define EMPTY  "\x05\0\0\0\0"

static const struct {
	const char *name;
	const char *bytes;
	size_t len;
	bool accepted;
	size_t nseq;
} cases[] = {
#define CASE(name, bytes, accepted, nseq)                      \
	{                                                      \
		name, bytes, sizeof(bytes) - 1, accepted, nseq \
	}
	CASE("nothing", "", false, 0),
	CASE("no body", HEADER "\0\0\0\0", false, 0),
	CASE("a body",
		HEADER "\0\0\0\0"
		       "\0" EMPTY,
		true, 0),
	CASE("two bodies",
		HEADER "\0\0\0\0"
		       "\0" EMPTY "\0" EMPTY,
		false, 0),
	CASE("kind 2",
		HEADER "\0\0\0\0"
		       "\0" EMPTY "\2" EMPTY,
		false, 0),
	CASE("more to come",
		HEADER "\2\0\0\0"
		       "\0" EMPTY,
		true, 0),
	CASE("exhaust allowed",
		HEADER "\0\0\1\0"
		       "\0" EMPTY,
		true, 0),
	CASE("an optional flag nobody knows",
		HEADER "\0\0\2\0"
		       "\0" EMPTY,
		true, 0),
	CASE("a required flag nobody knows",
		HEADER "\4\0\0\0"
		       "\0" EMPTY,
		false, 0),
	CASE("a checksum that is wrong",
		HEADER "\1\0\0\0"
		       "\0" EMPTY "cccc",
		false, 0),
	CASE("a checksum that is not there",
		HEADER "\1\0\0\0"
		       "\0\5",
		false, 0),
	CASE("a body cut short",
		HEADER "\0\0\0\0"
		       "\0\5\0\0\0",
		false, 0),
	CASE("a body whose length is a lie",
		HEADER "\0\0\0\0"
		       "\0\xff\0\0\0\0",
		false, 0),
	CASE("a body of four bytes",
		HEADER "\0\0\0\0"
		       "\0\4\0\0\0",
		false, 0),
	CASE("an empty sequence",
		HEADER "\0\0\0\0"
		       "\0" EMPTY "\1\6\0\0\0a\0",
		true, 1),
	CASE("a sequence of one",
		HEADER "\0\0\0\0"
		       "\0" EMPTY "\1\x0b\0\0\0a\0" EMPTY,
		true, 1),
	CASE("a sequence before the body",
		HEADER "\0\0\0\0"
		       "\1\x0b\0\0\0a\0" EMPTY "\0" EMPTY,
		true, 1),
	CASE("a sequence name twice",
		HEADER "\0\0\0\0"
		       "\0" EMPTY "\1\6\0\0\0a\0"
		       "\1\6\0\0\0a\0",
		false, 0),
	CASE("a sequence without a name's end",
		HEADER "\0\0\0\0"
		       "\0" EMPTY "\1\5\0\0\0a",
		false, 0),
	CASE("a sequence with a torn document",
		HEADER "\0\0\0\0"
		       "\0" EMPTY "\1\x0a\0\0\0a\0"
		       "\5\0\0\0",
		false, 0),
	CASE("four sequences",
		HEADER "\0\0\0\0"
		       "\0" EMPTY "\1\6\0\0\0a\0"
		       "\1\6\0\0\0b\0"
		       "\1\6\0\0\0c\0"
		       "\1\6\0\0\0d\0",
		true, 4),
	CASE("five sequences",
		HEADER "\0\0\0\0"
		       "\0" EMPTY "\1\6\0\0\0a\0"
		       "\1\6\0\0\0b\0"
		       "\1\6\0\0\0c\0"
		       "\1\6\0\0\0d\0"
		       "\1\6\0\0\0e\0",
		false, 0),
#undef CASE
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct fault why = {.code = FAULT_NONE};
		struct wire_msg m;
		bool accepted = wire_msg_parse(&m, bytes_of(cases[i].bytes, cases[i].len), &why);

		if (accepted != cases[i].accepted)
			fail_msg("%s: %s", cases[i].name, accepted ? "accepted" : why.detail);
		if (accepted)
			assert_int_equal(m.nseq, cases[i].nseq);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
