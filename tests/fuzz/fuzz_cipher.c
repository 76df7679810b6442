/* The input twice: as the content of a Binary, and as a value that somebody with the key
 * sealed.  Only a value that could have been sealed is opened, and libbson can walk it. */
#include <assert.h>
#include <stdlib.h>

#include <bson/bson.h>

#include "keys/aead.h"
#include "keys/cipher.h"
#include "keys/key_document.h"
#include "keys/secrets.h"
#include "keys/wellformed.h"
#include "util/memory.h"

static const uint8_t key_id[KEY_ID_LEN] = "sixteen  letters";

/* One cipher with one key, whose bytes are always the same: 0, 1, 2 … */
static struct cipher *the_cipher(void)
{
	static struct cipher *c;
	uint8_t bytes[MASTER_LEN];
	struct keyring *k;
	struct wrapping *w;
	struct master *m;
	struct buf document;
	struct fault why;
	bool locked;

	if (c)
		return c;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	m = master_new(bytes, false, &why);
	assert(m);
	k = keyring_new(m, false, &why);
	w = wrapping_new(m, false, &locked, &why);
	assert(k && w);
	buf_init(&document, 4096);
	key_document_put(w, key_id, bytes, bytes_str("db.c"), bytes_str("a"), 0, &document);
	if (keyring_add(k, buf_bytes(&document), &why) != KEY_ADDED)
		abort();
	c = cipher_new(k);
	buf_fini(&document);
	wrapping_free(w);
	keyring_unref(k);
	master_free(m);
	return c;
}

static void walk(const bson_t *doc)
{
	bson_iter_t it, inner;
	bson_t scope;

	assert(bson_iter_init(&it, doc));
	while (bson_iter_next(&it)) {
		const uint8_t *at = NULL;
		uint32_t len = 0;

		if (BSON_ITER_HOLDS_DOCUMENT(&it))
			bson_iter_document(&it, &len, &at);
		else if (BSON_ITER_HOLDS_ARRAY(&it))
			bson_iter_array(&it, &len, &at);
		else if (BSON_ITER_HOLDS_CODEWSCOPE(&it))
			(void)bson_iter_codewscope(&it, NULL, &len, &at);
		if (!at)
			continue;
		assert(bson_init_static(&scope, at, len) && bson_iter_init(&inner, &scope));
		walk(&scope);
	}
	assert(it.err_off == 0);
}

/* As the reply walk does: into a document, as it is. */
static void put_into_document(const struct opened *opened)
{
	size_t len = 4 + 1 + 1 + opened->value.len + 1;
	uint8_t *whole = memory_new(len);
	bson_t doc;

	store_u32(whole, (uint32_t)len);
	whole[4] = opened->type;
	memcpy(whole + 6, opened->value.at, opened->value.len);
	assert(bson_init_static(&doc, whole, len) && bson_count_keys(&doc) == 1);
	walk(&doc);
	free(whole);
}

static enum cipher_opened open_any(struct bytes content)
{
	struct cipher *c = the_cipher();
	struct opened opened;
	enum cipher_opened how = cipher_open(c, content, &opened);

	assert(opened.key == cipher_key_of(cipher_keyring(c), content));
	assert((how == OPEN_FOREIGN) == (opened.key == KEY_NONE));
	if (how == OPENED) {
		assert(cipher_allows(opened.algorithm, opened.type));
		assert(wellformed_value(opened.type, opened.value));
		put_into_document(&opened);
	}
	return how;
}

/* Whether cipher_seal takes it; what it sealed opens, and does not when it is damaged. */
static bool seals(enum seal_algorithm algorithm, uint8_t type, struct bytes value)
{
	struct buf content;
	struct fault why;
	bool sealed;

	buf_init(&content, 1 << 20);
	sealed = cipher_seal(the_cipher(), 0, algorithm, type, value, &content, &why);
	if (sealed) {
		assert(content.len == cipher_sealed_len(value.len));
		assert(open_any(buf_bytes(&content)) == OPENED);
		content.at[value.len * 31 % content.len] ^= 0x40;
		assert(open_any(buf_bytes(&content)) != OPENED);
	}
	buf_fini(&content);
	return sealed;
}

static void open_anything(uint8_t algorithm, uint8_t type, struct bytes value)
{
	static const uint8_t iv[AEAD_IV_LEN];
	uint8_t *content = memory_new(cipher_sealed_len(value.len));
	struct aead_secrets secrets;
	struct aead aead;
	bool opened, known = algorithm == SEAL_DETERMINISTIC || algorithm == SEAL_RANDOM;

	content[0] = algorithm;
	memcpy(content + 1, key_id, sizeof(key_id));
	content[17] = type;
	aead_init(&aead, keyring_secret(cipher_keyring(the_cipher()), 0), &secrets);
	aead_seal(&aead, bytes_of(content, SEALED_HEAD_LEN), iv, value, content + SEALED_HEAD_LEN);
	aead_fini(&aead);
	opened = open_any(bytes_of(content, cipher_sealed_len(value.len))) == OPENED;
	assert(opened == (known && seals(algorithm, type, value)));
	free(content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)open_any(bytes_of(data, size));
	if (size >= 2 && size < 1 << 16)
		open_anything(data[0], data[1], bytes_of(data + 2, size - 2));
	return 0;
}
