#include "wire/msg.h"

#include "util/reader.h"
#include "util/utf8.h"
#include "wire/doc.h"
#include "wire/frame.h"

#define KNOWN_FLAGS  (WIRE_MSG_CHECKSUM | WIRE_MSG_MORE_TO_COME)
#define REQUIRED     0xffffu /* low bits: a receiver must refuse those it does not know */
#define CHECKSUM_LEN 4u

/* A BSON document begins with its own length; take exactly that much. */
static struct bytes take_document(struct reader *r)
{
	uint32_t len = reader_peek_u32(r);

	r->failed |= len < DOC_MIN_LEN;
	return reader_take(r, len);
}

static bool parse_body(struct wire_msg *m, struct reader *r, struct fault *why)
{
	if (m->body.len)
		return fault_set(why, FAULT_MALFORMED, "OP_MSG has two bodies");
	m->body = take_document(r);
	return !r->failed || fault_set(why, FAULT_MALFORMED, "OP_MSG body is cut short");
}

static bool parse_sequence(struct wire_msg *m, struct reader *r, struct fault *why)
{
	struct reader in = reader_of(reader_take(r, reader_peek_u32(r)));
	struct wire_seq *seq = &m->seq[m->nseq];

	if (m->nseq == WIRE_MSG_SEQ_MAX)
		return fault_set(
			why, FAULT_MALFORMED, "OP_MSG has over %d sequences", WIRE_MSG_SEQ_MAX);
	(void)reader_u32(&in); /* its own length, already honoured */
	seq->name = reader_name(&in);
	seq->docs = in.left;
	if (!utf8_valid(seq->name))
		return fault_set(why, FAULT_MALFORMED, "OP_MSG sequence name is not UTF-8");
	for (size_t i = 0; i < m->nseq; i++)
		if (bytes_equal(m->seq[i].name, seq->name))
			return fault_set(why, FAULT_MALFORMED, "OP_MSG repeats a sequence name");
	while (!in.failed && in.left.len)
		(void)take_document(&in);
	if (in.failed)
		return fault_set(why, FAULT_MALFORMED, "OP_MSG sequence is cut short");
	m->nseq++;
	return true;
}

static bool verify_checksum(struct bytes message, struct fault *why)
{
	size_t covered = message.len - CHECKSUM_LEN;

	if (frame_checksum(bytes_head(message, covered)) != load_u32(message.at + covered))
		return fault_set(why, FAULT_MALFORMED, "OP_MSG checksum is wrong");
	return true;
}

bool wire_msg_parse(struct wire_msg *m, struct bytes message, struct fault *why)
{
	struct reader r = reader_of(bytes_from(message, FRAME_HEADER_LEN));

	*m = (struct wire_msg){.flags = reader_u32(&r)};
	if (r.failed || (m->flags & REQUIRED & ~(uint32_t)KNOWN_FLAGS))
		return fault_set(why, FAULT_MALFORMED, "OP_MSG flags 0x%08x", (unsigned)m->flags);
	if (m->flags & WIRE_MSG_CHECKSUM) {
		if (r.left.len < CHECKSUM_LEN)
			return fault_set(why, FAULT_MALFORMED, "OP_MSG lacks its checksum");
		if (!verify_checksum(message, why))
			return false;
		r.left.len -= CHECKSUM_LEN;
	}
	while (r.left.len) {
		uint8_t kind = reader_u8(&r);

		if (kind > 1)
			return fault_set(why, FAULT_MALFORMED, "OP_MSG section kind %u", kind);
		if (!(kind ? parse_sequence : parse_body)(m, &r, why))
			return false;
	}
	return m->body.len || fault_set(why, FAULT_MALFORMED, "OP_MSG has no body");
}
