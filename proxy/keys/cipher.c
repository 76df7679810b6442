#include "keys/cipher.h"

#include <assert.h>
#include <stdlib.h>

#include <bson/bson.h>
#include <sodium.h>

#include "keys/aead.h"
#include "keys/locked.h"
#include "keys/secrets.h"
#include "keys/wellformed.h"
#include "util/log.h"
#include "util/memory.h"

#define IVS_LEN    4096u  /* drawn at a time: the system call costs more than the bytes */
#define PLAIN_KEEP 65536u /* bytes of room for opened values that are kept */
#define NO_SLOT    UINT8_MAX

_Static_assert(CIPHER_PREPARED_MAX < NO_SLOT, "a slot's number is one byte");

/* Where things stand in the content of a Binary. */
enum { AT_ALGORITHM = 0, AT_KEY_ID = 1, AT_TYPE = 17 };

struct cipher_secrets {
	uint8_t ivs[IVS_LEN];
	struct aead_secrets aead[]; /* by slot */
};

/* A key that is prepared. */
struct slot {
	struct aead aead;
	int key;
	bool recent; /* used since the hand of the clock last passed */
};

struct cipher {
	struct keyring *keys;
	struct cipher_secrets *secrets; /* locked, if it could be */
	size_t ivs_left;                /* bytes at the end of secrets->ivs */
	struct slot slots[CIPHER_PREPARED_MAX];
	size_t nslots;    /* in use */
	size_t hand;      /* of the clock that chooses whom to evict */
	uint8_t *slot_of; /* by key, or NO_SLOT */
	struct buf plain;
};

struct cipher *cipher_new(struct keyring *k)
{
	size_t count = keyring_count(k);
	size_t nslots = count < CIPHER_PREPARED_MAX ? count : CIPHER_PREPARED_MAX;
	struct cipher *c = memory_new(sizeof(*c));
	struct fault why;
	bool locked;

	c->keys = keyring_ref(k);
	c->secrets = locked_array(1, sizeof(*c->secrets) + nslots * sizeof(c->secrets->aead[0]),
		false, &locked, &why);
	if (!c->secrets) {
		log_error("keys", "%s", why.detail);
		abort();
	}
	c->slot_of = memory_array(count, sizeof(*c->slot_of));
	memset(c->slot_of, NO_SLOT, count);
	buf_init(&c->plain, cipher_sealed_len(CIPHER_VALUE_MAX));
	return c;
}

void cipher_free(struct cipher *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nslots; i++)
		aead_fini(&c->slots[i].aead);
	locked_free(c->secrets);
	buf_wipe(&c->plain);
	free(c->slot_of);
	keyring_unref(c->keys);
	free(c);
}

const struct keyring *cipher_keyring(const struct cipher *c)
{
	return c->keys;
}

/* A slot to use for another key: a fresh one, or that of a key not used of late. */
static size_t free_slot(struct cipher *c)
{
	size_t evicted;

	if (c->nslots < CIPHER_PREPARED_MAX)
		return c->nslots++;
	while (c->slots[c->hand].recent) {
		c->slots[c->hand].recent = false;
		c->hand = (c->hand + 1) % CIPHER_PREPARED_MAX;
	}
	evicted = c->hand;
	c->hand = (c->hand + 1) % CIPHER_PREPARED_MAX;
	c->slot_of[c->slots[evicted].key] = NO_SLOT;
	aead_fini(&c->slots[evicted].aead);
	return evicted;
}

static struct aead *prepare(struct cipher *c, int key)
{
	size_t i = c->slot_of[key];

	if (i == NO_SLOT) {
		i = free_slot(c);
		aead_init(&c->slots[i].aead, keyring_secret(c->keys, key), &c->secrets->aead[i]);
		c->slots[i].key = key;
		c->slot_of[key] = (uint8_t)i;
	}
	c->slots[i].recent = true;
	return &c->slots[i].aead;
}

bool cipher_allows(enum seal_algorithm algorithm, uint8_t type)
{
	switch (type) {
	case BSON_TYPE_UTF8:
	case BSON_TYPE_BINARY:
	case BSON_TYPE_OID:
	case BSON_TYPE_DATE_TIME:
	case BSON_TYPE_REGEX:
	case BSON_TYPE_DBPOINTER:
	case BSON_TYPE_CODE:
	case BSON_TYPE_SYMBOL:
	case BSON_TYPE_INT32:
	case BSON_TYPE_TIMESTAMP:
	case BSON_TYPE_INT64:
		return true;
	case BSON_TYPE_DOUBLE:
	case BSON_TYPE_DOCUMENT:
	case BSON_TYPE_ARRAY:
	case BSON_TYPE_BOOL:
	case BSON_TYPE_CODEWSCOPE:
	case BSON_TYPE_DECIMAL128:
		return algorithm == SEAL_RANDOM;
	default:
		return false;
	}
}

/* `value` is well-formed. */
static bool is_encrypted(uint8_t type, struct bytes value)
{
	return type == BSON_TYPE_BINARY && value.at[4] == BSON_SUBTYPE_ENCRYPTED;
}

size_t cipher_sealed_len(size_t len)
{
	return SEALED_HEAD_LEN + aead_sealed_len(len);
}

/* A fresh one, borrowed until the next call. */
static const uint8_t *next_iv(struct cipher *c)
{
	if (!c->ivs_left) {
		randombytes_buf(c->secrets->ivs, IVS_LEN);
		c->ivs_left = IVS_LEN;
	}
	c->ivs_left -= AEAD_IV_LEN;
	return c->secrets->ivs + c->ivs_left;
}

static bool check_value(
	enum seal_algorithm algorithm, uint8_t type, struct bytes value, struct fault *why)
{
	if (!cipher_allows(algorithm, type))
		return fault_set(why, FAULT_SEALED_TYPE, "type 0x%02x cannot be sealed so", type);
	if (value.len > CIPHER_VALUE_MAX)
		return fault_set(why, FAULT_DOCUMENT_TOO_LARGE, "a value to seal is over %u bytes",
			CIPHER_VALUE_MAX);
	if (!wellformed_value(type, value))
		return fault_set(why, FAULT_INVALID_BSON, "a value to seal is malformed");
	if (is_encrypted(type, value))
		return fault_set(why, FAULT_SEALED_TYPE, "a sealed value cannot be sealed again");
	return true;
}

bool cipher_seal(struct cipher *c, int key, enum seal_algorithm algorithm, uint8_t type,
	struct bytes value, struct buf *out, struct fault *why)
{
	struct aead *aead;
	uint8_t *content, derived[AEAD_IV_LEN];
	const uint8_t *iv;
	struct bytes head;

	assert(algorithm == SEAL_DETERMINISTIC || algorithm == SEAL_RANDOM);
	if (!check_value(algorithm, type, value, why))
		return false;
	content = buf_reserve(out, cipher_sealed_len(value.len));
	if (!content)
		return fault_set(why, FAULT_DOCUMENT_TOO_LARGE, "no room for a sealed value");
	content[AT_ALGORITHM] = (uint8_t)algorithm;
	memcpy(content + AT_KEY_ID, keyring_id(c->keys, key), KEY_ID_LEN);
	content[AT_TYPE] = type;
	head = bytes_of(content, SEALED_HEAD_LEN);
	aead = prepare(c, key);
	if (algorithm == SEAL_DETERMINISTIC) {
		aead_derive_iv(aead, head, value, derived);
		iv = derived;
	} else {
		iv = next_iv(c);
	}
	aead_seal(aead, head, iv, value, content + SEALED_HEAD_LEN);
	buf_commit(out, cipher_sealed_len(value.len));
	return true;
}

int cipher_key_of(const struct keyring *k, struct bytes content)
{
	if (content.len < AT_KEY_ID + KEY_ID_LEN)
		return KEY_NONE;
	return keyring_find_id(k, content.at + AT_KEY_ID);
}

/* Room for `len` bytes, of which nothing stays behind where it could not be wiped. */
static uint8_t *plain_room(struct cipher *c, size_t len)
{
	if (c->plain.capacity < len || c->plain.capacity > PLAIN_KEEP)
		buf_wipe(&c->plain);
	return buf_reserve(&c->plain, len);
}

bool cipher_open_under(struct cipher *c, int key, struct bytes content, struct opened *out)
{
	struct bytes head = bytes_head(content, SEALED_HEAD_LEN);
	struct bytes sealed = bytes_from(content, SEALED_HEAD_LEN), value;
	enum seal_algorithm algorithm;
	uint8_t *room, type;

	*out = (struct opened){.key = key};
	if (content.len < cipher_sealed_len(0) || content.len > cipher_sealed_len(CIPHER_VALUE_MAX))
		return false;
	algorithm = content.at[AT_ALGORITHM];
	type = content.at[AT_TYPE];
	if ((algorithm != SEAL_DETERMINISTIC && algorithm != SEAL_RANDOM) ||
		!cipher_allows(algorithm, type))
		return false;
	room = plain_room(c, sealed.len);
	if (!room || !aead_open(prepare(c, key), head, sealed, room, &value) ||
		!wellformed_value(type, value) || is_encrypted(type, value))
		return false;
	*out = (struct opened){.key = key, .algorithm = algorithm, .type = type, .value = value};
	return true;
}

enum cipher_opened cipher_open(struct cipher *c, struct bytes content, struct opened *out)
{
	int key = cipher_key_of(c->keys, content);

	if (key == KEY_NONE) {
		*out = (struct opened){.key = KEY_NONE};
		return OPEN_FOREIGN;
	}
	return cipher_open_under(c, key, content, out) ? OPENED : OPEN_DAMAGED;
}
