#include "auth/scram_messages.h"

#include <sodium.h>

#include "util/utf8.h"

void scram_put_base64(struct buf *out, struct bytes b)
{
	size_t size = sodium_base64_ENCODED_LEN(b.len, sodium_base64_VARIANT_ORIGINAL);
	uint8_t *at = buf_reserve(out, size);

	if (!at)
		return;
	sodium_bin2base64((char *)at, size, b.at, b.len, sodium_base64_VARIANT_ORIGINAL);
	buf_commit(out, size - 1);
}

bool scram_base64(struct bytes text, uint8_t *out, size_t max, size_t *len)
{
	const char *end;

	return text.len && bytes_are_ascii(text) &&
	       sodium_base642bin(out, max, (const char *)text.at, text.len, NULL, len, &end,
		       sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       end == (const char *)text.at + text.len && *len > 0;
}

static bool refuse(struct fault *why, const char *detail)
{
	return fault_set(why, FAULT_LOGIN_FAILED, "SCRAM: %s", detail);
}

/* The next attribute "x=value"; its comma is passed over.  0 and no value when there is
 * none, or when it is no attribute. */
static char next_attribute(struct bytes *left, struct bytes *value)
{
	const uint8_t *comma = left->len ? memchr(left->at, ',', left->len) : NULL;
	size_t len = comma ? (size_t)(comma - left->at) : left->len;
	struct bytes all = bytes_head(*left, len);
	bool is_letter = len > 1 && ((all.at[0] | 0x20) >= 'a' && (all.at[0] | 0x20) <= 'z');

	*value = bytes_from(all, 2);
	/* A comma that ends the message announces an attribute that does not come. */
	if (!is_letter || all.at[1] != '=' || (comma && len + 1 == left->len))
		return 0;
	*left = bytes_from(*left, comma ? len + 1 : len);
	return (char)all.at[0];
}

static bool is_nonce(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.at[i] < 0x21 || b.at[i] > 0x7e)
			return false;
	return b.len > 0;
}

static bool unescape_name(struct scram_client_first *m, struct bytes text)
{
	m->name_len = 0;
	while (text.len) {
		uint8_t c = text.at[0];
		size_t used = 1;

		if (c == '=') {
			bool comma = bytes_start_with(text, bytes_str("=2C"));

			if (!comma && !bytes_start_with(text, bytes_str("=3D")))
				return false;
			c = comma ? ',' : '=';
			used = 3;
		}
		if (c == 0 || m->name_len == sizeof(m->name))
			return false;
		m->name[m->name_len++] = c;
		text = bytes_from(text, used);
	}
	return m->name_len && utf8_valid(bytes_of(m->name, m->name_len));
}

bool scram_parse_client_first(struct scram_client_first *m, struct bytes payload, struct fault *why)
{
	struct bytes left, value;

	*m = (struct scram_client_first){.gs2_header = bytes_head(payload, 3)};
	if (payload.len && payload.at[0] == 'p')
		return refuse(why, "channel binding, which is not offered");
	/* "y": the client could bind channels and believes that we cannot, which is so. */
	if (!bytes_equal_str(m->gs2_header, "n,,") && !bytes_equal_str(m->gs2_header, "y,,"))
		return refuse(why, "another identity or a malformed header");
	left = m->bare = bytes_from(payload, 3);
	switch (next_attribute(&left, &value)) {
	case 'n':
		break;
	case 'm':
		return refuse(why, "a mandatory extension");
	default:
		return refuse(why, "no user name");
	}
	if (!unescape_name(m, value))
		return refuse(why, "a malformed user name");
	if (next_attribute(&left, &m->nonce) != 'r' || !is_nonce(m->nonce))
		return refuse(why, "no nonce");
	/* RFC 5802, 5.1: unknown extensions are ignored, but for mandatory ones. */
	while (left.len)
		switch (next_attribute(&left, &value)) {
		case 0:
		case 'm':
			return refuse(why, "a malformed or mandatory extension");
		default:
			break;
		}
	return true;
}

bool scram_parse_client_final(struct scram_client_final *m, struct bytes payload, struct fault *why)
{
	struct bytes left = payload, value;
	size_t len;
	char name;

	*m = (struct scram_client_final){0};
	if (next_attribute(&left, &m->binding) != 'c')
		return refuse(why, "no channel binding data");
	if (next_attribute(&left, &m->nonce) != 'r' || !is_nonce(m->nonce))
		return refuse(why, "no nonce in the final message");
	do {
		m->without_proof = bytes_head(payload, payload.len - left.len - 1);
		name = next_attribute(&left, &value);
	} while (name && name != 'p' && name != 'm');
	if (name != 'p' || left.len)
		return refuse(why, "no proof at the end");
	if (!scram_base64(value, m->proof, sizeof(m->proof), &len) || len != sizeof(m->proof))
		return refuse(why, "a malformed proof");
	return true;
}

void scram_put_server_first(
	struct buf *out, struct bytes nonce, struct bytes salt, uint32_t iterations)
{
	buf_put_str(out, "r=");
	buf_put(out, nonce);
	buf_put_str(out, ",s=");
	scram_put_base64(out, salt);
	buf_put_format(out, ",i=%u", iterations);
}

static void sign(const uint8_t key[SCRAM_HASH_LEN], struct bytes message, uint8_t *out)
{
	_Static_assert(crypto_auth_hmacsha256_KEYBYTES == SCRAM_HASH_LEN, "SHA-256");
	crypto_auth_hmacsha256(out, message.at, message.len, key);
}

bool scram_check_proof(const struct scram_verifier *v, struct bytes auth_message,
	const uint8_t proof[SCRAM_HASH_LEN], uint8_t signature[SCRAM_HASH_LEN])
{
	uint8_t key[SCRAM_HASH_LEN], stored[SCRAM_HASH_LEN];
	bool same;

	sign(v->stored_key, auth_message, key);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] ^= proof[i]; /* ClientKey, if the client knew it */
	crypto_hash_sha256(stored, key, sizeof(key));
	same = sodium_memcmp(stored, v->stored_key, sizeof(stored)) == 0;
	sign(v->server_key, auth_message, signature);
	sodium_memzero(key, sizeof(key));
	sodium_memzero(stored, sizeof(stored));
	return same;
}
