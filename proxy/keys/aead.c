#include "keys/aead.h"

#include <assert.h>

#include <sodium.h>

#define MAC_KEY        0u
#define ENCRYPTION_KEY 32u
#define IV_KEY         64u
#define PART_LEN       32u

void aead_init(struct aead *a, const uint8_t key[AEAD_KEY_LEN], struct aead_secrets *secrets)
{
	*a = (struct aead){.key = key, .secrets = secrets};
	hmac_key_set(&secrets->mac, bytes_of(key + MAC_KEY, PART_LEN));
	hmac_key_set(&secrets->iv, bytes_of(key + IV_KEY, PART_LEN));
}

void aead_fini(struct aead *a)
{
	EVP_CIPHER_CTX_free(a->seals);
	EVP_CIPHER_CTX_free(a->opens);
	if (a->secrets)
		sodium_memzero(a->secrets, sizeof(*a->secrets));
	*a = (struct aead){0};
}

struct bit_length {
	uint8_t big_endian[8];
};

static struct bit_length bit_length_of(struct bytes b)
{
	struct bit_length n;
	uint64_t bits = (uint64_t)b.len * 8;

	for (size_t i = sizeof(n.big_endian); i-- > 0; bits >>= 8)
		n.big_endian[i] = (uint8_t)bits;
	return n;
}

static void compute_mac(
	const struct aead *a, struct bytes ad, struct bytes iv_and_text, uint8_t mac[HMAC_LEN])
{
	struct bit_length ad_bits = bit_length_of(ad);
	const struct bytes parts[] = {ad, iv_and_text, bytes_of(&ad_bits, sizeof(ad_bits))};

	hmac_compute(&a->secrets->mac, parts, COUNT_OF(parts), mac);
}

void aead_derive_iv(
	const struct aead *a, struct bytes ad, struct bytes plain, uint8_t iv[AEAD_IV_LEN])
{
	struct bit_length ad_bits = bit_length_of(ad);
	const struct bytes parts[] = {ad, bytes_of(&ad_bits, sizeof(ad_bits)), plain};
	uint8_t mac[HMAC_LEN];

	hmac_compute(&a->secrets->iv, parts, COUNT_OF(parts), mac);
	memcpy(iv, mac, AEAD_IV_LEN);
}

void aead_seal(struct aead *a, struct bytes ad, const uint8_t iv[AEAD_IV_LEN], struct bytes plain,
	uint8_t *out)
{
	size_t padding = AES_BLOCK_LEN - plain.len % AES_BLOCK_LEN;
	uint8_t *text = out + AEAD_IV_LEN;
	uint8_t mac[HMAC_LEN];

	assert(plain.len <= AEAD_PLAIN_MAX);
	if (!a->seals)
		a->seals = aes_new(AES_CBC, true, a->key + ENCRYPTION_KEY);
	memcpy(out, iv, AEAD_IV_LEN);
	if (plain.len)
		memcpy(text, plain.at, plain.len);
	memset(text + plain.len, (int)padding, padding);
	aes_set_iv(a->seals, iv);
	aes_run(a->seals, text, plain.len + padding, text);
	compute_mac(a, ad, bytes_of(out, AEAD_IV_LEN + plain.len + padding), mac);
	memcpy(text + plain.len + padding, mac, AEAD_MAC_LEN);
}

/* PKCS #7, of a text that the MAC vouches for: no need to hide which byte is wrong. */
static bool cut_padding(struct bytes *padded)
{
	uint8_t padding = padded->at[padded->len - 1];

	if (padding < 1 || padding > AES_BLOCK_LEN)
		return false;
	for (size_t i = 1; i <= padding; i++)
		if (padded->at[padded->len - i] != padding)
			return false;
	padded->len -= padding;
	return true;
}

bool aead_open(
	struct aead *a, struct bytes ad, struct bytes sealed, uint8_t *room, struct bytes *plain)
{
	struct bytes iv_and_text;
	uint8_t mac[HMAC_LEN];

	if (sealed.len < AEAD_EMPTY_LEN || sealed.len > aead_sealed_len(AEAD_PLAIN_MAX) ||
		sealed.len % AES_BLOCK_LEN)
		return false;
	iv_and_text = bytes_head(sealed, sealed.len - AEAD_MAC_LEN);
	compute_mac(a, ad, iv_and_text, mac);
	if (crypto_verify_32(mac, sealed.at + iv_and_text.len) != 0)
		return false;
	if (!a->opens)
		a->opens = aes_new(AES_CBC, false, a->key + ENCRYPTION_KEY);
	/* In CBC the block before is all that a block needs, and setting an IV costs six
	 * times the decryption of one: the IV goes through as if it were text, and the
	 * nonsense that it becomes is passed over. */
	aes_run(a->opens, iv_and_text.at, iv_and_text.len, room);
	*plain = bytes_of(room + AEAD_IV_LEN, iv_and_text.len - AEAD_IV_LEN);
	return cut_padding(plain);
}
