/* The first byte says which hash, the rest of its line is the server's challenge, in which
 * '@' stands for our nonce; the second line is its signature.  No server is believed, since
 * none knows our nonce before it is said; what is proved is what was challenged. */
#include <assert.h>

#include "upstream/scram_client.h"

static const char sha1_salted[] = "1d96ee3a529b5a5f9e47c01f229a2cb8a6e15f7d";
static const char sha256_salted[] =
	"c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d";

/* Our nonce: neither it nor the name before it has a comma. */
static struct bytes nonce_of(struct bytes first)
{
	const uint8_t *comma = memrchr(first.at, ',', first.len);

	assert(comma && comma[1] == 'r' && comma[2] == '=');
	return bytes_from(first, (size_t)(comma + 3 - first.at));
}

static void fill_in(struct buf *out, struct bytes text, struct bytes nonce)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '@')
			buf_put(out, nonce);
		else
			buf_put_u8(out, text.at[i]);
	}
}

static void expect_proof(struct bytes proof, struct bytes challenge, size_t hash_text_len)
{
	static const char begin[] = "c=biws,";
	const uint8_t *comma = memchr(challenge.at, ',', challenge.len);
	struct bytes said, nonce = bytes_of(challenge.at, (size_t)(comma - challenge.at));

	assert(proof.len <= SCRAM_MESSAGE_MAX);
	assert(bytes_start_with(proof, bytes_str(begin)));
	said = bytes_from(proof, sizeof(begin) - 1);
	assert(bytes_start_with(said, nonce));
	said = bytes_from(said, nonce.len);
	assert(said.len == 3 + hash_text_len && bytes_start_with(said, bytes_str(",p=")));
}

static void answer(struct scram_client *c, bool sha1, struct bytes challenge, struct bytes last)
{
	struct fault why = {.code = FAULT_NONE};
	uint32_t iterations;
	struct bytes salt;
	struct buf proof;

	if (!scram_client_challenge(c, challenge, &salt, &iterations, &why)) {
		assert(why.code == FAULT_UPSTREAM_GARBAGE);
		return;
	}
	assert(salt.len && salt.len < challenge.len && !memchr(salt.at, ',', salt.len));
	assert(iterations >= SCRAM_ITERATIONS_MIN && iterations <= SCRAM_ITERATIONS_MAX);
	buf_init(&proof, SCRAM_MESSAGE_MAX);
	if (scram_client_proof(c, sha1 ? sha1_salted : sha256_salted, &proof, &why))
		expect_proof(buf_bytes(&proof), challenge, sha1 ? 28 : 44);
	else
		assert(why.code == FAULT_UPSTREAM_GARBAGE && !proof.len);
	assert(!scram_client_verify(c, last, &why) && why.code == FAULT_UPSTREAM_GARBAGE);
	buf_fini(&proof);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *lf = size ? memchr(data, '\n', size) : NULL;
	struct bytes all = bytes_of(size ? data : (const uint8_t *)"", size);
	struct bytes line = bytes_head(all, lf ? (size_t)(lf - data) : size);
	struct bytes last = bytes_from(all, line.len + 1);
	bool sha1 = line.len && line.at[0] == '1';
	struct scram_client *c = scram_client_new(sha1, "user");
	struct buf first, challenge;
	struct bytes nonce;

	assert(c);
	buf_init(&first, SCRAM_MESSAGE_MAX);
	buf_init(&challenge, 2 * SCRAM_MESSAGE_MAX);
	assert(scram_client_first(c, &first));
	nonce = nonce_of(buf_bytes(&first));
	fill_in(&challenge, bytes_from(line, 1), nonce);
	if (challenge.len && !challenge.failed)
		answer(c, sha1, buf_bytes(&challenge), last);
	buf_fini(&first);
	buf_fini(&challenge);
	scram_client_free(c);
	return 0;
}
