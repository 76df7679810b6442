#include "canned.h"

#include <stdio.h>
#include <stdlib.h>

#include "canned_login.h"
#include "patient.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/memory.h"
#include "wire/doc.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/reply.h"

#define STORE_MAX    (64u * 1000 * 1000)
#define VAULT        "__keyVault"
#define CLUSTER_TIME ((uint64_t)1795424400 << 32 | 1)

struct canned {
	char *vault_file, *documents_file;
	bool records;
	struct buf vault; /* documents, back to back */
	/* Whole answers to a find, of 1 document and of CANNED_BATCH; only the id that they
	 * respond to changes. */
	struct buf plain[2], own[2];
	struct buf out;
	struct canned_login *login;
};

/* A request in progress. */
struct ask {
	struct canned_session *session;
	struct wire_msg msg;
	struct bytes body;
	struct element first; /* names the command */
	struct bytes db;
	int32_t request_id;
	int32_t opcode;
};

/* ---- answers ---- */

static void put_cluster_time(struct buf *out)
{
	static const uint8_t no_hash[20];
	size_t time = doc_put_document(out, NAME("$clusterTime")), signature;

	doc_put_timestamp(out, NAME("clusterTime"), CLUSTER_TIME);
	signature = doc_put_document(out, NAME("signature"));
	doc_put_binary(out, NAME("hash"), 0, bytes_of(no_hash, sizeof(no_hash)));
	doc_put_int64(out, NAME("keyId"), 0);
	doc_end(out, signature);
	doc_end(out, time);
	doc_put_timestamp(out, NAME("operationTime"), CLUSTER_TIME);
}

static struct reply begin(struct buf *out, const struct ask *a)
{
	static struct command asked; /* too large to be cleared for each answer */

	asked.request_id = a->request_id;
	asked.opcode = a->opcode;
	return reply_begin(out, &asked);
}

static struct bytes end(struct reply *r)
{
	doc_put_double(r->out, NAME("ok"), 1);
	put_cluster_time(r->out);
	reply_end(r);
	return buf_bytes(r->out);
}

/* A cursor with `docs`, the documents of which are `count` at most. */
static void put_cursor(struct buf *out, struct bytes ns, struct bytes docs, size_t count)
{
	size_t cursor = doc_put_document(out, NAME("cursor"));
	size_t batch = doc_put_array(out, NAME("firstBatch"));
	char index[DOC_INDEX_MAX];

	for (size_t i = 0; i < count && docs.len; i++) {
		struct bytes doc = doc_at_front(docs);

		doc_put_value(out, TYPE_DOCUMENT, doc_index_name(i, index), doc);
		docs = bytes_from(docs, doc.len);
	}
	doc_end(out, batch);
	doc_put_int64(out, NAME("id"), 0);
	doc_put_string(out, NAME("ns"), ns);
	doc_end(out, cursor);
}

static struct bytes answer_cursor(
	struct canned *c, const struct ask *a, struct bytes docs, size_t count)
{
	char ns[256];
	int n;
	struct reply r = begin(&c->out, a);

	n = snprintf(ns, sizeof(ns), "%.*s.%s", BYTES_ARG(a->db), "canned");
	put_cursor(&c->out, bytes_of(ns, (size_t)n), docs, count);
	return end(&r);
}

/* ---- what is kept ---- */

static void prepare(struct buf *out, struct bytes docs, size_t count)
{
	const struct ask nobody = {.opcode = OPCODE_MSG};
	struct reply r;

	buf_clear(out);
	r = begin(out, &nobody);
	put_cursor(out, bytes_str("healthcare_db.patients"), docs, count);
	(void)end(&r);
}

static void prepare_own(struct canned *c, struct bytes docs)
{
	prepare(&c->own[0], docs, 1);
	prepare(&c->own[1], docs, CANNED_BATCH);
}

static void prepare_all(struct canned *c)
{
	struct buf docs;

	buf_init(&docs, STORE_MAX);
	for (uint32_t i = 0; i < CANNED_BATCH; i++)
		patient_put(&docs, i);
	prepare(&c->plain[0], buf_bytes(&docs), 1);
	prepare(&c->plain[1], buf_bytes(&docs), CANNED_BATCH);
	prepare_own(c, buf_bytes(&docs));
	buf_clear(&docs);
	if (file_read(c->documents_file, &docs)) /* there once something was recorded */
		prepare_own(c, buf_bytes(&docs));
	buf_fini(&docs);
}

static void keep(const char *file, struct bytes docs)
{
	if (!file_replace(file, docs, 0600)) {
		perror(file);
		exit(3);
	}
}

/* ---- commands ---- */

static bool is_vault(const struct ask *a)
{
	return a->first.type == TYPE_STRING && bytes_equal_str(element_string(&a->first), VAULT);
}

static bool is_own(const struct ask *a)
{
	return a->first.type == TYPE_STRING &&
	       bytes_equal_str(element_string(&a->first), CANNED_COLLECTION);
}

/* `value` is `wanted`, or an array that holds it. */
static bool has_value(const struct element *value, const struct element *wanted)
{
	struct doc_iter it;
	struct element e;

	if (value->type == wanted->type && bytes_equal(value->value, wanted->value))
		return true;
	if (value->type != TYPE_ARRAY)
		return false;
	it = doc_iter_of(value->value);
	while (doc_next(&it, &e))
		if (has_value(&e, wanted))
			return true;
	return false;
}

/* Equality and $in, which is all that a key vault is asked for. */
static bool matches_field(struct bytes doc, const struct element *condition)
{
	struct element value, list, e;
	struct doc_iter it;
	char path[256];

	snprintf(path, sizeof(path), "%.*s", BYTES_ARG(condition->name));
	if (!doc_find_path(doc, path, &value))
		return false;
	if (condition->type != TYPE_DOCUMENT || !doc_find(condition->value, "$in", &list))
		return has_value(&value, condition);
	it = doc_iter_of(list.value);
	while (doc_next(&it, &e))
		if (has_value(&value, &e))
			return true;
	return false;
}

static bool matches(struct bytes doc, struct bytes filter)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element condition;

	while (doc_next(&it, &condition))
		if (!matches_field(doc, &condition))
			return false;
	return true;
}

static struct bytes find_in_vault(struct canned *c, const struct ask *a)
{
	struct bytes left = buf_bytes(&c->vault), answer;
	struct element filter;
	bool filtered = doc_find(a->body, "filter", &filter);
	struct buf found;

	buf_init(&found, STORE_MAX);
	while (left.len) {
		struct bytes doc = doc_at_front(left);

		if (!filtered || matches(doc, filter.value))
			buf_put(&found, doc);
		left = bytes_from(left, doc.len);
	}
	answer = answer_cursor(c, a, buf_bytes(&found), SIZE_MAX);
	buf_fini(&found);
	return answer;
}

static struct bytes answer_find(struct canned *c, const struct ask *a)
{
	struct buf *found = is_own(a) ? c->own : c->plain;
	struct element limit;
	int64_t n = 0;

	if (is_vault(a))
		return find_in_vault(c, a);
	if (!doc_find(a->body, "limit", &limit) || !element_int(&limit, &n) || n != 1)
		found++;
	store_u32(found->at + 8, (uint32_t)a->request_id);
	return buf_bytes(found);
}

/* The documents of an insert, back to back in `copy` if they stand in the body. */
static struct bytes inserted(const struct ask *a, struct buf *copy)
{
	struct element documents, e;
	struct doc_iter it;

	for (size_t i = 0; i < a->msg.nseq; i++)
		if (bytes_equal_str(a->msg.seq[i].name, "documents"))
			return a->msg.seq[i].docs;
	if (!doc_find(a->body, "documents", &documents) || documents.type != TYPE_ARRAY)
		return bytes_of(NULL, 0);
	it = doc_iter_of(documents.value);
	while (doc_next(&it, &e))
		buf_put(copy, e.value);
	return buf_bytes(copy);
}

static int32_t count_documents(struct bytes docs)
{
	int32_t n = 0;

	for (struct bytes doc; docs.len && (doc = doc_at_front(docs)).len; n++)
		docs = bytes_from(docs, doc.len);
	return n;
}

static struct bytes answer_insert(struct canned *c, const struct ask *a)
{
	struct reply r;
	struct buf copy;
	struct bytes docs;

	buf_init(&copy, STORE_MAX);
	docs = inserted(a, &copy);
	if (is_vault(a)) {
		buf_put(&c->vault, docs);
		keep(c->vault_file, buf_bytes(&c->vault));
	} else if (c->records && is_own(a)) {
		keep(c->documents_file, docs);
		prepare_own(c, docs);
	}
	r = begin(&c->out, a);
	doc_put_int32(&c->out, NAME("n"), count_documents(docs));
	buf_fini(&copy);
	return end(&r);
}

static struct bytes answer_hello(struct canned *c, const struct ask *a)
{
	struct reply r = begin(&c->out, a);
	size_t array;
	const struct bytes address = bytes_str(a->session->address);
	char index[DOC_INDEX_MAX];

	doc_put_bool(&c->out, NAME("helloOk"), true);
	doc_put_bool(&c->out,
		bytes_equal_str(a->first.name, "hello") ? NAME("isWritablePrimary")
							: NAME("ismaster"),
		true);
	doc_put_string(&c->out, NAME("setName"), bytes_str("canned"));
	doc_put_int32(&c->out, NAME("setVersion"), 1);
	doc_put_bool(&c->out, NAME("secondary"), false);
	array = doc_put_array(&c->out, NAME("hosts"));
	doc_put_string(&c->out, doc_index_name(0, index), address);
	doc_end(&c->out, array);
	doc_put_string(&c->out, NAME("primary"), address);
	doc_put_string(&c->out, NAME("me"), address);
	doc_put_value(&c->out, TYPE_OBJECT_ID, NAME("electionId"), NAME("canned set 1"));
	doc_put_int32(&c->out, NAME("maxBsonObjectSize"), (int32_t)DOC_MAX_LEN);
	doc_put_int32(&c->out, NAME("maxMessageSizeBytes"), (int32_t)FRAME_MESSAGE_MAX);
	doc_put_int32(&c->out, NAME("maxWriteBatchSize"), 100000);
	doc_put_date(&c->out, NAME("localTime"), clock_realtime_us() / 1000);
	doc_put_int32(&c->out, NAME("logicalSessionTimeoutMinutes"), 30);
	doc_put_int32(&c->out, NAME("connectionId"), 1);
	doc_put_int32(&c->out, NAME("minWireVersion"), 0);
	doc_put_int32(&c->out, NAME("maxWireVersion"), 21);
	doc_put_bool(&c->out, NAME("readOnly"), false);
	array = doc_put_array(&c->out, NAME("saslSupportedMechs"));
	doc_put_string(&c->out, doc_index_name(0, index), bytes_str("SCRAM-SHA-256"));
	doc_end(&c->out, array);
	return end(&r);
}

static struct bytes answer_build_info(struct canned *c, const struct ask *a)
{
	struct reply r = begin(&c->out, a);
	size_t array;
	static const int32_t numbers[] = {7, 0, 14, 0};
	char index[DOC_INDEX_MAX];

	doc_put_string(&c->out, NAME("version"), bytes_str("7.0.14"));
	doc_put_string(&c->out, NAME("gitVersion"), bytes_str("canned"));
	array = doc_put_array(&c->out, NAME("versionArray"));
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		doc_put_int32(&c->out, doc_index_name(i, index), numbers[i]);
	doc_end(&c->out, array);
	doc_put_int32(&c->out, NAME("bits"), 64);
	doc_put_int32(&c->out, NAME("maxBsonObjectSize"), (int32_t)DOC_MAX_LEN);
	return end(&r);
}

static struct bytes answer_ok(struct canned *c, const struct ask *a)
{
	struct reply r = begin(&c->out, a);

	return end(&r);
}

static struct bytes answer_nothing_found(struct canned *c, const struct ask *a)
{
	return answer_cursor(c, a, bytes_of(NULL, 0), 0);
}

static struct bytes answer_error(
	struct canned *c, const struct ask *a, int32_t code, const char *name)
{
	struct reply r = begin(&c->out, a);

	doc_put_double(&c->out, NAME("ok"), 0);
	doc_put_string(&c->out, NAME("errmsg"), bytes_str(name));
	doc_put_int32(&c->out, NAME("code"), code);
	doc_put_string(&c->out, NAME("codeName"), bytes_str(name));
	reply_end(&r);
	return buf_bytes(&c->out);
}

static struct bytes answer_sasl(struct canned *c, const struct ask *a)
{
	struct canned_session *s = a->session;
	struct element payload;
	struct buf said;
	struct reply r;
	uint8_t subtype;
	bool ended = false;

	if (bytes_equal_str(a->first.name, "saslStart"))
		canned_login_start(c->login, s);
	buf_init(&said, 4096);
	if (!doc_find(a->body, "payload", &payload) || payload.type != TYPE_BINARY ||
		!canned_login_step(s, element_binary(&payload, &subtype), &said, &ended)) {
		buf_fini(&said);
		return answer_error(c, a, 18, "AuthenticationFailed");
	}
	r = begin(&c->out, a);
	doc_put_int32(&c->out, NAME("conversationId"), 1);
	doc_put_bool(&c->out, NAME("done"), ended);
	doc_put_binary(&c->out, NAME("payload"), 0, buf_bytes(&said));
	buf_fini(&said);
	return end(&r);
}

static const struct {
	const char *name;
	struct bytes (*answer)(struct canned *c, const struct ask *a);
} commands[] = {
	{"find", answer_find},
	{"insert", answer_insert},
	{"hello", answer_hello},
	{"isMaster", answer_hello},
	{"ismaster", answer_hello},
	{"saslStart", answer_sasl},
	{"saslContinue", answer_sasl},
	{"ping", answer_ok},
	{"buildInfo", answer_build_info},
	{"buildinfo", answer_build_info},
	{"endSessions", answer_ok},
	{"killCursors", answer_ok},
	{"create", answer_ok},
	{"createIndexes", answer_ok},
	{"listCollections", answer_nothing_found},
	{"listIndexes", answer_nothing_found},
};

static struct bytes answer_command(struct canned *c, const struct ask *a)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (bytes_equal_str(a->first.name, commands[i].name))
			return commands[i].answer(c, a);
	fprintf(stderr, "canned: %.*s is not understood\n", BYTES_ARG(a->first.name));
	return answer_error(c, a, 59, "CommandNotFound");
}

/* flags, ns, skip, return, document (wire protocol, OP_QUERY). */
static bool read_query(struct ask *a, struct bytes message)
{
	const size_t at = FRAME_HEADER_LEN + 4;
	const uint8_t *nul;

	if (message.len < at)
		return false;
	nul = memchr(message.at + at, 0, message.len - at);
	if (!nul)
		return false;
	a->body = doc_at_front(bytes_from(message, (size_t)(nul - message.at) + 9));
	return true;
}

static bool read_ask(struct ask *a, struct bytes message)
{
	struct frame_header h;
	struct fault why;
	struct doc_iter it;
	struct element db;

	if (!frame_header_read(&h, message.at, FRAME_MESSAGE_MAX, &why))
		return false;
	a->request_id = h.request_id;
	a->opcode = h.opcode;
	if (h.opcode == OPCODE_QUERY) {
		if (!read_query(a, message))
			return false;
	} else if (h.opcode != OPCODE_MSG || !wire_msg_parse(&a->msg, message, &why)) {
		return false;
	} else {
		a->body = a->msg.body;
	}
	it = doc_iter_of(a->body);
	if (doc_find(a->body, "$db", &db) && db.type == TYPE_STRING)
		a->db = element_string(&db);
	return doc_next(&it, &a->first);
}

bool canned_answer(
	struct canned *c, struct canned_session *s, struct bytes message, struct bytes *answer)
{
	struct ask a = {.session = s};

	*answer = bytes_of(NULL, 0);
	if (!read_ask(&a, message))
		return false;
	buf_clear(&c->out);
	*answer = answer_command(c, &a);
	if (a.msg.flags & WIRE_MSG_MORE_TO_COME)
		answer->len = 0;
	return true;
}

struct canned *canned_new(const char *folder, bool records)
{
	struct canned *c = memory_new(sizeof(*c));

	c->records = records;
	c->vault_file = memory_format("%s/vault.bson", folder);
	c->documents_file = memory_format("%s/documents.bson", folder);
	buf_init(&c->vault, STORE_MAX);
	buf_init(&c->out, STORE_MAX);
	(void)!file_read(c->vault_file, &c->vault); /* not there before the first key */
	for (size_t i = 0; i < COUNT_OF(c->own); i++) {
		buf_init(&c->own[i], STORE_MAX);
		buf_init(&c->plain[i], STORE_MAX);
	}
	prepare_all(c);
	c->login = canned_login_new(CANNED_PASSWORD);
	return c;
}

void canned_free(struct canned *c)
{
	for (size_t i = 0; i < COUNT_OF(c->own); i++) {
		buf_fini(&c->own[i]);
		buf_fini(&c->plain[i]);
	}
	canned_login_free(c->login);
	buf_fini(&c->vault);
	buf_fini(&c->out);
	free(c->vault_file);
	free(c->documents_file);
	free(c);
}
