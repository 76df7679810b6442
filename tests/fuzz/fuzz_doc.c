/* A document as a peer could send it: looking at one that was never checked stays inside
 * it; one that has passed the check can be walked to its end and built again. */
#include <assert.h>
#include <stdlib.h>

#include "wire/doc.h"

static void inside(struct bytes part, struct bytes whole)
{
	assert(part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void look(const struct element *e)
{
	int64_t whole;
	double number;
	uint8_t subtype;

	(void)element_truth(e);
	(void)element_int(e, &whole);
	assert(element_double(e, &number) == element_is_number(e));
	if (e->type == TYPE_STRING || e->type == TYPE_CODE || e->type == TYPE_SYMBOL)
		inside(element_string(e), e->value);
	if (e->type == TYPE_BINARY)
		inside(element_binary(e, &subtype), e->value);
}

/* What a reply of the upstream gets: bounds and nothing else. */
static void walk_unchecked(struct bytes doc, int depth)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		inside(e.whole, doc);
		inside(e.name, e.whole);
		inside(e.value, e.whole);
		look(&e);
		if (element_is_document(&e) && depth < DOC_DEPTH_MAX)
			walk_unchecked(e.value, depth + 1);
	}
	assert(it.failed || it.at == it.end);
}

static void rebuild(struct bytes doc, struct buf *out);

static void rebuild_element(const struct element *e, struct buf *out)
{
	struct bytes content;
	uint8_t subtype;

	switch ((enum element_type)e->type) {
	case TYPE_DOUBLE:
		/* As bits: a NaN need not survive being a double. */
		doc_put_value(out, TYPE_DOUBLE, e->name, e->value);
		return;
	case TYPE_STRING:
		doc_put_string(out, e->name, element_string(e));
		return;
	case TYPE_DOCUMENT:
	case TYPE_ARRAY:
		doc_put_value(out, e->type, e->name, bytes_of(NULL, 0));
		rebuild(e->value, out);
		return;
	case TYPE_BINARY:
		content = element_binary(e, &subtype);
		doc_put_binary(out, e->name, subtype, content);
		return;
	case TYPE_BOOL:
		doc_put_bool(out, e->name, element_truth(e));
		return;
	case TYPE_DATE:
		doc_put_date(out, e->name, load_i64(e->value.at));
		return;
	case TYPE_NULL:
		doc_put_null(out, e->name);
		return;
	case TYPE_INT32:
		doc_put_int32(out, e->name, load_i32(e->value.at));
		return;
	case TYPE_TIMESTAMP:
		doc_put_timestamp(out, e->name, load_u64(e->value.at));
		return;
	case TYPE_INT64:
		doc_put_int64(out, e->name, load_i64(e->value.at));
		return;
	case TYPE_UNDEFINED:
	case TYPE_OBJECT_ID:
	case TYPE_REGEX:
	case TYPE_DB_POINTER:
	case TYPE_CODE:
	case TYPE_SYMBOL:
	case TYPE_CODE_WITH_SCOPE:
	case TYPE_DECIMAL128:
	case TYPE_MAX_KEY:
	case TYPE_MIN_KEY:
		doc_put_element(out, e);
		return;
	}
	abort();
}

static void rebuild(struct bytes doc, struct buf *out)
{
	struct doc_iter it = doc_iter_of(doc);
	size_t begun = doc_begin(out);
	struct element e;

	while (doc_next(&it, &e))
		rebuild_element(&e, out);
	assert(!it.failed);
	doc_end(out, begun);
}

static bool count(void *context, struct bytes content)
{
	(void)content;
	++*(size_t *)context;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes doc = bytes_of(data, size);
	struct doc_facts facts = {0};
	struct fault why;
	struct buf out;
	size_t encrypted = 0;

	walk_unchecked(doc, 0);
	if (!doc_check(doc, &facts, &why)) {
		assert(why.code == FAULT_INVALID_BSON || why.code == FAULT_TOO_DEEP);
		return 0;
	}
	assert(facts.depth >= 1 && facts.depth <= DOC_DEPTH_MAX);
	assert(doc_each_encrypted(doc, count, &encrypted) && encrypted == facts.encrypted);
	buf_init(&out, size);
	rebuild(doc, &out);
	assert(!out.failed && bytes_equal(buf_bytes(&out), doc));
	buf_fini(&out);
	return 0;
}
