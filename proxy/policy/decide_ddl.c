#include "policy/decide.h"

static bool refuse_name(struct deciding *d, enum fault_code code, struct bytes name)
{
	return fault_name(d->why, code, name);
}

static bool choose_for_collection(struct deciding *d, uint32_t action)
{
	if (!choose_grant(d, action))
		return false;
	d->plan->reply.form = REPLY_STATUS;
	return !d->virtual || refuse_name(d, FAULT_UNAUTHORIZED, d->plan->ns);
}

static bool check_validator(struct deciding *d)
{
	const struct element *validator;

	if (!body_field(d, "validator", TYPE_DOCUMENT, &validator))
		return false;
	if (!validator || doc_is_empty(validator->value))
		return true;
	return validator_to_stored(d, validator);
}

bool decide_create(struct deciding *d)
{
	return choose_for_collection(d, ACTION_DDL) && check_validator(d);
}

bool decide_coll_mod(struct deciding *d)
{
	const struct element *index;
	struct doc_iter it;
	struct element e;

	if (!choose_for_collection(d, ACTION_DDL) || !body_field(d, "index", TYPE_DOCUMENT, &index))
		return false;
	it = doc_iter_of(index ? index->value : bytes_of("\5\0\0\0", 5));
	while (doc_next(&it, &e))
		if (!element_named(&e, "keyPattern") && !element_named(&e, "name") &&
			!element_named(&e, "hidden"))
			return refuse_name(d, FAULT_UNKNOWN_FIELD, e.name);
	return check_validator(d);
}

/* One index that is to be made. */
struct new_index {
	bool plain; /* every key is 1 or -1, and nothing is unique, partial or timed */
	bool timed;
	const char *kind;
};

static bool check_index_option(struct deciding *d, const struct element *e, struct new_index *index)
{
	static const char *const harmless[] = {
		"key", "name", "v", "background", "hidden", "sparse", "collation"};
	static const char *const reading[] = {"unique", "default_language", "language_override",
		"weights", "textIndexVersion", "2dsphereIndexVersion", "bits", "min", "max",
		"wildcardProjection", "partialFilterExpression"};

	for (size_t i = 0; i < COUNT_OF(harmless); i++)
		if (element_named(e, harmless[i]))
			return true;
	for (size_t i = 0; i < COUNT_OF(reading); i++) {
		if (element_named(e, reading[i])) {
			index->plain &= e->type == TYPE_BOOL && !element_truth(e);
			return true;
		}
	}
	if (element_named(e, "expireAfterSeconds")) {
		index->plain = false;
		index->timed = true;
		return true;
	}
	if (element_named(e, "ns")) /* a full namespace, of old drivers */
		return (e->type == TYPE_STRING && bytes_equal(element_string(e), d->plan->ns)) ||
		       refuse_name(d, FAULT_BAD_VALUE, e->name);
	return refuse_name(d, FAULT_UNKNOWN_FIELD, e->name);
}

/* A key's field: what an index on ciphertext can serve, and what its errors could tell. */
static bool check_key(struct deciding *d, const struct element *key, const struct new_index *index)
{
	bool hashed = key->type == TYPE_STRING && bytes_equal_str(element_string(key), "hashed");
	bool ordered = element_is_number(key);
	const struct view_node *node;
	struct bytes path, first;
	bool at;

	/* The wildcard `$**`, or `a.$**`, indexes whatever is there. */
	if (key->name.len >= 3 && memcmp(key->name.at + key->name.len - 3, "$**", 3) == 0)
		return d->view->transparent || refuse_name(d, FAULT_NOT_PROVEN, key->name);
	if (!path_normalise(d->arena, key->name, &path, d->why))
		return false;
	first = path;
	if (path_next(&first, &(struct bytes){0}) && bytes_start_with(path, bytes_str("__mw")))
		return refuse_name(d, FAULT_RESERVED, key->name);
	if (d->view->transparent)
		return true;
	node = view_node_of(&d->view->root, path, &at);
	if (at ? node->any_encrypted : node->field != NO_FIELD) {
		if (!at || node->field == NO_FIELD ||
			!d->policy->encrypted[node->field].deterministic)
			return refuse_name(d, FAULT_ENCRYPTED_RANDOM, key->name);
		if (!hashed && !ordered)
			return refuse_name(d, FAULT_ENCRYPTED, key->name);
	}
	if (index->plain && ordered)
		return true;
	return (at ? node->all_plaintext : node->clearance == CLEAR_PLAINTEXT) ||
	       refuse_name(d, FAULT_NOT_READABLE, key->name);
}

static bool check_partial(struct deciding *d, struct bytes index)
{
	struct element filter;
	struct analysis a;

	if (!doc_find(index, "partialFilterExpression", &filter))
		return true;
	if (filter.type != TYPE_DOCUMENT)
		return refuse_name(d, FAULT_WRONG_TYPE, filter.name);
	analysis_init(&a, d->arena);
	return analyse_filter(
		       &a, filter.value, bytes_of("", 0), "partialFilterExpression", d->why) &&
	       check_proven(d, &a) && check_uses(d, &a);
}

static bool check_index(struct deciding *d, struct bytes doc)
{
	struct new_index index = {.plain = true};
	struct doc_iter it = doc_iter_of(doc);
	struct element e, keys;

	while (doc_next(&it, &e))
		if (!check_index_option(d, &e, &index))
			return false;
	if (index.timed && !d->view->full)
		return refuse_name(d, FAULT_UNKNOWN_FIELD, bytes_str("expireAfterSeconds"));
	if (!doc_find(doc, "key", &keys) || keys.type != TYPE_DOCUMENT)
		return refuse_name(d, FAULT_WRONG_TYPE, bytes_str("key"));
	it = doc_iter_of(keys.value);
	while (doc_next(&it, &e))
		if (!check_key(d, &e, &index))
			return false;
	return check_partial(d, doc);
}

bool decide_create_indexes(struct deciding *d)
{
	struct command_docs docs;
	struct bytes doc;
	bool bad = false;

	if (!choose_for_collection(d, ACTION_INDEX))
		return false;
	if (!command_docs(d->c, "indexes", &docs))
		return refuse_name(d, FAULT_MISSING_FIELD, bytes_str("indexes"));
	while (command_docs_next(&docs, &doc, &bad))
		if (!check_index(d, doc))
			return false;
	return !bad || refuse_name(d, FAULT_WRONG_TYPE, bytes_str("indexes"));
}

static bool is_own_index(struct bytes name)
{
	return bytes_start_with(name, bytes_str("__mw"));
}

bool decide_drop_indexes(struct deciding *d)
{
	const struct element *index = command_field(d->c, "index");
	struct doc_iter it;
	struct element e;

	if (!choose_for_collection(d, ACTION_INDEX))
		return false;
	if (!index)
		return refuse_name(d, FAULT_MISSING_FIELD, bytes_str("index"));
	if (index->type == TYPE_STRING)
		return !is_own_index(element_string(index)) ||
		       refuse_name(d, FAULT_RESERVED, element_string(index));
	if (!element_is_document(index))
		return refuse_name(d, FAULT_WRONG_TYPE, bytes_str("index"));
	it = doc_iter_of(index->value);
	while (doc_next(&it, &e)) {
		struct bytes name = index->type == TYPE_ARRAY && e.type == TYPE_STRING
					    ? element_string(&e)
					    : e.name;

		if (is_own_index(name))
			return refuse_name(d, FAULT_RESERVED, name);
	}
	return true;
}

bool decide_list_indexes(struct deciding *d)
{
	if (!choose_grant(d, ACTION_METADATA))
		return false;
	d->plan->reply.form = REPLY_INDEXES;
	return !d->virtual || refuse_name(d, FAULT_UNAUTHORIZED, d->plan->ns);
}

/* A filter could ask for options; names and types are filtered in the answer anyway. */
static bool check_list_filter(struct deciding *d, const char *allowed)
{
	const struct element *filter;
	struct doc_iter it;
	struct element e;

	if (!body_field(d, "filter", TYPE_DOCUMENT, &filter))
		return false;
	it = doc_iter_of(filter ? filter->value : bytes_of("\5\0\0\0", 5));
	while (doc_next(&it, &e))
		if (!element_named(&e, "name") && !element_named(&e, allowed))
			return refuse_name(d, FAULT_LIST_FILTER, e.name);
	return true;
}

static void drop_field(struct deciding *d, const char *name)
{
	const struct element *e = command_field(d->c, name);

	if (e)
		plan_edit(d, EDIT_DROP, e->whole.at);
}

bool decide_list_collections(struct deciding *d)
{
	d->plan->reply.form = REPLY_COLLECTIONS;
	/* What is authorized is this proxy's to say. */
	drop_field(d, "authorizedCollections");
	return check_list_filter(d, "type");
}

bool decide_list_databases(struct deciding *d)
{
	d->plan->reply.form = REPLY_DATABASES;
	drop_field(d, "authorizedDatabases");
	return check_list_filter(d, "name");
}
