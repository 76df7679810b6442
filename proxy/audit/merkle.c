#include "audit/merkle.h"

#include <sodium.h>

static void hash_node(
	uint8_t out[MERKLE_LEN], const uint8_t left[MERKLE_LEN], const uint8_t right[MERKLE_LEN])
{
	uint8_t input[1 + 2 * MERKLE_LEN];

	input[0] = 1;
	memcpy(input + 1, left, MERKLE_LEN);
	memcpy(input + 1 + MERKLE_LEN, right, MERKLE_LEN);
	crypto_generichash(out, MERKLE_LEN, input, sizeof(input), NULL, 0);
}

void merkle_init(struct merkle *m)
{
	memset(m, 0, sizeof(*m));
}

bool merkle_append(struct merkle *m, const uint8_t line_hash[MERKLE_LEN])
{
	uint8_t input[1 + MERKLE_LEN] = {0}, node[MERKLE_LEN];
	unsigned level = 0;

	if (m->count >= (UINT64_C(1) << MERKLE_DEPTH) - 1)
		return false;
	memcpy(input + 1, line_hash, MERKLE_LEN);
	crypto_generichash(node, MERKLE_LEN, input, sizeof(input), NULL, 0);
	for (; m->count >> level & 1; level++)
		hash_node(node, m->nodes[level], node);
	memcpy(m->nodes[level], node, MERKLE_LEN);
	m->count++;
	return true;
}

void merkle_root(const struct merkle *m, uint8_t root[MERKLE_LEN])
{
	bool begun = false;

	if (!m->count)
		crypto_generichash(root, MERKLE_LEN, NULL, 0, NULL, 0);
	for (unsigned level = 0; level < MERKLE_DEPTH; level++) {
		if (!(m->count >> level & 1))
			continue;
		if (begun)
			hash_node(root, m->nodes[level], root);
		else
			memcpy(root, m->nodes[level], MERKLE_LEN);
		begun = true;
	}
}
