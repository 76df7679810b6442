#include "keys/keyring.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <bson/bson.h>
#include <sodium.h>

#include "keys/key_document.h"
#include "keys/locked.h"
#include "keys/secrets.h"
#include "keys/wellformed.h"
#include "util/map.h"
#include "util/memory.h"

/* How many fit in one page; a container may often lock no more than 16 pages. */
#define FIRST_CAPACITY 42u

#define LABEL_MAX (KEY_NS_MAX + 1 + KEY_PATH_MAX)

struct key {
	int index;
	uint8_t id[KEY_ID_LEN];
	struct bytes ns;
	struct bytes path;
	struct bytes label; /* namespace, NUL, path; the two above lie in it */
	uint8_t text[];
};

struct keyring {
	atomic_uint references;
	struct wrapping *wrapping;
	uint8_t (*secrets)[AEAD_KEY_LEN]; /* locked, by key */
	size_t secrets_capacity;
	struct key **keys;
	size_t count, capacity;
	struct map by_id;
	struct map by_label;
	bool require_mlock;
	bool locked;
};

struct keyring *keyring_new(const struct master *m, bool require_mlock, struct fault *why)
{
	bool locked;
	struct wrapping *wrapping = wrapping_new(m, require_mlock, &locked, why);
	struct keyring *k;

	if (!wrapping)
		return NULL;
	k = memory_new(sizeof(*k));
	atomic_init(&k->references, 1);
	k->wrapping = wrapping;
	k->require_mlock = require_mlock;
	k->locked = locked;
	map_init(&k->by_id);
	map_init(&k->by_label);
	return k;
}

struct keyring *keyring_ref(struct keyring *k)
{
	atomic_fetch_add_explicit(&k->references, 1, memory_order_relaxed);
	return k;
}

void keyring_unref(struct keyring *k)
{
	if (!k || atomic_fetch_sub_explicit(&k->references, 1, memory_order_acq_rel) != 1)
		return;
	wrapping_free(k->wrapping);
	locked_free(k->secrets);
	map_fini(&k->by_id);
	map_fini(&k->by_label);
	for (size_t i = 0; i < k->count; i++)
		free(k->keys[i]);
	free(k->keys);
	free(k);
}

bool keyring_is_locked(const struct keyring *k)
{
	return k->locked;
}

/* Room for the secret of one more key. */
static bool make_room(struct keyring *k, struct fault *why)
{
	size_t capacity = k->secrets_capacity ? k->secrets_capacity * 2 : FIRST_CAPACITY;
	uint8_t(*secrets)[AEAD_KEY_LEN];
	bool locked;

	if (k->count == KEYRING_MAX)
		return fault_set(why, FAULT_KEYS, "the key vault holds over %d keys", KEYRING_MAX);
	if (k->count < k->secrets_capacity)
		return true;
	secrets = locked_array(capacity, sizeof(*secrets), k->require_mlock, &locked, why);
	if (!secrets)
		return false;
	if (k->count)
		memcpy(secrets, k->secrets, k->count * sizeof(*secrets));
	locked_free(k->secrets);
	k->secrets = secrets;
	k->secrets_capacity = capacity;
	k->locked &= locked;
	return true;
}

static bool is_new(const struct keyring *k, const struct key_document *d, struct fault *why)
{
	if (keyring_find_id(k, d->id) != KEY_NONE)
		return fault_set(why, FAULT_KEYS, "two keys have the same _id");
	if (keyring_find(k, d->ns, d->path) != KEY_NONE)
		return fault_set(why, FAULT_KEYS, "the field %.*s of %.*s has two keys",
			BYTES_ARG(d->path), BYTES_ARG(d->ns));
	return true;
}

/* "namespace NUL path" into `out` of LABEL_MAX bytes. */
static struct bytes join(struct bytes ns, struct bytes path, uint8_t *out)
{
	memcpy(out, ns.at, ns.len);
	out[ns.len] = 0;
	memcpy(out + ns.len + 1, path.at, path.len);
	return bytes_of(out, ns.len + 1 + path.len);
}

static void add(struct keyring *k, const struct key_document *d)
{
	struct key *key = memory_new(sizeof(*key) + d->ns.len + 1 + d->path.len);

	key->index = (int)k->count;
	memcpy(key->id, d->id, KEY_ID_LEN);
	key->label = join(d->ns, d->path, key->text);
	key->ns = bytes_head(key->label, d->ns.len);
	key->path = bytes_from(key->label, d->ns.len + 1);
	memory_grow(&k->keys, k->count, &k->capacity, sizeof(struct key *));
	k->keys[k->count++] = key;
	(void)map_set(&k->by_id, bytes_of(key->id, KEY_ID_LEN), key);
	(void)map_set(&k->by_label, key->label, key);
}

enum keyring_added keyring_add(struct keyring *k, struct bytes document, struct fault *why)
{
	struct key_document d;

	if (!wellformed_value(BSON_TYPE_DOCUMENT, document)) {
		fault_set(why, FAULT_KEYS, "a key document is not BSON");
		return KEY_BAD;
	}
	if (!key_document_is_ours(document))
		return KEY_FOREIGN;
	if (!key_document_read(&d, document, why) || !is_new(k, &d, why) || !make_room(k, why) ||
		!key_document_open(k->wrapping, &d, k->secrets[k->count], why))
		return KEY_BAD;
	add(k, &d);
	return KEY_ADDED;
}

static int index_of(const struct key *key)
{
	return key ? key->index : KEY_NONE;
}

int keyring_find(const struct keyring *k, struct bytes ns, struct bytes path)
{
	uint8_t label[LABEL_MAX];

	if (!ns.len || ns.len > KEY_NS_MAX || !path.len || path.len > KEY_PATH_MAX)
		return KEY_NONE;
	return index_of(map_get(&k->by_label, join(ns, path, label)));
}

int keyring_find_id(const struct keyring *k, const uint8_t id[KEY_ID_LEN])
{
	return index_of(map_get(&k->by_id, bytes_of(id, KEY_ID_LEN)));
}

size_t keyring_count(const struct keyring *k)
{
	return k->count;
}

static const struct key *key_at(const struct keyring *k, int key)
{
	assert(key >= 0 && (size_t)key < k->count);
	return k->keys[key];
}

struct bytes keyring_ns(const struct keyring *k, int key)
{
	return key_at(k, key)->ns;
}

struct bytes keyring_path(const struct keyring *k, int key)
{
	return key_at(k, key)->path;
}

const uint8_t *keyring_id(const struct keyring *k, int key)
{
	return key_at(k, key)->id;
}

const uint8_t *keyring_secret(const struct keyring *k, int key)
{
	return k->secrets[key_at(k, key)->index];
}

/* A random UUID, RFC 9562 §5.4. */
static void draw_id(uint8_t id[KEY_ID_LEN])
{
	randombytes_buf(id, KEY_ID_LEN);
	id[6] = (uint8_t)(0x40 | (id[6] & 0x0f));
	id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
}

bool keyring_make_document(const struct master *m, struct bytes ns, struct bytes path,
	int64_t now_ms, struct buf *out, struct fault *why)
{
	bool locked, require_mlock = master_is_locked(m);
	struct wrapping *w;
	uint8_t id[KEY_ID_LEN], *key;

	if (!key_label_check(ns, path, why))
		return false;
	w = wrapping_new(m, require_mlock, &locked, why);
	key = w ? locked_array(1, AEAD_KEY_LEN, require_mlock, &locked, why) : NULL;
	if (key) {
		draw_id(id);
		randombytes_buf(key, AEAD_KEY_LEN);
		key_document_put(w, id, key, ns, path, now_ms, out);
	}
	wrapping_free(w);
	locked_free(key);
	if (key && out->failed)
		return fault_set(why, FAULT_DOCUMENT_TOO_LARGE, "no room for a key document");
	return key != NULL;
}
