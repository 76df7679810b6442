#include "keys_fixture.h"

#include <stdlib.h>

#include <bson/bson.h>

#include "keys/aead.h"
#include "keys/cipher.h"
#include "keys/secrets.h"
#include "util/memory.h"

struct made {
	struct master *master;
	struct keyring *keyring; /* of three keys */
	struct cipher *cipher;
	struct buf sealed;
	struct fault why;
};

static int make(void **state)
{
	struct made *made = memory_new(sizeof(*made));

	made->master = fixture_master(0);
	made->keyring = fixture_keyring_of(made->master, 3);
	made->cipher = cipher_new(made->keyring);
	buf_init(&made->sealed, 1024);
	*state = made;
	return 0;
}

static int unmake(void **state)
{
	struct made *made = *state;

	buf_fini(&made->sealed);
	cipher_free(made->cipher);
	keyring_unref(made->keyring);
	master_free(made->master);
	free(made);
	return 0;
}

#define TEXT "\7\0\0\0secret\0"

static struct bytes text(void)
{
	return bytes_of(TEXT, sizeof(TEXT) - 1);
}

static void seal_text(struct made *made, int key, enum seal_algorithm algorithm)
{
	buf_clear(&made->sealed);
	assert_true(cipher_seal(
		made->cipher, key, algorithm, BSON_TYPE_UTF8, text(), &made->sealed, &made->why));
}

static enum cipher_opened opens_as(struct made *made, struct bytes content)
{
	struct opened opened;
	enum cipher_opened how = cipher_open(made->cipher, content, &opened);

	assert_int_equal(opened.key, cipher_key_of(made->keyring, content));
	assert_int_equal(opened.key == KEY_NONE, how == OPEN_FOREIGN);
	return how;
}

/* One value of each type; `random` and `deterministic` tell how it may be sealed. */
static const struct {
	const char *name;
	uint8_t type;
	const char *value;
	size_t len;
	bool random;
	bool deterministic;
} types[] = {
#define CASE(name, type, value, random, deterministic)                                  \
	{                                                                               \
		name, BSON_TYPE_##type, value, sizeof(value) - 1, random, deterministic \
	}
	CASE("double", DOUBLE, "12345678", true, false),
	CASE("string", UTF8, TEXT, true, true),
	CASE("empty string", UTF8, "\1\0\0\0\0", true, true),
	CASE("document", DOCUMENT, "\5\0\0\0\0", true, false),
	CASE("array", ARRAY, "\5\0\0\0\0", true, false),
	CASE("binary", BINARY, "\1\0\0\0\0x", true, true),
	CASE("UUID", BINARY, "\1\0\0\0\4x", true, true),
	CASE("ciphertext", BINARY, "\1\0\0\0\6x", false, false),
	CASE("undefined", UNDEFINED, "", false, false),
	CASE("object id", OID, "123456789012", true, true),
	CASE("bool", BOOL, "\1", true, false),
	CASE("date", DATE_TIME, "12345678", true, true),
	CASE("null", NULL, "", false, false),
	CASE("regex", REGEX, "a\0i\0", true, true),
	CASE("pointer", DBPOINTER,
		"\2\0\0\0a\0"
		"123456789012",
		true, true),
	CASE("code", CODE, "\2\0\0\0x\0", true, true),
	CASE("symbol", SYMBOL, "\2\0\0\0x\0", true, true),
	CASE("code with scope", CODEWSCOPE, "\x0f\0\0\0\2\0\0\0x\0\5\0\0\0\0", true, false),
	CASE("int32", INT32, "1234", true, true),
	CASE("timestamp", TIMESTAMP, "12345678", true, true),
	CASE("int64", INT64, "12345678", true, true),
	CASE("decimal", DECIMAL128, "1234567812345678", true, false),
	CASE("min key", MINKEY, "", false, false),
	CASE("max key", MAXKEY, "", false, false),
	CASE("type 0", EOD, "", false, false),
#undef CASE
};

static void check_opened(
	struct made *made, enum seal_algorithm algorithm, uint8_t type, struct bytes value)
{
	struct opened opened;

	assert_int_equal(made->sealed.len, cipher_sealed_len(value.len));
	assert_int_equal(cipher_open(made->cipher, buf_bytes(&made->sealed), &opened), OPENED);
	assert_int_equal(opened.key, 1);
	assert_int_equal(opened.algorithm, algorithm);
	assert_int_equal(opened.type, type);
	assert_true(bytes_equal(opened.value, value));
}

static void test_types(void **state)
{
	struct made *made = *state;

	for (size_t i = 0; i < 2 * COUNT_OF(types); i++) {
		enum seal_algorithm algorithm = i & 1 ? SEAL_RANDOM : SEAL_DETERMINISTIC;
		bool allowed = i & 1 ? types[i / 2].random : types[i / 2].deterministic;
		struct bytes value = bytes_of(types[i / 2].value, types[i / 2].len);
		bool sealed;

		buf_clear(&made->sealed);
		sealed = cipher_seal(made->cipher, 1, algorithm, types[i / 2].type, value,
			&made->sealed, &made->why);
		if (sealed != allowed)
			fail_msg("%s: %d", types[i / 2].name, sealed);
		if (sealed) {
			check_opened(made, algorithm, types[i / 2].type, value);
			assert_true(cipher_allows(algorithm, types[i / 2].type));
		} else {
			assert_int_equal(made->why.code, FAULT_SEALED_TYPE);
			assert_int_equal(made->sealed.len, 0);
		}
	}
}

/* What only another holder of the key could have sealed. */
static void seal_anything(
	struct made *made, uint8_t algorithm, uint8_t type, struct bytes value, uint8_t *content)
{
	static const uint8_t iv[AEAD_IV_LEN];
	struct aead_secrets secrets;
	struct aead aead;

	content[0] = algorithm;
	memcpy(content + 1, keyring_id(made->keyring, 1), KEY_ID_LEN);
	content[17] = type;
	aead_init(&aead, keyring_secret(made->keyring, 1), &secrets);
	aead_seal(&aead, bytes_of(content, SEALED_HEAD_LEN), iv, value, content + SEALED_HEAD_LEN);
	aead_fini(&aead);
}

static void test_types_when_opened(void **state)
{
	struct made *made = *state;
	uint8_t content[256];

	for (size_t i = 0; i < 2 * COUNT_OF(types); i++) {
		uint8_t algorithm = i & 1 ? SEAL_RANDOM : SEAL_DETERMINISTIC;
		bool allowed = i & 1 ? types[i / 2].random : types[i / 2].deterministic;
		struct bytes value = bytes_of(types[i / 2].value, types[i / 2].len);
		enum cipher_opened how;

		seal_anything(made, algorithm, types[i / 2].type, value, content);
		how = opens_as(made, bytes_of(content, cipher_sealed_len(value.len)));
		if (how != (allowed ? OPENED : OPEN_DAMAGED))
			fail_msg("%s: %d", types[i / 2].name, how);
	}
}

static void test_malformed(void **state)
{
	struct made *made = *state;
	struct bytes longer = bytes_of(TEXT, sizeof(TEXT)), shorter = bytes_head(text(), 10);
	uint8_t content[256];

	assert_false(cipher_seal(
		made->cipher, 1, SEAL_RANDOM, BSON_TYPE_UTF8, longer, &made->sealed, &made->why));
	assert_int_equal(made->why.code, FAULT_INVALID_BSON);
	assert_false(cipher_seal(
		made->cipher, 1, SEAL_RANDOM, BSON_TYPE_UTF8, shorter, &made->sealed, &made->why));
	assert_int_equal(made->why.code, FAULT_INVALID_BSON);
	assert_int_equal(made->sealed.len, 0);
	seal_anything(made, SEAL_RANDOM, BSON_TYPE_UTF8, text(), content);
	assert_int_equal(opens_as(made, bytes_of(content, cipher_sealed_len(text().len))), OPENED);
	seal_anything(made, SEAL_RANDOM, BSON_TYPE_UTF8, longer, content);
	assert_int_equal(
		opens_as(made, bytes_of(content, cipher_sealed_len(longer.len))), OPEN_DAMAGED);
	seal_anything(made, SEAL_RANDOM, BSON_TYPE_UTF8, shorter, content);
	assert_int_equal(
		opens_as(made, bytes_of(content, cipher_sealed_len(shorter.len))), OPEN_DAMAGED);
}

static void test_algorithm_byte(void **state)
{
	struct made *made = *state;
	uint8_t content[256];

	for (unsigned algorithm = 0; algorithm <= UINT8_MAX; algorithm++) {
		bool known = algorithm == SEAL_DETERMINISTIC || algorithm == SEAL_RANDOM;

		seal_anything(made, (uint8_t)algorithm, BSON_TYPE_UTF8, text(), content);
		assert_int_equal(opens_as(made, bytes_of(content, cipher_sealed_len(text().len))),
			known ? OPENED : OPEN_DAMAGED);
	}
}

static void test_every_bit(void **state)
{
	struct made *made = *state;
	struct bytes content;

	seal_text(made, 1, SEAL_DETERMINISTIC);
	content = buf_bytes(&made->sealed);
	for (size_t bit = 0; bit < content.len * 8; bit++) {
		bool names_nobody = bit / 8 >= 1 && bit / 8 < 17;

		made->sealed.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
			opens_as(made, content), names_nobody ? OPEN_FOREIGN : OPEN_DAMAGED);
		made->sealed.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(opens_as(made, content), OPENED);
}

static void test_lengths(void **state)
{
	struct made *made = *state;
	struct bytes content;

	seal_text(made, 1, SEAL_RANDOM);
	content = buf_bytes(&made->sealed);
	for (size_t len = 0; len < content.len; len++)
		assert_int_equal(opens_as(made, bytes_head(content, len)),
			len < 17 ? OPEN_FOREIGN : OPEN_DAMAGED);
	buf_put(&made->sealed, bytes_of("1234567812345678", 16));
	content = buf_bytes(&made->sealed);
	for (size_t more = 1; more <= 16; more++)
		assert_int_equal(
			opens_as(made, bytes_head(content, content.len - 16 + more)), OPEN_DAMAGED);
}

static void test_key_exchanged(void **state)
{
	struct made *made = *state;

	seal_text(made, 1, SEAL_RANDOM);
	memcpy(made->sealed.at + 1, keyring_id(made->keyring, 2), KEY_ID_LEN);
	assert_int_equal(opens_as(made, buf_bytes(&made->sealed)), OPEN_DAMAGED);
}

static void test_deterministic(void **state)
{
	struct made *made = *state;
	uint8_t first[256], other[256];

	seal_text(made, 1, SEAL_DETERMINISTIC);
	memcpy(first, made->sealed.at, made->sealed.len);
	seal_text(made, 2, SEAL_DETERMINISTIC);
	memcpy(other, made->sealed.at, made->sealed.len);
	seal_text(made, 1, SEAL_DETERMINISTIC);
	assert_memory_equal(made->sealed.at, first, made->sealed.len);
	assert_memory_not_equal(first + SEALED_HEAD_LEN, other + SEALED_HEAD_LEN, 16);
}

/* More IVs than are drawn at a time, no part of which stands in another. */
static void test_random(void **state)
{
	enum { COUNT = 600, PART = 8 };
	struct made *made = *state;
	static uint8_t parts[COUNT * 16 / PART][PART];

	for (size_t i = 0; i < COUNT_OF(parts); i += 16 / PART) {
		seal_text(made, 1, SEAL_RANDOM);
		assert_int_equal(opens_as(made, buf_bytes(&made->sealed)), OPENED);
		memcpy(parts[i], made->sealed.at + SEALED_HEAD_LEN, 16);
	}
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		for (size_t j = i + 1; j < COUNT_OF(parts) && j < i + 20; j++)
			assert_memory_not_equal(parts[i], parts[j], PART);
}

static void test_no_room(void **state)
{
	struct made *made = *state;
	struct buf out;

	buf_init(&out, cipher_sealed_len(text().len) - 1);
	assert_false(cipher_seal(
		made->cipher, 1, SEAL_RANDOM, BSON_TYPE_UTF8, text(), &out, &made->why));
	assert_int_equal(made->why.code, FAULT_DOCUMENT_TOO_LARGE);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
	buf_init(&out, cipher_sealed_len(text().len));
	assert_true(cipher_seal(
		made->cipher, 1, SEAL_RANDOM, BSON_TYPE_UTF8, text(), &out, &made->why));
	buf_fini(&out);
}

/* A string that takes `len` bytes as a value; freed by the caller. */
static uint8_t *long_text(size_t len)
{
	uint8_t *value = memory_new(len);

	memset(value, 'x', len);
	store_u32(value, (uint32_t)len - 4);
	value[len - 1] = 0;
	return value;
}

static void test_longest(void **state)
{
	struct made *made = *state;
	uint8_t *value = long_text(CIPHER_VALUE_MAX);
	struct buf out;

	buf_init(&out, 2 * (size_t)CIPHER_VALUE_MAX);
	assert_true(cipher_seal(made->cipher, 1, SEAL_DETERMINISTIC, BSON_TYPE_UTF8,
		bytes_of(value, CIPHER_VALUE_MAX), &out, &made->why));
	assert_int_equal(opens_as(made, buf_bytes(&out)), OPENED);
	free(value);
	/* The room that this took is given back, and what is small still opens. */
	seal_text(made, 1, SEAL_RANDOM);
	assert_int_equal(opens_as(made, buf_bytes(&made->sealed)), OPENED);
	buf_clear(&out);
	value = long_text(CIPHER_VALUE_MAX + 1);
	assert_false(cipher_seal(made->cipher, 1, SEAL_DETERMINISTIC, BSON_TYPE_UTF8,
		bytes_of(value, CIPHER_VALUE_MAX + 1), &out, &made->why));
	assert_int_equal(made->why.code, FAULT_DOCUMENT_TOO_LARGE);
	free(value);
	buf_fini(&out);
}

/* Keys take turns: as many as are kept prepared, and one and more beyond. */
static void test_eviction(void **state)
{
	static const size_t counts[] = {
		1, CIPHER_PREPARED_MAX, CIPHER_PREPARED_MAX + 1, 2 * CIPHER_PREPARED_MAX + 7};
	enum { MOST = 2 * CIPHER_PREPARED_MAX + 7 };
	struct made *made = *state;
	static struct buf sealed[MOST];

	for (size_t c = 0; c < COUNT_OF(counts); c++) {
		struct keyring *k = fixture_keyring_of(made->master, counts[c]);
		struct cipher *cipher = cipher_new(k);
		struct opened opened;

		keyring_unref(k); /* the cipher holds it */
		for (size_t i = 0; i < counts[c]; i++) {
			buf_init(&sealed[i], 256);
			assert_true(cipher_seal(cipher, (int)i, SEAL_RANDOM, BSON_TYPE_UTF8, text(),
				&sealed[i], &made->why));
		}
		for (size_t turn = 0; turn < 5 * counts[c]; turn++) {
			size_t i = turn * 7 % counts[c];

			assert_int_equal(
				cipher_open(cipher, buf_bytes(&sealed[i]), &opened), OPENED);
			assert_int_equal(opened.key, i);
			assert_true(bytes_equal(opened.value, text()));
		}
		for (size_t i = 0; i < counts[c]; i++)
			buf_fini(&sealed[i]);
		cipher_free(cipher);
	}
}

static void test_no_keys(void **state)
{
	struct made *made = *state;
	struct keyring *k = fixture_keyring(made->master);
	struct cipher *cipher = cipher_new(k);
	struct opened opened;

	assert_ptr_equal(cipher_keyring(cipher), k);
	seal_text(made, 1, SEAL_RANDOM);
	assert_int_equal(cipher_open(cipher, buf_bytes(&made->sealed), &opened), OPEN_FOREIGN);
	assert_int_equal(cipher_open(cipher, bytes_of(NULL, 0), &opened), OPEN_FOREIGN);
	cipher_free(cipher);
	cipher_free(NULL);
	keyring_unref(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_types, make, unmake),
		cmocka_unit_test_setup_teardown(test_types_when_opened, make, unmake),
		cmocka_unit_test_setup_teardown(test_malformed, make, unmake),
		cmocka_unit_test_setup_teardown(test_algorithm_byte, make, unmake),
		cmocka_unit_test_setup_teardown(test_every_bit, make, unmake),
		cmocka_unit_test_setup_teardown(test_lengths, make, unmake),
		cmocka_unit_test_setup_teardown(test_key_exchanged, make, unmake),
		cmocka_unit_test_setup_teardown(test_deterministic, make, unmake),
		cmocka_unit_test_setup_teardown(test_random, make, unmake),
		cmocka_unit_test_setup_teardown(test_no_room, make, unmake),
		cmocka_unit_test_setup_teardown(test_longest, make, unmake),
		cmocka_unit_test_setup_teardown(test_eviction, make, unmake),
		cmocka_unit_test_setup_teardown(test_no_keys, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
