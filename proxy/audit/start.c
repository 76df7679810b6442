/* start.c - where the log stands: read back to the last checkpoint, and compared with what
 * the witnesses saw (docs/audit-format.md, "Witnesses and start"). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "audit/inside.h"
#include "audit/system.h"
#include "util/file.h"
#include "util/log.h"
#include "util/memory.h"

#define SEQ_DIGITS       12u
#define CHECKPOINT       "{\"v\":1,\"event\":\"checkpoint\","
#define FIRST_STARTS_MAX 1000u /* lines of a log that nobody has used yet */

/* A file of the log, mapped. */
struct part {
	char *path;
	const uint8_t *at;
	size_t len;
	bool mapped;
};

struct starting {
	struct audit *a;
	struct complaints *complaints;
	struct part *parts; /* by name, which is by seq */
	size_t nparts, capacity;
	size_t from_part, from; /* what follows the last checkpoint */
	enum line_event last;   /* event of the last line that is no checkpoint */
	bool any;               /* there is a line */
	size_t cut;             /* bytes of the tail that was never answered */
	uint8_t cut_hash[LINE_HASH_LEN];
	bool gap;
	int64_t head_seq;
	int64_t witness_seq;
	size_t bad_part, bad; /* from where on the log moves to NAME.bad */
	bool has_bad;
};

static bool fail(struct starting *s, const char *file, const char *hint, const char *what)
{
	return complain(s->complaints, (struct place){.file = file}, hint, "%s", what);
}

/* -------------------------------------------------------------------- the files */

static bool is_of_instance(const struct audit *a, const char *name)
{
	size_t n = strlen(a->config.instance);

	return strncmp(name, a->config.instance, n) == 0 && name[n] == '-' &&
	       strspn(name + n + 1, "0123456789") == SEQ_DIGITS &&
	       strcmp(name + n + 1 + SEQ_DIGITS, ".jsonl") == 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct part *)a)->path, ((const struct part *)b)->path);
}

static bool list_parts(struct starting *s)
{
	const char *folder = s->a->config.directory;
	DIR *d = opendir(folder);
	struct dirent *entry;

	if (!d)
		return fail(s, folder, NULL, strerror(errno));
	while ((entry = readdir(d))) {
		if (!is_of_instance(s->a, entry->d_name))
			continue;
		memory_grow(&s->parts, s->nparts, &s->capacity, sizeof(*s->parts));
		s->parts[s->nparts++] =
			(struct part){.path = memory_format("%s/%s", folder, entry->d_name)};
	}
	closedir(d);
	if (s->nparts)
		qsort(s->parts, s->nparts, sizeof(*s->parts), by_path);
	return true;
}

static bool map_part(struct starting *s, struct part *p)
{
	int fd;
	struct stat st;
	void *at = NULL;
	bool fine;

	if (p->mapped)
		return true;
	fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	fine = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	if (fine && st.st_size) {
		at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		fine = at != MAP_FAILED;
	}
	if (fd >= 0)
		close(fd);
	if (!fine)
		return fail(s, p->path, NULL, "cannot be read");
	p->at = at;
	p->len = (size_t)st.st_size;
	p->mapped = true;
	return true;
}

static void unmap(struct part *p)
{
	union {
		const void *at;
		void *unmapped;
	} map = {.at = p->at};

	if (p->mapped && p->len)
		munmap(map.unmapped, p->len);
	p->mapped = false;
}

static void forget_parts(struct starting *s)
{
	for (size_t i = 0; i < s->nparts; i++) {
		unmap(&s->parts[i]);
		free(s->parts[i].path);
	}
	free(s->parts);
}

/* ------------------------------------------------------------------ reading back */

/* The last line of the part that looks like a checkpoint. */
static bool find_checkpoint(const struct part *p, size_t *offset)
{
	size_t end = p->len;

	while (end) {
		const uint8_t *lf = end > 1 ? memrchr(p->at, '\n', end - 1) : NULL;
		size_t begin = lf ? (size_t)(lf - p->at) + 1 : 0;

		if (end - begin > sizeof(CHECKPOINT) && p->at[end - 1] == '\n' &&
			memcmp(p->at + begin, CHECKPOINT, sizeof(CHECKPOINT) - 1) == 0) {
			*offset = begin;
			return true;
		}
		end = begin;
	}
	return false;
}

static bool find_begin(struct starting *s)
{
	for (size_t i = s->nparts; i-- > 0;) {
		if (!map_part(s, &s->parts[i]))
			return false;
		s->from_part = i;
		s->from = 0;
		if (find_checkpoint(&s->parts[i], &s->from))
			return true;
	}
	return true;
}

static size_t line_number(const struct part *p, size_t offset)
{
	size_t n = 1;

	for (size_t i = 0; i < offset; i++)
		n += p->at[i] == '\n';
	return n;
}

/* With --accept-gap what is wrong is set aside, from here on. */
static bool set_aside(struct starting *s, size_t part, size_t offset, const char *what)
{
	const struct part *p = &s->parts[part];

	if (!s->a->config.accept_gap)
		return complain(s->complaints,
			(struct place){.file = p->path,
				.line = (unsigned)line_number(p, offset),
				.column = 1},
			"find the file as it was, or serve --accept-gap WHY", "%s", what);
	s->has_bad = true;
	s->bad_part = part;
	s->bad = offset;
	return true;
}

static const char *fault_of(
	struct starting *s, struct line_parser *parser, struct bytes text, struct line *line)
{
	const struct chain *c = &s->a->chain;

	if (!line_parse(parser, text, line))
		return parser->why;
	if (!bytes_equal_str(line->instance, c->instance))
		return "the line is of another instance";
	if (line->event == LINE_CHECKPOINT && !signer_signed(s->a->signer, line))
		return "the checkpoint is not signed with the signing key";
	if (line->event == LINE_CHECKPOINT && !s->any)
		return NULL; /* what stands before it is proven by itself */
	if (line->seq != c->seq && line->event != LINE_GAP)
		return "the line's seq does not follow";
	if (memcmp(line->prev, c->prev, LINE_HASH_LEN) != 0)
		return "the line's prev is not the hash of the line before";
	return NULL;
}

/* Bytes that were never answered: half a line, or the NULs that a crash leaves. */
static size_t whole_length(const struct part *p, size_t from)
{
	const uint8_t *nul = p->len > from ? memchr(p->at + from, 0, p->len - from) : NULL;
	size_t end = nul ? (size_t)(nul - p->at) : p->len;
	const uint8_t *lf = end > from ? memrchr(p->at + from, '\n', end - from) : NULL;

	for (size_t i = end; i < p->len; i++)
		if (p->at[i])
			return p->len; /* no tail: something else is wrong */
	return lf ? (size_t)(lf - p->at) + 1 : from;
}

static bool follow_part(struct starting *s, struct line_parser *parser, size_t i)
{
	const struct part *p = &s->parts[i];
	size_t at = i == s->from_part ? s->from : 0;
	size_t end = i + 1 == s->nparts ? whole_length(p, at) : p->len;

	while (at < end) {
		const uint8_t *lf = memchr(p->at + at, '\n', end - at);
		struct bytes text = bytes_of(p->at + at, lf ? (size_t)(lf - p->at) - at : end - at);
		struct line line;
		const char *fault = lf ? fault_of(s, parser, text, &line) : "half a line";

		if (fault)
			return set_aside(s, i, at, fault);
		chain_follow(&s->a->chain, &line);
		s->any = true;
		if (line.event != LINE_CHECKPOINT)
			s->last = line.event;
		at += text.len + 1;
	}
	if (end < p->len) {
		s->cut = p->len - end;
		line_hash(bytes_of(p->at + end, s->cut), s->cut_hash);
	}
	return true;
}

static bool read_back(struct starting *s)
{
	struct line_parser parser;
	bool fine = true;

	if (!find_begin(s))
		return false;
	line_parser_init(&parser);
	for (size_t i = s->from_part; fine && !s->has_bad && i < s->nparts; i++)
		fine = map_part(s, &s->parts[i]) && follow_part(s, &parser, i);
	line_parser_fini(&parser);
	return fine;
}

/* ------------------------------------------------------------------- witnesses */

/* The seq of a line, by its fixed front. */
static bool seq_of(struct bytes text, uint64_t *seq)
{
	static const char key[] = ",\"seq\":";
	const uint8_t *at = memmem(text.at, text.len < 64 ? text.len : 64, key, sizeof(key) - 1);
	const uint8_t *end = text.at + text.len;
	bool any = false;

	if (!at)
		return false;
	*seq = 0;
	for (at += sizeof(key) - 1; at < end && *at >= '0' && *at <= '9'; at++, any = true)
		*seq = *seq * 10 + (uint64_t)(*at - '0');
	return any && at < end && *at == ',';
}

/* The line of that seq; false when there is none. */
static bool find_line(struct starting *s, uint64_t seq, struct bytes *text, size_t *part)
{
	for (size_t i = s->nparts; i-- > 0;) {
		struct bytes left;
		uint64_t own;

		if (!map_part(s, &s->parts[i]))
			return false;
		left = bytes_of(s->parts[i].at, s->parts[i].len);
		/* Names tell where to look, content what is found. */
		if (i > 0 && left.len && seq_of(left, &own) && own > seq)
			continue;
		while (left.len) {
			const uint8_t *lf = memchr(left.at, '\n', left.len);

			*text = bytes_head(left, lf ? (size_t)(lf - left.at) : left.len);
			if (seq_of(*text, &own) && own == seq) {
				*part = i;
				return true;
			}
			left = bytes_from(left, text->len + 1);
		}
	}
	return false;
}

/* Nothing but first starts and their checkpoints. */
static bool is_unused(struct starting *s)
{
	struct line_parser parser;
	bool unused = s->a->chain.seq <= FIRST_STARTS_MAX;

	line_parser_init(&parser);
	for (size_t i = 0; unused && i < s->nparts; i++) {
		struct bytes left;

		unused = map_part(s, &s->parts[i]);
		left = bytes_of(s->parts[i].at, s->parts[i].len);
		while (unused && left.len) {
			const uint8_t *lf = memchr(left.at, '\n', left.len);
			struct bytes text =
				bytes_head(left, lf ? (size_t)(lf - left.at) : left.len);
			struct line line;

			unused = !lf || (line_parse(&parser, text, &line) &&
						(line.event == LINE_START ||
							line.event == LINE_CHECKPOINT));
			left = bytes_from(left, text.len + 1);
		}
	}
	line_parser_fini(&parser);
	return unused;
}

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
		return fail(s, path, NULL, "its newest line is not in the log");
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
	return fail(s, witnesses_path(s->a->witnesses, i),
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
		fail(s, name, NULL, strerror(errno));
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
		return fail(s, p->path, NULL, strerror(errno));
	unmap(p);
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
			return fail(s, s->parts[i].path, NULL, strerror(errno));
		unmap(&s->parts[i]);
		free(s->parts[i].path);
		s->nparts = i;
	}
	if (!shorten(s, &s->parts[s->bad_part], s->bad, "bad"))
		return false;
	if (!s->parts[s->bad_part].len && s->bad_part) {
		(void)unlink(s->parts[s->bad_part].path);
		unmap(&s->parts[s->bad_part]);
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
			return fail(s, p->path, NULL, strerror(errno));
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
			return s->has_bad && fail(s, a->config.directory, NULL,
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

	if (use && a->config.rotate_size && last->len >= a->config.rotate_size)
		use = false;
	path = use ? memory_text(bytes_str(last->path))
		   : log_file_name(a, s->gap ? (uint64_t)(s->witness_seq + 1) : a->chain.seq);
	opened = log_file_open(&a->file, path, use ? last->len : 0);
	if (!opened)
		fail(s, path, NULL, a->file.why);
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
		return fail(s, a->file.path, NULL, a->file.why);
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
