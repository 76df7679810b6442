#include "unit.h"

#include "wire/reply.h"

static struct command asked(int32_t opcode)
{
	return (struct command){.request_id = 77, .opcode = opcode};
}

/* The one document of an answer; checks all around it. */
static struct bytes document_of(struct bytes message, int32_t opcode)
{
	struct frame_header h;
	struct fault why;
	size_t at;

	assert_true(frame_header_read(&h, message.at, FRAME_MESSAGE_MAX, &why));
	assert_int_equal(h.length, message.len);
	assert_int_equal(h.opcode, opcode);
	assert_int_equal(h.response_to, 77);
	if (opcode == OPCODE_MSG) {
		assert_int_equal(load_u32(message.at + 16), 0);
		assert_int_equal(message.at[20], 0);
		at = 21;
	} else {
		assert_int_equal(load_u32(message.at + 16), 8);
		assert_true(load_u64(message.at + 20) == 0);
		assert_int_equal(load_u32(message.at + 28), 0);
		assert_int_equal(load_u32(message.at + 32), 1);
		at = 36;
	}
	assert_true(doc_check(bytes_from(message, at), NULL, &why));
	return bytes_from(message, at);
}

static void assert_text(struct bytes doc, const char *path, const char *text)
{
	struct element e;

	assert_true(doc_find_path(doc, path, &e));
	assert_int_equal(e.type, TYPE_STRING);
	assert_true(bytes_equal_str(element_string(&e), text));
}

static void test_fields(void **state)
{
	static const struct {
		int32_t asked, answered;
	} opcodes[] = {{OPCODE_MSG, OPCODE_MSG}, {OPCODE_QUERY, OPCODE_REPLY}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(opcodes); i++) {
		const struct command c = asked(opcodes[i].asked);
		struct buf out;
		struct reply r;

		buf_init(&out, 1000);
		buf_put_str(&out, "before");
		r = reply_begin(&out, &c);
		doc_put_string(r.out, NAME("hello"), bytes_str("world"));
		reply_end(&r);
		assert_text(document_of(bytes_from(buf_bytes(&out), 6), opcodes[i].answered),
			"hello", "world");
		buf_fini(&out);
	}
}

/* Every fault makes a whole answer, with the code and name that the table gives it. */
static void test_faults(void **state)
{
	const struct command c = asked(OPCODE_MSG);

	(void)state;
	for (int code = FAULT_NONE + 1; code < FAULT_COUNT; code++) {
		struct fault fault;
		struct element e;
		struct bytes doc;
		struct buf out;
		int64_t n;

		fault_name(&fault, (enum fault_code)code, bytes_str("the\nwhat"));
		buf_init(&out, 2000);
		reply_fault(&out, &c, &fault, 0);
		doc = document_of(buf_bytes(&out), OPCODE_MSG);
		assert_true(doc_find(doc, "ok", &e) && element_int(&e, &n) && n == 0);
		assert_true(doc_find(doc, "code", &e) && element_int(&e, &n));
		assert_int_equal(n, fault_server_code(fault.code));
		assert_text(doc, "codeName", fault_code_name(fault.code));
		assert_true(doc_find(doc, "errmsg", &e));
		assert_null(memchr(element_string(&e).at, '\n', element_string(&e).len));
		assert_null(memmem(element_string(&e).at, element_string(&e).len, "%s", 2));
		assert_false(doc_find(doc, "errorLabels", &e));
		buf_fini(&out);
	}
}

static const struct {
	unsigned labels;
	const char *names[3];
} labels[] = {
	{LABEL_RETRYABLE_WRITE, {"RetryableWriteError"}},
	{LABEL_TRANSIENT_TRANSACTION, {"TransientTransactionError"}},
	{LABEL_RESUMABLE_CHANGE_STREAM, {"ResumableChangeStreamError"}},
	{LABEL_RETRYABLE_WRITE | LABEL_RESUMABLE_CHANGE_STREAM,
		{"RetryableWriteError", "ResumableChangeStreamError"}},
};

static void test_labels(void **state)
{
	const struct command c = asked(OPCODE_MSG);
	struct fault fault;

	(void)state;
	fault_set(&fault, FAULT_UPSTREAM, "lost");
	for (size_t i = 0; i < COUNT_OF(labels); i++) {
		struct element e, label;
		struct doc_iter it;
		struct buf out;
		size_t n = 0;

		buf_init(&out, 2000);
		reply_fault(&out, &c, &fault, labels[i].labels);
		assert_true(doc_find(document_of(buf_bytes(&out), OPCODE_MSG), "errorLabels", &e));
		assert_int_equal(e.type, TYPE_ARRAY);
		it = doc_iter_of(e.value);
		while (doc_next(&it, &label)) {
			assert_int_equal(label.name.at[0], '0' + n);
			assert_true(bytes_equal_str(element_string(&label), labels[i].names[n++]));
		}
		assert_null(labels[i].names[n]);
		buf_fini(&out);
	}
}

static void test_over_limit(void **state)
{
	const struct command c = asked(OPCODE_MSG);
	struct fault fault;

	(void)state;
	fault_set(&fault, FAULT_INTERNAL, "x");
	for (size_t max = 0; max < 60; max++) {
		struct buf out;

		buf_init(&out, max);
		reply_fault(&out, &c, &fault, LABEL_RETRYABLE_WRITE);
		assert_true(out.failed);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_over_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
