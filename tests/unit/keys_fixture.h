/* keys_fixture.h - a master key and key documents for tests. */
#ifndef TESTS_UNIT_KEYS_FIXTURE_H
#define TESTS_UNIT_KEYS_FIXTURE_H

#include "unit.h"

#include <stdio.h>

#include "keys/keyring.h"

/* The key first, first + 1, first + 2 … */
static inline struct master *fixture_master(uint8_t first)
{
	uint8_t bytes[MASTER_LEN];
	struct fault why;
	struct master *m;

	for (size_t i = 0; i < MASTER_LEN; i++)
		bytes[i] = (uint8_t)(first + i);
	m = master_new(bytes, false, &why);
	assert_non_null(m);
	return m;
}

static inline void fixture_document(
	const struct master *m, const char *ns, const char *path, struct buf *out)
{
	struct fault why;

	assert_true(
		keyring_make_document(m, bytes_str(ns), bytes_str(path), 1700000000000, out, &why));
}

static inline struct keyring *fixture_keyring(const struct master *m)
{
	struct fault why;
	struct keyring *k = keyring_new(m, false, &why);

	assert_non_null(k);
	return k;
}

/* With the keys of db.coll's "field0", "field1" … */
static inline struct keyring *fixture_keyring_of(const struct master *m, size_t count)
{
	struct keyring *k = fixture_keyring(m);
	struct buf document;
	struct fault why;

	buf_init(&document, 4096);
	for (size_t i = 0; i < count; i++) {
		char path[32];

		snprintf(path, sizeof(path), "field%zu", i);
		buf_clear(&document);
		fixture_document(m, "db.coll", path, &document);
		assert_int_equal(keyring_add(k, buf_bytes(&document), &why), KEY_ADDED);
	}
	buf_fini(&document);
	return k;
}

#endif
