#include "upstream/reply_frame.h"

#include "wire/msg.h"

size_t reply_frame_length(const uint8_t *at, int32_t id, struct fault *why)
{
	struct frame_header h;

	if (!frame_header_read(&h, at, REPLY_FRAME_MAX, why))
		return 0;
	if (h.opcode != OPCODE_MSG) {
		fault_set(why, FAULT_UPSTREAM_GARBAGE, "an answer of opcode %d", (int)h.opcode);
		return 0;
	}
	if (h.response_to != id) {
		fault_set(why, FAULT_UPSTREAM_GARBAGE, "an answer to another request");
		return 0;
	}
	return h.length;
}

bool reply_frame_body(struct bytes message, struct bytes *body, struct fault *why)
{
	struct wire_msg m;

	if (!wire_msg_parse(&m, message, why))
		return false;
	/* Nothing here asks for more than one answer, and none has sequences. */
	if (m.nseq || m.flags & WIRE_MSG_MORE_TO_COME)
		return fault_set(why, FAULT_UPSTREAM_GARBAGE, "an answer with sequences or more");
	*body = m.body;
	return true;
}
