/* The input twice: as a document of the key vault, and as the name of a field whose key
 * document is then damaged.  No key gets a name, an id or bytes that it was not made with. */
#include <assert.h>

#include "keys/secrets.h"
#include "keys/wellformed.h"

#define DOCUMENT 0x03
#define KEY_LEN  96

static struct master *the_master(void)
{
	static struct master *m;
	uint8_t bytes[MASTER_LEN];
	struct fault why;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	if (!m)
		m = master_new(bytes, false, &why);
	assert(m);
	return m;
}

static struct keyring *fresh_keyring(void)
{
	struct fault why;
	struct keyring *k = keyring_new(the_master(), false, &why);

	assert(k);
	return k;
}

static void add_foreign(struct bytes document)
{
	struct fault why = {.code = FAULT_NONE};
	struct keyring *k = fresh_keyring();
	enum keyring_added added = keyring_add(k, document, &why);

	assert((added == KEY_BAD) == (why.code != FAULT_NONE));
	assert(keyring_count(k) == (added == KEY_ADDED));
	assert(added == KEY_BAD || wellformed_value(DOCUMENT, document));
	if (added == KEY_ADDED) {
		assert(keyring_find(k, keyring_ns(k, 0), keyring_path(k, 0)) == 0);
		assert(keyring_find_id(k, keyring_id(k, 0)) == 0);
		assert(keyring_add(k, document, &why) == KEY_BAD);
	}
	keyring_unref(k);
}

static void damage(struct keyring *original, struct buf *document, uint8_t how, struct bytes where)
{
	struct keyring *k = fresh_keyring();
	struct fault why;

	for (size_t i = 0; i < where.len; i++)
		document->at[(where.at[i] * 7u + i) % document->len] ^= how;
	if (keyring_add(k, buf_bytes(document), &why) == KEY_ADDED) {
		assert(bytes_equal(keyring_ns(k, 0), keyring_ns(original, 0)));
		assert(bytes_equal(keyring_path(k, 0), keyring_path(original, 0)));
		assert(memcmp(keyring_id(k, 0), keyring_id(original, 0), KEY_ID_LEN) == 0);
		assert(memcmp(keyring_secret(k, 0), keyring_secret(original, 0), KEY_LEN) == 0);
	}
	keyring_unref(k);
}

static void make_and_damage(struct bytes input)
{
	struct bytes ns = bytes_head(bytes_from(input, 2), input.at[0]);
	struct bytes path = bytes_from(input, 2 + ns.len);
	struct fault why = {.code = FAULT_NONE};
	struct keyring *k = fresh_keyring();
	struct buf document;

	buf_init(&document, 4096);
	if (keyring_make_document(the_master(), ns, path, 0, &document, &why)) {
		assert(keyring_add(k, buf_bytes(&document), &why) == KEY_ADDED);
		assert(bytes_equal(keyring_ns(k, 0), ns) && bytes_equal(keyring_path(k, 0), path));
		damage(k, &document, input.at[1], bytes_head(path, 3));
	} else {
		assert(why.code != FAULT_NONE && document.len == 0);
	}
	buf_fini(&document);
	keyring_unref(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	add_foreign(bytes_of(data, size));
	if (size > 2)
		make_and_damage(bytes_of(data, size));
	return 0;
}
