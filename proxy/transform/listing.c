#include "transform/inside.h"

#include "query/match.h"

/* Answers that name collections, databases and indexes: only what the user may know. */

static bool has_name(const struct element *e, struct bytes *name)
{
	struct element n;

	if (e->type != TYPE_DOCUMENT || !doc_find(e->value, "name", &n) || n.type != TYPE_STRING)
		return false;
	*name = element_string(&n);
	return true;
}

static struct bytes join(char out[COMMAND_NS_MAX + 1], struct bytes db, struct bytes name)
{
	if (db.len + 1 + name.len > COMMAND_NS_MAX)
		return bytes_of(out, 0);
	memcpy(out, db.at, db.len);
	out[db.len] = '.';
	memcpy(out + db.len + 1, name.at, name.len);
	return bytes_of(out, db.len + 1 + name.len);
}

static bool is_visible(
	struct transform *t, const struct reply_context *x, struct bytes db, struct bytes name)
{
	char ns[COMMAND_NS_MAX + 1];

	return !bytes_equal(join(ns, db, name), x->facts->vault) &&
	       !bytes_start_with(name, bytes_str("system.")) &&
	       policy_knows(t->policy, x->facts, db, name);
}

/* Options that say nothing of documents, and the validator as its author wrote it. */
static void put_options(
	struct transform *t, const struct element *e, struct bytes ns, struct buf *out)
{
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_document(out, e->name);
	struct element option;

	while (doc_next(&it, &option)) {
		if (element_named(&option, "validator") && option.type == TYPE_DOCUMENT) {
			doc_put_value(out, option.type, option.name, bytes_of("", 0));
			policy_show_validator(t->policy, ns, option.value, out);
		} else if (element_named(&option, "validationLevel") ||
			   element_named(&option, "validationAction") ||
			   element_named(&option, "capped") || element_named(&option, "size") ||
			   element_named(&option, "max") || element_named(&option, "collation")) {
			doc_put_element(out, &option);
		}
	}
	doc_end(out, begun);
}

static void put_collection(struct transform *t, const struct reply_context *x,
	const struct element *e, struct bytes name, struct bytes index, struct buf *out)
{
	bool options = policy_knows_options(t->policy, x->facts, x->db, name);
	size_t begun = doc_put_document(out, index);
	struct doc_iter it = doc_iter_of(e->value);
	char ns[COMMAND_NS_MAX + 1];
	struct element field;

	while (doc_next(&it, &field)) {
		if (!element_named(&field, "options") || field.type != TYPE_DOCUMENT) {
			doc_put_element(out, &field);
		} else if (options) {
			put_options(t, &field, join(ns, x->db, name), out);
		} else {
			size_t none = doc_put_document(out, field.name);

			doc_end(out, none);
		}
	}
	doc_end(out, begun);
}

static void put_view(const struct virtual_view *v, struct bytes index, struct buf *out)
{
	size_t begun = doc_put_document(out, index), part;

	doc_put_string(out, NAME("name"), v->name);
	doc_put_string(out, NAME("type"), NAME("view"));
	part = doc_put_document(out, NAME("options"));
	doc_end(out, part);
	part = doc_put_document(out, NAME("info"));
	doc_put_bool(out, NAME("readOnly"), true);
	doc_end(out, part);
	doc_end(out, begun);
}

/* Whether the client's filter by name and type lets a virtual view through.  A regular
 * expression is taken to: names that a user may know are no secret from that user. */
static bool filter_takes(struct bytes filter, const struct virtual_view *v)
{
	struct buf doc;
	struct fault why;
	size_t begun;
	bool takes;

	if (doc_is_empty(filter) || !match_check(filter, &why))
		return true;
	buf_init(&doc, 1024);
	begun = doc_begin(&doc);
	doc_put_string(&doc, NAME("name"), v->name);
	doc_put_string(&doc, NAME("type"), NAME("view"));
	doc_end(&doc, begun);
	takes = match_document(filter, buf_bytes(&doc));
	buf_fini(&doc);
	return takes;
}

bool put_collections(struct transform *t, const struct reply_context *x, struct bytes batch,
	struct bytes name, struct buf *out, int64_t *docs)
{
	size_t begun = doc_put_array(out, name), n = 0;
	struct doc_iter it = doc_iter_of(batch);
	char index[DOC_INDEX_MAX];
	struct element e;

	while (doc_next(&it, &e)) {
		struct bytes own;

		if (has_name(&e, &own) && is_visible(t, x, x->db, own))
			put_collection(t, x, &e, own, doc_index_name(n++, index), out);
	}
	for (size_t i = 0; bytes_equal_str(name, "firstBatch") && i < t->policy->nviews; i++) {
		const struct virtual_view *v = &t->policy->views[i];

		if (bytes_equal(v->db, x->db) && is_visible(t, x, v->db, v->name) &&
			filter_takes(x->filter, v))
			put_view(v, doc_index_name(n++, index), out);
	}
	doc_end(out, begun);
	*docs = (int64_t)n;
	return !it.failed;
}

bool put_databases(struct transform *t, const struct reply_context *x, struct bytes list,
	struct bytes name, struct buf *out, int64_t *docs)
{
	size_t begun = doc_put_array(out, name), n = 0;
	struct doc_iter it = doc_iter_of(list);
	char index[DOC_INDEX_MAX];
	struct element e;

	while (doc_next(&it, &e)) {
		struct bytes own;
		size_t entry;

		if (!has_name(&e, &own) || !policy_knows(t->policy, x->facts, own, bytes_of("", 0)))
			continue;
		/* Sizes would move with the length of values. */
		entry = doc_put_document(out, doc_index_name(n++, index));
		doc_put_string(out, NAME("name"), own);
		doc_put_int64(out, NAME("sizeOnDisk"), 0);
		doc_put_bool(out, NAME("empty"), false);
		doc_end(out, entry);
	}
	doc_end(out, begun);
	*docs = (int64_t)n;
	return !it.failed;
}

/* A partial filter may hold values; who does not read everything sees the keys. */
static void put_index(const struct element *e, bool full, struct bytes number, struct buf *out)
{
	static const char *const shown[] = {"v", "key", "name", "unique", "sparse", "hidden",
		"expireAfterSeconds", "background"};
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_document(out, number);
	struct element field;

	while (doc_next(&it, &field)) {
		bool harmless = full;

		for (size_t i = 0; i < COUNT_OF(shown); i++)
			harmless |= element_named(&field, shown[i]);
		if (harmless)
			doc_put_element(out, &field);
	}
	doc_end(out, begun);
}

bool put_indexes(struct transform *t, const struct reply_context *x, struct bytes batch,
	struct bytes name, struct buf *out, int64_t *docs)
{
	bool full = x->rules->secure && x->rules->secure->full;
	size_t begun = doc_put_array(out, name), n = 0;
	struct doc_iter it = doc_iter_of(batch);
	char index[DOC_INDEX_MAX];
	struct element e;

	(void)t;
	while (doc_next(&it, &e)) {
		struct bytes own;

		if (has_name(&e, &own) && !bytes_start_with(own, bytes_str("__mw")))
			put_index(&e, full, doc_index_name(n++, index), out);
	}
	doc_end(out, begun);
	*docs = (int64_t)n;
	return !it.failed;
}
