#include "transform/inside.h"
#include "transform/statistics.h"

struct replying {
	struct transform *t;
	const struct reply_context *x;
	struct disclosure *disclosure;
	struct buf *out;
	struct fault *why;
};

/* Whether stored documents come back, to be made rows of a view here. */
static bool shows_rows(const struct reply_rules *rules)
{
	return rules->view && !rules->behind_barrier;
}

/* One subject of a group: its parts, and at the end its _id, under letters. */
static bool note_grouped(struct walk *walk, const struct collection *c, struct bytes parts)
{
	struct bytes paths[ID_PART + 1];
	struct subject_token subject;

	for (size_t i = 0; i < c->nsubject_paths; i++)
		paths[i] = bytes_of(&"abcdefghi"[i], 1);
	paths[ID_PART] = bytes_of(&"abcdefghi"[c->nsubject_paths], 1);
	if (!find_parts_at(walk, c, parts, paths))
		return false;
	if (subject_of(walk->t, TOKEN_AUDIT_SUBJECT, c, walk->parts, &subject))
		note_subject(walk->t, &subject);
	return true;
}

static bool take_list(struct replying *r, struct walk *walk, const struct collection *c,
	struct bytes doc, const char *name, size_t *n)
{
	struct element list, item;
	struct doc_iter items;

	if (!doc_find(doc, name, &list) || list.type != TYPE_ARRAY)
		return fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "nobody is named for a reply");
	items = doc_iter_of(list.value);
	while (doc_next(&items, &item)) {
		if (item.type != TYPE_DOCUMENT)
			return fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "a subject is torn");
		if (++*n > REPLY_SUBJECTS_MAX)
			return fault_set(
				r->why, FAULT_SUBJECTS_MAX, "over %d subjects", REPLY_SUBJECTS_MAX);
		if (!note_grouped(walk, c, item.value))
			return false;
	}
	return !items.failed || fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "subjects are torn");
}

/* The first document of a first batch: the subjects of all that went into the pipeline, and
 * of all that it could read of other collections.  Nothing may come out without it. */
static bool take_subjects(struct replying *r, struct doc_iter *it)
{
	const struct reply_rules *rules = r->x->rules;
	struct element doc;
	struct walk walk;
	size_t n = 0;
	bool fine;

	if (!doc_next(it, &doc) || doc.type != TYPE_DOCUMENT)
		return fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "nobody is named for a reply");
	walk_init(&walk, r->t, rules, r->disclosure, r->why);
	fine = take_list(r, &walk, rules->collection, doc.value, "__mw", &n);
	for (size_t i = 0; fine && i < rules->nforeign; i++) {
		const char name[] = {'_', '_', 'm', 'w', (char)('0' + i), '\0'};

		fine = take_list(r, &walk, rules->foreign[i], doc.value, name, &n);
	}
	walk_fini(&walk);
	return fine;
}

static bool put_batch(struct replying *r, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_array(r->out, e->name);
	struct walk walk;
	struct element doc;
	bool fine = true;

	if (r->x->rules->names_group && element_named(e, "firstBatch") && !take_subjects(r, &it))
		return false;
	walk_init(&walk, r->t, r->x->rules, r->disclosure, r->why);
	r->disclosure->docs = 0;
	while (fine && doc_next(&it, &doc)) {
		if (doc.type != TYPE_DOCUMENT) {
			fine = fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "a batch of no documents");
			break;
		}
		doc_put_value(r->out, TYPE_DOCUMENT, doc.name, bytes_of("", 0));
		fine = (shows_rows(r->x->rules) ? walk_row : walk_document)(
			&walk, doc.value, r->out);
		r->disclosure->docs++;
	}
	walk_fini(&walk);
	doc_end(r->out, begun);
	if (fine && it.failed)
		return fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "a batch is torn");
	return fine;
}

static bool put_listing(struct replying *r, const struct element *e)
{
	int64_t *docs = &r->disclosure->docs;

	if (r->x->rules->form == REPLY_COLLECTIONS)
		return put_collections(r->t, r->x, e->value, e->name, r->out, docs);
	if (r->x->rules->form == REPLY_INDEXES)
		return put_indexes(r->t, r->x, e->value, e->name, r->out, docs);
	return put_batch(r, e);
}

/* {id, ns, firstBatch or nextBatch}, with the id and the name that the client knows. */
static bool put_cursor(struct replying *r, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_document(r->out, e->name);
	struct element field;

	while (doc_next(&it, &field)) {
		bool batch =
			element_named(&field, "firstBatch") || element_named(&field, "nextBatch");

		if (batch && field.type == TYPE_ARRAY) {
			if (!put_listing(r, &field))
				return false;
		} else if (element_named(&field, "id")) {
			doc_put_int64(r->out, field.name, r->x->cursor_id);
		} else if (element_named(&field, "ns")) {
			doc_put_string(r->out, field.name, r->x->ns);
		} else if (element_named(&field, "partialResultsReturned") ||
			   (element_named(&field, "atClusterTime") &&
				   !r->x->rules->hides_snapshot)) {
			doc_put_element(r->out, &field);
		}
	}
	doc_end(r->out, begun);
	return !it.failed || fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "a cursor document is torn");
}

static bool put_value(struct replying *r, const struct element *e)
{
	struct walk walk;
	bool fine;

	if (e->type != TYPE_DOCUMENT) {
		doc_put_null(r->out, e->name);
		r->disclosure->docs = 0;
		return true;
	}
	doc_put_value(r->out, TYPE_DOCUMENT, e->name, bytes_of("", 0));
	walk_init(&walk, r->t, r->x->rules, r->disclosure, r->why);
	fine = walk_document(&walk, e->value, r->out);
	walk_fini(&walk);
	r->disclosure->docs = 1;
	return fine;
}

static bool put_values(struct replying *r, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_array(r->out, e->name);
	struct element item;
	struct walk walk;
	bool fine = true;

	walk_init(&walk, r->t, r->x->rules, r->disclosure, r->why);
	r->disclosure->docs = 0;
	while (fine && doc_next(&it, &item)) {
		fine = walk_value(&walk, &item, r->out);
		r->disclosure->docs++;
	}
	walk_fini(&walk);
	doc_end(r->out, begun);
	return fine && (!it.failed || fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "values are torn"));
}

/* The only document of a pipeline that stands for a count or a distinct; none: nothing was
 * there to be counted. */
static bool put_only_document(struct replying *r, const struct element *cursor)
{
	bool counts = r->x->rules->form == REPLY_COUNTED;
	struct element batch, doc, e = {0};
	struct doc_iter it;
	int64_t n = 0;

	if (!doc_find(cursor->value, "firstBatch", &batch) || batch.type != TYPE_ARRAY)
		return fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "a cursor without a batch");
	it = doc_iter_of(batch.value);
	if (r->x->rules->names_group && !take_subjects(r, &it))
		return false;
	if (doc_next(&it, &doc) &&
		(doc.type != TYPE_DOCUMENT || !doc_find(doc.value, counts ? "n" : "values", &e)))
		return fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "a count without a number");
	if (counts) {
		if (e.type && !element_int(&e, &n))
			return fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "n is no number");
		if (n <= INT32_MAX && n >= 0)
			doc_put_int32(r->out, NAME("n"), (int32_t)n);
		else
			doc_put_int64(r->out, NAME("n"), n);
		r->disclosure->docs = n;
		return true;
	}
	if (e.type == TYPE_ARRAY)
		return put_values(r, &e);
	doc_end(r->out, doc_put_array(r->out, NAME("values")));
	r->disclosure->docs = 0;
	return true;
}

static bool put_errors(struct replying *r, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_array(r->out, e->name);
	struct element error;

	while (doc_next(&it, &error)) {
		size_t entry;

		if (error.type != TYPE_DOCUMENT)
			continue;
		entry = doc_put_document(r->out, error.name);
		put_error_fields(r->x, error.value, r->out);
		doc_end(r->out, entry);
		if (!r->disclosure->code)
			r->disclosure->code = error_code(error.value);
	}
	doc_end(r->out, begun);
	return true;
}

static void put_concern_error(struct replying *r, const struct element *e)
{
	size_t begun = doc_put_document(r->out, e->name);

	r->disclosure->state_error |= transform_is_state_code(error_code(e->value));
	put_error_fields(r->x, e->value, r->out);
	doc_end(r->out, begun);
}

/* Fields of answers that hold no documents; what is not known is left out. */
static bool is_plain(const struct element *e)
{
	static const struct bytes names[] = {BYTES_LITERAL("ok"), BYTES_LITERAL("n"),
		BYTES_LITERAL("nModified"), BYTES_LITERAL("nRemoved"), BYTES_LITERAL("nInserted"),
		BYTES_LITERAL("upserted"), BYTES_LITERAL("lastErrorObject"),
		BYTES_LITERAL("electionId"), BYTES_LITERAL("opTime"),
		BYTES_LITERAL("operationTime"), BYTES_LITERAL("$clusterTime"),
		BYTES_LITERAL("numIndexesBefore"), BYTES_LITERAL("numIndexesAfter"),
		BYTES_LITERAL("createdCollectionAutomatically"), BYTES_LITERAL("commitQuorum"),
		BYTES_LITERAL("note"), BYTES_LITERAL("nIndexesWas"), BYTES_LITERAL("dropped"),
		BYTES_LITERAL("retriedStmtId"), BYTES_LITERAL("retriedStmtIds"),
		BYTES_LITERAL("errorLabels"), BYTES_LITERAL("expireAfterSeconds_old"),
		BYTES_LITERAL("hidden_old"), BYTES_LITERAL("hidden_new")};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (bytes_equal(e->name, names[i]))
			return true;
	return false;
}

/* The rows of an answer, or of distinct their keys. */
static bool put_rows(struct replying *r, const struct rows *rows, const char *name, bool keys)
{
	size_t begun = doc_put_array(r->out, bytes_str(name));
	char index[DOC_INDEX_MAX];
	struct walk walk;
	bool fine = true;

	walk_init(&walk, r->t, r->x->rules, r->disclosure, r->why);
	for (size_t i = 0; fine && i < rows->n; i++) {
		struct element key;

		if (!keys) {
			doc_put_value(
				r->out, TYPE_DOCUMENT, doc_index_name(i, index), bytes_of("", 0));
			fine = walk_document(&walk, rows->list[i], r->out);
		} else if (doc_find(rows->list[i], "_id", &key)) {
			key.name = doc_index_name(i, index);
			fine = walk_value(&walk, &key, r->out);
		}
	}
	walk_fini(&walk);
	doc_end(r->out, begun);
	r->disclosure->docs = (int64_t)rows->n;
	return fine;
}

/* An answer is whole: there is never a cursor to go on with. */
static bool put_answer(struct replying *r, const struct rows *rows)
{
	size_t begun;
	bool fine;

	switch ((int)r->x->rules->form) {
	case REPLY_COUNTED:
		r->disclosure->docs = 0;
		if (rows->n) {
			struct element n;

			fine = doc_find(rows->list[0], "n", &n) &&
			       element_int(&n, &r->disclosure->docs);
			doc_put_element(r->out, &n);
			return fine;
		}
		doc_put_int32(r->out, NAME("n"), 0);
		return true;
	case REPLY_COLLECTED:
		return put_rows(r, rows, "values", true);
	default:
		begun = doc_put_document(r->out, NAME("cursor"));
		fine = put_rows(r, rows, "firstBatch", false);
		doc_put_int64(r->out, NAME("id"), 0);
		doc_put_string(r->out, NAME("ns"), r->x->ns);
		doc_end(r->out, begun);
		return fine;
	}
}

static bool put_statistics(struct replying *r, const struct element *e)
{
	struct element batch, document, id;
	struct rows rows = {.n = 0};
	struct arena arena;
	struct doc_iter it;
	int64_t n;
	bool fine;

	if (e->type != TYPE_DOCUMENT || !doc_find(e->value, "firstBatch", &batch) ||
		batch.type != TYPE_ARRAY || !doc_find(e->value, "id", &id) ||
		!element_int(&id, &n) || n)
		return fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "statistics without an answer");
	it = doc_iter_of(batch.value);
	if (!doc_next(&it, &document) || document.type != TYPE_DOCUMENT)
		return fault_set(r->why, FAULT_UPSTREAM_GARBAGE, "statistics without an answer");
	arena_init(&arena);
	rows.arena = &arena;
	fine = answer_statistics(r->t, r->x->rules->statistics, document.value, &rows,
		       r->disclosure, r->why) &&
	       put_answer(r, &rows);
	arena_fini(&arena);
	return fine;
}

static bool is_only_document(const struct reply_rules *rules)
{
	return rules->form == REPLY_COUNTED || rules->form == REPLY_COLLECTED;
}

static bool put_field(struct replying *r, const struct element *e)
{
	const struct reply_rules *rules = r->x->rules;
	int64_t n;

	if (rules->form == REPLY_EXPLAINED && !is_plain(e)) {
		put_explained(r->x, e, r->out);
		return true;
	}
	if (element_named(e, "cursor") && rules->statistics)
		return put_statistics(r, e);
	if (element_named(e, "cursor") && e->type == TYPE_DOCUMENT)
		return (is_only_document(rules) ? put_only_document : put_cursor)(r, e);
	if (element_named(e, "value") && rules->form == REPLY_VALUE)
		return put_value(r, e);
	if (element_named(e, "values") && rules->form == REPLY_VALUES && e->type == TYPE_ARRAY)
		return put_values(r, e);
	if (element_named(e, "databases") && rules->form == REPLY_DATABASES &&
		e->type == TYPE_ARRAY)
		return put_databases(r->t, r->x, e->value, e->name, r->out, &r->disclosure->docs);
	if (element_named(e, "writeErrors") && e->type == TYPE_ARRAY)
		return put_errors(r, e);
	if (element_named(e, "writeConcernError") && e->type == TYPE_DOCUMENT) {
		put_concern_error(r, e);
		return true;
	}
	if (element_named(e, "n") && element_int(e, &n))
		r->disclosure->docs = n;
	if (is_plain(e) || (rules->form == REPLY_AS_IS && !element_named(e, "topologyVersion")))
		doc_put_element(r->out, e);
	return true;
}

static const char *const label_names[] = {
	"RetryableWriteError",
	"TransientTransactionError",
	"ResumableChangeStreamError",
};

/* The upstream's labels and those that the case needs, each once. */
static void put_labels(struct replying *r, struct bytes reply)
{
	unsigned labels = r->x->labels;
	char index[DOC_INDEX_MAX];
	struct element e, label;
	size_t begun = doc_put_array(r->out, NAME("errorLabels")), n = 0;

	if (doc_find(reply, "errorLabels", &e) && e.type == TYPE_ARRAY) {
		struct doc_iter it = doc_iter_of(e.value);

		while (doc_next(&it, &label)) {
			for (size_t i = 0; label.type == TYPE_STRING && i < COUNT_OF(label_names);
				i++)
				if (bytes_equal_str(element_string(&label), label_names[i]))
					labels &= ~(1u << i);
			doc_put_value(r->out, label.type, doc_index_name(n++, index), label.value);
		}
	}
	for (size_t i = 0; i < COUNT_OF(label_names); i++)
		if (labels & 1u << i)
			doc_put_string(
				r->out, doc_index_name(n++, index), bytes_str(label_names[i]));
	doc_end(r->out, begun);
}

static bool put_error(struct replying *r, struct bytes reply)
{
	struct buf fields;
	struct doc_iter it;
	struct element e;

	r->disclosure->code = error_code(reply);
	r->disclosure->state_error = transform_is_state_code(r->disclosure->code);
	if (r->disclosure->state_error)
		r->disclosure->code = 6;
	if (!r->x->labels) {
		put_error_fields(r->x, reply, r->out);
		return true;
	}
	buf_init(&fields, DOC_SLACK_LEN);
	doc_begin(&fields);
	put_error_fields(r->x, reply, &fields);
	doc_end(&fields, 0);
	it = doc_iter_of(buf_bytes(&fields));
	while (doc_next(&it, &e))
		if (!element_named(&e, "errorLabels"))
			doc_put_element(r->out, &e);
	buf_fini(&fields);
	put_labels(r, reply);
	return true;
}

bool transform_reply(struct transform *t, const struct reply_context *context, struct bytes reply,
	struct buf *out, struct disclosure *disclosure, struct fault *why)
{
	struct replying r = {
		.t = t, .x = context, .disclosure = disclosure, .out = out, .why = why};
	struct doc_iter it = doc_iter_of(reply);
	struct element e, ok;

	*disclosure = (struct disclosure){.docs = -1};
	t->nsubjects = 0;
	if (!doc_find(reply, "ok", &ok))
		return fault_set(why, FAULT_UPSTREAM_GARBAGE, "a reply without ok");
	if (!element_truth(&ok))
		return put_error(&r, reply);
	while (doc_next(&it, &e))
		if (!put_field(&r, &e))
			return false;
	if (it.failed || out->failed)
		return fault_set(why, FAULT_UPSTREAM_GARBAGE, "a reply is torn or too large");
	/* What a pipeline grouped and computed left, too, if anything did. */
	if (disclosure->docs > 0) {
		disclosure->plaintext |= context->rules->shown;
		disclosure->masked |= context->rules->shown_masked;
	}
	disclosure->subjects = t->subjects;
	disclosure->nsubjects = t->nsubjects;
	return true;
}

bool transform_show(struct transform *t, const struct reply_rules *rules, struct bytes doc,
	struct buf *out, struct fault *why)
{
	struct disclosure disclosure = {0};
	struct walk walk;
	bool fine;

	walk_init(&walk, t, rules, &disclosure, why);
	fine = (shows_rows(rules) ? walk_row : walk_document)(&walk, doc, out);
	walk_fini(&walk);
	return fine;
}
