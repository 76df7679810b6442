#include "audit/read_back.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/memory.h"

#define SEQ_DIGITS       12u
#define CHECKPOINT       "{\"v\":1,\"event\":\"checkpoint\","
#define FIRST_STARTS_MAX 1000u /* lines of a log that nobody has used yet */

bool start_fail(struct starting *s, const char *file, const char *hint, const char *what)
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

bool list_parts(struct starting *s)
{
	const char *folder = s->a->config.directory;
	DIR *d = opendir(folder);
	struct dirent *entry;

	if (!d)
		return start_fail(s, folder, NULL, strerror(errno));
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

bool map_part(struct starting *s, struct part *p)
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
		return start_fail(s, p->path, NULL, "cannot be read");
	p->at = at;
	p->len = (size_t)st.st_size;
	p->mapped = true;
	return true;
}

void unmap_part(struct part *p)
{
	union {
		const void *at;
		void *unmapped;
	} map = {.at = p->at};

	if (p->mapped && p->len)
		munmap(map.unmapped, p->len);
	p->mapped = false;
}

void forget_parts(struct starting *s)
{
	for (size_t i = 0; i < s->nparts; i++) {
		unmap_part(&s->parts[i]);
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

bool set_aside(struct starting *s, size_t part, size_t offset, const char *what)
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

bool read_back(struct starting *s)
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

/* ------------------------------------------------------------------ finding lines */

bool seq_of(struct bytes text, uint64_t *seq)
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

bool find_line(struct starting *s, uint64_t seq, struct bytes *text, size_t *part)
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

bool is_unused(struct starting *s)
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
