#include "wire/frame.h"

#include <pthread.h>

#define CASTAGNOLI 0x82f63b78u /* CRC-32C, reflected (RFC 3720 §12.1) */

bool frame_header_read(struct frame_header *h, const uint8_t *at, uint32_t max, struct fault *why)
{
	h->length = load_u32(at);
	h->request_id = load_i32(at + 4);
	h->response_to = load_i32(at + 8);
	h->opcode = load_i32(at + 12);
	if (h->length < FRAME_HEADER_LEN)
		return fault_set(why, FAULT_MALFORMED, "a message is shorter than its header");
	if (h->length > max)
		return fault_set(why, FAULT_MESSAGE_TOO_LARGE, "a message of %u bytes", h->length);
	return true;
}

size_t frame_begin(struct buf *out, int32_t request_id, int32_t response_to, int32_t opcode)
{
	size_t begun = out->len;

	buf_put_u32(out, 0);
	buf_put_u32(out, (uint32_t)request_id);
	buf_put_u32(out, (uint32_t)response_to);
	buf_put_u32(out, (uint32_t)opcode);
	return begun;
}

void frame_end(struct buf *out, size_t begun)
{
	if (!out->failed)
		buf_patch_u32(out, begun, (uint32_t)(out->len - begun));
}

static uint32_t checksum_table[256];
static pthread_once_t checksum_once = PTHREAD_ONCE_INIT;

static void fill_checksum_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ CASTAGNOLI : crc >> 1;
		checksum_table[i] = crc;
	}
}

uint32_t frame_checksum(struct bytes message)
{
	uint32_t crc = UINT32_MAX;

	pthread_once(&checksum_once, fill_checksum_table);
	for (size_t i = 0; i < message.len; i++)
		crc = crc >> 8 ^ checksum_table[(crc ^ message.at[i]) & 0xff];
	return ~crc;
}
