#include "audit/chain.h"

#include <sodium.h>
#include <stdio.h>

#include "audit/record.h"

#define PUT(out, literal) buf_put(out, bytes_of(literal, sizeof(literal) - 1))

#define CLOCK_STEP_MS 1000 /* steps back of more than this get a record */

void chain_init(struct chain *c, const char *instance, const uint8_t public_key[32])
{
	*c = (struct chain){0};
	c->instance_len = strnlen(instance, CHAIN_INSTANCE_MAX);
	memcpy(c->instance, instance, c->instance_len);
	line_hash(bytes_of(public_key, 32), c->prev);
	merkle_init(&c->tree);
}

void chain_stamp(const struct chain *c, int64_t now_us, struct stamp *out)
{
	out->time_us = now_us > c->last_us ? now_us : c->last_us;
	out->mono_ms = clock_boottime_ms();
	clock_format(out->time_us, out->ts);
}

static void put_front(
	struct chain *c, struct buf *out, const struct stamp *stamp, enum line_event event)
{
	PUT(out, "{\"v\":1,\"event\":\"");
	buf_put_str(out, line_event_name(event));
	PUT(out, "\",\"seq\":");
	buf_put_count(out, c->seq);
	PUT(out, ",\"ts\":\"");
	buf_put(out, bytes_of(stamp->ts, CLOCK_TS_SIZE - 1));
	PUT(out, "\",\"instance\":\"");
	buf_put(out, bytes_of(c->instance, c->instance_len));
	PUT(out, "\",");
}

static void put_end(struct chain *c, struct buf *out, const struct stamp *stamp)
{
	PUT(out, "\"mono\":");
	buf_put_count(out, stamp->mono_ms);
	PUT(out, ",\"prev\":\"");
	record_put_hex(out, c->prev, sizeof(c->prev));
	buf_put_u8(out, '"');
}

/* The line that begins at `start` is complete but for its LF. */
static void close_line(struct chain *c, struct buf *out, size_t start, int64_t time_us)
{
	if (out->failed)
		return;
	line_hash(bytes_from(buf_bytes(out), start), c->prev);
	/* The tree is emptied every thousand lines: it is never full. */
	if (!merkle_append(&c->tree, c->prev))
		out->failed = true;
	c->seq++;
	c->last_us = time_us;
	buf_put_u8(out, '\n');
}

void chain_put(struct chain *c, struct buf *out, const struct stamp *stamp, enum line_event event,
	struct bytes middle)
{
	const size_t start = out->len;

	put_front(c, out, stamp, event);
	buf_put(out, middle);
	put_end(c, out, stamp);
	buf_put_u8(out, '}');
	c->records++;
	close_line(c, out, start, stamp->time_us);
}

void chain_put_clock(struct chain *c, struct buf *out, int64_t now_us)
{
	const int64_t step_ms = (c->last_us - now_us) / 1000;
	char last[CLOCK_TS_SIZE];
	struct stamp stamp;
	struct buf middle;

	if (step_ms <= CLOCK_STEP_MS)
		return;
	buf_init(&middle, 256);
	clock_format(c->last_us, last);
	buf_put_format(&middle, "\"from\":\"%s\",\"step_ms\":%lld,", last, (long long)step_ms);
	c->last_us = now_us; /* the one way back */
	chain_stamp(c, now_us, &stamp);
	chain_put(c, out, &stamp, LINE_CLOCK, buf_bytes(&middle));
	buf_fini(&middle);
}

void chain_put_checkpoint(struct chain *c, struct buf *out, const struct stamp *stamp,
	const struct signer *signer, const char *cluster_time)
{
	const size_t start = out->len;
	const uint64_t seq = c->seq;
	uint8_t root[MERKLE_LEN], sig[LINE_SIG_LEN];
	struct bytes line;

	merkle_root(&c->tree, root);
	put_front(c, out, stamp, LINE_CHECKPOINT);
	PUT(out, "\"from\":");
	buf_put_count(out, c->from);
	PUT(out, ",\"root\":\"");
	record_put_hex(out, root, sizeof(root));
	PUT(out, "\",\"cluster_time\":");
	if (cluster_time)
		record_put_name(out, bytes_str(cluster_time));
	else
		PUT(out, "null");
	PUT(out, ",\"key\":\"");
	buf_put_str(out, signer->id);
	PUT(out, "\",\"next_key\":null,");
	put_end(c, out, stamp);
	if (out->failed)
		return;
	line = bytes_from(buf_bytes(out), start);
	crypto_sign_detached(sig, NULL, line.at, line.len, signer->seed_and_public);
	PUT(out, ",\"sig\":\"");
	record_put_hex(out, sig, sizeof(sig));
	PUT(out, "\"}");
	merkle_init(&c->tree);
	close_line(c, out, start, stamp->time_us);
	c->from = seq;
	c->records = 0;
}

bool signer_signed(const struct signer *s, const struct line *line)
{
	uint8_t sig[LINE_SIG_LEN];

	return line->event == LINE_CHECKPOINT && line->text.len > LINE_SIG_TAIL &&
	       bytes_equal_str(line_raw_text(line, LINE_KEY_key), s->id) &&
	       line_unhex(line_raw_text(line, LINE_KEY_sig), sig, sizeof(sig)) &&
	       crypto_sign_verify_detached(
		       sig, line->text.at, line->text.len - LINE_SIG_TAIL, s->public_key) == 0;
}

void chain_follow(struct chain *c, const struct line *line)
{
	if (line->event == LINE_CHECKPOINT) {
		merkle_init(&c->tree);
		c->from = line->seq;
		c->records = 0;
	} else {
		c->records++;
	}
	memcpy(c->prev, line->hash, sizeof(c->prev));
	/* Emptied by each checkpoint, it is never full. */
	if (!merkle_append(&c->tree, line->hash))
		merkle_init(&c->tree);
	c->seq = line->seq + 1;
	c->last_us = line->time_us;
}
