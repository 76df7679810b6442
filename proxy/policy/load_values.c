#include "policy/loader.h"

#include <math.h>

#include <sodium.h>

#include "util/utf8.h"

bool load_is_mapping(struct loader *l, const struct yaml_node *node)
{
	return node->kind == YAML_MAPPING ||
	       complain(l->complaints, node->at, "write it as `key: value`",
		       "a mapping is expected");
}

bool load_is_sequence(struct loader *l, const struct yaml_node *node)
{
	return node->kind == YAML_SEQUENCE ||
	       complain(l->complaints, node->at, "write it as `[a, b]`", "a list is expected");
}

bool load_is_text(struct loader *l, const struct yaml_node *node)
{
	return (node->kind == YAML_SCALAR && node->text.len) ||
	       complain(l->complaints, node->at, NULL, "a text is expected");
}

bool load_bool(struct loader *l, const struct yaml_node *node, bool *value)
{
	return yaml_bool(node, value) ||
	       complain(l->complaints, node->at, NULL, "true or false is expected");
}

bool load_int(
	struct loader *l, const struct yaml_node *node, int64_t low, int64_t high, int64_t *value)
{
	if (yaml_int(node, value) && *value >= low && *value <= high)
		return true;
	return complain(l->complaints, node->at, NULL,
		"a whole number from %lld to %lld is expected", (long long)low, (long long)high);
}

struct bytes load_copy(struct loader *l, struct bytes text)
{
	return arena_copy(&l->policy->arena, text);
}

bool load_word(const struct yaml_node *node, enum word_list list, int *value)
{
	return node->kind == YAML_SCALAR && language_means(list, node->text, value);
}

static bool complain_of_key(
	struct loader *l, const struct yaml_node *child, enum language_object object)
{
	const char *key = (const char *)child->key.at;
	struct buf known;

	if (language_has_later(object, child->key))
		return complain(l->complaints, child->key_at, "leave it out",
			"'%s' is not supported by this version", key);
	buf_init(&known, 4096);
	language_put_keys(object, &known);
	complain(l->complaints, child->key_at, NULL, "unknown key '%s'; known here: %.*s", key,
		BYTES_ARG(buf_bytes(&known)));
	buf_fini(&known);
	return false;
}

bool load_check_keys(struct loader *l, const struct yaml_node *mapping, enum language_object object)
{
	bool fine = true;

	for (size_t i = 0; i < mapping->count; i++) {
		const struct yaml_node *child = &mapping->children[i];

		if (!language_has_key(object, child->key))
			fine = complain_of_key(l, child, object);
	}
	return fine;
}

int load_class(struct loader *l, const struct yaml_node *node, struct bytes name)
{
	for (size_t i = 0; i < l->policy->nclasses; i++)
		if (bytes_equal(l->policy->classes[i], name))
			return (int)i;
	complain(l->complaints, node->at, "add it under `classes:`", "there is no class '%.*s'",
		BYTES_ARG(name));
	return -1;
}

bool load_path(struct loader *l, struct place at, struct bytes text, struct bytes *path)
{
	struct fault unwanted;

	if (!path_normalise(&l->scratch, text, path, &unwanted) || path->len != text.len)
		return complain(l->complaints, at, "write it as `a.b.c`, without array indexes",
			"'%.*s' is not a field path", BYTES_ARG(text));
	if (bytes_equal_str(text, "__mw") || bytes_start_with(text, bytes_str("__mw.")))
		return complain(l->complaints, at, "name another field", "__mw is reserved");
	*path = load_copy(l, text);
	return true;
}

bool is_system_db(struct bytes db)
{
	return bytes_equal_str(db, "admin") || bytes_equal_str(db, "local") ||
	       bytes_equal_str(db, "config") || bytes_equal_str(db, "$external");
}

bool load_namespace(
	struct loader *l, struct place at, struct bytes text, struct bytes *db, struct bytes *name)
{
	const uint8_t *dot = memchr(text.at, '.', text.len);

	if (!dot || dot == text.at || (size_t)(dot - text.at) + 1 == text.len ||
		text.len > COMMAND_NS_MAX)
		return complain(l->complaints, at, "write it as `db.collection`",
			"'%.*s' is not a namespace", BYTES_ARG(text));
	*db = bytes_of(text.at, (size_t)(dot - text.at));
	*name = bytes_from(text, db->len + 1);
	if (is_system_db(*db))
		return complain(
			l->complaints, at, NULL, "'%.*s' is a system database", BYTES_ARG(*db));
	return true;
}

bool load_type(struct loader *l, const struct yaml_node *node, uint8_t *type)
{
	int value;

	*type = 0;
	if (!node)
		return true;
	if (!load_word(node, WORDS_TYPE, &value))
		return complain(l->complaints, node->at,
			"string, int, long, double, decimal, bool, date, objectId or binData",
			"unknown type");
	*type = (uint8_t)value;
	return true;
}

static void put_scalar(struct buf *out, const struct yaml_node *node, struct bytes name)
{
	int64_t i;
	double d;
	bool b;

	if (node->kind == YAML_NULL)
		doc_put_null(out, name);
	else if (yaml_bool(node, &b))
		doc_put_bool(out, name, b);
	else if (yaml_int(node, &i) && i >= INT32_MIN && i <= INT32_MAX)
		doc_put_int32(out, name, (int32_t)i);
	else if (yaml_int(node, &i))
		doc_put_int64(out, name, i);
	else if (yaml_double(node, &d))
		doc_put_double(out, name, d);
	else
		doc_put_string(out, name, node->text);
}

static void put_node(struct buf *out, const struct yaml_node *node, struct bytes name)
{
	size_t begun;

	if (node->kind != YAML_MAPPING && node->kind != YAML_SEQUENCE) {
		put_scalar(out, node, name);
		return;
	}
	begun = (node->kind == YAML_MAPPING ? doc_put_document : doc_put_array)(out, name);
	for (size_t i = 0; i < node->count; i++) {
		char index[DOC_INDEX_MAX];

		put_node(out, &node->children[i],
			node->kind == YAML_MAPPING ? node->children[i].key
						   : doc_index_name(i, index));
	}
	doc_end(out, begun);
}

bool load_document(struct loader *l, const struct yaml_node *node, struct bytes *document)
{
	struct buf out;
	size_t begun;

	if (!load_is_mapping(l, node))
		return false;
	buf_init(&out, DOC_MAX_LEN);
	begun = doc_begin(&out);
	for (size_t i = 0; i < node->count; i++)
		put_node(&out, &node->children[i], node->children[i].key);
	doc_end(&out, begun);
	if (!out.failed)
		*document = load_copy(l, buf_bytes(&out));
	else
		complain(l->complaints, node->at, NULL, "the document is too large");
	buf_fini(&out);
	return document->len != 0;
}

static void print_node(crypto_generichash_state *hash, const struct yaml_node *node)
{
	uint8_t head[10] = {(uint8_t)node->kind, node->quoted};

	store_u32(head + 2, (uint32_t)node->key.len);
	store_u32(head + 6, (uint32_t)(node->text.len + node->count));
	crypto_generichash_update(hash, head, sizeof(head));
	crypto_generichash_update(hash, node->key.at, node->key.len);
	crypto_generichash_update(hash, node->text.at, node->text.len);
	for (size_t i = 0; i < node->count; i++)
		print_node(hash, &node->children[i]);
}

void load_print(const struct yaml_node *node, uint8_t print[16])
{
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, NULL, 0, 16);
	print_node(&hash, node);
	crypto_generichash_final(&hash, print, 16);
}

void load_mode(struct loader *l, const struct yaml_node *mapping, bool *observed)
{
	const struct yaml_node *mode = yaml_get(mapping, "mode");
	int value;

	if (!mode)
		return;
	if (!load_word(mode, WORDS_MODE, &value))
		complain(l->complaints, mode->at, "enforce or observe", "unknown mode");
	else if (*observed && !value)
		complain(l->complaints, mode->at, "take `mode: observe` from the role",
			"a grant of an observed role cannot be enforced");
	else
		*observed = value;
}
