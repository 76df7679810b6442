#include "policy/schema.h"

#include "policy/language.h"

#define DRAFT  "https://json-schema.org/draft/2020-12/schema"
#define FILTER "filter"

static void put_value(struct json_writer *w, enum language_value_id id);

static void put_reference(struct json_writer *w, const char *name)
{
	struct buf path;

	buf_init(&path, 256);
	buf_put_format(&path, "#/$defs/%s", name);
	json_put_text(w, "$ref", buf_bytes(&path));
	buf_fini(&path);
}

static void put_limit(struct json_writer *w, const char *name, int64_t limit)
{
	if (limit)
		json_put_number(w, name, limit);
}

static void put_words(struct json_writer *w, enum word_list list)
{
	const char *word;

	json_key(w, "enum");
	json_begin_array(w);
	for (size_t i = 0; (word = language_word(list, i)); i++)
		json_word(w, word);
	json_end(w);
}

static void put_types(struct json_writer *w, const char *const *types, size_t n)
{
	json_key(w, "type");
	json_begin_array(w);
	for (size_t i = 0; i < n; i++)
		json_word(w, types[i]);
	json_end(w);
}

/* What the loader reads as text may look like a number. */
static void put_text(struct json_writer *w, const struct language_value *v)
{
	static const char *const types[] = {"string", "number", "boolean"};

	if (v->kind == VALUE_STRING)
		json_put_word(w, "type", "string");
	else
		put_types(w, types, COUNT_OF(types));
	json_put_number(w, "minLength", 1);
	put_limit(w, "maxLength", v->high);
	if (v->pattern)
		json_put_word(w, "pattern", v->pattern);
}

static void put_single(struct json_writer *w)
{
	static const char *const types[] = {"string", "number", "boolean", "null"};

	put_types(w, types, COUNT_OF(types));
}

static void put_list(struct json_writer *w, const struct language_value *v)
{
	json_put_word(w, "type", "array");
	json_key(w, "items");
	json_begin_object(w);
	put_value(w, v->of);
	json_end(w);
	put_limit(w, "minItems", v->low);
	put_limit(w, "maxItems", v->high);
}

static void put_map(struct json_writer *w, const struct language_value *v)
{
	json_put_word(w, "type", "object");
	if (v->pattern) {
		json_key(w, "propertyNames");
		json_begin_object(w);
		json_put_word(w, "pattern", v->pattern);
		json_end(w);
	}
	json_key(w, "additionalProperties");
	json_begin_object(w);
	put_value(w, v->of);
	json_end(w);
	put_limit(w, "minProperties", v->low);
	put_limit(w, "maxProperties", v->high);
}

/* "if" and "else" instead of "anyOf": an editor then says what is wrong with the one that
 * was meant. */
static void put_either(struct json_writer *w, const char *type, const char *object,
	enum language_value_id otherwise)
{
	json_key(w, "if");
	json_begin_object(w);
	json_put_word(w, "type", type);
	json_end(w);
	json_key(w, "then");
	json_begin_object(w);
	if (object)
		put_reference(w, object);
	else
		json_put_number(w, "exclusiveMinimum", 0);
	json_end(w);
	json_key(w, "else");
	json_begin_object(w);
	put_value(w, otherwise);
	json_end(w);
}

static void put_filter(struct json_writer *w, const struct language_value *v)
{
	put_reference(w, FILTER);
	put_limit(w, "minProperties", v->low);
}

/* The members of a value's schema, into an object that is open. */
static void put_value(struct json_writer *w, enum language_value_id id)
{
	const struct language_value *v = language_value(id);

	switch (v->kind) {
	case VALUE_VERSION:
		json_put_number(w, "const", POLICY_VERSION);
		return;
	case VALUE_TEXT:
	case VALUE_STRING:
		put_text(w, v);
		return;
	case VALUE_WORD:
		put_words(w, v->words);
		return;
	case VALUE_FLAG:
		json_put_word(w, "type", "boolean");
		return;
	case VALUE_WHOLE:
		json_put_word(w, "type", "integer");
		json_put_number(w, "minimum", v->low);
		json_put_number(w, "maximum", v->high);
		return;
	case VALUE_NUMBER:
		json_put_word(w, "type", "number");
		return;
	case VALUE_POSITIVE_OR:
		put_either(w, "number", NULL, v->of);
		return;
	case VALUE_SINGLE:
		put_single(w);
		return;
	case VALUE_LIST:
		put_list(w, v);
		return;
	case VALUE_MAP:
		put_map(w, v);
		return;
	case VALUE_OBJECT:
		put_reference(w, language_object_name(v->object));
		return;
	case VALUE_OBJECT_OR:
		put_either(w, "object", language_object_name(v->object), v->of);
		return;
	case VALUE_FILTER:
		put_filter(w, v);
		return;
	case VALUE_DOCUMENT:
		json_put_word(w, "type", "object");
		return;
	case VALUE_ANYTHING:
		return;
	}
}

/* ------------------------------------------- what several keys say together */

static void put_required(struct json_writer *w, const char *key)
{
	json_key(w, "required");
	json_begin_array(w);
	json_word(w, key);
	json_end(w);
}

static void put_if_mask(struct json_writer *w, enum mask_kind kind)
{
	json_key(w, "if");
	json_begin_object(w);
	json_key(w, "properties");
	json_begin_object(w);
	json_key(w, "mask");
	json_begin_object(w);
	json_put_word(w, "const", language_mask_name(kind));
	json_end(w);
	json_end(w);
	put_required(w, "mask");
	json_end(w);
}

/* if: {mask: NAME}, then: nothing but what it takes, and what it needs */
static void put_mask_rule(struct json_writer *w, enum mask_kind kind)
{
	const struct language_key *key;

	json_begin_object(w);
	put_if_mask(w, kind);
	json_key(w, "then");
	json_begin_object(w);
	json_key(w, "properties");
	json_begin_object(w);
	for (size_t i = 0; (key = language_key(LANGUAGE_OBJECT_MASK, i)); i++) {
		struct bytes name = bytes_str(key->name);

		if (!bytes_equal_str(name, "mask") &&
			!language_among(language_mask_takes(kind), name))
			json_put_flag(w, key->name, false);
	}
	if (kind == MASK_ROUND || kind == MASK_TRUNCATE) {
		json_key(w, "to");
		json_begin_object(w);
		put_value(w, kind == MASK_ROUND ? LANGUAGE_NUMBER : LANGUAGE_UNIT);
		json_end(w);
	}
	json_end(w);
	if (*language_mask_needs(kind))
		put_required(w, language_mask_needs(kind));
	json_end(w);
	json_end(w);
}

static void put_mask_rules(struct json_writer *w)
{
	json_key(w, "allOf");
	json_begin_array(w);
	for (int kind = 0; kind < MASK_COUNT; kind++)
		put_mask_rule(w, (enum mask_kind)kind);
	json_end(w);
}

static void put_dependency(struct json_writer *w, const char *key, const char *other)
{
	json_key(w, key);
	json_begin_array(w);
	json_word(w, other);
	json_end(w);
}

/* What stands beside a mask means nothing without it. */
static void put_mask_dependencies(struct json_writer *w)
{
	const struct language_key *key;

	json_key(w, "dependentRequired");
	json_begin_object(w);
	for (size_t i = 0; (key = language_key(LANGUAGE_OBJECT_MASK, i)); i++)
		if (strcmp(key->name, "mask") != 0)
			put_dependency(w, key->name, "mask");
	json_end(w);
}

static void put_form(struct json_writer *w, const char *needed, const char *other,
	const char *unwanted, const char *unwanted_too)
{
	json_begin_object(w);
	json_key(w, "required");
	json_begin_array(w);
	json_word(w, needed);
	json_word(w, other);
	json_end(w);
	json_key(w, "properties");
	json_begin_object(w);
	json_put_flag(w, unwanted, false);
	json_put_flag(w, unwanted_too, false);
	json_end(w);
	json_end(w);
}

static void put_rules(struct json_writer *w, enum language_object object)
{
	if (object == LANGUAGE_OBJECT_MASK || object == LANGUAGE_OBJECT_VIEW_FIELD)
		put_mask_rules(w);
	if (object == LANGUAGE_OBJECT_VIEW_FIELD)
		put_mask_dependencies(w);
	if (object == LANGUAGE_OBJECT_FIELD) {
		json_key(w, "dependentRequired");
		json_begin_object(w);
		put_dependency(w, "encrypt", "type");
		json_end(w);
	}
	if (object == LANGUAGE_OBJECT_LIMITS)
		json_put_number(w, "minProperties", 1);
	if (object == LANGUAGE_OBJECT_TEST) {
		json_key(w, "oneOf");
		json_begin_array(w);
		put_form(w, "row", "document", "sees", "command");
		put_form(w, "sees", "document", "row", "command");
		put_form(w, "command", "expect", "row", "sees");
		json_end(w);
	}
}

static void put_needed(struct json_writer *w, enum language_object object)
{
	const struct language_key *key;
	bool any = false;

	for (size_t i = 0; (key = language_key(object, i)); i++)
		any |= key->needed;
	if (!any)
		return;
	json_key(w, "required");
	json_begin_array(w);
	for (size_t i = 0; (key = language_key(object, i)); i++)
		if (key->needed)
			json_word(w, key->name);
	json_end(w);
}

static void put_object(struct json_writer *w, enum language_object object)
{
	const struct language_key *key;

	json_key(w, language_object_name(object));
	json_begin_object(w);
	json_put_word(w, "description", language_object_about(object));
	json_put_word(w, "type", "object");
	json_key(w, "properties");
	json_begin_object(w);
	for (size_t i = 0; (key = language_key(object, i)); i++) {
		json_key(w, key->name);
		json_begin_object(w);
		json_put_word(w, "description", key->about);
		put_value(w, key->value);
		json_end(w);
	}
	json_end(w);
	put_needed(w, object);
	json_put_flag(w, "additionalProperties", false);
	put_rules(w, object);
	json_end(w);
}

/* --------------------------------------------------------- filters, as match.h has them */

static void put_filter_list(struct json_writer *w, const char *name)
{
	json_key(w, name);
	json_begin_object(w);
	json_put_word(w, "type", "array");
	json_key(w, "items");
	json_begin_object(w);
	put_reference(w, FILTER);
	json_end(w);
	json_end(w);
}

/* {filter: {$and, $or, $nor, path: value or {$operator: …}}} */
static void put_filter_object(struct json_writer *w)
{
	json_key(w, FILTER);
	json_begin_object(w);
	json_put_word(w, "description", "Documents that fit all of this");
	json_put_word(w, "type", "object");
	json_key(w, "properties");
	json_begin_object(w);
	put_filter_list(w, "$and");
	put_filter_list(w, "$or");
	put_filter_list(w, "$nor");
	json_end(w);
	json_key(w, "patternProperties");
	json_begin_object(w);
	json_key(w, LANGUAGE_PATH_PATTERN);
	json_begin_object(w);
	json_key(w, "if");
	json_begin_object(w);
	json_put_word(w, "type", "object");
	json_end(w);
	json_key(w, "then");
	json_begin_object(w);
	put_reference(w, "operators");
	json_end(w);
	json_key(w, "else");
	json_begin_object(w);
	put_single(w);
	json_end(w);
	json_end(w);
	json_end(w);
	json_put_flag(w, "additionalProperties", false);
	json_end(w);
}

/* A list of single values, or a text that stands for one. */
static void put_operator_list(struct json_writer *w, const char *name)
{
	json_key(w, name);
	json_begin_object(w);
	json_key(w, "if");
	json_begin_object(w);
	json_put_word(w, "type", "array");
	json_end(w);
	json_key(w, "then");
	json_begin_object(w);
	json_key(w, "items");
	json_begin_object(w);
	put_single(w);
	json_end(w);
	json_end(w);
	json_key(w, "else");
	json_begin_object(w);
	json_put_word(w, "type", "string");
	json_put_word(w, "pattern", "^\\$\\{.*\\}$");
	json_end(w);
	json_end(w);
}

static void put_operators(struct json_writer *w)
{
	static const char *const single[] = {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"};

	json_key(w, "operators");
	json_begin_object(w);
	json_put_word(w, "type", "object");
	json_key(w, "properties");
	json_begin_object(w);
	for (size_t i = 0; i < COUNT_OF(single); i++) {
		json_key(w, single[i]);
		json_begin_object(w);
		put_single(w);
		json_end(w);
	}
	put_operator_list(w, "$in");
	put_operator_list(w, "$nin");
	json_key(w, "$exists");
	json_begin_object(w);
	json_end(w);
	json_key(w, "$not");
	json_begin_object(w);
	put_reference(w, "operators");
	json_end(w);
	json_end(w);
	json_put_flag(w, "additionalProperties", false);
	json_put_number(w, "minProperties", 1);
	json_end(w);
}

void policy_put_schema(struct json_writer *w)
{
	json_begin_object(w);
	json_put_word(w, "$schema", DRAFT);
	json_put_word(w, "title", "A file of a mongoward policy");
	put_reference(w, language_object_name(LANGUAGE_OBJECT_FILE));
	json_key(w, "$defs");
	json_begin_object(w);
	for (int i = 0; i < LANGUAGE_OBJECT_COUNT; i++)
		put_object(w, (enum language_object)i);
	put_filter_object(w);
	put_operators(w);
	json_end(w);
	json_end(w);
}
