/* What an upstream says as an answer to request 77: it is taken only if it is exactly one
 * OP_MSG with one body, which lies within it; no byte beyond is looked at. */
#include <assert.h>

#include "upstream/reply_frame.h"
#include "wire/doc.h"
#include "wire/msg.h"

#define ID            77
#define SECTION_BEGIN (FRAME_HEADER_LEN + 5u) /* header, flags, kind */
#define CHECKSUM_LEN  4u

static void look_at_body(struct bytes message, struct bytes body)
{
	uint32_t flags = load_u32(message.at + FRAME_HEADER_LEN);
	size_t behind = flags & WIRE_MSG_CHECKSUM ? CHECKSUM_LEN : 0;
	struct doc_iter it = doc_iter_of(body);
	struct element e;

	assert(!(flags & WIRE_MSG_MORE_TO_COME));
	assert(body.at == message.at + SECTION_BEGIN);
	assert(SECTION_BEGIN + body.len + behind == message.len);
	assert(load_u32(body.at) == body.len);
	while (doc_next(&it, &e))
		assert(e.whole.at >= body.at && e.whole.at + e.whole.len <= body.at + body.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault why = {.code = FAULT_NONE};
	struct bytes message = bytes_of(data, size), body;
	size_t len;

	if (size < FRAME_HEADER_LEN)
		return 0;
	len = reply_frame_length(data, ID, &why);
	assert(len ? why.code == FAULT_NONE : why.code != FAULT_NONE);
	if (!len)
		return 0;
	assert(len == load_u32(data) && len >= FRAME_HEADER_LEN && len <= REPLY_FRAME_MAX);
	assert(load_i32(data + 8) == ID && load_i32(data + 12) == OPCODE_MSG);
	/* What is behind it is not its own. */
	message = bytes_head(message, len);
	if (reply_frame_body(message, &body, &why))
		look_at_body(message, body);
	else
		assert(why.code != FAULT_NONE);
	return 0;
}
