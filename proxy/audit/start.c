/* start.c - where the log stands: compared with what the witnesses saw, repaired, opened
 * (docs/audit-format.md, "Witnesses and start"). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit/read_back.h"
#include "audit/system.h"
#include "util/file.h"
#include "util/log.h"
#include "util/memory.h"

/* ------------------------------------------------------------------- witnesses */

static bool refuse_older(struct starting *s, const char *witness, uint64_t seq)
{
	if (s->a->config.accept_gap)
		return true;
	return complain(s->complaints, (struct place){.file = s->a->config.directory},
		"find the missing lines, or serve --accept-gap WHY",
		"the log ends at seq %lld, but the witness %s has seen seq %llu",
		(long long)s->a->chain.seq - 1, witness, (unsigned long long)seq);
}

/* The newest line of a witness stands in the log, byte for byte. */
static bool compare_with(struct starting *s, size_t i)
{
	const char *path = witnesses_path(s->a->witnesses, i);
	uint8_t hash[LINE_HASH_LEN];
	struct witnessed_line newest;
	struct bytes text;
	size_t part;

	if (!witnesses_newest(s->a->witnesses, i, &newest))
		return true;
	if ((int64_t)newest.seq > s->witness_seq)
		s->witness_seq = (int64_t)newest.seq;
	if (newest.seq >= s->a->chain.seq) {
		s->gap = true;
		return refuse_older(s, path, newest.seq);
	}
	if (!find_line(s, newest.seq, &text, &part))
		return start_fail(s, path, NULL, "its newest line is not in the log");
	line_hash(text, hash);
	if (memcmp(hash, newest.hash, sizeof(hash)) == 0)
		return true;
	s->gap = true;
	return set_aside(s, part, (size_t)(text.at - s->parts[part].at),
		"the line differs from what a witness has seen");
}

/* Half a line at a witness's end was being written when something ended: the log has it. */
static bool check_half(struct starting *s, size_t i)
{
	struct bytes half = witnesses_half(s->a->witnesses, i), text;
	uint64_t seq;
	size_t part;

	if (!half.len || s->a->config.accept_gap || !seq_of(half, &seq))
		return true;
	if (find_line(s, seq, &text, &part) && bytes_start_with(text, half))
		return true;
	return start_fail(s, witnesses_path(s->a->witnesses, i),
		"find the missing lines, or serve --accept-gap WHY",
		"it ends in half a line that the log does not hold");
}

static bool compare_with_witnesses(struct starting *s)
{
	s->witness_seq = -1;
	for (size_t i = 0; i < witnesses_count_files(s->a->witnesses); i++)
		if (!compare_with(s, i) || !check_half(s, i))
			return false;
	if (s->witness_seq >= 0 || is_unused(s))
		return true;
	s->gap = true;
	return s->a->config.accept_gap != NULL ||
	       complain(s->complaints, (struct place){.file = s->a->config.directory},
		       "find the witness file, or serve --accept-gap WHY",
		       "the log has %llu lines, and no witness knows any of them",
		       (unsigned long long)s->a->chain.seq);
}

/* --------------------------------------------------------------------- repairing */

/* Appends to NAME.SUFFIX, durable, before anything is taken away. */
static bool append_beside(
	struct starting *s, const char *path, const char *suffix, struct bytes content)
{
	char *name = memory_format("%s.%s", path, suffix);
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool done = fd >= 0 && file_write_all(fd, content) && fsync(fd) == 0 &&
		    file_sync_folder_of(name);

	if (fd >= 0)
		close(fd);
	if (!done)
		start_fail(s, name, NULL, strerror(errno));
	free(name);
	return done;
}

static bool shorten(struct starting *s, struct part *p, size_t len, const char *suffix)
{
	bool done = append_beside(s, p->path, suffix, bytes_of(p->at + len, p->len - len)) &&
		    truncate(p->path, (off_t)len) == 0;
	int fd = done ? open(p->path, O_RDWR | O_CLOEXEC) : -1;

	done = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	if (!done)
		return start_fail(s, p->path, NULL, strerror(errno));
	unmap_part(p);
	return map_part(s, p);
}

/* From the bad line on, everything moves to NAME.bad; the chain ends before it. */
static bool move_bad(struct starting *s)
{
	for (size_t i = s->nparts; i-- > s->bad_part + 1;) {
		char *name = memory_format("%s.bad", s->parts[i].path);
		bool moved = map_part(s, &s->parts[i]) && rename(s->parts[i].path, name) == 0;

		free(name);
		if (!moved)
			return start_fail(s, s->parts[i].path, NULL, strerror(errno));
		unmap_part(&s->parts[i]);
		free(s->parts[i].path);
		s->nparts = i;
	}
	if (!shorten(s, &s->parts[s->bad_part], s->bad, "bad"))
		return false;
	if (!s->parts[s->bad_part].len && s->bad_part) {
		(void)unlink(s->parts[s->bad_part].path);
		unmap_part(&s->parts[s->bad_part]);
		free(s->parts[s->bad_part].path);
		s->nparts = s->bad_part;
	}
	return file_sync_folder_of(s->parts[0].path);
}

/* The page cache may be all that has what follows the last checkpoint: once more, synced. */
static bool write_again(struct starting *s)
{
	for (size_t i = s->from_part; i < s->nparts; i++) {
		struct part *p = &s->parts[i];
		size_t from = i == s->from_part ? s->from : 0;
		int fd = open(p->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		bool done = fd >= 0 &&
			    (p->len <= from || pwrite(fd, p->at + from, p->len - from,
						       (off_t)from) == (ssize_t)(p->len - from)) &&
			    fsync(fd) == 0;

		if (fd >= 0)
			close(fd);
		if (!done)
			return start_fail(s, p->path, NULL, strerror(errno));
	}
	return true;
}

static bool repair(struct starting *s)
{
	struct audit *a = s->a;

	if (s->has_bad) {
		/* Read anew what is left: it is whole. */
		if (!move_bad(s))
			return false;
		s->has_bad = false;
		s->any = false;
		s->cut = 0;
		chain_init(&a->chain, a->config.instance, a->signer->public_key);
		if (!read_back(s) || s->has_bad)
			return s->has_bad && start_fail(s, a->config.directory, NULL,
						     "the log is wrong in more than one place");
		s->gap = true;
	}
	if (s->cut) {
		struct part *p = &s->parts[s->nparts - 1];

		if (!shorten(s, p, p->len - s->cut, "cut"))
			return false;
	}
	return !s->any || s->last == LINE_STOP || write_again(s);
}

/* ---------------------------------------------------------------------- starting */

static void put_gap(struct starting *s, struct buf *out, const struct stamp *stamp)
{
	struct chain *c = &s->a->chain;
	struct buf middle;

	s->head_seq = (int64_t)c->seq - 1;
	if (s->witness_seq < s->head_seq)
		s->witness_seq = s->head_seq;
	buf_init(&middle, 4096);
	buf_put_format(&middle,
		"\"head_seq\":%lld,\"witness_seq\":%lld,\"why\":", (long long)s->head_seq,
		(long long)s->witness_seq);
	record_put_name(&middle, bytes_str(s->a->config.accept_gap));
	buf_put_u8(&middle, ',');
	c->seq = (uint64_t)(s->witness_seq + 1);
	chain_put(c, out, stamp, LINE_GAP, buf_bytes(&middle));
	buf_fini(&middle);
}

static void put_start(
	struct starting *s, struct bytes policy_hash, struct buf *out, const struct stamp *stamp)
{
	struct buf middle;

	buf_init(&middle, 4096);
	buf_put_str(&middle, "\"version\":");
	record_put_name(&middle, bytes_str(s->a->config.version));
	buf_put_str(&middle, ",\"policy\":");
	record_put_name(&middle, policy_hash);
	if (s->cut) {
		buf_put_format(&middle, ",\"cut\":%zu,\"cut_hash\":\"", s->cut);
		record_put_hex(&middle, s->cut_hash, sizeof(s->cut_hash));
		buf_put_u8(&middle, '"');
	}
	buf_put_u8(&middle, ',');
	chain_put(&s->a->chain, out, stamp, LINE_START, buf_bytes(&middle));
	buf_fini(&middle);
}

static bool open_file(struct starting *s)
{
	struct audit *a = s->a;
	bool use = s->nparts > 0;
	const struct part *last = use ? &s->parts[s->nparts - 1] : NULL;
	char *path;
	bool opened;

	/* The last line of a file that is left is a checkpoint: else it is used until one is. */
	if (use && a->config.rotate_size && last->len >= a->config.rotate_size && !a->chain.records)
		use = false;
	path = use ? memory_text(bytes_str(last->path))
		   : log_file_name(a, s->gap ? (uint64_t)(s->witness_seq + 1) : a->chain.seq);
	opened = log_file_open(&a->file, path, use ? last->len : 0);
	if (!opened)
		start_fail(s, path, NULL, a->file.why);
	free(path);
	return opened;
}

static bool begin_log(struct starting *s, struct bytes policy_hash)
{
	struct audit *a = s->a;
	int64_t now_us = audit_system.now_us();
	char time[CLUSTER_TIME_MAX];
	size_t checkpoint;
	struct stamp stamp;

	if (s->gap && s->witness_seq < (int64_t)a->chain.seq - 1)
		s->witness_seq = (int64_t)a->chain.seq - 1;
	if (!open_file(s))
		return false;
	buf_clear(&a->out);
	chain_put_clock(&a->chain, &a->out, now_us);
	chain_stamp(&a->chain, now_us, &stamp);
	if (s->gap)
		put_gap(s, &a->out, &stamp);
	put_start(s, policy_hash, &a->out, &stamp);
	checkpoint = a->out.len;
	chain_put_checkpoint(&a->chain, &a->out, &stamp, a->signer, log_cluster_time(a, time));
	if (a->out.failed || log_file_append(&a->file, buf_bytes(&a->out), true) != LOG_FILE_FINE)
		return start_fail(s, a->file.path, NULL, a->file.why);
	a->checkpoint_us = clock_monotonic_us();
	if (!witnesses_start(a->witnesses, s->complaints))
		return false;
	witnesses_give(a->witnesses, bytes_from(buf_bytes(&a->out), checkpoint));
	witnesses_wait(a->witnesses);
	return true;
}

bool log_start(struct audit *a, struct bytes policy_hash, struct complaints *complaints)
{
	struct starting s = {.a = a, .complaints = complaints};
	bool fine;

	chain_init(&a->chain, a->config.instance, a->signer->public_key);
	fine = list_parts(&s) && read_back(&s) && compare_with_witnesses(&s) && repair(&s) &&
	       begin_log(&s, policy_hash);
	if (fine && s.gap)
		log_warning("audit", "a gap was accepted: seq %lld to %lld are missing",
			(long long)s.head_seq + 1, (long long)s.witness_seq);
	forget_parts(&s);
	return fine;
}
