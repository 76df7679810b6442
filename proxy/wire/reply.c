#include "wire/reply.h"

/* OP_REPLY flag bit 3: the server understands awaitable cursors; always set since 1.5. */
#define REPLY_AWAIT_CAPABLE 8u

/* Ids of our own messages; any number will do, so that overflow wraps. */
static _Thread_local uint32_t next_request_id = 1;

struct reply reply_begin(struct buf *out, const struct command *c)
{
	struct reply r = {.out = out};
	int32_t id = (int32_t)next_request_id++;

	if (c->opcode == OPCODE_QUERY) {
		r.frame = frame_begin(out, id, c->request_id, OPCODE_REPLY);
		buf_put_u32(out, REPLY_AWAIT_CAPABLE);
		buf_put_u64(out, 0); /* cursorID */
		buf_put_u32(out, 0); /* startingFrom */
		buf_put_u32(out, 1); /* numberReturned */
	} else {
		r.frame = frame_begin(out, id, c->request_id, OPCODE_MSG);
		buf_put_u32(out, 0); /* flags */
		buf_put_u8(out, 0);  /* a section of kind 0 */
	}
	r.doc = doc_begin(out);
	return r;
}

void reply_end(struct reply *r)
{
	doc_end(r->out, r->doc);
	frame_end(r->out, r->frame);
}

void reply_put_labels(struct reply *r, unsigned labels)
{
	static const char *const names[] = {
		"RetryableWriteError",
		"TransientTransactionError",
		"ResumableChangeStreamError",
	};
	char index[DOC_INDEX_MAX];
	size_t array, n = 0;

	if (!labels)
		return;
	array = doc_put_array(r->out, NAME("errorLabels"));
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (labels & 1u << i)
			doc_put_string(r->out, doc_index_name(n++, index), bytes_str(names[i]));
	doc_end(r->out, array);
}

void reply_put_fault(struct reply *r, const struct fault *fault, unsigned labels)
{
	char text[FAULT_TEXT_MAX];

	doc_put_double(r->out, NAME("ok"), 0);
	doc_put_string(r->out, NAME("errmsg"), bytes_str(fault_text(fault, text, sizeof(text))));
	doc_put_int32(r->out, NAME("code"), fault_server_code(fault->code));
	doc_put_string(r->out, NAME("codeName"), bytes_str(fault_code_name(fault->code)));
	reply_put_labels(r, labels);
}

void reply_fault(
	struct buf *out, const struct command *c, const struct fault *fault, unsigned labels)
{
	struct reply r = reply_begin(out, c);

	reply_put_fault(&r, fault, labels);
	reply_end(&r);
}
