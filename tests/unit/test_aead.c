#include "unit.h"

#include <sodium.h>

#include "keys/aead.h"

#define ROOM 256u

static size_t from_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t len = 0;

	assert_int_equal(sodium_hex2bin(out, size, hex, strlen(hex), " ", &len, NULL), 0);
	return len;
}

/* RFC 4231 §4.2-4.5 (a key of over 128 bytes is none of ours), and a key that fills a block. */
static void test_hmac(void **state)
{
	static const struct {
		const char *key;
		const char *text;
		const char *mac;
	} cases[] = {
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
			"87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
			"daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
		{"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
			"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
			"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
		{"0102030405060708090a0b0c0d0e0f10111213141516171819",
			"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
			"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
			"b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
			"a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint8_t key[128], text[128], mac[HMAC_LEN], expected[HMAC_LEN];
		size_t len = from_hex(cases[i].text, text, sizeof(text));
		const struct bytes parts[] = {bytes_of(text, 1), bytes_of(text + 1, len - 1)};
		struct hmac_key k;

		hmac_key_set(&k, bytes_of(key, from_hex(cases[i].key, key, sizeof(key))));
		hmac_compute(&k, parts, COUNT_OF(parts), mac);
		from_hex(cases[i].mac, expected, sizeof(expected));
		assert_memory_equal(mac, expected, sizeof(mac));
	}
}

/* draft-mcgrew-aead-aes-cbc-hmac-sha2-05 §5.4, the same as RFC 7518 §B.3. */
#define DRAFT_PLAIN                                                                        \
	"41206369706865722073797374656d206d757374206e6f7420626520726571756972656420746f20" \
	"6265207365637265742c20616e64206974206d7573742062652061626c6520746f2066616c6c2069" \
	"6e746f207468652068616e6473206f662074686520656e656d7920776974686f757420696e636f6e" \
	"76656e69656e6365"
#define DRAFT_IV "1af38c2dc2b96ffdd86694092341bc04"
#define DRAFT_AD                                                                       \
	"546865207365636f6e64207072696e6369706c65206f662041756775737465204b6572636b68" \
	"6f666673"
#define DRAFT_TEXT                                                                         \
	"4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd822c301dd67c373b" \
	"ccb584ad3e9279c2e6d12a1374b77f077553df829410446b36ebd97066296ae6427ea75c2e0846a1" \
	"1a09ccf5370dc80bfecbad28c73f09b3a3b75e662a2594410ae496b2e2e6609e31e6e02cc837f053" \
	"d21f37ff4f51950bbe2638d09dd7a4930930806d0703b1f6"
#define DRAFT_MAC "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5"

/* Key bytes 0, 1, 2 …, of which the draft has the first 64. */
static void begin(struct aead *a, struct aead_secrets *secrets)
{
	static uint8_t key[AEAD_KEY_LEN];
	struct fault why;

	assert_true(aes_available(&why));
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	aead_init(a, key, secrets);
}

static void test_draft(void **state)
{
	uint8_t plain[ROOM], ad[ROOM], iv[AEAD_IV_LEN], expected[ROOM], sealed[ROOM], room[ROOM];
	size_t plain_len = from_hex(DRAFT_PLAIN, plain, sizeof(plain));
	size_t ad_len = from_hex(DRAFT_AD, ad, sizeof(ad));
	size_t len = from_hex(DRAFT_IV DRAFT_TEXT DRAFT_MAC, expected, sizeof(expected));
	struct aead_secrets secrets;
	struct bytes opened;
	struct aead a;

	(void)state;
	begin(&a, &secrets);
	from_hex(DRAFT_IV, iv, sizeof(iv));
	assert_int_equal(aead_sealed_len(plain_len), len);
	aead_seal(&a, bytes_of(ad, ad_len), iv, bytes_of(plain, plain_len), sealed);
	assert_memory_equal(sealed, expected, len);
	assert_true(aead_open(&a, bytes_of(ad, ad_len), bytes_of(sealed, len), room, &opened));
	assert_int_equal(opened.len, plain_len);
	assert_memory_equal(opened.at, plain, plain_len);
	aead_fini(&a);
	assert_true(sodium_is_zero((uint8_t *)&secrets, sizeof(secrets)));
}

/* Every length around the blocks, and every bit of what was sealed. */
static void test_lengths_and_damage(void **state)
{
	uint8_t plain[50], iv[AEAD_IV_LEN] = {7}, sealed[ROOM], room[ROOM];
	struct aead_secrets secrets;
	struct bytes opened, ad = bytes_str("head");
	struct aead a;

	(void)state;
	begin(&a, &secrets);
	memset(plain, 0x10, sizeof(plain)); /* looks like padding */
	for (size_t len = 0; len <= sizeof(plain); len++) {
		size_t sealed_len = aead_sealed_len(len);

		aead_seal(&a, ad, iv, bytes_of(plain, len), sealed);
		assert_true(aead_open(&a, ad, bytes_of(sealed, sealed_len), room, &opened));
		assert_int_equal(opened.len, len);
		assert_memory_equal(opened.at, plain, len);
		for (size_t bit = 0; bit < sealed_len * 8; bit++) {
			sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(
				aead_open(&a, ad, bytes_of(sealed, sealed_len), room, &opened));
			sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		for (size_t cut = 0; cut < sealed_len; cut++)
			assert_false(aead_open(&a, ad, bytes_of(sealed, cut), room, &opened));
		assert_false(aead_open(
			&a, bytes_str("heat"), bytes_of(sealed, sealed_len), room, &opened));
	}
	aead_fini(&a);
}

/* Seals whole blocks as they are, with a MAC that is right. */
static void seal_padded(struct aead *a, const uint8_t *blocks, size_t len, uint8_t *sealed)
{
	static const uint8_t no_bits[8];
	EVP_CIPHER_CTX *aes = aes_new(AES_CBC, true, a->key + 32);
	uint8_t mac[HMAC_LEN];

	memset(sealed, 0, AEAD_IV_LEN);
	aes_run(aes, blocks, len, sealed + AEAD_IV_LEN);
	EVP_CIPHER_CTX_free(aes);
	hmac_compute(&a->secrets->mac,
		(struct bytes[]){bytes_of(sealed, AEAD_IV_LEN + len), bytes_of(no_bits, 8)}, 2,
		mac);
	memcpy(sealed + AEAD_IV_LEN + len, mac, AEAD_MAC_LEN);
}

static void test_padding(void **state)
{
	static const struct {
		const char *name;
		const char *blocks;
		size_t len; /* of what is left, or BAD */
	} cases[] = {
#define BAD SIZE_MAX
		{"a whole block", "\20\20\20\20\20\20\20\20\20\20\20\20\20\20\20\20", 0},
		{"one byte", "fifteen letters\1", 15},
		{"two bytes", "fourteen chars\2\2", 14},
		{"zero", "fifteen letters\0", BAD},
		{"seventeen", "fifteen letters\21", BAD},
		{"255", "fifteen letters\377", BAD},
		{"not all the same", "fourteen chars\3\2", BAD},
		{"the first one differs", "thirteen byte\2\3\3", BAD},
		{"a block whose first differs", "\17\20\20\20\20\20\20\20\20\20\20\20\20\20\20\20",
			BAD},
	};
	uint8_t sealed[ROOM], room[ROOM];
	struct aead_secrets secrets;
	struct aead a;

	(void)state;
	begin(&a, &secrets);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct bytes opened = {.len = BAD};
		bool done;

		seal_padded(&a, (const uint8_t *)cases[i].blocks, AES_BLOCK_LEN, sealed);
		done = aead_open(
			&a, bytes_of(NULL, 0), bytes_of(sealed, AEAD_EMPTY_LEN), room, &opened);
		if (done != (cases[i].len != BAD) || (done && opened.len != cases[i].len))
			fail_msg("%s", cases[i].name);
	}
	aead_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_draft),
		cmocka_unit_test(test_lengths_and_damage),
		cmocka_unit_test(test_padding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
