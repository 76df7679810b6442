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
	buf_init(&w->opened, DOC_MAX_LEN);
}

void walk_fini(struct walk *w)
{
	buf_wipe(&w->opened);
}

static void note_left(struct walk *w, const struct verdict *v)
{
	class_set bit = v->class == NO_CLASS ? 0 : (class_set)1 << v->class;

	if (v->clearance == CLEAR_PLAINTEXT)
		w->disclosure->plaintext |= bit;
	else if (v->clearance == CLEAR_CIPHERTEXT)
		w->disclosure->ciphertext |= bit;
	else
		w->disclosure->masked |= bit;
	if (v->clearance == CLEAR_MASK && v->mask->kind == MASK_CONSTANT)
		return;
	w->accountable |= w->rules->collection && (w->rules->collection->accountable & bit);
}

static void put_by_verdict(struct walk *w, const struct verdict *v, struct bytes name,
	const struct value *value, struct buf *out)
{
	if (v->clearance == CLEAR_REMOVE)
		return;
	if (v->clearance == CLEAR_MASK)
		put_masked(w->t, v->mask, name, value, out);
	else
		doc_put_value(out, value->type, name, value->bytes);
	note_left(w, v);
}

static enum cipher_opened open_content(struct walk *w, struct bytes content, struct value *value)
{
	struct opened opened;
	enum cipher_opened result = cipher_open(w->t->cipher, content, &opened);

	if (result == OPENED)
		*value = (struct value){.type = opened.type, .bytes = opened.value};
	return result;
}

static bool is_sealed(const struct value *value, struct bytes *content)
{
	const struct element e = {.type = value->type, .value = value->bytes};
	uint8_t subtype;

	if (value->type != TYPE_BINARY)
		return false;
	*content = element_binary(&e, &subtype);
	return subtype == BINARY_ENCRYPTED;
}

bool open_value(struct walk *w, struct value *value)
{
	struct bytes content;

	if (!is_sealed(value, &content))
		return true;
	return open_content(w, content, value) != OPEN_DAMAGED ||
	       fault_set(w->why, FAULT_DAMAGED, "a sealed value in a reply does not open");
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

static bool put_sealed_value(struct walk *w, const struct spot *spot, int key,
	const struct element *e, struct bytes content, struct buf *out)
{
	const struct view_node *node = spot->node;
	struct verdict v = {node->clearance, node->mask, node->class};
	struct value value = {.type = e->type, .bytes = e->value};

	if (!spot->at || node->field == NO_FIELD || w->t->key_of_field[node->field] != key)
		v = stricter(v, verdict_of_key(w, key));
	if (v.clearance == CLEAR_PLAINTEXT || v.clearance == CLEAR_MASK) {
		if (open_content(w, content, &value) != OPENED)
			return fault_set(
				w->why, FAULT_DAMAGED, "a sealed value in a reply does not open");
	}
	put_by_verdict(w, &v, e->name, &value, out);
	return true;
}

/* A part of the subject is kept aside, opened, whether the client sees it or not. */
static bool keep_part(struct walk *w, const struct view_node *node, const struct element *e)
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

/* `e` is a document or an array; elements of an array stand where the array does. */
static bool put_inner(
	struct walk *w, const struct spot *spot, const struct element *e, struct buf *out)
{
	const struct view_node *node = spot->node;
	bool array = e->type == TYPE_ARRAY;
	struct doc_iter it = doc_iter_of(e->value);
	size_t before = out->len, begun, inside;
	size_t next = 0;
	struct element child;

	doc_put_value(out, e->type, e->name, bytes_of("", 0));
	begun = doc_begin(out);
	inside = out->len;
	while (doc_next(&it, &child)) {
		struct spot place = *spot;

		if (!array) {
			place.node = spot->at ? next_child(node, &next, child.name) : NULL;
			place.at = place.node != NULL;
			place.node = place.node ? place.node : node;
		}
		if (!put_value(w, &place, &child, out))
			return false;
	}
	if (it.failed)
		return fault_set(w->why, FAULT_UPSTREAM_GARBAGE, "a reply's document is torn");
	/* What the role may not see leaves nothing behind, not even an empty shell. */
	if (out->len == inside && node->clearance != CLEAR_PLAINTEXT && !out->failed) {
		out->len = before;
		return true;
	}
	doc_end(out, begun);
	if (out->len == inside + 1 && node->clearance == CLEAR_PLAINTEXT) {
		const struct verdict v = {CLEAR_PLAINTEXT, NULL, node->class};

		note_left(w, &v);
	}
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
	struct value value = {.type = e->type, .bytes = e->value};
	struct bytes content;

	if (hides_all(spot))
		return true;
	if (element_is_document(e) && !is_masked_whole(spot, e))
		return put_inner(w, spot, e, out);
	if (spot->at && node->part != NO_PART && !keep_part(w, node, e))
		return false;
	if (is_sealed(&value, &content)) {
		int key = cipher_key_of(w->t->keyring, content);

		if (key != KEY_NONE)
			return put_sealed_value(w, spot, key, e, content, out);
	} else if (v.clearance == CLEAR_CIPHERTEXT) {
		/* Not encrypted after all: what may be seen is ciphertext only. */
		return true;
	}
	put_by_verdict(w, &v, e->name, &value, out);
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
	const struct view_node *root = w->rules->tree;
	struct doc_iter it = doc_iter_of(doc);
	size_t begun = doc_begin(out), next = 0;
	struct element e;

	begin_document(w);
	while (doc_next(&it, &e)) {
		const struct view_node *child = next_child(root, &next, e.name);
		const struct spot spot = {.node = child ? child : root, .at = child != NULL};

		if (!put_value(w, &spot, &e, out))
			return false;
	}
	if (it.failed)
		return fault_set(w->why, FAULT_UPSTREAM_GARBAGE, "a reply's document is torn");
	doc_end(out, begun);
	end_document(w);
	return true;
}

bool walk_value(struct walk *w, const struct element *e, struct buf *out)
{
	const struct spot spot = {.node = w->rules->tree, .at = true};

	begin_document(w);
	return put_value(w, &spot, e, out);
}
