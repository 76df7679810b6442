/* chain.h - where a log stands: what the next line needs of all lines before it.
 *
 * A plain value: a batch that cannot be written is undone by assigning a copy from
 * before it.
 */
#ifndef PROXY_AUDIT_CHAIN_H
#define PROXY_AUDIT_CHAIN_H

#include "audit/line.h"
#include "audit/merkle.h"
#include "util/clock.h"

#define CHAIN_INSTANCE_MAX 63u

struct chain {
	char instance[CHAIN_INSTANCE_MAX + 1];
	size_t instance_len;
	uint64_t seq; /* of the next line */
	uint8_t prev[LINE_HASH_LEN];
	int64_t last_us;    /* `ts` of the last line */
	struct merkle tree; /* over what the next checkpoint covers */
	uint64_t from;      /* first seq in it */
	uint64_t records;   /* of these, that are no checkpoints */
};

/* The time as all lines of one batch have it. */
struct stamp {
	int64_t time_us;
	uint64_t mono_ms;
	char ts[CLOCK_TS_SIZE];
};

/* `prev` of seq 0 is the hash of the first public key. */
void chain_init(struct chain *c, const char *instance, const uint8_t public_key[32]);
/* Never before the last line's time. */
void chain_stamp(const struct chain *c, int64_t now_us, struct stamp *out);

/* Appends the line, with its LF, and moves on.  `middle` is what stands between `instance`
 * and `mono`, ending in a comma unless it is empty. */
void chain_put(struct chain *c, struct buf *out, const struct stamp *stamp, enum line_event event,
	struct bytes middle);
/* If `now_us` is over a second behind the last line, a `clock` record, after which lines
 * have the new time. */
void chain_put_clock(struct chain *c, struct buf *out, int64_t now_us);

struct signer {
	uint8_t seed_and_public[64]; /* as libsodium has its secret keys; wiped by its owner */
	uint8_t public_key[32];
	char id[17]; /* first digits of the public key's hash */
};
/* Appends a checkpoint over all since the last one. */
void chain_put_checkpoint(struct chain *c, struct buf *out, const struct stamp *stamp,
	const struct signer *signer, const char *cluster_time);
/* Whether `line` is a checkpoint that the signer signed. */
bool signer_signed(const struct signer *s, const struct line *line);

/* Notes a line that stands in the log already. */
void chain_follow(struct chain *c, const struct line *line);

#endif
