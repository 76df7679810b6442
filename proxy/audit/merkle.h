/* merkle.h - the tree over line hashes that a checkpoint signs.
 *
 * Shaped as RFC 9162, 2.1.1, with BLAKE2b-256: a leaf is H(0x00 | line hash), a node
 * H(0x01 | left | right).  Only the roots of the complete subtrees are kept (one for each
 * bit of the count), so that the memory does not grow.
 *
 * A tree is a plain value without pointers.  To go back to an earlier size, keep a copy
 * from then (`struct merkle mark = tree;`) and assign it (`tree = mark;`).
 */
#ifndef PROXY_AUDIT_MERKLE_H
#define PROXY_AUDIT_MERKLE_H

#include "util/bytes.h"

#define MERKLE_LEN   32u
#define MERKLE_DEPTH 40u /* 2^40 - 1 leaves */

struct merkle {
	uint64_t count;
	uint8_t nodes[MERKLE_DEPTH][MERKLE_LEN]; /* [k] is in use when bit k of count is set */
};

void merkle_init(struct merkle *m);
/* False, and nothing added, when the tree is full. */
bool merkle_append(struct merkle *m, const uint8_t line_hash[MERKLE_LEN]) MUST_CHECK;
/* The root over all leaves; of no leaves, the hash of nothing (as RFC 9162 has it). */
void merkle_root(const struct merkle *m, uint8_t root[MERKLE_LEN]);

#endif
