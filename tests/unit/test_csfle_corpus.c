/* The published test vectors of client-side encryption: tests/data/csfle. */
#include "keys_fixture.h"

#include <stdlib.h>

#include <bson/bson.h>
#include <sodium.h>

#include "keys/aead.h"
#include "keys/cipher.h"
#include "keys/key_document.h"
#include "keys/secrets.h"
#include "util/file.h"

#define LOCAL_VALUES        142 /* that may be encrypted */
#define LOCAL_DETERMINISTIC 53  /* of these */

static void read_data(const char *name, struct buf *out)
{
	const char *srcdir = getenv("srcdir");
	char path[512];

	buf_init(out, 1 << 20);
	snprintf(path, sizeof(path), "%s/tests/data/csfle/%s", srcdir ? srcdir : ".", name);
	if (!file_read(path, out))
		fail_msg("%s cannot be read", path);
}

static bson_t *read_json(const char *name)
{
	bson_error_t error;
	struct buf json;
	bson_t *doc;

	read_data(name, &json);
	doc = bson_new_from_json(json.at, (ssize_t)json.len, &error);
	if (!doc)
		fail_msg("%s: %s", name, error.message);
	buf_fini(&json);
	return doc;
}

static struct master *read_master(void)
{
	uint8_t bytes[MASTER_LEN];
	struct buf text;
	struct fault why;
	struct master *m;
	size_t len;

	read_data("local-master-key.txt", &text);
	assert_int_equal(sodium_base642bin(bytes, sizeof(bytes), (const char *)text.at, text.len,
				 "\n", &len, NULL, sodium_base64_VARIANT_ORIGINAL),
		0);
	assert_int_equal(len, MASTER_LEN);
	m = master_new(bytes, false, &why);
	assert_non_null(m);
	buf_fini(&text);
	return m;
}

static struct bytes binary_in(const bson_t *doc, const char *name)
{
	const uint8_t *content;
	bson_iter_t it;
	uint32_t len;

	assert_true(bson_iter_init_find(&it, doc, name) && BSON_ITER_HOLDS_BINARY(&it));
	bson_iter_binary(&it, NULL, &len, &content);
	return bytes_of(content, len);
}

/* Unwraps the published key, which is nobody's field, and names it as one of ours. */
static void relabel(const struct master *m, const bson_t *published, struct buf *out)
{
	struct bytes wrapped = binary_in(published, "keyMaterial");
	uint8_t room[KEY_WRAPPED_LEN];
	struct aead_secrets secrets;
	struct wrapping *w;
	struct bytes key;
	struct aead aead;
	struct fault why;
	bool locked;

	assert_int_equal(wrapped.len, KEY_WRAPPED_LEN);
	aead_init(&aead, master_key_encryption_key(m), &secrets);
	assert_true(aead_open(&aead, bytes_of(NULL, 0), wrapped, room, &key));
	aead_fini(&aead);
	assert_int_equal(key.len, AEAD_KEY_LEN);
	w = wrapping_new(m, false, &locked, &why);
	assert_non_null(w);
	key_document_put(w, binary_in(published, "_id").at, key.at, bytes_str("db.coll"),
		bytes_str("value"), 0, out);
	wrapping_free(w);
}

static struct keyring *read_keyring(void)
{
	struct master *m = read_master();
	struct keyring *k = fixture_keyring(m);
	bson_t *published = read_json("corpus-key-local.json");
	struct buf document;
	struct fault why;

	assert_int_equal(keyring_add(k, bytes_of(bson_get_data(published), published->len), &why),
		KEY_FOREIGN);
	buf_init(&document, 4096);
	relabel(m, published, &document);
	assert_int_equal(keyring_add(k, buf_bytes(&document), &why), KEY_ADDED);
	buf_fini(&document);
	bson_destroy(published);
	master_free(m);
	return k;
}

static bool has_text(const bson_t *entry, const char *name, const char *expected)
{
	bson_iter_t it;

	return bson_iter_init_find(&it, entry, name) && BSON_ITER_HOLDS_UTF8(&it) &&
	       strcmp(bson_iter_utf8(&it, NULL), expected) == 0;
}

/* The bytes of the field "value": a document of nothing else is length, type and empty name
 * before it and a NUL behind. */
static struct bytes value_bytes(const bson_t *entry, bson_t *alone, uint8_t *type)
{
	bson_iter_t it;

	assert_true(bson_iter_init_find(&it, entry, "value"));
	*type = (uint8_t)bson_iter_type(&it);
	bson_reinit(alone);
	assert_true(bson_append_iter(alone, "", 0, &it));
	return bytes_of(bson_get_data(alone) + 6, alone->len - 7);
}

static void check_entry(
	struct cipher *cipher, const bson_t *plain, const bson_t *encrypted, bool deterministic)
{
	struct bytes content = binary_in(encrypted, "value"), value;
	bson_t alone = BSON_INITIALIZER;
	struct opened opened;
	struct buf sealed;
	struct fault why;
	uint8_t type;

	value = value_bytes(plain, &alone, &type);
	assert_int_equal(cipher_open(cipher, content, &opened), OPENED);
	assert_int_equal(opened.algorithm, deterministic ? SEAL_DETERMINISTIC : SEAL_RANDOM);
	assert_int_equal(opened.type, type);
	assert_true(bytes_equal(opened.value, value));
	buf_init(&sealed, 4096);
	assert_true(cipher_seal(cipher, 0, opened.algorithm, type, value, &sealed, &why));
	assert_int_equal(sealed.len, content.len);
	assert_int_equal(bytes_equal(buf_bytes(&sealed), content), deterministic);
	buf_fini(&sealed);
	bson_destroy(&alone);
}

/* What the corpus says cannot be encrypted is refused here, too. */
static void check_refused(struct cipher *cipher, const bson_t *plain, bool deterministic)
{
	enum seal_algorithm algorithm = deterministic ? SEAL_DETERMINISTIC : SEAL_RANDOM;
	bson_t alone = BSON_INITIALIZER;
	struct bytes value;
	struct buf sealed;
	struct fault why;
	uint8_t type;

	value = value_bytes(plain, &alone, &type);
	buf_init(&sealed, 4096);
	assert_false(cipher_seal(cipher, 0, algorithm, type, value, &sealed, &why));
	buf_fini(&sealed);
	bson_destroy(&alone);
}

static void as_document(const bson_iter_t *it, bson_t *doc)
{
	const uint8_t *at;
	uint32_t len;

	bson_iter_document(it, &len, &at);
	assert_true(bson_init_static(doc, at, len));
}

static void test_corpus(void **state)
{
	bson_t *corpus = read_json("corpus.json"), *encrypted = read_json("corpus-encrypted.json");
	struct keyring *k = read_keyring();
	struct cipher *cipher = cipher_new(k);
	size_t values = 0, deterministic = 0;
	bson_iter_t it, other;

	(void)state;
	assert_true(bson_iter_init(&it, corpus));
	while (bson_iter_next(&it)) {
		bson_t plain, sealed;
		bool is_deterministic;

		if (!BSON_ITER_HOLDS_DOCUMENT(&it))
			continue;
		as_document(&it, &plain);
		if (!has_text(&plain, "kms", "local"))
			continue;
		is_deterministic = has_text(&plain, "algo", "det");
		if (!bson_iter_init_find(&other, &plain, "allowed") || !bson_iter_bool(&other)) {
			check_refused(cipher, &plain, is_deterministic);
			continue;
		}
		assert_true(bson_iter_init_find(&other, encrypted, bson_iter_key(&it)));
		as_document(&other, &sealed);
		check_entry(cipher, &plain, &sealed, is_deterministic);
		values++;
		deterministic += is_deterministic;
	}
	assert_int_equal(values, LOCAL_VALUES);
	assert_int_equal(deterministic, LOCAL_DETERMINISTIC);
	cipher_free(cipher);
	keyring_unref(k);
	bson_destroy(corpus);
	bson_destroy(encrypted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
