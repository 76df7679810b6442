/* An upstream's answer, as hostile as can be, on its way to a role that sees little of it:
 * what comes out is whole BSON, and a value that the role may not see is never in it. */
#include <assert.h>
#include <string.h>

#include "transform/transform.h"
#include "wire/frame.h"

#define SECRET "SeCrEt-ByTeS"

static const char policy_text[] =
	"mongoward: 1\n"
	"classes: {identity: {}, medical: {}, billing: {}, technical: {}}\n"
	"collections:\n"
	"  d.c:\n"
	"    subject: [{of: [p.s]}, {of: [p.n, p.g], normalized: true}]\n"
	"    fields:\n"
	"      p.n: {class: identity, type: string, encrypt: {algorithm: deterministic}}\n"
	"      p.s: {class: identity, type: string, encrypt: {algorithm: random}}\n"
	"      p:   {class: medical}\n"
	"      h:   {class: billing}\n"
	"    accountable: [identity, medical]\n"
	"views:\n"
	"  d.v:\n"
	"    from: d.c\n"
	"    fields:\n"
	"      id: {of: '${subject}', mask: pseudonym, scope: view}\n"
	"      b:  {of: p.a, mask: bands, edges: [10, 20]}\n"
	"roles:\n"
	"  r:\n"
	"    grants:\n"
	"      - {namespace: d.c, do: [read], see: {p.s: {mask: partial, keep_last: 2}, p.n: "
	"plaintext, p.g: {mask: constant, value: x}, p.a: {mask: round, to: 5}}}\n"
	"  w: {grants: [{namespace: d.v, do: [read]}]}\n"
	"  s: {grants: [{namespace: d.c, do: [read], statistics: {}, see: {p: plaintext, h: "
	"plaintext}}]}\n";

static struct policy *policy;
static struct transform *transform;

static void set_up(void)
{
	static const uint8_t key[MASTER_LEN] = {7};
	struct complaints complaints;
	struct master *master;
	struct keyring *keyring;
	struct fault why;

	complaints_init(&complaints);
	policy = policy_load_text("f.yaml", bytes_str(policy_text), &complaints);
	assert(policy);
	complaints_fini(&complaints);
	master = master_new(key, false, &why);
	assert(master);
	keyring = keyring_new(master, false, &why);
	assert(keyring);
	for (size_t i = 0; i < policy->nencrypted; i++) {
		struct buf document;

		buf_init(&document, 4096);
		assert(keyring_make_document(master, policy->encrypted[i].ns,
			policy->encrypted[i].path, 0, &document, &why));
		assert(keyring_add(keyring, buf_bytes(&document), &why) == KEY_ADDED);
		buf_fini(&document);
	}
	transform = transform_new(policy, keyring, master);
}

/* All lengths and types, at any depth. */
static void expect_whole(struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	assert(doc.len >= 5 && load_u32(doc.at) == doc.len);
	while (doc_next(&it, &e))
		if (element_is_document(&e))
			expect_whole(e.value);
	assert(!it.failed);
}

/* What holds documents of the collection was walked; `opTime` and its like pass as they
 * are, within their bounds. */
static void expect_cursor_whole(struct bytes reply)
{
	struct doc_iter it = doc_iter_of(reply);
	struct element e;

	while (doc_next(&it, &e))
		if (element_named(&e, "cursor") && e.type == TYPE_DOCUMENT)
			expect_whole(e.value);
	assert(!it.failed);
}

static void put_find(struct buf *out, const char *collection)
{
	size_t frame = frame_begin(out, 1, 0, OPCODE_MSG), begun;

	buf_put_u32(out, 0);
	buf_put_u8(out, 0);
	begun = doc_begin(out);
	doc_put_string(out, NAME("find"), bytes_str(collection));
	doc_put_string(out, NAME("$db"), NAME("d"));
	doc_end(out, begun);
	frame_end(out, frame);
}

static void answer(const char *role_name, const char *collection, struct bytes reply)
{
	struct bytes role = bytes_str(role_name);
	const struct user user = {.name = bytes_str("u"), .roles = &role, .nroles = 1};
	const struct facts facts = {.user = &user, .vault = bytes_str("e.k")};
	struct disclosure disclosure;
	struct reply_context context = {.ns = bytes_str("d.c"), .facts = &facts};
	struct buf message, out;
	struct arena arena;
	struct command c;
	struct plan plan;
	struct fault why = {.code = FAULT_NONE};
	size_t begun;

	arena_init(&arena);
	buf_init(&message, 4096);
	buf_init(&out, FRAME_MESSAGE_MAX);
	put_find(&message, collection);
	assert(command_parse(&c, buf_bytes(&message), &why));
	assert(policy_decide(policy, &facts, &c, &arena, &plan, &why));
	context.rules = &plan.reply;
	begun = doc_begin(&out);
	if (transform_reply(transform, &context, reply, &out, &disclosure, &why)) {
		doc_end(&out, begun);
		expect_cursor_whole(buf_bytes(&out));
	} else {
		assert(why.code != FAULT_NONE);
	}
	buf_fini(&out);
	buf_fini(&message);
	arena_fini(&arena);
}

/* {cursor: {firstBatch: [{h: …, p: {s: SECRET …}}], id: 0, ns}, ok: 1} around the input's
 * own document: whatever stands beside it, the undeclared and the removed stay away. */
static void answer_around(struct bytes inner)
{
	struct bytes role = bytes_str("r");
	const struct user user = {.name = bytes_str("u"), .roles = &role, .nroles = 1};
	const struct facts facts = {.user = &user, .vault = bytes_str("e.k")};
	struct disclosure disclosure;
	struct reply_context context = {.ns = bytes_str("d.c"), .facts = &facts};
	struct buf message, reply, out;
	struct arena arena;
	struct command c;
	struct plan plan;
	struct fault why = {.code = FAULT_NONE};
	size_t top, cursor, batch, doc, part, begun;

	arena_init(&arena);
	buf_init(&message, 4096);
	buf_init(&reply, FRAME_MESSAGE_MAX);
	buf_init(&out, FRAME_MESSAGE_MAX);
	top = doc_begin(&reply);
	cursor = doc_put_document(&reply, NAME("cursor"));
	batch = doc_put_array(&reply, NAME("firstBatch"));
	doc = doc_put_document(&reply, NAME("0"));
	doc_put_string(&reply, NAME("h"), NAME(SECRET));
	doc_put_value(&reply, TYPE_DOCUMENT, NAME("secret"), inner);
	doc_put_string(&reply, NAME(SECRET), NAME("x"));
	part = doc_put_document(&reply, NAME("p"));
	doc_put_string(&reply, NAME("g"), NAME(SECRET));
	doc_put_value(&reply, TYPE_DOCUMENT, NAME("a"), inner);
	doc_put_string(&reply, NAME("other"), NAME(SECRET));
	doc_end(&reply, part);
	doc_end(&reply, doc);
	doc_end(&reply, batch);
	doc_put_int64(&reply, NAME("id"), 0);
	doc_put_string(&reply, NAME("ns"), NAME("d.c"));
	doc_end(&reply, cursor);
	doc_put_double(&reply, NAME("ok"), 1);
	doc_end(&reply, top);
	put_find(&message, "c");
	assert(command_parse(&c, buf_bytes(&message), &why));
	assert(policy_decide(policy, &facts, &c, &arena, &plan, &why));
	context.rules = &plan.reply;
	begun = doc_begin(&out);
	if (transform_reply(transform, &context, buf_bytes(&reply), &out, &disclosure, &why)) {
		doc_end(&out, begun);
		expect_whole(buf_bytes(&out));
		assert(!memmem(out.at, out.len, SECRET, strlen(SECRET)));
	}
	buf_fini(&out);
	buf_fini(&reply);
	buf_fini(&message);
	arena_fini(&arena);
}

/* {$match: {h: 1}}, {$group: {_id: "$p.g", n: {$sum: 1}, a: {$avg: "$h"}, d: {$stdDevPop: "$h"}}} */
static void put_question(struct buf *out)
{
	static const char *const operators[][2] = {{"a", "$avg"}, {"d", "$stdDevPop"}};
	size_t frame = frame_begin(out, 1, 0, OPCODE_MSG), body, list, stage, inner, sum;

	buf_put_u32(out, 0);
	buf_put_u8(out, 0);
	body = doc_begin(out);
	doc_put_string(out, NAME("aggregate"), NAME("c"));
	list = doc_put_array(out, NAME("pipeline"));
	stage = doc_put_document(out, NAME("0"));
	inner = doc_put_document(out, NAME("$match"));
	doc_put_int32(out, NAME("h"), 1);
	doc_end(out, inner);
	doc_end(out, stage);
	stage = doc_put_document(out, NAME("1"));
	inner = doc_put_document(out, NAME("$group"));
	doc_put_string(out, NAME("_id"), NAME("$p.g"));
	sum = doc_put_document(out, NAME("n"));
	doc_put_int32(out, NAME("$sum"), 1);
	doc_end(out, sum);
	for (size_t i = 0; i < 2; i++) {
		sum = doc_put_document(out, bytes_str(operators[i][0]));
		doc_put_string(out, bytes_str(operators[i][1]), NAME("$h"));
		doc_end(out, sum);
	}
	doc_end(out, inner);
	doc_end(out, stage);
	doc_end(out, list);
	doc_put_string(out, NAME("$db"), NAME("d"));
	doc_end(out, body);
	frame_end(out, frame);
}

static void put_reply(struct buf *out, struct bytes document)
{
	size_t top = doc_begin(out), cursor, batch;

	cursor = doc_put_document(out, NAME("cursor"));
	batch = doc_put_array(out, NAME("firstBatch"));
	doc_put_value(out, TYPE_DOCUMENT, NAME("0"), document);
	doc_end(out, batch);
	doc_put_int64(out, NAME("id"), 0);
	doc_put_string(out, NAME("ns"), NAME("d.c"));
	doc_end(out, cursor);
	doc_put_double(out, NAME("ok"), 1);
	doc_end(out, top);
}

/* A number of which a group cannot have less, whatever the upstream says. */
static void expect_large_groups(struct bytes reply)
{
	struct element batch, row, n;
	struct doc_iter it;
	int64_t count;

	assert(doc_find_path(reply, "cursor.firstBatch", &batch));
	it = doc_iter_of(batch.value);
	while (doc_next(&it, &row)) {
		assert(doc_find(row.value, "n", &n) && element_int(&n, &count) && count >= 11);
		assert(!doc_find(row.value, "r", &n) && !doc_find(row.value, "s", &n));
	}
}

/* The input as the only document of an answer to a question for statistics. */
static void answer_question(struct bytes document)
{
	struct bytes role = bytes_str("s");
	const struct user user = {.name = bytes_str("u"), .roles = &role, .nroles = 1};
	const struct facts facts = {.user = &user, .vault = bytes_str("e.k")};
	struct disclosure disclosure;
	struct reply_context context = {.ns = bytes_str("d.c"), .facts = &facts};
	struct buf message, reply, out;
	struct arena arena;
	struct command c;
	struct plan plan;
	struct fault why = {.code = FAULT_NONE};
	size_t begun;

	arena_init(&arena);
	buf_init(&message, 4096);
	buf_init(&reply, FRAME_MESSAGE_MAX);
	buf_init(&out, FRAME_MESSAGE_MAX);
	put_question(&message);
	put_reply(&reply, document);
	assert(command_parse(&c, buf_bytes(&message), &why));
	assert(policy_decide(policy, &facts, &c, &arena, &plan, &why));
	context.rules = &plan.reply;
	begun = doc_begin(&out);
	if (transform_reply(transform, &context, buf_bytes(&reply), &out, &disclosure, &why)) {
		doc_end(&out, begun);
		expect_cursor_whole(buf_bytes(&out));
		expect_large_groups(buf_bytes(&out));
	} else {
		assert(why.code != FAULT_NONE);
	}
	buf_fini(&out);
	buf_fini(&reply);
	buf_fini(&message);
	arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* What the pool hands on is at least a document by its length. */
	if (size < 5 || load_u32(data) != size)
		return 0;
	if (!transform)
		set_up();
	answer("r", "c", bytes_of(data, size));
	answer("w", "v", bytes_of(data, size));
	answer_around(bytes_of(data, size));
	answer_question(bytes_of(data, size));
	return 0;
}
