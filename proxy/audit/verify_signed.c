#include "audit/verify_inside.h"

#include <errno.h>

#include <sodium.h>

static void hash_key(const uint8_t key[VERIFY_KEY_LEN], uint8_t hash[LINE_HASH_LEN])
{
	line_hash(bytes_of(key, VERIFY_KEY_LEN), hash);
}

/* The public key whose hash begins with `id`. */
static bool find_key(struct chain *c, const uint8_t *id, size_t len)
{
	uint8_t hash[LINE_HASH_LEN];

	for (size_t i = 0; i < c->v->nkeys; i++) {
		hash_key(c->v->keys[i], hash);
		if (memcmp(hash, id, len) == 0) {
			memcpy(c->key, c->v->keys[i], VERIFY_KEY_LEN);
			c->has_key = true;
			return true;
		}
	}
	return false;
}

bool chain_first_key(struct chain *c, const struct line *l)
{
	return find_key(c, l->prev, LINE_HASH_LEN) ||
	       verify_fault(
		       c->v, c->at, "prev of the first line is the hash of no public key given");
}

static bool check_signature(
	struct chain *c, const struct line *l, struct verify_place at, uint8_t next[VERIFY_KEY_LEN])
{
	uint8_t id[8], hash[LINE_HASH_LEN], sig[LINE_SIG_LEN];

	if (!line_unhex(line_raw_text(l, LINE_KEY_key), id, sizeof(id)) ||
		!line_unhex(line_raw_text(l, LINE_KEY_sig), sig, sizeof(sig)) ||
		l->text.len <= LINE_SIG_TAIL)
		return verify_fault(c->v, at, "no signature");
	if (!c->has_key && !find_key(c, id, sizeof(id)))
		return verify_fault(c->v, at, "signed by a key that is not known");
	hash_key(c->key, hash);
	if (memcmp(hash, id, sizeof(id)) != 0)
		return verify_fault(c->v, at, "key is not the one that signs here");
	if (crypto_sign_verify_detached(sig, l->text.at, l->text.len - LINE_SIG_TAIL, c->key) != 0)
		return verify_fault(c->v, at, "the signature is wrong");
	if (!line_unhex(line_raw_text(l, LINE_KEY_next_key), next, VERIFY_KEY_LEN))
		memcpy(next, c->key, VERIFY_KEY_LEN);
	return true;
}

bool chain_checkpoint(struct chain *c, const struct line *l)
{
	uint8_t root[MERKLE_LEN], given[MERKLE_LEN], next[VERIFY_KEY_LEN];

	if (!check_signature(c, l, c->at, next))
		return false;
	if (line_count(l, LINE_KEY_from) != c->from)
		return verify_fault(c->v, c->at, "from is not the seq of the checkpoint before it");
	merkle_root(&c->tree, root);
	if (!line_unhex(line_raw_text(l, LINE_KEY_root), given, sizeof(given)) ||
		memcmp(root, given, sizeof(root)) != 0)
		return verify_fault(c->v, c->at, "root is not that of the lines it covers");
	memcpy(c->key, next, sizeof(c->key));
	c->from = l->seq;
	c->told.seq = (int64_t)l->seq;
	c->uncovered = c->trailing = 0;
	c->gap_uncovered = false;
	c->expired_covered = c->expired_seen;
	merkle_init(&c->tree);
	return merkle_append(&c->tree, l->hash);
}

static struct verify_place place_of(const struct verify_cursor *cursor)
{
	return (struct verify_place){cursor->file.path, cursor->file.line};
}

static bool check_order(struct chain *c, struct verify_cursor *cursor, bool of_rolls, bool *again)
{
	const struct line *l = &cursor->line;

	*again = cursor->begun && !of_rolls && l->seq == cursor->last_seq &&
		 memcmp(l->hash, cursor->last_hash, sizeof(l->hash)) == 0;
	if (cursor->begun && !*again && l->seq <= cursor->last_seq)
		return verify_fault(c->v, place_of(cursor), "seq does not rise");
	cursor->begun = true;
	cursor->last_seq = l->seq;
	memcpy(cursor->last_hash, l->hash, sizeof(l->hash));
	return true;
}

static bool cursor_next(struct chain *c, struct verify_cursor *cursor, bool of_rolls)
{
	bool again = true;

	while (again) {
		struct bytes text;
		enum line_read how = line_file_next(&cursor->file, &text);

		cursor->on = how == LINE_READ_ONE;
		if (how == LINE_READ_END)
			return true;
		if (how != LINE_READ_ONE)
			return verify_read_fault(c->v, &cursor->file, how);
		if (!line_parse(&c->v->parser, text, &cursor->line))
			return verify_fault(c->v, place_of(cursor), "%s", c->v->parser.why);
		if (cursor->line.event != LINE_CHECKPOINT)
			return verify_fault(c->v, place_of(cursor), "no checkpoint");
		if (!bytes_equal_str(cursor->line.instance, c->told.instance)) {
			if (of_rolls)
				return verify_fault(c->v, place_of(cursor), "another instance");
			continue;
		}
		if (of_rolls && bytes_equal_str(cursor->line.values[LINE_KEY_next_key], "null"))
			return verify_fault(
				c->v, place_of(cursor), "a checkpoint that rolls no key");
		if (!check_order(c, cursor, of_rolls, &again))
			return false;
	}
	return true;
}

bool chain_cursors_open(struct chain *c, const struct verify_file *rolls)
{
	if (c->v->options->witness) {
		if (!line_file_open(&c->witness.file, c->v->options->witness))
			return verify_bad(c->v, "%s: %s", c->v->options->witness, strerror(errno));
		c->witness.file.limit = c->v->witness_size;
		if (!cursor_next(c, &c->witness, false))
			return false;
	}
	if (!rolls)
		return true;
	if (!line_file_open(&c->rolls.file, rolls->path))
		return verify_bad(c->v, "%s: %s", rolls->path, strerror(errno));
	c->rolls.file.limit = rolls->size;
	c->has_rolls_file = true;
	return cursor_next(c, &c->rolls, true);
}

void chain_cursors_close(struct chain *c)
{
	line_file_close(&c->witness.file);
	line_file_close(&c->rolls.file);
}

bool chain_cursors_excuse(struct chain *c, uint64_t seq)
{
	while (c->witness.on && c->witness.line.seq <= seq)
		if (!cursor_next(c, &c->witness, false))
			return false;
	while (c->rolls.on && c->rolls.line.seq <= seq) {
		uint8_t next[VERIFY_KEY_LEN];

		if (!check_signature(c, &c->rolls.line, place_of(&c->rolls), next))
			return false;
		memcpy(c->key, next, sizeof(c->key));
		if (!cursor_next(c, &c->rolls, true))
			return false;
	}
	return true;
}

static bool on_witness(struct chain *c, const struct line *l)
{
	struct verify_cursor *w = &c->witness;
	struct bytes ts = line_raw_text(l, LINE_KEY_ts);

	if (!w->on || w->line.seq > l->seq)
		return true;
	if (w->line.seq < l->seq)
		return verify_fault(
			c->v, place_of(w), "this line is not in the log of %s", c->told.instance);
	if (memcmp(w->line.hash, l->hash, sizeof(l->hash)) != 0)
		return verify_fault(c->v, place_of(w),
			"this line differs from the log of %s: %s:%llu", c->told.instance,
			c->at.file, (unsigned long long)c->at.line);
	c->witnessed = true;
	c->witness_seq = l->seq;
	c->witness_time_us = l->time_us;
	memcpy(c->told.witness_ts, ts.at, ts.len);
	c->told.witness_ts[ts.len] = '\0';
	return cursor_next(c, w, false);
}

static bool on_rolls(struct chain *c, const struct line *l)
{
	struct verify_cursor *r = &c->rolls;
	bool rolls = l->event == LINE_CHECKPOINT &&
		     !bytes_equal_str(l->values[LINE_KEY_next_key], "null");

	if (r->on && (r->line.seq < l->seq || (r->line.seq == l->seq && !rolls)))
		return verify_fault(
			c->v, place_of(r), "a roll that is not in the log of %s", c->told.instance);
	if (!c->has_rolls_file || !rolls)
		return true;
	if (!r->on) {
		/* It is written after the log: the newest may lack, and none before it. */
		if (c->rolls_lack)
			return verify_fault(
				c->v, c->at, "a roll behind one that the file of keys lacks");
		c->rolls_lack = true;
		return true;
	}
	if (r->line.seq != l->seq || memcmp(r->line.hash, l->hash, sizeof(l->hash)) != 0)
		return verify_fault(c->v, place_of(r), "not the roll of the log: %s:%llu",
			c->at.file, (unsigned long long)c->at.line);
	return cursor_next(c, r, true);
}

bool chain_cursors(struct chain *c, const struct line *l)
{
	return on_witness(c, l) && on_rolls(c, l);
}

bool chain_cursors_end(struct chain *c)
{
	if (c->witness.on)
		return verify_fault(c->v, place_of(&c->witness),
			"this line is behind the end of the log of %s (seq %llu): its tail is cut",
			c->told.instance, (unsigned long long)c->seq);
	if (c->rolls.on)
		return verify_fault(c->v, place_of(&c->rolls),
			"a roll that is not in the log of %s", c->told.instance);
	return true;
}
