#include "transform/inside.h"

#include <stdlib.h>

/* Applies a plan's edits.  They are found by address: an element is what stands there, in
 * the message or in bytes that another edit has put in. */
struct editing {
	struct transform *t;
	const struct plan *plan;
	const struct command *c;
	struct edit *edits; /* by address */
	size_t nedits;
	uint32_t now_s;
	struct buf *out;
	struct fault *why;
};

/* Plans mostly have fewer. */
#define FEW_EDITS 16u

static int by_address(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	if (x->at != y->at)
		return (uintptr_t)x->at < (uintptr_t)y->at ? -1 : 1;
	return x->kind < y->kind ? -1 : x->kind > y->kind;
}

/* Edits of one kind at one address stay in their order. */
static void sort_edits(struct edit *edits, size_t n)
{
	if (n > FEW_EDITS) {
		qsort(edits, n, sizeof(*edits), by_address);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		struct edit moved = edits[i];
		size_t to = i;

		for (; to && by_address(&edits[to - 1], &moved) > 0; to--)
			edits[to] = edits[to - 1];
		edits[to] = moved;
	}
}

/* The first edit at or behind an address. */
static size_t first_from(const struct editing *x, const uint8_t *at)
{
	size_t low = 0, high = x->nedits;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if ((uintptr_t)x->edits[middle].at < (uintptr_t)at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_touched(const struct editing *x, struct bytes part)
{
	size_t i = first_from(x, part.at);

	return i < x->nedits && (uintptr_t)x->edits[i].at < (uintptr_t)part.at + part.len;
}

/* The edits of one address. */
struct edits_at {
	const struct edit *first;
	size_t n;
};

static struct edits_at edits_at(const struct editing *x, const uint8_t *at)
{
	size_t first = first_from(x, at), end = first;

	while (end < x->nedits && x->edits[end].at == at)
		end++;
	return (struct edits_at){.first = x->edits + first, .n = end - first};
}

static const struct edit *edit_of(const struct edits_at *here, enum edit_kind kind)
{
	for (size_t i = 0; i < here->n; i++)
		if (here->first[i].kind == kind)
			return &here->first[i];
	return NULL;
}

static bool put_document_edited(struct editing *x, struct bytes doc, bool array);

static bool put_edited_value(struct editing *x, const struct element *e, struct bytes name)
{
	if (!element_is_document(e) || !is_touched(x, e->value)) {
		doc_put_value(x->out, e->type, name, e->value);
		return true;
	}
	doc_put_value(x->out, e->type, name, bytes_of("", 0));
	return put_document_edited(x, e->value, e->type == TYPE_ARRAY);
}

static bool put_sealed_list(
	struct editing *x, const struct edit *edit, const struct element *e, struct bytes name)
{
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_array(x->out, name);
	struct element item;

	while (doc_next(&it, &item))
		if (!put_sealed(
			    x->t, edit->field, item.name, item.type, item.value, x->out, x->why))
			return false;
	doc_end(x->out, begun);
	return true;
}

/* {$and: [rows, filter]} */
static bool put_wrapped(
	struct editing *x, const struct edit *edit, const struct element *e, struct bytes name)
{
	const struct element rows = {.type = TYPE_DOCUMENT, .value = edit->put};
	size_t begun = doc_put_document(x->out, name);
	size_t list = doc_put_array(x->out, NAME("$and"));

	if (!put_edited_value(x, &rows, NAME("0")) || !put_edited_value(x, e, NAME("1")))
		return false;
	doc_end(x->out, list);
	doc_end(x->out, begun);
	return true;
}

static bool put_element_edited(struct editing *x, const struct element *e, struct bytes name)
{
	const struct edits_at here = edits_at(x, e->whole.at);
	const struct edit *edit = edit_of(&here, EDIT_RENAME);

	if (edit)
		name = edit->put;
	if ((edit = edit_of(&here, EDIT_SEAL)))
		return put_sealed(x->t, edit->field, name, e->type, e->value, x->out, x->why);
	if ((edit = edit_of(&here, EDIT_SEAL_IN)))
		return put_sealed_list(x, edit, e, name);
	if ((edit = edit_of(&here, EDIT_WRAP)))
		return put_wrapped(x, edit, e, name);
	if ((edit = edit_of(&here, EDIT_WRITE_BELOW)))
		return put_stored_value(x->t, edit->node, e, name, x->out, x->why);
	if ((edit = edit_of(&here, EDIT_REPLACE)) && edit->collection) {
		doc_put_value(x->out, e->type, name, bytes_of("", 0));
		return put_stored(
			x->t, edit->collection, e->value, false, x->now_s, x->out, x->why);
	}
	return put_edited_value(x, e, name);
}

/* Elements that an edit adds; in an array they take the next numbers. */
static bool put_added(struct editing *x, struct bytes added, bool array, size_t *index)
{
	struct bytes left = added;

	if (!array && !is_touched(x, added)) {
		buf_put(x->out, added);
		return true;
	}
	while (left.len) {
		/* A list of elements, as it would stand in a document. */
		struct doc_iter it = {.at = left.at, .end = left.at + left.len};
		char number[DOC_INDEX_MAX];
		struct element e;

		if (!doc_next(&it, &e))
			return fault_set(x->why, FAULT_INTERNAL, "an edit adds no element");
		if (!put_element_edited(x, &e, array ? doc_index_name(*index, number) : e.name))
			return false;
		(*index)++;
		left = bytes_from(left, e.whole.len);
	}
	return true;
}

static void put_order(struct editing *x)
{
	doc_put_int64(x->out, NAME("__mw.o"), (int64_t)(random_number(x->t) >> 1));
}

static void put_subject(struct editing *x, const struct edit *edit)
{
	struct value parts[ID_PART + 1] = {0};

	for (size_t i = 0; i < POLICY_SUBJECT_PATHS; i++) {
		parts[i].type = edit->literals->parts[i].type;
		parts[i].bytes = edit->literals->parts[i].value;
	}
	put_own_subject(x->t, edit->collection, parts, "__mw.", x->out);
}

/* What edits put at a document's end. */
static bool put_at_end(struct editing *x, struct bytes doc, bool array, size_t *index)
{
	for (size_t i = first_from(x, doc.at); i < x->nedits && x->edits[i].at == doc.at; i++) {
		const struct edit *edit = &x->edits[i];
		size_t begun;

		if (edit->kind == EDIT_APPEND && !put_added(x, edit->put, array, index))
			return false;
		if (edit->kind == EDIT_SUBJECT)
			put_subject(x, edit);
		if (edit->kind == EDIT_ORDER)
			put_order(x);
		if (edit->kind == EDIT_SUBJECT_OP || edit->kind == EDIT_ORDER_OP) {
			bool order = edit->kind == EDIT_ORDER_OP;

			begun = doc_put_document(
				x->out, order ? NAME("$setOnInsert") : NAME("$set"));
			if (order)
				put_order(x);
			else
				put_subject(x, edit);
			doc_end(x->out, begun);
		}
	}
	return true;
}

static bool put_in_document(struct editing *x, const struct element *e, bool array, size_t *index)
{
	struct edits_at here;
	const struct edit *before, *put;
	char number[DOC_INDEX_MAX];

	if (!is_touched(x, e->whole)) {
		doc_put_value(x->out, e->type, array ? doc_index_name(*index, number) : e->name,
			e->value);
		(*index)++;
		return true;
	}
	here = edits_at(x, e->whole.at);
	before = edit_of(&here, EDIT_BEFORE);
	put = edit_of(&here, EDIT_PUT);
	if (before && !put_added(x, before->put, array, index))
		return false;
	if (edit_of(&here, EDIT_DROP))
		return true;
	if (put)
		return put_added(x, put->put, array, index);
	if (!put_element_edited(x, e, array ? doc_index_name(*index, number) : e->name))
		return false;
	(*index)++;
	return true;
}

static bool put_document_edited(struct editing *x, struct bytes doc, bool array)
{
	struct doc_iter it = doc_iter_of(doc);
	const struct edits_at here = edits_at(x, doc.at);
	const struct edit *prepend = edit_of(&here, EDIT_PREPEND);
	size_t begun = doc_begin(x->out), index = 0;
	struct element e;

	if (prepend && !put_added(x, prepend->put, array, &index))
		return false;
	while (doc_next(&it, &e))
		if (!put_in_document(x, &e, array, &index))
			return false;
	if (!put_at_end(x, doc, array, &index))
		return false;
	doc_end(x->out, begun);
	return true;
}

/* The documents of an insert, each stored as one of its collection. */
static bool put_inserted(struct editing *x, struct bytes docs)
{
	const struct collection *c = x->plan->reply.collection;

	while (docs.len) {
		struct bytes doc = doc_at_front(docs);

		if (!put_stored(x->t, c, doc, true, x->now_s, x->out, x->why))
			return false;
		docs = bytes_from(docs, doc.len);
	}
	return true;
}

static bool put_inserted_array(struct editing *x, const struct element *e)
{
	const struct collection *c = x->plan->reply.collection;
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_array(x->out, e->name);
	struct element doc;

	while (doc_next(&it, &doc)) {
		doc_put_value(x->out, TYPE_DOCUMENT, doc.name, bytes_of("", 0));
		if (!put_stored(x->t, c, doc.value, true, x->now_s, x->out, x->why))
			return false;
	}
	doc_end(x->out, begun);
	return true;
}

static bool stores_documents(const struct editing *x, struct bytes name)
{
	return x->plan->writes_documents && x->plan->reply.collection &&
	       bytes_equal_str(name, "documents");
}

/* The body: as a document, but that `documents` of an insert are stored.  Neighbours that
 * stay as they are go out at once. */
static bool put_body(struct editing *x)
{
	size_t begun = doc_begin(x->out), index = 0;
	struct bytes run = {0};

	for (size_t i = 0; i < x->c->nfields; i++) {
		const struct element *e = &x->c->fields[i];
		bool stores = stores_documents(x, e->name);

		if (!stores && !is_touched(x, e->whole)) {
			run = bytes_of(run.len ? run.at : e->whole.at, run.len + e->whole.len);
			continue;
		}
		buf_put(x->out, run);
		run.len = 0;
		if (!(stores ? put_inserted_array(x, e) : put_in_document(x, e, false, &index)))
			return false;
	}
	buf_put(x->out, run);
	if (!put_at_end(x, x->c->body, false, &index))
		return false;
	doc_end(x->out, begun);
	return true;
}

static bool put_edited_docs(struct editing *x, struct bytes docs)
{
	while (docs.len) {
		struct bytes doc = doc_at_front(docs);

		if (!is_touched(x, doc))
			buf_put(x->out, doc);
		else if (!put_document_edited(x, doc, false))
			return false;
		docs = bytes_from(docs, doc.len);
	}
	return true;
}

static bool put_sequences(struct editing *x)
{
	for (size_t i = 0; i < x->c->nseq; i++) {
		const struct wire_seq *seq = &x->c->seq[i];
		size_t length;

		buf_put_u8(x->out, 1);
		length = x->out->len;
		buf_put_u32(x->out, 0);
		buf_put(x->out, seq->name);
		buf_put_u8(x->out, 0);
		if (!(stores_documents(x, seq->name) ? put_inserted : put_edited_docs)(
			    x, seq->docs))
			return false;
		if (!x->out->failed)
			buf_patch_u32(x->out, length, (uint32_t)(x->out->len - length));
	}
	return true;
}

bool transform_request(struct transform *t, const struct plan *plan, const struct command *c,
	uint32_t now_s, struct buf *out, struct written *written, struct fault *why)
{
	struct editing x = {.t = t,
		.plan = plan,
		.c = c,
		.edits = plan->edits,
		.nedits = plan->nedits,
		.now_s = now_s,
		.out = out,
		.why = why};
	size_t frame = frame_begin(out, 0, 0, OPCODE_MSG);

	t->nsubjects = 0;
	sort_edits(x.edits, x.nedits);
	buf_put_u32(out, 0); /* flags: an answer is always wanted, so that it can be recorded */
	buf_put_u8(out, 0);
	if (!put_body(&x) || !put_sequences(&x))
		return false;
	frame_end(out, frame);
	*written = (struct written){.subjects = t->subjects, .nsubjects = t->nsubjects};
	if (out->failed || out->len - frame > FRAME_MESSAGE_MAX)
		return fault_set(why, FAULT_MESSAGE_TOO_LARGE, "the command grew too large");
	return true;
}

size_t transform_searched(
	struct transform *t, const struct plan *plan, struct arena *arena, struct token **tokens)
{
	size_t n = 0, count = 0;

	for (size_t i = 0; i < plan->nsearched; i++)
		count += plan->searched[i].many ? doc_count(plan->searched[i].literal.value) : 1;
	*tokens = arena_array(arena, count, sizeof(**tokens));
	for (size_t i = 0; i < plan->nsearched; i++) {
		const struct searched *s = &plan->searched[i];
		struct doc_iter it;
		struct element e;

		if (!s->many) {
			searched_token(t, s->path, s->normalized, &s->literal, &(*tokens)[n++]);
			continue;
		}
		it = doc_iter_of(s->literal.value);
		while (doc_next(&it, &e))
			searched_token(t, s->path, s->normalized, &e, &(*tokens)[n++]);
	}
	return n;
}
