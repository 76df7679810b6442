#include "audit/glass_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit/line.h"
#include "audit/line_file.h"
#include "audit/log_files.h"
#include "util/memory.h"

struct review {
	char id[GLASS_ID_MAX + 1];
	char *user;
	int64_t time_us;
};

struct reading {
	glass_line_fn *each;
	void *context;
	struct line_parser parser;
	struct buf text; /* values without escapes, one behind the other */
	struct review *reviews;
	size_t nreviews, capacity;
	struct fault *why;
};

static bool holds(struct bytes text, const char *part)
{
	return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

/* Quotes within a text are escaped, so that none of these can stand in one. */
static bool could_matter(struct bytes text)
{
	return holds(text, "\"break_glass\":true") || holds(text, "\"event\":\"gap\"") ||
	       holds(text, "\"act\":\"" GLASS_REVIEW "\"");
}

/* A value without quotes and escapes, in memory that lasts until the next line. */
static struct bytes text_of(struct reading *r, const struct line *l, enum line_key key)
{
	size_t begun = r->text.len;

	if (line_has(l, key) && l->values[key].at[0] == '"')
		line_unescape(l->values[key], &r->text);
	return bytes_of(r->text.at + begun, r->text.len - begun);
}

static void tell_use(struct reading *r, const struct line *l)
{
	struct glass_line line = {.kind = GLASS_USED, .time_us = l->time_us};

	/* One reservation, so that nothing moves. */
	buf_clear(&r->text);
	(void)buf_reserve(&r->text, l->text.len);
	line.id = text_of(r, l, LINE_KEY_request);
	line.user = text_of(r, l, LINE_KEY_user);
	line.purpose = text_of(r, l, LINE_KEY_purpose);
	line.ns = text_of(r, l, LINE_KEY_ns);
	line.rule = text_of(r, l, LINE_KEY_rule);
	r->each(r->context, &line);
}

static void tell_gap(struct reading *r, const struct line *l)
{
	struct glass_line line = {.kind = GLASS_MISSING, .time_us = l->time_us};
	char id[GLASS_ID_MAX + 1];

	snprintf(id, sizeof(id), GLASS_GAP_PREFIX "%llu", (unsigned long long)l->seq);
	line.id = bytes_str(id);
	r->each(r->context, &line);
}

/* A log of another name in the folder may come before the one with the use. */
static void keep_review(struct reading *r, const struct line *l)
{
	struct review *review;
	struct bytes id, user;

	buf_clear(&r->text);
	(void)buf_reserve(&r->text, l->text.len);
	id = text_of(r, l, LINE_KEY_target);
	user = text_of(r, l, LINE_KEY_user);
	if (id.len > GLASS_ID_MAX)
		return;
	memory_grow(&r->reviews, r->nreviews, &r->capacity, sizeof(*r->reviews));
	review = &r->reviews[r->nreviews++];
	*review = (struct review){.user = memory_text(user), .time_us = l->time_us};
	memcpy(review->id, id.at, id.len);
}

static void read_line(struct reading *r, const struct line *l)
{
	if (line_has(l, LINE_KEY_break_glass))
		tell_use(r, l);
	else if (l->event == LINE_GAP)
		tell_gap(r, l);
	else if (l->event == LINE_ADMIN)
		keep_review(r, l);
}

static bool read_file(void *context, const char *path)
{
	struct reading *r = context;
	enum line_read how = LINE_READ_FAILED;
	struct line_file in;
	struct bytes text;
	struct line line;

	if (!line_file_open(&in, path))
		return fault_set(r->why, FAULT_INTERNAL, "%.80s: %s", path, strerror(errno));
	while ((how = line_file_next(&in, &text)) == LINE_READ_ONE) {
		if (!could_matter(text))
			continue;
		if (!line_parse(&r->parser, text, &line))
			break;
		read_line(r, &line);
	}
	line_file_close(&in);
	/* Half a line is being written, or was never answered. */
	return how == LINE_READ_END || how == LINE_READ_HALF ||
	       fault_set(r->why, FAULT_INTERNAL, "%.80s:%llu is not understood", path,
		       (unsigned long long)in.line);
}

static void tell_reviews(struct reading *r)
{
	for (size_t i = 0; i < r->nreviews; i++) {
		const struct glass_line line = {.kind = GLASS_REVIEWED,
			.id = bytes_str(r->reviews[i].id),
			.user = bytes_str(r->reviews[i].user),
			.time_us = r->reviews[i].time_us};

		r->each(r->context, &line);
	}
}

bool glass_log_read(const char *folder, glass_line_fn *each, void *context, struct fault *why)
{
	struct reading r = {.each = each, .context = context, .why = why};
	enum log_files_end end;

	line_parser_init(&r.parser);
	buf_init(&r.text, LINE_MAX_LEN);
	end = log_files_each(folder, read_file, &r);
	if (end == LOG_FILES_FAILED)
		(void)fault_set(why, FAULT_INTERNAL, "%.80s: %s", folder, strerror(errno));
	if (end == LOG_FILES_ALL)
		tell_reviews(&r);
	for (size_t i = 0; i < r.nreviews; i++)
		free(r.reviews[i].user);
	free(r.reviews);
	buf_fini(&r.text);
	line_parser_fini(&r.parser);
	return end == LOG_FILES_ALL;
}
