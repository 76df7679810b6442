#include "keys/key_document.h"

#include <stdlib.h>

#include <bson/bson.h>
#include <sodium.h>

#include "keys/locked.h"
#include "keys/secrets.h"
#include "util/memory.h"
#include "util/utf8.h"

#define LABEL_PREFIX "mongoward:"
#define MAC_PREFIX   "mongoward-mac:"
#define MAC_VERSION  "1:"
#define MAC_LEN      32u
#define MAC_NAME_LEN (sizeof(MAC_PREFIX MAC_VERSION) - 1 + 2 * MAC_LEN)
#define ENABLED      0 /* status of a key; no driver looks at it */

_Static_assert(KEY_WRAPPED_LEN == AEAD_IV_LEN + AEAD_KEY_LEN + AES_BLOCK_LEN + AEAD_MAC_LEN,
	"as aead_sealed_len has it");

struct wrapping_secrets {
	uint8_t key_encryption_key[MASTER_LEN];
	uint8_t mac_subkey[SUBKEY_LEN];
	struct aead_secrets aead;
	uint8_t room[KEY_WRAPPED_LEN]; /* to wrap and unwrap in */
};

struct wrapping {
	struct wrapping_secrets *secrets; /* locked */
	struct aead aead;
};

struct wrapping *wrapping_new(
	const struct master *m, bool require_mlock, bool *locked, struct fault *why)
{
	struct wrapping_secrets *secrets =
		locked_array(1, sizeof(*secrets), require_mlock, locked, why);
	struct wrapping *w;

	if (!secrets)
		return NULL;
	memcpy(secrets->key_encryption_key, master_key_encryption_key(m), MASTER_LEN);
	memcpy(secrets->mac_subkey, master_vault_mac_subkey(m), SUBKEY_LEN);
	w = memory_new(sizeof(*w));
	w->secrets = secrets;
	aead_init(&w->aead, secrets->key_encryption_key, &secrets->aead);
	return w;
}

void wrapping_free(struct wrapping *w)
{
	if (!w)
		return;
	aead_fini(&w->aead);
	locked_free(w->secrets);
	free(w);
}

/* The name that vouches for a key and its label, with a NUL. */
static void name_mac(const struct wrapping *w, const uint8_t id[KEY_ID_LEN],
	const uint8_t key[AEAD_KEY_LEN], struct bytes ns, struct bytes path,
	char out[MAC_NAME_LEN + 1])
{
	static const uint8_t nul;
	const struct bytes parts[] = {
		bytes_of(id, KEY_ID_LEN), bytes_of(key, AEAD_KEY_LEN), ns, bytes_of(&nul, 1), path,
		bytes_of(&nul, 1), /* no subject follows: the key is one for all */
	};
	crypto_generichash_blake2b_state state;
	uint8_t mac[MAC_LEN];

	(void)crypto_generichash_blake2b_init(
		&state, w->secrets->mac_subkey, SUBKEY_LEN, sizeof(mac));
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		(void)crypto_generichash_blake2b_update(&state, parts[i].at, parts[i].len);
	(void)crypto_generichash_blake2b_final(&state, mac, sizeof(mac));
	sodium_memzero(&state, sizeof(state));
	memcpy(out, MAC_PREFIX MAC_VERSION, MAC_NAME_LEN - 2 * MAC_LEN);
	sodium_bin2hex(out + MAC_NAME_LEN - 2 * MAC_LEN, 2 * MAC_LEN + 1, mac, sizeof(mac));
}

/* Reading.  What comes in is whole BSON, so that iterating reaches the end. */

static struct bytes text_of(const bson_iter_t *it)
{
	uint32_t len = 0;
	const char *text = bson_iter_utf8(it, &len);

	return bytes_of(text, len);
}

static struct bytes binary_of(const bson_iter_t *it, bson_subtype_t wanted)
{
	bson_subtype_t subtype;
	uint32_t len = 0;
	const uint8_t *content = NULL;

	bson_iter_binary(it, &subtype, &len, &content);
	return subtype == wanted ? bytes_of(content, len) : bytes_of(content, 0);
}

static bool is_label(struct bytes name)
{
	return bytes_start_with(name, bytes_str(LABEL_PREFIX));
}

static bool is_mac(struct bytes name)
{
	return bytes_start_with(name, bytes_str(MAC_PREFIX));
}

bool key_document_is_ours(struct bytes document)
{
	bson_iter_t fields, names;
	bson_t doc;

	if (!bson_init_static(&doc, document.at, document.len) || !bson_iter_init(&fields, &doc))
		return false;
	while (bson_iter_next(&fields)) {
		if (strcmp(bson_iter_key(&fields), "keyAltNames") != 0 ||
			!BSON_ITER_HOLDS_ARRAY(&fields) || !bson_iter_recurse(&fields, &names))
			continue;
		while (bson_iter_next(&names))
			if (BSON_ITER_HOLDS_UTF8(&names) &&
				(is_label(text_of(&names)) || is_mac(text_of(&names))))
				return true;
	}
	return false;
}

static bool read_id(const bson_iter_t *it, struct key_document *d)
{
	struct bytes id = binary_of(it, BSON_SUBTYPE_UUID);

	if (id.len != KEY_ID_LEN)
		return false;
	memcpy(d->id, id.at, KEY_ID_LEN);
	return true;
}

/* The first colon divides: a namespace holds none. */
static bool read_label(struct bytes label, struct key_document *d)
{
	const uint8_t *colon = label.len ? memchr(label.at, ':', label.len) : NULL;
	struct fault unwanted;

	if (!colon || d->ns.len)
		return false;
	d->ns = bytes_head(label, (size_t)(colon - label.at));
	d->path = bytes_from(label, d->ns.len + 1);
	return key_label_check(d->ns, d->path, &unwanted);
}

static bool read_names(const bson_iter_t *it, struct key_document *d)
{
	bson_iter_t names;

	if (!bson_iter_recurse(it, &names))
		return false;
	while (bson_iter_next(&names)) {
		struct bytes name;

		if (!BSON_ITER_HOLDS_UTF8(&names))
			return false;
		name = text_of(&names);
		if (is_label(name) && !read_label(bytes_from(name, strlen(LABEL_PREFIX)), d))
			return false;
		if (is_mac(name) && d->mac.len)
			return false;
		if (is_mac(name))
			d->mac = name;
	}
	return d->ns.len && d->mac.len;
}

static bool read_material(const bson_iter_t *it, struct key_document *d)
{
	d->wrapped = binary_of(it, BSON_SUBTYPE_BINARY);
	return d->wrapped.len == KEY_WRAPPED_LEN;
}

static bool read_provider(const bson_iter_t *it, struct key_document *d)
{
	bson_iter_t fields;

	(void)d;
	return bson_iter_recurse(it, &fields) && bson_iter_next(&fields) &&
	       strcmp(bson_iter_key(&fields), "provider") == 0 && BSON_ITER_HOLDS_UTF8(&fields) &&
	       bytes_equal_str(text_of(&fields), "local") && !bson_iter_next(&fields);
}

static bool read_version(const bson_iter_t *it, struct key_document *d)
{
	(void)d;
	return bson_iter_int32(it) == 0;
}

static bool read_nothing(const bson_iter_t *it, struct key_document *d)
{
	(void)it;
	(void)d;
	return true;
}

static const struct {
	const char *name;
	bson_type_t type;
	bool required;
	bool (*read)(const bson_iter_t *it, struct key_document *d);
} known_fields[] = {
	{"_id", BSON_TYPE_BINARY, true, read_id},
	{"version", BSON_TYPE_INT32, false, read_version},
	{"keyAltNames", BSON_TYPE_ARRAY, true, read_names},
	{"keyMaterial", BSON_TYPE_BINARY, true, read_material},
	{"creationDate", BSON_TYPE_DATE_TIME, true, read_nothing},
	{"updateDate", BSON_TYPE_DATE_TIME, true, read_nothing},
	{"status", BSON_TYPE_INT32, true, read_nothing},
	{"masterKey", BSON_TYPE_DOCUMENT, true, read_provider},
};

static bool read_field(
	const bson_iter_t *it, struct key_document *d, unsigned *seen, struct fault *why)
{
	for (size_t i = 0; i < COUNT_OF(known_fields); i++) {
		if (strcmp(bson_iter_key(it), known_fields[i].name) != 0)
			continue;
		if (*seen & 1u << i || bson_iter_type(it) != known_fields[i].type ||
			!known_fields[i].read(it, d))
			return fault_set(why, FAULT_KEYS,
				"a key document's '%s' is not as it should be",
				known_fields[i].name);
		*seen |= 1u << i;
		return true;
	}
	return fault_set(why, FAULT_KEYS, "a key document has a field that none should have");
}

bool key_document_read(struct key_document *d, struct bytes document, struct fault *why)
{
	unsigned seen = 0;
	bson_iter_t it;
	bson_t doc;

	*d = (struct key_document){0};
	if (!bson_init_static(&doc, document.at, document.len) || !bson_iter_init(&it, &doc))
		return fault_set(why, FAULT_KEYS, "a key document is not BSON");
	while (bson_iter_next(&it))
		if (!read_field(&it, d, &seen, why))
			return false;
	for (size_t i = 0; i < COUNT_OF(known_fields); i++)
		if (known_fields[i].required && !(seen & 1u << i))
			return fault_set(why, FAULT_KEYS, "a key document has no '%s'",
				known_fields[i].name);
	return true;
}

static bool unwrap(struct wrapping *w, struct bytes wrapped, uint8_t key[AEAD_KEY_LEN])
{
	struct bytes plain;
	bool done = aead_open(&w->aead, bytes_of(NULL, 0), wrapped, w->secrets->room, &plain) &&
		    plain.len == AEAD_KEY_LEN;

	if (done)
		memcpy(key, plain.at, AEAD_KEY_LEN);
	sodium_memzero(w->secrets->room, sizeof(w->secrets->room));
	return done;
}

bool key_document_open(struct wrapping *w, const struct key_document *d, uint8_t key[AEAD_KEY_LEN],
	struct fault *why)
{
	char mac[MAC_NAME_LEN + 1];

	if (!unwrap(w, d->wrapped, key))
		return fault_set(why, FAULT_KEYS, "a key is not wrapped with this master key");
	name_mac(w, d->id, key, d->ns, d->path, mac);
	if (d->mac.len == MAC_NAME_LEN && sodium_memcmp(d->mac.at, mac, MAC_NAME_LEN) == 0)
		return true;
	sodium_memzero(key, AEAD_KEY_LEN);
	return fault_set(why, FAULT_KEYS, "a key was relabelled or exchanged: its MAC is wrong");
}

/* Writing. */

static bool is_name(struct bytes text, size_t max)
{
	return text.len && text.len <= max && !memchr(text.at, 0, text.len) && utf8_valid(text);
}

bool key_label_check(struct bytes ns, struct bytes path, struct fault *why)
{
	if (!is_name(ns, KEY_NS_MAX) || memchr(ns.at, ':', ns.len))
		return fault_set(why, FAULT_KEYS,
			"fields of a namespace that is over %u bytes, no text or has a colon "
			"cannot have keys",
			KEY_NS_MAX);
	if (!is_name(path, KEY_PATH_MAX))
		return fault_set(why, FAULT_KEYS,
			"fields whose path is over %u bytes or no text cannot have keys",
			KEY_PATH_MAX);
	return true;
}

static void put_names(bson_t *doc, struct bytes ns, struct bytes path, const char *mac)
{
	char label[sizeof(LABEL_PREFIX) + KEY_NS_MAX + 1 + KEY_PATH_MAX];
	bson_t names;

	snprintf(label, sizeof(label), LABEL_PREFIX "%.*s:%.*s", BYTES_ARG(ns), BYTES_ARG(path));
	BSON_APPEND_ARRAY_BEGIN(doc, "keyAltNames", &names);
	BSON_APPEND_UTF8(&names, "0", label);
	BSON_APPEND_UTF8(&names, "1", mac);
	bson_append_array_end(doc, &names);
}

static void put_provider(bson_t *doc)
{
	bson_t provider;

	BSON_APPEND_DOCUMENT_BEGIN(doc, "masterKey", &provider);
	BSON_APPEND_UTF8(&provider, "provider", "local");
	bson_append_document_end(doc, &provider);
}

void key_document_put(struct wrapping *w, const uint8_t id[KEY_ID_LEN],
	const uint8_t key[AEAD_KEY_LEN], struct bytes ns, struct bytes path, int64_t now_ms,
	struct buf *out)
{
	uint8_t iv[AEAD_IV_LEN], *wrapped = w->secrets->room;
	char mac[MAC_NAME_LEN + 1];
	bson_t doc = BSON_INITIALIZER;

	randombytes_buf(iv, sizeof(iv));
	aead_seal(&w->aead, bytes_of(NULL, 0), iv, bytes_of(key, AEAD_KEY_LEN), wrapped);
	name_mac(w, id, key, ns, path, mac);
	BSON_APPEND_BINARY(&doc, "_id", BSON_SUBTYPE_UUID, id, KEY_ID_LEN);
	put_names(&doc, ns, path, mac);
	BSON_APPEND_BINARY(&doc, "keyMaterial", BSON_SUBTYPE_BINARY, wrapped, KEY_WRAPPED_LEN);
	BSON_APPEND_DATE_TIME(&doc, "creationDate", now_ms);
	BSON_APPEND_DATE_TIME(&doc, "updateDate", now_ms);
	BSON_APPEND_INT32(&doc, "status", ENABLED);
	put_provider(&doc);
	buf_put(out, bytes_of(bson_get_data(&doc), doc.len));
	bson_destroy(&doc);
}
