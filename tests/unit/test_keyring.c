#include "keys_fixture.h"

#include <stdlib.h>

#include <bson/bson.h>
#include <sodium.h>

#include "keys/key_document.h"
#include "keys/secrets.h"
#include "util/memory.h"

#define NS    "db.coll"
#define PATH  "a.b"
#define LABEL "mongoward:" NS ":" PATH

struct made {
	struct master *master;
	struct buf document; /* of NS and PATH */
	struct buf another;  /* of another field */
};

static int make(void **state)
{
	struct made *made = memory_new(sizeof(*made));

	made->master = fixture_master(0);
	buf_init(&made->document, 4096);
	buf_init(&made->another, 4096);
	fixture_document(made->master, NS, PATH, &made->document);
	fixture_document(made->master, NS, "another", &made->another);
	*state = made;
	return 0;
}

static int unmake(void **state)
{
	struct made *made = *state;

	master_free(made->master);
	buf_fini(&made->document);
	buf_fini(&made->another);
	free(made);
	return 0;
}

static void view(bson_t *doc, const struct buf *document)
{
	assert_true(bson_init_static(doc, document->at, document->len));
}

/* The MAC's name, from the document. */
static const char *mac_of(const struct buf *document)
{
	bson_iter_t it, name;
	bson_t doc;

	view(&doc, document);
	assert_true(bson_iter_init(&it, &doc));
	assert_true(bson_iter_find_descendant(&it, "keyAltNames.1", &name));
	return bson_iter_utf8(&name, NULL);
}

/* `json` with the MAC's name for each '@' and its label for each '#'. */
static bson_t *fill_in(const char *json, const struct buf *document)
{
	struct buf filled;
	bson_error_t error;
	bson_t *doc;

	buf_init(&filled, 4096);
	for (; *json; json++) {
		if (*json == '@')
			buf_put_str(&filled, mac_of(document));
		else if (*json == '#')
			buf_put_str(&filled, LABEL);
		else
			buf_put_u8(&filled, (uint8_t)*json);
	}
	doc = bson_new_from_json(filled.at, (ssize_t)filled.len, &error);
	if (!doc)
		fail_msg("%.*s: %s", BYTES_ARG(buf_bytes(&filled)), error.message);
	buf_fini(&filled);
	return doc;
}

/* The document without `field` and with the fields of `json` behind. */
static bson_t *change(const struct buf *document, const char *field, const char *json)
{
	bson_t whole, *changed = bson_new(), *added = fill_in(json, document);

	view(&whole, document);
	bson_copy_to_excluding_noinit(&whole, changed, field, NULL);
	assert_true(bson_concat(changed, added));
	bson_destroy(added);
	return changed;
}

static enum keyring_added add(const struct master *m, struct bytes document)
{
	struct keyring *k = fixture_keyring(m);
	struct fault why = {.code = FAULT_NONE};
	enum keyring_added added = keyring_add(k, document, &why);

	assert_int_equal(keyring_count(k), added == KEY_ADDED);
	assert_int_equal(why.code, added == KEY_BAD ? FAULT_KEYS : FAULT_NONE);
	keyring_unref(k);
	return added;
}

#define UUID   "{\"$binary\": {\"base64\": \"AAAAAAAAAAAAAAAAAAAAAA==\", \"subType\": \"04\"}}"
#define ID_0   "{\"$binary\": {\"base64\": \"AAAAAAAAAAAAAAAAAAAAAA==\", \"subType\": \"00\"}}"
#define ID_15  "{\"$binary\": {\"base64\": \"AAAAAAAAAAAAAAAAAAAA\", \"subType\": \"04\"}}"
#define BYTES  "{\"$binary\": {\"base64\": \"AAAA\", \"subType\": \"00\"}}"
#define NAMES  "{\"keyAltNames\": "
#define MASTER "{\"masterKey\": "

static const struct {
	const char *name;
	const char *field; /* left out */
	const char *json;  /* put in */
	enum keyring_added expected;
} changes[] = {
	{"nothing changed", "-", "{}", KEY_ADDED},
	{"the other order", "keyAltNames", NAMES "[\"@\", \"#\"]}", KEY_ADDED},
	{"further names", "keyAltNames", NAMES "[\"x\", \"@\", \"mongoward\", \"#\"]}", KEY_ADDED},
	{"version 0", "-", "{\"version\": 0}", KEY_ADDED},
	{"version 1", "-", "{\"version\": 1}", KEY_BAD},
	{"version as text", "-", "{\"version\": \"0\"}", KEY_BAD},
	{"another status", "status", "{\"status\": 1}", KEY_ADDED},
	{"status as text", "status", "{\"status\": \"0\"}", KEY_BAD},
	{"no status", "status", "{}", KEY_BAD},
	{"two statuses", "-", "{\"status\": 1}", KEY_BAD},
	{"another date", "updateDate", "{\"updateDate\": {\"$date\": 5}}", KEY_ADDED},
	{"a date as number", "updateDate", "{\"updateDate\": 5}", KEY_BAD},
	{"no updateDate", "updateDate", "{}", KEY_BAD},
	{"no creationDate", "creationDate", "{}", KEY_BAD},
	{"a further field", "-", "{\"x\": 1}", KEY_BAD},
	{"no names", "keyAltNames", "{}", KEY_FOREIGN},
	{"an empty list of names", "keyAltNames", NAMES "[]}", KEY_FOREIGN},
	{"other names", "keyAltNames", NAMES "[\"x\", \"mongoward\"]}", KEY_FOREIGN},
	{"numbers as names", "keyAltNames", NAMES "[1]}", KEY_FOREIGN},
	{"a name that is no list", "keyAltNames", NAMES "\"#\"}", KEY_FOREIGN},
	{"label alone", "keyAltNames", NAMES "[\"#\"]}", KEY_BAD},
	{"MAC alone", "keyAltNames", NAMES "[\"@\"]}", KEY_BAD},
	{"label twice", "keyAltNames", NAMES "[\"#\", \"#\", \"@\"]}", KEY_BAD},
	{"MAC twice", "keyAltNames", NAMES "[\"#\", \"@\", \"@\"]}", KEY_BAD},
	{"two labels", "keyAltNames", NAMES "[\"#\", \"mongoward:db.coll:c\", \"@\"]}", KEY_BAD},
	{"a number too", "keyAltNames", NAMES "[\"#\", \"@\", 1]}", KEY_BAD},
	{"two lists of names", "-", NAMES "[\"x\"]}", KEY_BAD},
	{"another path", "keyAltNames", NAMES "[\"mongoward:db.coll:a.c\", \"@\"]}", KEY_BAD},
	{"another namespace", "keyAltNames", NAMES "[\"mongoward:db.call:a.b\", \"@\"]}", KEY_BAD},
	{"no path", "keyAltNames", NAMES "[\"mongoward:db.coll:\", \"@\"]}", KEY_BAD},
	{"no colon", "keyAltNames", NAMES "[\"mongoward:db.coll\", \"@\"]}", KEY_BAD},
	{"no namespace", "keyAltNames", NAMES "[\"mongoward::a.b\", \"@\"]}", KEY_BAD},
	{"an empty label", "keyAltNames", NAMES "[\"mongoward:\", \"@\"]}", KEY_BAD},
	{"a NUL in the path", "keyAltNames", NAMES "[\"mongoward:db.coll:a.b\\u0000\", \"@\"]}",
		KEY_BAD},
	{"a longer MAC", "keyAltNames", NAMES "[\"#\", \"@0\"]}", KEY_BAD},
	{"an empty MAC", "keyAltNames", NAMES "[\"#\", \"mongoward-mac:1:\"]}", KEY_BAD},
	{"a MAC of another kind", "keyAltNames", NAMES "[\"#\", \"mongoward-mac:2:\"]}", KEY_BAD},
	{"no _id", "_id", "{}", KEY_BAD},
	{"another _id", "_id", "{\"_id\": " UUID "}", KEY_BAD},
	{"two _ids", "-", "{\"_id\": " UUID "}", KEY_BAD},
	{"an _id that is no UUID", "_id", "{\"_id\": " ID_0 "}", KEY_BAD},
	{"an _id of 15 bytes", "_id", "{\"_id\": " ID_15 "}", KEY_BAD},
	{"an _id that is text", "_id", "{\"_id\": \"x\"}", KEY_BAD},
	{"no masterKey", "masterKey", "{}", KEY_BAD},
	{"an empty masterKey", "masterKey", MASTER "{}}", KEY_BAD},
	{"another provider", "masterKey", MASTER "{\"provider\": \"aws\"}}", KEY_BAD},
	{"a named provider", "masterKey", MASTER "{\"provider\": \"local:x\"}}", KEY_BAD},
	{"a numbered provider", "masterKey", MASTER "{\"provider\": 1}}", KEY_BAD},
	{"a provider of another name", "masterKey", MASTER "{\"x\": \"local\"}}", KEY_BAD},
	{"a provider and more", "masterKey", MASTER "{\"provider\": \"local\", \"x\": 1}}",
		KEY_BAD},
	{"no keyMaterial", "keyMaterial", "{}", KEY_BAD},
	{"keyMaterial cut short", "keyMaterial", "{\"keyMaterial\": " BYTES "}", KEY_BAD},
	{"keyMaterial as text", "keyMaterial", "{\"keyMaterial\": \"x\"}", KEY_BAD},
};

static void test_changes(void **state)
{
	struct made *made = *state;

	for (size_t i = 0; i < COUNT_OF(changes); i++) {
		bson_t *doc = change(&made->document, changes[i].field, changes[i].json);
		enum keyring_added added =
			add(made->master, bytes_of(bson_get_data(doc), doc->len));

		if (added != changes[i].expected)
			fail_msg("%s: %d", changes[i].name, added);
		bson_destroy(doc);
	}
}

/* The key of another field, and one of another kind of binary. */
static void test_exchanged_material(void **state)
{
	static const bson_subtype_t subtypes[] = {BSON_SUBTYPE_BINARY, BSON_SUBTYPE_UUID};
	struct made *made = *state;
	const struct buf *sources[] = {&made->another, &made->document};

	for (size_t i = 0; i < COUNT_OF(subtypes); i++) {
		bson_t *doc = change(&made->document, "keyMaterial", "{}");
		bson_t source;
		const uint8_t *material;
		bson_subtype_t subtype;
		bson_iter_t it;
		uint32_t len;

		view(&source, sources[i]);
		assert_true(bson_iter_init_find(&it, &source, "keyMaterial"));
		bson_iter_binary(&it, &subtype, &len, &material);
		assert_int_equal(len, KEY_WRAPPED_LEN);
		BSON_APPEND_BINARY(doc, "keyMaterial", subtypes[i], material, len);
		assert_int_equal(
			add(made->master, bytes_of(bson_get_data(doc), doc->len)), KEY_BAD);
		bson_destroy(doc);
	}
}

/* Whatever bit is changed, no key gets another name, another id or other bytes. */
static void test_every_bit(void **state)
{
	struct made *made = *state;
	struct bytes whole = buf_bytes(&made->document);
	struct keyring *k = fixture_keyring(made->master);
	uint8_t id[KEY_ID_LEN], secret[AEAD_KEY_LEN];
	struct fault why;

	assert_int_equal(keyring_add(k, whole, &why), KEY_ADDED);
	memcpy(id, keyring_id(k, 0), KEY_ID_LEN);
	memcpy(secret, keyring_secret(k, 0), AEAD_KEY_LEN);
	keyring_unref(k);
	k = fixture_keyring(made->master);
	for (size_t bit = 0; bit < whole.len * 8; bit++) {
		made->document.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (keyring_add(k, whole, &why) == KEY_ADDED) {
			assert_int_equal(keyring_find(k, bytes_str(NS), bytes_str(PATH)), 0);
			assert_memory_equal(keyring_id(k, 0), id, KEY_ID_LEN);
			assert_memory_equal(keyring_secret(k, 0), secret, AEAD_KEY_LEN);
			keyring_unref(k);
			k = fixture_keyring(made->master);
		}
		made->document.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	keyring_unref(k);
}

static void test_torn(void **state)
{
	struct made *made = *state;
	struct bytes whole = buf_bytes(&made->document);

	for (size_t len = 0; len < whole.len; len++)
		assert_int_equal(add(made->master, bytes_head(whole, len)), KEY_BAD);
	buf_put_u8(&made->document, 0);
	assert_int_equal(add(made->master, buf_bytes(&made->document)), KEY_BAD);
	made->document.len--;
}

static void test_other_master(void **state)
{
	struct made *made = *state;
	struct master *other = fixture_master(1);

	assert_int_equal(add(other, buf_bytes(&made->document)), KEY_BAD);
	master_free(other);
}

static void test_lookup(void **state)
{
	struct made *made = *state;
	struct keyring *k = fixture_keyring(made->master), *same = keyring_ref(k);
	uint8_t nobody[KEY_ID_LEN] = {0};
	char longest[KEY_PATH_MAX + 2];
	struct fault why;

	assert_int_equal(keyring_find(k, bytes_str(NS), bytes_str(PATH)), KEY_NONE);
	assert_int_equal(keyring_add(k, buf_bytes(&made->document), &why), KEY_ADDED);
	assert_int_equal(keyring_add(k, buf_bytes(&made->another), &why), KEY_ADDED);
	keyring_unref(same);
	assert_int_equal(keyring_count(k), 2);
	assert_int_equal(keyring_find(k, bytes_str(NS), bytes_str(PATH)), 0);
	assert_int_equal(keyring_find(k, bytes_str(NS), bytes_str("another")), 1);
	assert_int_equal(keyring_find(k, bytes_str(NS), bytes_str("a")), KEY_NONE);
	assert_int_equal(keyring_find(k, bytes_str("db"), bytes_str("coll")), KEY_NONE);
	assert_int_equal(keyring_find(k, bytes_str(""), bytes_str("")), KEY_NONE);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(
		keyring_find(k, bytes_str(NS), bytes_of(longest, sizeof(longest))), KEY_NONE);
	assert_int_equal(
		keyring_find(k, bytes_of(longest, sizeof(longest)), bytes_str(PATH)), KEY_NONE);
	assert_int_equal(keyring_find_id(k, keyring_id(k, 1)), 1);
	assert_int_equal(keyring_find_id(k, nobody), KEY_NONE);
	assert_true(bytes_equal_str(keyring_ns(k, 0), NS));
	assert_true(bytes_equal_str(keyring_path(k, 1), "another"));
	keyring_unref(k);
	keyring_unref(NULL);
}

static void test_duplicates(void **state)
{
	struct made *made = *state;
	struct keyring *k = fixture_keyring(made->master);
	uint8_t key[AEAD_KEY_LEN] = {0};
	struct wrapping *w;
	struct buf second;
	struct fault why;
	bool locked;

	assert_int_equal(keyring_add(k, buf_bytes(&made->document), &why), KEY_ADDED);
	assert_int_equal(keyring_add(k, buf_bytes(&made->document), &why), KEY_BAD);
	buf_init(&second, 4096);
	fixture_document(made->master, NS, PATH, &second);
	assert_int_equal(keyring_add(k, buf_bytes(&second), &why), KEY_BAD);
	buf_clear(&second);
	w = wrapping_new(made->master, false, &locked, &why);
	assert_non_null(w);
	key_document_put(w, keyring_id(k, 0), key, bytes_str(NS), bytes_str("c"), 0, &second);
	assert_int_equal(keyring_add(k, buf_bytes(&second), &why), KEY_BAD);
	assert_int_equal(add(made->master, buf_bytes(&second)), KEY_ADDED);
	assert_int_equal(keyring_count(k), 1);
	wrapping_free(w);
	buf_fini(&second);
	keyring_unref(k);
}

static void test_most_keys(void **state)
{
	struct made *made = *state;
	struct keyring *k = fixture_keyring_of(made->master, KEYRING_MAX);
	struct fault why;

	assert_int_equal(keyring_count(k), KEYRING_MAX);
	assert_int_equal(keyring_find(k, bytes_str(NS), bytes_str("field0")), 0);
	assert_int_equal(keyring_find(k, bytes_str(NS), bytes_str("field4095")), KEYRING_MAX - 1);
	for (int i = 0; i < KEYRING_MAX; i++)
		assert_false(sodium_is_zero(keyring_secret(k, i), AEAD_KEY_LEN));
	assert_int_equal(keyring_add(k, buf_bytes(&made->document), &why), KEY_BAD);
	assert_int_equal(keyring_count(k), KEYRING_MAX);
	keyring_unref(k);
}

/* Names that can have a key do get one, and it is read back. */
static bool can_be_named(const struct master *m, struct bytes ns, struct bytes path)
{
	struct fault why = {.code = FAULT_NONE};
	struct buf document;
	bool made;

	buf_init(&document, 4096);
	made = keyring_make_document(m, ns, path, 0, &document, &why);
	assert_int_equal(why.code, made ? FAULT_NONE : FAULT_KEYS);
	if (made)
		assert_int_equal(add(m, buf_bytes(&document)), KEY_ADDED);
	else
		assert_int_equal(document.len, 0);
	buf_fini(&document);
	return made;
}

static void test_names(void **state)
{
	static const struct {
		const char *ns;
		const char *path;
		bool accepted;
	} cases[] = {
		{"db.c", "a", true},
		{"db.c", "a:b", true},
		{"db.c", "é", true},
		{"db.c:d", "a", false},
		{"db.c", "", false},
		{"", "a", false},
		{"db.c", "\xe9", false},
		{"db.\xe9", "a", false},
	};
	struct made *made = *state;
	uint8_t text[KEY_PATH_MAX + 1];
	struct bytes ns = bytes_str(NS);

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(can_be_named(made->master, bytes_str(cases[i].ns),
					 bytes_str(cases[i].path)),
			cases[i].accepted);
	memset(text, 'x', sizeof(text));
	assert_true(can_be_named(made->master, bytes_of(text, KEY_NS_MAX), ns));
	assert_false(can_be_named(made->master, bytes_of(text, KEY_NS_MAX + 1), ns));
	assert_true(can_be_named(made->master, ns, bytes_of(text, KEY_PATH_MAX)));
	assert_false(can_be_named(made->master, ns, bytes_of(text, KEY_PATH_MAX + 1)));
	text[1] = 0;
	assert_false(can_be_named(made->master, bytes_of(text, 3), ns));
	assert_false(can_be_named(made->master, ns, bytes_of(text, 3)));
}

static void test_no_room(void **state)
{
	struct made *made = *state;
	struct buf small;
	struct fault why;

	buf_init(&small, made->document.len - 1);
	assert_false(keyring_make_document(
		made->master, bytes_str(NS), bytes_str(PATH), 0, &small, &why));
	assert_int_equal(why.code, FAULT_DOCUMENT_TOO_LARGE);
	buf_fini(&small);
	buf_init(&small, made->document.len);
	assert_true(keyring_make_document(
		made->master, bytes_str(NS), bytes_str(PATH), 0, &small, &why));
	buf_fini(&small);
}

/* What the drivers want of a key document, and a _id that is a random UUID. */
static void test_form(void **state)
{
	struct made *made = *state;
	bson_t doc, *other;
	bson_iter_t it;
	const uint8_t *id;
	bson_subtype_t subtype;
	uint32_t len;

	view(&doc, &made->document);
	assert_true(bson_iter_init_find(&it, &doc, "_id"));
	bson_iter_binary(&it, &subtype, &len, &id);
	assert_int_equal(id[6] >> 4, 4);
	assert_int_equal(id[8] >> 6, 2);
	other = bson_new_from_json((const uint8_t *)"{\"creationDate\": {\"$date\": 1700000000000},"
						    "\"updateDate\": {\"$date\": 1700000000000},"
						    "\"status\": 0,"
						    "\"masterKey\": {\"provider\": \"local\"}}",
		-1, NULL);
	assert_non_null(other);
	assert_true(bson_iter_init_find(&it, &doc, "creationDate"));
	assert_memory_equal(bson_get_data(&doc) + bson_iter_offset(&it), bson_get_data(other) + 4,
		other->len - 5);
	bson_destroy(other);
}

/* Made with Python's hashlib, from the header's words. */
static void test_mac(void **state)
{
	static const uint8_t id[] = "sixteen  letters";
	struct made *made = *state;
	uint8_t key[AEAD_KEY_LEN];
	struct wrapping *w;
	struct buf document;
	struct fault why;
	bool locked;

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	w = wrapping_new(made->master, false, &locked, &why);
	assert_non_null(w);
	buf_init(&document, 4096);
	key_document_put(w, id, key, bytes_str(NS), bytes_str(PATH), 0, &document);
	assert_string_equal(mac_of(&document),
		"mongoward-mac:1:"
		"c99917b9dea18dbcb8e8c5ac1606b2c5594d57bd6211a3fb858a7a8d9c6155f3");
	buf_fini(&document);
	wrapping_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, make, unmake),
		cmocka_unit_test_setup_teardown(test_exchanged_material, make, unmake),
		cmocka_unit_test_setup_teardown(test_every_bit, make, unmake),
		cmocka_unit_test_setup_teardown(test_torn, make, unmake),
		cmocka_unit_test_setup_teardown(test_other_master, make, unmake),
		cmocka_unit_test_setup_teardown(test_lookup, make, unmake),
		cmocka_unit_test_setup_teardown(test_duplicates, make, unmake),
		cmocka_unit_test_setup_teardown(test_most_keys, make, unmake),
		cmocka_unit_test_setup_teardown(test_names, make, unmake),
		cmocka_unit_test_setup_teardown(test_no_room, make, unmake),
		cmocka_unit_test_setup_teardown(test_form, make, unmake),
		cmocka_unit_test_setup_teardown(test_mac, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
