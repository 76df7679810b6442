#include "operation.h"

#include "login.h"
#include "patient.h"
#include "wire/doc.h"
#include "wire/frame.h"

#define UUID_LEN 16u

static const struct operation operations[] = {
	{"find1", false, 1},
	{"find101", false, 101},
	{"insert1", true, 1},
	{"insert1000", true, 1000},
};

const struct operation *operation_find(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(operations); i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	return NULL;
}

/* Fields that drivers add to every command. */
static void put_common(struct request *r, const char *db)
{
	static const uint8_t zeros[20] = {0};
	struct buf *out = &r->frame;
	size_t session = doc_put_document(out, NAME("lsid")), time, signature;

	doc_put_binary(out, NAME("id"), 4, bytes_of(zeros, UUID_LEN));
	r->session_at = out->len - UUID_LEN;
	doc_end(out, session);
	if (r->operation->inserts) {
		doc_put_int64(out, NAME("txnNumber"), 0);
		r->transaction_at = out->len - 8;
	}
	time = doc_put_document(out, NAME("$clusterTime"));
	doc_put_timestamp(out, NAME("clusterTime"), 1);
	signature = doc_put_document(out, NAME("signature"));
	doc_put_binary(out, NAME("hash"), 0, bytes_of(zeros, sizeof(zeros)));
	doc_put_int64(out, NAME("keyId"), 0);
	doc_end(out, signature);
	doc_end(out, time);
	doc_put_string(out, NAME("$db"), bytes_str(db));
}

/* One patient as find_one asks for it, or a first batch of all. */
static void put_find(struct request *r, const char *collection)
{
	struct buf *out = &r->frame;
	size_t filter;
	struct buf patient;
	struct element id;

	doc_put_string(out, NAME("find"), bytes_str(collection));
	filter = doc_put_document(out, NAME("filter"));
	if (r->operation->documents == 1) {
		buf_init(&patient, 4096);
		patient_put(&patient, 0);
		if (doc_find(buf_bytes(&patient), "_id", &id))
			doc_put_element(out, &id);
		buf_fini(&patient);
	}
	doc_end(out, filter);
	doc_put_int32(out, NAME("limit"), (int32_t)r->operation->documents);
	if (r->operation->documents == 1)
		doc_put_bool(out, NAME("singleBatch"), true);
	else
		doc_put_int32(out, NAME("batchSize"), (int32_t)r->operation->documents);
}

static void put_documents(struct request *r)
{
	struct buf *out = &r->frame;
	size_t section;

	buf_put_u8(out, 1);
	section = out->len;
	buf_put_u32(out, 0);
	buf_put(out, bytes_of("documents", sizeof("documents")));
	for (uint32_t i = 0; i < r->operation->documents; i++)
		patient_put(out, i);
	buf_patch_u32(out, section, (uint32_t)(out->len - section));
}

void request_init(
	struct request *r, const struct operation *o, const char *db, const char *collection)
{
	struct buf *out = &r->frame;
	size_t frame, body;

	*r = (struct request){.operation = o};
	buf_init(out, FRAME_MESSAGE_MAX);
	frame = frame_begin(out, 0, 0, OPCODE_MSG);
	buf_put_u32(out, 0);
	buf_put_u8(out, 0);
	body = doc_begin(out);
	if (o->inserts) {
		doc_put_string(out, NAME("insert"), bytes_str(collection));
		doc_put_bool(out, NAME("ordered"), true);
	} else {
		put_find(r, collection);
	}
	put_common(r, db);
	doc_end(out, body);
	if (o->inserts)
		put_documents(r);
	frame_end(out, frame);
}

void request_fini(struct request *r)
{
	buf_fini(&r->frame);
}

struct bytes request_of(struct request *r, uint32_t connection, uint32_t nth)
{
	uint8_t *at = r->frame.at;

	store_u32(at + 4, nth);
	store_u32(at + r->session_at, connection);
	if (r->transaction_at)
		store_u32(at + r->transaction_at, nth);
	return buf_bytes(&r->frame);
}

static bool is_inserted(const struct request *r, struct bytes document)
{
	struct element n, errors;
	int64_t count;

	return doc_find(document, "n", &n) && element_int(&n, &count) &&
	       count == r->operation->documents && !doc_find(document, "writeErrors", &errors);
}

static bool is_found(const struct request *r, struct bytes document, struct bytes *first)
{
	struct element batch, e;
	struct doc_iter it;
	uint32_t count = 0;

	if (!doc_find_path(document, "cursor.firstBatch", &batch) || batch.type != TYPE_ARRAY)
		return false;
	it = doc_iter_of(batch.value);
	while (doc_next(&it, &e))
		if (e.type == TYPE_DOCUMENT && !count++)
			*first = e.value;
	return !it.failed && count == r->operation->documents;
}

bool request_is_answered(
	const struct request *r, struct bytes message, uint32_t nth, struct bytes *first)
{
	struct bytes document;

	*first = bytes_of(NULL, 0);
	if (load_u32(message.at + 8) != nth || !login_document(message, &document))
		return false;
	return r->operation->inserts ? is_inserted(r, document) : is_found(r, document, first);
}
