#include "query/path.h"
#include "transform/inside.h"

/* Where a value stands: at a node of the tree, or somewhere below what the policy names. */
struct spot {
	const struct view_node *node;
	bool at;
};

/* What is to become of a value: of its place, or of the key that it is sealed under. */
struct verdict {
	enum clearance clearance;
	const struct mask *mask;
	uint8_t class;
};

void walk_init(struct walk *w, struct transform *t, const struct reply_rules *rules,
	struct disclosure *disclosure, struct fault *why)
{
	*w = (struct walk){.t = t, .rules = rules, .disclosure = disclosure, .why = why};
	if (rules->collection)
		w->accountable_classes = rules->collection->accountable;
	buf_init(&w->opened, DOC_MAX_LEN);
}

void walk_fini(struct walk *w)
{
	buf_wipe(&w->opened);
}

/* What stays as it is goes out in runs: as many neighbouring bytes of the document at once
 * as there are.  Lengths of documents are put right when they end. */

/* Where the next byte will stand. */
static size_t position(const struct walk *w, const struct buf *out)
{
	return out->len + w->run.len;
}

static void flush_run(struct walk *w, struct buf *out)
{
	buf_put(out, w->run);
	w->run.len = 0;
}

/* Bytes of the document that is walked. */
static void keep(struct walk *w, struct bytes bytes, struct buf *out)
{
	if (!bytes.len)
		return;
	if (w->run.len && w->run.at + w->run.len == bytes.at) {
		w->run.len += bytes.len;
		return;
	}
	flush_run(w, out);
	w->run = bytes;
}

/* Takes back what was put behind `to`. */
static void take_back(struct walk *w, size_t to, struct buf *out)
{
	if (out->failed)
		return;
	if (to < out->len) {
		out->len = to;
		w->run.len = 0;
	} else {
		w->run.len = to - out->len;
	}
}

/* The end of a document that took `before` bytes and whose length stands at `begun`. */
static void close_document(
	struct walk *w, const struct doc_iter *it, size_t begun, size_t before, struct buf *out)
{
	size_t now;

	keep(w, bytes_of(it->end, 1), out);
	now = position(w, out) - begun;
	if (now == before)
		return;
	flush_run(w, out);
	buf_patch_u32(out, begun, (uint32_t)now);
}

static class_set bit_of(uint8_t class)
{
	return class == NO_CLASS ? 0 : (class_set)1 << class;
}

static void note_plaintext(struct walk *w, class_set classes)
{
	w->disclosure->plaintext |= classes;
	w->accountable |= (w->accountable_classes & classes) != 0;
}

static void note_left(struct walk *w, const struct verdict *v)
{
	class_set bit = bit_of(v->class);

	if (v->clearance == CLEAR_PLAINTEXT)
		w->disclosure->plaintext |= bit;
	else if (v->clearance == CLEAR_CIPHERTEXT)
		w->disclosure->ciphertext |= bit;
	else
		w->disclosure->masked |= bit;
	if (v->clearance == CLEAR_MASK && v->mask->kind == MASK_CONSTANT)
		return;
	w->accountable |= (w->accountable_classes & bit) != 0;
}

/* `value` is the element's own, or what was sealed in it. */
static void put_by_verdict(struct walk *w, const struct verdict *v, const struct element *e,
	const struct value *value, struct buf *out)
{
	if (v->clearance == CLEAR_REMOVE)
		return;
	if (v->clearance == CLEAR_MASK) {
		flush_run(w, out);
		put_masked(w->t, v->mask, e->name, value, out);
	} else if (value->bytes.at == e->value.at) {
		keep(w, e->whole, out);
	} else {
		flush_run(w, out);
		doc_put_value(out, value->type, e->name, value->bytes);
	}
	note_left(w, v);
}

bool is_sealed(const struct value *value, struct bytes *content)
{
	const struct element e = {.type = value->type, .value = value->bytes};
	uint8_t subtype;

	if (value->type != TYPE_BINARY)
		return false;
	*content = element_binary(&e, &subtype);
	return subtype == BINARY_ENCRYPTED;
}

static bool open_content(struct walk *w, int key, struct bytes content, struct value *value)
{
	struct opened opened;

	if (!cipher_open_under(w->t->cipher, key, content, &opened))
		return fault_set(w->why, FAULT_DAMAGED, "a sealed value in a reply does not open");
	*value = (struct value){.type = opened.type, .bytes = opened.value};
	return true;
}

bool open_value(struct walk *w, struct value *value)
{
	struct bytes content;
	int key = KEY_NONE;

	if (is_sealed(value, &content))
		key = cipher_key_of(w->t->keyring, content);
	return key == KEY_NONE || open_content(w, key, content, value);
}

/* A virtual view shows a sealed value where it shows that very field as it is. */
static struct verdict verdict_of_view(
	const struct reply_rules *rules, const struct encrypted_field *field)
{
	struct verdict v = {.clearance = CLEAR_REMOVE, .class = NO_CLASS};
	bool at;

	if (!bytes_equal(field->ns, rules->view->from->ns))
		return v;
	for (size_t i = 0; i < rules->view->nfields; i++) {
		const struct view_field *f = &rules->view->fields[i];

		if (f->of_subject || f->mask ||
			path_relation(f->path, field->path) == PATH_DISJOINT)
			continue;
		v.clearance = CLEAR_PLAINTEXT;
		v.class = view_node_of(&rules->view->from->tree, field->path, &at)->class;
	}
	return v;
}

/* The clearance of the field that a key belongs to, whatever place its value was moved to. */
static struct verdict verdict_of_key(const struct walk *w, int key)
{
	const struct reply_rules *rules = w->rules;
	struct verdict v = {.clearance = CLEAR_REMOVE, .class = NO_CLASS};
	int16_t field = w->t->field_of_key[key];
	const struct view_node *node;
	bool at;

	if (field != NO_FIELD && rules->view)
		return verdict_of_view(rules, &rules->policy->encrypted[field]);
	if (field == NO_FIELD || !rules->secure || !rules->collection ||
		!bytes_equal(rules->policy->encrypted[field].ns, rules->collection->ns))
		return v;
	node = view_node_of(&rules->secure->root, rules->policy->encrypted[field].path, &at);
	v.clearance = node->clearance;
	v.mask = node->mask;
	v.class = node->class;
	return v;
}

/* For a value that stands in another place than its own. */
static struct verdict stricter(struct verdict place, struct verdict own)
{
	if (place.clearance == CLEAR_PLAINTEXT)
		return own;
	if (own.clearance == CLEAR_MASK ||
		(own.clearance != CLEAR_PLAINTEXT && own.clearance != place.clearance))
		place.clearance = CLEAR_REMOVE;
	place.class = own.class;
	return place;
}

/* `opened` is what is sealed in it, or of type 0 if that has not been looked at. */
static bool put_sealed_value(struct walk *w, const struct spot *spot, int key,
	const struct element *e, struct bytes content, struct value opened, struct buf *out)
{
	const struct view_node *node = spot->node;
	struct verdict v = {node->clearance, node->mask, node->class};
	struct value value = {.type = e->type, .bytes = e->value};

	if (!spot->at || node->field == NO_FIELD || w->t->key_of_field[node->field] != key)
		v = stricter(v, verdict_of_key(w, key));
	if (v.clearance == CLEAR_PLAINTEXT || v.clearance == CLEAR_MASK) {
		if (opened.type)
			value = opened;
		else if (!open_content(w, key, content, &value))
			return false;
	}
	put_by_verdict(w, &v, e, &value, out);
	return true;
}

/* A part of the subject is kept aside, opened, whether the client sees it or not.  What was
 * sealed in it, if anything was, is lent until the next value is opened. */
static bool keep_part(
	struct walk *w, const struct view_node *node, const struct element *e, struct value *opened)
{
	struct value value = {.type = e->type, .bytes = e->value};
	struct bytes content;

	if (is_sealed(&value, &content)) {
		size_t before = w->opened.len;

		if (!open_value(w, &value))
			return false;
		/* The cipher lends what it opened only until its next value. */
		buf_put(&w->opened, value.bytes);
		w->parts[node->part] =
			(struct value){.type = value.type, .bytes = bytes_of(NULL, before)};
		w->sealed_parts |= 1u << node->part;
		w->sealed_len[node->part] = value.bytes.len;
		*opened = value;
		return true;
	}
	/* Where a field stands twice, the last one decides. */
	w->sealed_parts &= ~(1u << node->part);
	w->parts[node->part] = value;
	return true;
}

/* The child of that name; documents mostly have their fields in the tree's order, so the
 * search goes on where the last one ended. */
static const struct view_node *next_child(
	const struct view_node *node, size_t *next, struct bytes name)
{
	for (size_t i = 0; i < node->nchildren; i++) {
		size_t k = *next + i < node->nchildren ? *next + i : *next + i - node->nchildren;

		if (bytes_equal(node->children[k].name, name)) {
			*next = k + 1 < node->nchildren ? k + 1 : 0;
			return &node->children[k];
		}
	}
	return NULL;
}

static bool put_value(
	struct walk *w, const struct spot *spot, const struct element *e, struct buf *out);

/* Nearly all values: nothing is sealed in them, and nothing is to be done with them. */
static inline bool is_plain(const struct spot *spot, const struct element *e)
{
	return spot->node->clearance == CLEAR_PLAINTEXT && e->type != TYPE_BINARY &&
	       !element_is_document(e) && !(spot->at && spot->node->part != NO_PART);
}

/* All elements of a document or an array; those of an array stand where the array does.
 * *gap: one was left out. */
static bool put_elements(struct walk *w, const struct spot *spot, struct doc_iter *it, bool array,
	bool *gap, struct buf *out)
{
	const bool named = spot->at && !array && spot->node->nchildren;
	struct spot place = {.node = spot->node, .at = spot->at && array};
	const uint8_t *plain = it->at; /* since here */
	class_set classes = 0;
	size_t next = 0, before;
	struct element e;

	while (doc_next(it, &e)) {
		if (named) {
			const struct view_node *child = next_child(spot->node, &next, e.name);

			place.node = child ? child : spot->node;
			place.at = child != NULL;
		}
		if (is_plain(&place, &e)) {
			classes |= bit_of(place.node->class);
			continue;
		}
		keep(w, bytes_of(plain, (size_t)(e.whole.at - plain)), out);
		before = position(w, out);
		if (!put_value(w, &place, &e, out))
			return false;
		*gap |= position(w, out) == before;
		plain = it->at;
	}
	keep(w, bytes_of(plain, (size_t)(it->at - plain)), out);
	note_plaintext(w, classes);
	return !it->failed ||
	       fault_set(w->why, FAULT_UPSTREAM_GARBAGE, "a reply's document is torn");
}

/* The elements of an array, numbered again from `inside` on: a gap would tell of one that
 * is hidden. */
static void count_anew(struct walk *w, size_t inside, struct buf *out)
{
	struct buf copy;
	struct doc_iter it;
	struct element e;
	char index[DOC_INDEX_MAX];
	size_t n = 0;

	flush_run(w, out);
	if (out->failed)
		return;
	buf_init(&copy, DOC_SLACK_LEN);
	buf_put(&copy, bytes_of(out->at + inside, out->len - inside));
	out->len = inside;
	it = (struct doc_iter){.at = copy.at, .end = copy.at + copy.len};
	while (copy.len && doc_next(&it, &e))
		doc_put_value(out, e.type, doc_index_name(n++, index), e.value);
	buf_wipe(&copy);
}

/* `e` is a document or an array. */
static bool put_inner(
	struct walk *w, const struct spot *spot, const struct element *e, struct buf *out)
{
	const struct view_node *node = spot->node;
	struct doc_iter it = doc_iter_of(e->value);
	size_t before = position(w, out), inside;
	bool gap = false;

	keep(w, bytes_head(e->whole, e->whole.len - e->value.len + 4), out);
	inside = position(w, out);
	if (!put_elements(w, spot, &it, e->type == TYPE_ARRAY, &gap, out))
		return false;
	if (gap && e->type == TYPE_ARRAY)
		count_anew(w, inside, out);
	if (position(w, out) == inside && node->clearance == CLEAR_PLAINTEXT)
		note_plaintext(w, bit_of(node->class));
	/* What the role may not see leaves nothing behind, not even an empty shell. */
	if (position(w, out) == inside && node->clearance != CLEAR_PLAINTEXT)
		take_back(w, before, out);
	else
		close_document(w, &it, inside - 4, e->value.len, out);
	return true;
}

static bool hides_all(const struct spot *spot)
{
	return spot->node->clearance == CLEAR_REMOVE &&
	       !(spot->at && (spot->node->nchildren || spot->node->any_part));
}

/* A mask is a function of one value: a document is masked as a whole, since the names in it
 * are data as well, unless the policy names paths below. */
static bool is_masked_whole(const struct spot *spot, const struct element *e)
{
	return e->type == TYPE_DOCUMENT && spot->node->clearance == CLEAR_MASK &&
	       !(spot->at && spot->node->nchildren);
}

static bool put_value(
	struct walk *w, const struct spot *spot, const struct element *e, struct buf *out)
{
	const struct view_node *node = spot->node;
	struct verdict v = {node->clearance, node->mask, node->class};
	struct value value = {.type = e->type, .bytes = e->value}, opened = {.type = 0};
	struct bytes content;

	if (hides_all(spot))
		return true;
	if (element_is_document(e) && !is_masked_whole(spot, e))
		return put_inner(w, spot, e, out);
	if (spot->at && node->part != NO_PART && !keep_part(w, node, e, &opened))
		return false;
	if (is_sealed(&value, &content)) {
		int key = cipher_key_of(w->t->keyring, content);

		if (key != KEY_NONE)
			return put_sealed_value(w, spot, key, e, content, opened, out);
	} else if (v.clearance == CLEAR_CIPHERTEXT) {
		/* Not encrypted after all: what may be seen is ciphertext only. */
		return true;
	}
	put_by_verdict(w, &v, e, &value, out);
	return true;
}

static void restore_parts(struct walk *w)
{
	for (size_t i = 0; w->sealed_parts && i <= ID_PART; i++)
		if (w->sealed_parts & 1u << i)
			w->parts[i].bytes =
				bytes_of(w->opened.at + w->parts[i].bytes.len, w->sealed_len[i]);
}

static void begin_document(struct walk *w)
{
	memset(w->parts, 0, sizeof(w->parts));
	w->sealed_parts = 0;
	w->accountable = false;
	w->run = bytes_of(NULL, 0);
	buf_clear(&w->opened);
}

static void end_document(struct walk *w)
{
	struct subject_token subject;

	if (!w->accountable || !w->rules->names_subjects)
		return;
	restore_parts(w);
	if (subject_of(w->t, TOKEN_AUDIT_SUBJECT, w->rules->collection, w->parts, &subject))
		note_subject(w->t, &subject);
}

bool walk_document(struct walk *w, struct bytes doc, struct buf *out)
{
	const struct spot spot = {.node = w->rules->tree, .at = true};
	struct doc_iter it = doc_iter_of(doc);
	size_t begun = out->len;
	bool gap = false;

	begin_document(w);
	if (it.failed)
		return fault_set(w->why, FAULT_UPSTREAM_GARBAGE, "a reply's document is torn");
	keep(w, bytes_head(doc, 4), out);
	if (!put_elements(w, &spot, &it, false, &gap, out))
		return false;
	close_document(w, &it, begun, (size_t)(it.end + 1 - doc.at), out);
	flush_run(w, out);
	end_document(w);
	return true;
}

bool walk_value(struct walk *w, const struct element *e, struct buf *out)
{
	const struct spot spot = {.node = w->rules->tree, .at = true};

	begin_document(w);
	if (!put_value(w, &spot, e, out))
		return false;
	flush_run(w, out);
	return true;
}
