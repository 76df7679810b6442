#include "transform/inside.h"

/* A document on its way into the database. */
struct storing {
	struct transform *t;
	struct value parts[ID_PART + 1];
	struct buf *out;
	struct fault *why;
};

bool put_sealed(struct transform *t, int16_t field, struct bytes name, uint8_t type,
	struct bytes value, struct buf *out, struct fault *why)
{
	int key = t->key_of_field[field];
	size_t length;
	enum seal_algorithm algorithm =
		t->policy->encrypted[field].deterministic ? SEAL_DETERMINISTIC : SEAL_RANDOM;

	if (key == KEY_NONE)
		return fault_set(why, FAULT_KEY_MISSING, "no data key for %.*s in %.*s",
			BYTES_ARG(t->policy->encrypted[field].path),
			BYTES_ARG(t->policy->encrypted[field].ns));
	doc_put_binary(out, name, BINARY_ENCRYPTED, bytes_of("", 0));
	length = out->len - 5;
	if (!cipher_seal(t->cipher, key, algorithm, type, value, out, why))
		return false;
	if (!out->failed)
		buf_patch_u32(out, length, (uint32_t)(out->len - length - 5));
	return true;
}

static bool put_fields(struct storing *s, const struct view_node *node, struct bytes doc);

/* The elements of an array stand where the array does. */
static bool put_items(struct storing *s, const struct view_node *node, struct bytes array);

static bool put_value(
	struct storing *s, const struct view_node *node, const struct element *e, struct bytes name)
{
	size_t begun;

	if (node->part != NO_PART && !element_is_document(e))
		s->parts[node->part] = (struct value){.type = e->type, .bytes = e->value};
	if (node->field != NO_FIELD)
		return put_sealed(s->t, node->field, name, e->type, e->value, s->out, s->why);
	if (!element_is_document(e) || !(node->any_encrypted || node->any_part)) {
		doc_put_value(s->out, e->type, name, e->value);
		return true;
	}
	begun = (e->type == TYPE_ARRAY ? doc_put_array : doc_put_document)(s->out, name);
	if (!(e->type == TYPE_ARRAY ? put_items : put_fields)(s, node, e->value))
		return false;
	doc_end(s->out, begun);
	return true;
}

static bool put_items(struct storing *s, const struct view_node *node, struct bytes array)
{
	struct doc_iter it = doc_iter_of(array);
	struct element e;

	while (doc_next(&it, &e))
		if (!put_value(s, node, &e, e.name))
			return false;
	return true;
}

static bool put_fields(struct storing *s, const struct view_node *node, struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		const struct view_node *child = view_node_child(node, e.name);

		if (!child)
			doc_put_element(s->out, &e);
		else if (!put_value(s, child, &e, e.name))
			return false;
	}
	return true;
}

bool put_stored_value(struct transform *t, const struct view_node *node, const struct element *e,
	struct bytes name, struct buf *out, struct fault *why)
{
	struct storing s = {.t = t, .out = out, .why = why};

	return put_value(&s, node, e, name);
}

/* ObjectId: seconds, a random number of this process, a counter (BSON ObjectId spec). */
static void put_object_id(struct storing *s, uint32_t now_s, uint8_t id[OBJECT_ID_LEN])
{
	struct transform *t = s->t;
	uint32_t count = t->object_count++;

	for (int i = 0; i < 4; i++)
		id[i] = (uint8_t)(now_s >> (24 - 8 * i));
	memcpy(id + 4, t->object_id, sizeof(t->object_id));
	for (int i = 0; i < 3; i++)
		id[9 + i] = (uint8_t)(count >> (16 - 8 * i));
	doc_put_value(s->out, TYPE_OBJECT_ID, NAME("_id"), bytes_of(id, OBJECT_ID_LEN));
	s->parts[ID_PART] =
		(struct value){.type = TYPE_OBJECT_ID, .bytes = bytes_of(id, OBJECT_ID_LEN)};
}

static void put_own_fields(struct storing *s, const struct collection *c)
{
	size_t begun = doc_put_document(s->out, NAME("__mw"));

	put_own_subject(s->t, c, s->parts, "", s->out);
	doc_put_int64(s->out, NAME("o"), (int64_t)(random_number(s->t) >> 1));
	doc_end(s->out, begun);
}

bool put_stored(struct transform *t, const struct collection *c, struct bytes doc, bool with_id,
	uint32_t now_s, struct buf *out, struct fault *why)
{
	struct storing s = {.t = t, .out = out, .why = why};
	size_t begun = doc_begin(out);
	uint8_t id[OBJECT_ID_LEN];
	struct subject_token subject;
	struct element own;

	if (with_id && !doc_find(doc, "_id", &own))
		put_object_id(&s, now_s, id);
	if (!put_fields(&s, &c->tree, doc))
		return false;
	if (c->stores_own)
		put_own_fields(&s, c);
	doc_end(out, begun);
	if (c->accountable && subject_of(t, TOKEN_AUDIT_SUBJECT, c, s.parts, &subject))
		note_subject(t, &subject);
	if (out->failed || out->len - begun > DOC_MAX_LEN)
		return fault_set(
			why, FAULT_DOCUMENT_TOO_LARGE, "a document of %zu bytes", out->len - begun);
	return true;
}
