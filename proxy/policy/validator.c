#include "policy/decide.h"

/* A validator is checked by the server, against what is stored: where its author says
 * "string" of an encrypted field, the server must find "binData".  Both ways are one walk
 * over the schema beside the collection's tree. */

struct rewriting {
	const struct policy *policy;
	const struct collection *collection;
	bool to_stored;
	struct bytes refused; /* the keyword that cannot hold of ciphertext */
};

static const char *type_name(uint8_t type)
{
	static const struct {
		uint8_t type;
		const char *name;
	} names[] = {
		{TYPE_STRING, "string"},
		{TYPE_INT32, "int"},
		{TYPE_INT64, "long"},
		{TYPE_DOUBLE, "double"},
		{TYPE_DECIMAL128, "decimal"},
		{TYPE_BOOL, "bool"},
		{TYPE_DATE, "date"},
		{TYPE_OBJECT_ID, "objectId"},
	};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (names[i].type == type)
			return names[i].name;
	return "binData";
}

static bool is_comment(const struct element *e)
{
	return element_named(e, "title") || element_named(e, "description");
}

/* The schema of an encrypted field says its type and nothing else. */
static void put_encrypted(struct rewriting *r, struct buf *out, const struct element *schema,
	const struct view_node *node)
{
	const char *own = type_name(r->policy->encrypted[node->field].type);
	struct doc_iter it = doc_iter_of(schema->value);
	size_t begun = doc_put_document(out, schema->name);
	struct element e;

	while (doc_next(&it, &e)) {
		bool type = element_named(&e, "bsonType") || element_named(&e, "type");

		if (is_comment(&e)) {
			doc_put_element(out, &e);
		} else if (!r->to_stored) {
			doc_put_string(out, e.name, bytes_str(own));
		} else if (type && e.type == TYPE_STRING &&
			   bytes_equal_str(element_string(&e), own)) {
			doc_put_string(out, NAME("bsonType"), NAME("binData"));
		} else if (!r->refused.len) {
			r->refused = e.name;
		}
	}
	doc_end(out, begun);
}

static void put_schema(struct rewriting *r, struct buf *out, struct bytes schema,
	const struct view_node *node, bool top);

static void put_subschema(
	struct rewriting *r, struct buf *out, const struct element *e, const struct view_node *node)
{
	size_t begun;

	if (e->type != TYPE_DOCUMENT) {
		doc_put_element(out, e);
		return;
	}
	if (node && node->field != NO_FIELD) {
		put_encrypted(r, out, e, node);
		return;
	}
	begun = doc_put_document(out, e->name);
	put_schema(r, out, e->value, node, false);
	doc_end(out, begun);
}

static void put_properties(struct rewriting *r, struct buf *out, const struct element *e,
	const struct view_node *node, bool add_own)
{
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_document(out, e->name);
	struct element property;

	while (doc_next(&it, &property))
		if (!element_named(&property, "__mw"))
			put_subschema(r, out, &property,
				node ? view_node_child(node, property.name) : NULL);
	if (add_own) {
		size_t own = doc_put_document(out, NAME("__mw"));

		doc_end(out, own);
	}
	doc_end(out, begun);
}

static void put_list(struct rewriting *r, struct buf *out, const struct element *e,
	const struct view_node *node, bool top)
{
	struct doc_iter it = doc_iter_of(e->value);
	size_t begun = doc_put_array(out, e->name);
	struct element branch;

	while (doc_next(&it, &branch)) {
		size_t inner;

		if (branch.type != TYPE_DOCUMENT) {
			doc_put_element(out, &branch);
			continue;
		}
		inner = doc_put_document(out, branch.name);
		put_schema(r, out, branch.value, node, top);
		doc_end(out, inner);
	}
	doc_end(out, begun);
}

/* Keywords that could speak of fields by pattern or number. */
static bool speaks_of_others(const struct element *e)
{
	static const char *const names[] = {"patternProperties", "dependencies", "enum",
		"maxProperties", "minProperties", "not", "additionalItems"};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (element_named(e, names[i]))
			return true;
	return false;
}

static void put_keyword(struct rewriting *r, struct buf *out, const struct element *e,
	const struct view_node *node, bool top, bool closed)
{
	bool add_own = top && closed && r->to_stored && r->collection->stores_own;

	if (element_named(e, "properties") && e->type == TYPE_DOCUMENT) {
		put_properties(r, out, e, node, add_own);
		return;
	}
	if ((element_named(e, "allOf") || element_named(e, "anyOf") || element_named(e, "oneOf")) &&
		e->type == TYPE_ARRAY) {
		put_list(r, out, e, node, top);
		return;
	}
	if (element_named(e, "items") && e->type == TYPE_DOCUMENT) {
		put_subschema(r, out, e, node);
		return;
	}
	if (element_named(e, "items") && e->type == TYPE_ARRAY) {
		put_list(r, out, e, node, false);
		return;
	}
	if (r->to_stored && node && (node->any_encrypted || top) && speaks_of_others(e) &&
		!r->refused.len)
		r->refused = e->name;
	doc_put_element(out, e);
}

static void put_schema(struct rewriting *r, struct buf *out, struct bytes schema,
	const struct view_node *node, bool top)
{
	struct doc_iter it = doc_iter_of(schema);
	struct element e, closed, properties;
	bool is_closed = doc_find(schema, "additionalProperties", &closed) &&
			 closed.type == TYPE_BOOL && !element_truth(&closed);

	while (doc_next(&it, &e))
		put_keyword(r, out, &e, node, top, is_closed);
	/* A schema that allows nothing must still allow what the proxy stores. */
	if (top && is_closed && r->to_stored && r->collection->stores_own &&
		!doc_find(schema, "properties", &properties)) {
		struct element none = {.type = TYPE_DOCUMENT,
			.name = NAME("properties"),
			.value = bytes_of("\5\0\0\0", 5)};

		put_properties(r, out, &none, NULL, true);
	}
}

static void put_validator(struct rewriting *r, struct buf *out, struct bytes validator)
{
	struct doc_iter it = doc_iter_of(validator);
	struct element e;

	while (doc_next(&it, &e)) {
		size_t begun;

		if (!element_named(&e, "$jsonSchema") || e.type != TYPE_DOCUMENT) {
			doc_put_element(out, &e);
			continue;
		}
		begun = doc_put_document(out, e.name);
		put_schema(r, out, e.value, &r->collection->tree, true);
		doc_end(out, begun);
	}
}

/* Conditions beside the schema: nothing but $exists holds of ciphertext. */
static bool check_conditions(struct deciding *d, struct bytes validator)
{
	struct analysis a;

	analysis_init(&a, d->arena);
	if (!analyse_filter(&a, validator, bytes_of("", 0), "validator", d->why))
		return false;
	for (size_t i = 0; i < a.count; i++) {
		const struct view_node *node;
		bool at;

		node = view_node_of(&d->view->collection->tree, a.uses[i].path, &at);
		if (a.uses[i].kind != USE_EXISTS && node->any_encrypted)
			return fault_name(d->why, FAULT_ENCRYPTED, a.uses[i].sent);
	}
	return true;
}

bool validator_to_stored(struct deciding *d, const struct element *validator)
{
	struct rewriting r = {
		.policy = d->policy, .collection = d->view->collection, .to_stored = true};
	struct edit *edit;
	struct buf built;
	size_t begun;

	if (!d->view->plain_declared)
		return fault_name(d->why, FAULT_VALIDATOR, validator->name);
	if (!r.collection)
		return true;
	if (!check_conditions(d, validator->value))
		return false;
	buf_init(&built, DOC_MAX_LEN);
	begun = doc_put_document(&built, validator->name);
	put_validator(&r, &built, validator->value);
	doc_end(&built, begun);
	edit = plan_edit(d, EDIT_PUT, validator->whole.at);
	edit->put = plan_bytes(d, &built);
	return !r.refused.len || fault_name(d->why, FAULT_VALIDATOR, r.refused);
}

void policy_show_validator(
	const struct policy *p, struct bytes ns, struct bytes validator, struct buf *out)
{
	struct rewriting r = {.policy = p, .collection = policy_collection(p, ns)};
	size_t begun;

	if (!r.collection) {
		buf_put(out, validator);
		return;
	}
	begun = doc_begin(out);
	put_validator(&r, out, validator);
	doc_end(out, begun);
}
