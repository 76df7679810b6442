#include "unit.h"

#include <stdlib.h>

#include "upstream/reply_frame.h"
#include "util/memory.h"

#define ID 77

static void put_header(uint8_t at[FRAME_HEADER_LEN], uint32_t len, int32_t to, int32_t opcode)
{
	store_u32(at, len);
	store_u32(at + 4, 4711); /* the server's own number; any */
	store_u32(at + 8, (uint32_t)to);
	store_u32(at + 12, (uint32_t)opcode);
}

static void test_headers(void **state)
{
	static const struct {
		uint32_t length;
		int32_t to, opcode;
		enum fault_code refused; /* or FAULT_NONE */
	} cases[] = {
		{FRAME_HEADER_LEN, ID, OPCODE_MSG, FAULT_NONE},
		{FRAME_HEADER_LEN - 1, ID, OPCODE_MSG, FAULT_MALFORMED},
		{0, ID, OPCODE_MSG, FAULT_MALFORMED},
		{FRAME_MESSAGE_MAX, ID, OPCODE_MSG, FAULT_NONE},
		{REPLY_FRAME_MAX, ID, OPCODE_MSG, FAULT_NONE},
		{REPLY_FRAME_MAX + 1, ID, OPCODE_MSG, FAULT_MESSAGE_TOO_LARGE},
		{INT32_MAX, ID, OPCODE_MSG, FAULT_MESSAGE_TOO_LARGE},
		{0x80000000u, ID, OPCODE_MSG, FAULT_MESSAGE_TOO_LARGE},
		{UINT32_MAX, ID, OPCODE_MSG, FAULT_MESSAGE_TOO_LARGE},
		{100, ID, OPCODE_REPLY, FAULT_UPSTREAM_GARBAGE},
		{100, ID, OPCODE_QUERY, FAULT_UPSTREAM_GARBAGE},
		{100, ID, OPCODE_COMPRESSED, FAULT_UPSTREAM_GARBAGE},
		{100, ID, OPCODE_MSG - 1, FAULT_UPSTREAM_GARBAGE},
		{100, ID, OPCODE_MSG + 1, FAULT_UPSTREAM_GARBAGE},
		{100, ID, 0, FAULT_UPSTREAM_GARBAGE},
		{100, ID, OPCODE_MSG | INT32_MIN, FAULT_UPSTREAM_GARBAGE},
		{100, ID - 1, OPCODE_MSG, FAULT_UPSTREAM_GARBAGE},
		{100, ID + 1, OPCODE_MSG, FAULT_UPSTREAM_GARBAGE},
		{100, 0, OPCODE_MSG, FAULT_UPSTREAM_GARBAGE},
		{100, -ID, OPCODE_MSG, FAULT_UPSTREAM_GARBAGE},
		{100, 4711, OPCODE_MSG, FAULT_UPSTREAM_GARBAGE},
	};
	uint8_t at[FRAME_HEADER_LEN];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct fault why = {.code = FAULT_NONE};

		put_header(at, cases[i].length, cases[i].to, cases[i].opcode);
		assert_int_equal(reply_frame_length(at, ID, &why),
			cases[i].refused == FAULT_NONE ? cases[i].length : 0);
		assert_int_equal(why.code, cases[i].refused);
	}
}

#define HEADER "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00"
#define FLAGS  "\x00\x00\x00\x00"
#define BODY   "\x00\x0a\x00\x00\x00\x08ok\x00\x01\x00"

static void test_bodies(void **state)
{
	static const struct {
		const char *message;
		size_t len;
		size_t body; /* its length; 0: refused */
	} cases[] = {
		{LITERAL(HEADER FLAGS BODY), 10},
		{LITERAL(HEADER FLAGS "\x00\x05\x00\x00\x00\x00"), 5},
		/* What is asked for by exhaustAllowed is another flag. */
		{LITERAL(HEADER "\x00\x00\x01\x00" BODY), 10},
		{LITERAL(HEADER "\x02\x00\x00\x00" BODY), 0},
		{LITERAL(HEADER "\x04\x00\x00\x00" BODY), 0},
		{LITERAL(HEADER "\x00\x80\x00\x00" BODY), 0},
		{LITERAL(""), 0},
		{LITERAL(HEADER), 0},
		{LITERAL(HEADER "\x00\x00\x00"), 0},
		{LITERAL(HEADER FLAGS), 0},
		{LITERAL(HEADER FLAGS "\x00"), 0},
		{LITERAL(HEADER FLAGS BODY BODY), 0},
		{LITERAL(HEADER FLAGS BODY "\x00"), 0},
		{LITERAL(HEADER FLAGS BODY "\x02"), 0},
		{LITERAL(HEADER FLAGS "\x02\x05\x00\x00\x00\x00"), 0},
		{LITERAL(HEADER FLAGS "\x00\x04\x00\x00\x00"), 0},
		{LITERAL(HEADER FLAGS "\x00\x0b\x00\x00\x00\x08ok\x00\x01\x00"), 0},
		{LITERAL(HEADER FLAGS "\x00\xff\xff\xff\xff\x08ok\x00\x01\x00"), 0},
		{LITERAL(HEADER FLAGS BODY "\x01\x0a\x00\x00\x00names\x00"), 0},
		{LITERAL(HEADER FLAGS "\x01\x0a\x00\x00\x00names\x00"), 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		/* Of its own size, so that a sanitizer sees each byte beyond. */
		uint8_t *message = memory_array(cases[i].len ? cases[i].len : 1, 1);
		struct bytes body = {0};
		struct fault why = {.code = FAULT_NONE};
		bool taken;

		memcpy(message, cases[i].message, cases[i].len);
		taken = reply_frame_body(bytes_of(message, cases[i].len), &body, &why);
		assert_int_equal(taken, cases[i].body != 0);
		assert_int_equal(taken, why.code == FAULT_NONE);
		if (taken) {
			assert_int_equal(body.len, cases[i].body);
			assert_ptr_equal(body.at, message + FRAME_HEADER_LEN + 5);
		}
		free(message);
	}
}

static void test_checksums(void **state)
{
	static const char plain[] = HEADER "\x01\x00\x00\x00" BODY;
	size_t len = sizeof(plain) - 1;
	uint8_t message[sizeof(plain) - 1 + 4];
	struct bytes body;
	struct fault why;

	(void)state;
	memcpy(message, plain, len);
	store_u32(message + len, frame_checksum(bytes_of(plain, len)));
	assert_true(reply_frame_body(bytes_of(message, len + 4), &body, &why));
	assert_int_equal(body.len, 10);
	message[len] ^= 1;
	assert_false(reply_frame_body(bytes_of(message, len + 4), &body, &why));
	message[len] ^= 1;
	message[len - 2] ^= 1;
	assert_false(reply_frame_body(bytes_of(message, len + 4), &body, &why));
	/* Announced, and not there. */
	assert_false(reply_frame_body(bytes_of(plain, len), &body, &why));
	assert_false(reply_frame_body(bytes_of(plain, FRAME_HEADER_LEN + 4), &body, &why));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_checksums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
