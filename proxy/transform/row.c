#include "transform/inside.h"

#include "query/path.h"

/* Rows of virtual views: each field is fetched from the stored document, opened, masked
 * and put under its own name; nothing else exists in the row. */

struct fetching {
	struct walk *w;
	const struct view_field *field;
	struct bytes name;
	struct buf *out;
	bool put;
};

/* Sealed under the key of a field that the view does not show at this place: somebody moved
 * it here, and what may be seen of it is that field's business. */
static bool is_moved(const struct fetching *f, const struct value *value)
{
	const struct reply_rules *rules = f->w->rules;
	const struct encrypted_field *own;
	enum path_relation relation;
	struct bytes content;
	int key;

	if (!is_sealed(value, &content))
		return false;
	key = cipher_key_of(f->w->t->keyring, content);
	if (key == KEY_NONE)
		return false;
	if (f->w->t->field_of_key[key] == NO_FIELD)
		return true;
	own = &rules->policy->encrypted[f->w->t->field_of_key[key]];
	relation = path_relation(f->field->path, own->path);
	return !bytes_equal(own->ns, rules->collection->ns) ||
	       (relation != PATH_SAME && relation != PATH_ABOVE);
}

static bool put_field(struct fetching *f, const struct element *e)
{
	struct value value = {.type = e->type, .bytes = e->value};

	if (is_moved(f, &value))
		return true;
	if (!open_value(f->w, &value))
		return false;
	if (f->field->mask)
		put_masked(f->w->t, f->field->mask, f->name, &value, f->out);
	else
		doc_put_value(f->out, value.type, f->name, value.bytes);
	f->put = true;
	return true;
}

static bool fetch(struct fetching *f, struct bytes doc, struct bytes path);

/* A mask is a function of one value: the names in a document are data as well. */
static bool is_one_value(const struct fetching *f, const struct element *e)
{
	return !element_is_document(e) || (f->field->mask && e->type == TYPE_DOCUMENT);
}

/* As $project does: a path through an array gives the array of what lies behind it. */
static bool fetch_items(struct fetching *f, struct bytes array, struct bytes path)
{
	struct doc_iter it = doc_iter_of(array);
	size_t begun = doc_put_array(f->out, f->name), n = 0;
	struct bytes name = f->name;
	struct element e;

	while (doc_next(&it, &e)) {
		char index[DOC_INDEX_MAX];

		if (e.type != TYPE_DOCUMENT)
			continue;
		f->name = doc_index_name(n, index);
		f->put = false;
		if (!fetch(f, e.value, path))
			return false;
		n += f->put;
	}
	doc_end(f->out, begun);
	f->name = name;
	f->put = true;
	return true;
}

/* A document within the row could hold sealed values of its own. */
static bool put_tree(struct fetching *f, const struct element *e)
{
	struct doc_iter it = doc_iter_of(e->value);
	struct bytes name = f->name;
	size_t begun = (e->type == TYPE_ARRAY ? doc_put_array : doc_put_document)(f->out, name);
	struct element child;

	while (doc_next(&it, &child)) {
		f->name = child.name;
		if (!(is_one_value(f, &child) ? put_field : put_tree)(f, &child))
			return false;
	}
	doc_end(f->out, begun);
	f->name = name;
	f->put = true;
	return true;
}

static bool fetch(struct fetching *f, struct bytes doc, struct bytes path)
{
	struct doc_iter it = doc_iter_of(doc);
	struct bytes component;
	struct element e;

	if (!path_next(&path, &component))
		return true;
	while (doc_next(&it, &e)) {
		if (!bytes_equal(e.name, component))
			continue;
		if (!path.len)
			return (is_one_value(f, &e) ? put_field : put_tree)(f, &e);
		if (e.type == TYPE_ARRAY)
			return fetch_items(f, e.value, path);
		return e.type != TYPE_DOCUMENT || fetch(f, e.value, path);
	}
	return true;
}

static bool find_part(struct walk *w, struct bytes doc, struct bytes path, size_t part)
{
	struct value value;
	struct element e;
	char text[1024];

	if (path.len >= sizeof(text))
		return true;
	memcpy(text, path.at, path.len);
	text[path.len] = '\0';
	if (!doc_find_path(doc, text, &e))
		return true;
	value = (struct value){.type = e.type, .bytes = e.value};
	if (!open_value(w, &value))
		return false;
	/* What was opened is lent only until the next value. */
	if (value.bytes.at != e.value.at) {
		size_t before = w->opened.len;

		buf_put(&w->opened, value.bytes);
		w->sealed_parts |= 1u << part;
		w->sealed_len[part] = value.bytes.len;
		value.bytes = bytes_of(NULL, before);
	}
	w->parts[part] = value;
	return true;
}

bool find_parts_at(struct walk *w, const struct collection *c, struct bytes doc,
	const struct bytes paths[ID_PART + 1])
{
	memset(w->parts, 0, sizeof(w->parts));
	w->sealed_parts = 0;
	buf_clear(&w->opened);
	for (size_t i = 0; i < c->nsubject_paths; i++)
		if (!find_part(w, doc, paths[i], i))
			return false;
	if (!find_part(w, doc, paths[ID_PART], ID_PART))
		return false;
	for (size_t i = 0; i <= ID_PART; i++)
		if (w->sealed_parts & 1u << i)
			w->parts[i].bytes =
				bytes_of(w->opened.at + w->parts[i].bytes.len, w->sealed_len[i]);
	return true;
}

bool walk_find_parts(struct walk *w, struct bytes doc)
{
	struct bytes paths[ID_PART + 1];

	memcpy(paths, w->rules->collection->subject_paths,
		sizeof(w->rules->collection->subject_paths));
	paths[ID_PART] = bytes_str("_id");
	return find_parts_at(w, w->rules->collection, doc, paths);
}

static void put_pseudonym(struct walk *w, const struct view_field *field, struct buf *out)
{
	struct subject_token subject;
	struct token token;

	if (!subject_of(w->t, TOKEN_SUBJECT, w->rules->collection, w->parts, &subject)) {
		doc_put_null(out, field->name);
		return;
	}
	pseudonym_of_subject(w->t, field->mask, &subject, &token);
	put_hex(field->name, &token, out);
}

static void note_class(struct walk *w, const struct view_field *field)
{
	const struct view_node *node;
	class_set bit;
	bool at;

	if (field->of_subject)
		return;
	node = view_node_of(&w->rules->collection->tree, field->path, &at);
	bit = (class_set)1 << node->class;
	if (field->mask)
		w->disclosure->masked |= bit;
	else
		w->disclosure->plaintext |= bit;
}

bool walk_row(struct walk *w, struct bytes doc, struct buf *out)
{
	const struct reply_rules *rules = w->rules;
	size_t begun = doc_begin(out);
	struct subject_token subject;
	bool subjects = rules->names_subjects;

	for (size_t i = 0; i < rules->nview_fields; i++)
		subjects |= rules->view_fields[i]->of_subject;
	if (subjects && !walk_find_parts(w, doc))
		return false;
	for (size_t i = 0; i < rules->nview_fields; i++) {
		const struct view_field *field = rules->view_fields[i];
		struct fetching f = {.w = w, .field = field, .name = field->name, .out = out};

		if (field->of_subject)
			put_pseudonym(w, field, out);
		else if (!fetch(&f, doc, field->path))
			return false;
		if (f.put)
			note_class(w, field);
	}
	doc_end(out, begun);
	if (rules->names_subjects &&
		subject_of(w->t, TOKEN_AUDIT_SUBJECT, rules->collection, w->parts, &subject))
		note_subject(w->t, &subject);
	return true;
}
