/* frame.h - the header of a message, and what may be in it.
 *
 * Knows: lengths, opcodes, limits.  Does not know: what a message says.
 * Source: MongoDB wire protocol, "Standard Message Header".
 */
#ifndef PROXY_WIRE_FRAME_H
#define PROXY_WIRE_FRAME_H

#include "util/buf.h"
#include "util/fault.h"

#define FRAME_HEADER_LEN  16u
#define FRAME_MESSAGE_MAX 48000000u /* maxMessageSizeBytes */

enum frame_opcode {
	OPCODE_REPLY = 1,
	OPCODE_QUERY = 2004,
	OPCODE_COMPRESSED = 2012,
	OPCODE_MSG = 2013,
};

struct frame_header {
	uint32_t length; /* of the whole message, header included */
	int32_t request_id;
	int32_t response_to;
	int32_t opcode;
};

/* Reads a header from FRAME_HEADER_LEN bytes.  Refuses a length below that of a
 * header or over `max`; *h is filled in all the same. */
bool frame_header_read(
	struct frame_header *h, const uint8_t *at, uint32_t max, struct fault *why) MUST_CHECK;

/* Begins a message at the end of `out`; frame_end puts its length in. */
size_t frame_begin(struct buf *out, int32_t request_id, int32_t response_to, int32_t opcode);
void frame_end(struct buf *out, size_t begun);

/* CRC-32C of an OP_MSG but its last four bytes (wire protocol, "checksum"). */
uint32_t frame_checksum(struct bytes message);

#endif
