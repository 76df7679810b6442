#include "unit.h"

#include "wire/frame.h"

static const struct {
	uint32_t length, max;
	enum fault_code code; /* FAULT_NONE: accepted */
} headers[] = {
	{0, FRAME_MESSAGE_MAX, FAULT_MALFORMED},
	{FRAME_HEADER_LEN - 1, FRAME_MESSAGE_MAX, FAULT_MALFORMED},
	{FRAME_HEADER_LEN, FRAME_MESSAGE_MAX, FAULT_NONE},
	{FRAME_MESSAGE_MAX, FRAME_MESSAGE_MAX, FAULT_NONE},
	{FRAME_MESSAGE_MAX + 1, FRAME_MESSAGE_MAX, FAULT_MESSAGE_TOO_LARGE},
	{1000, 1000, FAULT_NONE},
	{1001, 1000, FAULT_MESSAGE_TOO_LARGE},
	{INT32_MAX, FRAME_MESSAGE_MAX, FAULT_MESSAGE_TOO_LARGE},
	{0x80000000, FRAME_MESSAGE_MAX, FAULT_MESSAGE_TOO_LARGE},
	{UINT32_MAX, FRAME_MESSAGE_MAX, FAULT_MESSAGE_TOO_LARGE},
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(headers); i++) {
		uint8_t at[FRAME_HEADER_LEN];
		struct fault why = {.code = FAULT_NONE};
		struct frame_header h;
		bool accepted;

		store_u32(at, headers[i].length);
		store_u32(at + 4, 0xfffffffe);
		store_u32(at + 8, 3);
		store_u32(at + 12, OPCODE_MSG);
		accepted = frame_header_read(&h, at, headers[i].max, &why);
		assert_int_equal(accepted, headers[i].code == FAULT_NONE);
		assert_int_equal(why.code, headers[i].code);
		assert_true(h.length == headers[i].length);
		assert_int_equal(h.request_id, -2);
		assert_int_equal(h.response_to, 3);
		assert_int_equal(h.opcode, OPCODE_MSG);
	}
}

static void test_build(void **state)
{
	struct buf out;
	struct frame_header h;
	struct fault why;
	size_t first, second;

	(void)state;
	buf_init(&out, 52);
	first = frame_begin(&out, 1, 2, OPCODE_MSG);
	buf_put_str(&out, "body");
	frame_end(&out, first);
	second = frame_begin(&out, 3, 4, OPCODE_REPLY);
	frame_end(&out, second);
	assert_true(frame_header_read(&h, out.at, 100, &why));
	assert_int_equal(h.length, 20);
	assert_int_equal(h.opcode, OPCODE_MSG);
	assert_true(frame_header_read(&h, out.at + second, 100, &why));
	assert_int_equal(h.length, 16);
	assert_int_equal(h.request_id, 3);
	assert_int_equal(h.response_to, 4);
	second = frame_begin(&out, 5, 6, OPCODE_MSG);
	buf_put_u8(&out, 0);
	frame_end(&out, second);
	assert_true(out.failed);
	buf_fini(&out);
}

/* RFC 3720, appendix B.4, and the check value of the catalogue of CRCs. */
static void test_checksums(void **state)
{
	static const uint8_t read_command[48] = {0x01,
		0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02};
	uint8_t zeros[32] = {0}, ones[32], up[32], down[32];

	(void)state;
	for (uint8_t i = 0; i < 32; i++) {
		ones[i] = 0xff;
		up[i] = i;
		down[i] = (uint8_t)(31 - i);
	}
	assert_true(frame_checksum(bytes_of(NULL, 0)) == 0);
	assert_true(frame_checksum(bytes_str("123456789")) == 0xe3069283);
	assert_true(frame_checksum(bytes_of(zeros, 32)) == 0x8a9136aa);
	assert_true(frame_checksum(bytes_of(ones, 32)) == 0x62a8ab43);
	assert_true(frame_checksum(bytes_of(up, 32)) == 0x46dd794e);
	assert_true(frame_checksum(bytes_of(down, 32)) == 0x113fdb5c);
	assert_true(frame_checksum(bytes_of(read_command, 48)) == 0xd9963a56);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_checksums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
