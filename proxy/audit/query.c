#include "audit/query.h"

#include <errno.h>
#include <stdlib.h>

#include "audit/line_file.h"
#include "util/map.h"
#include "util/memory.h"

#define KEPT_MAX   4096 /* intents and first parts, the newest */
#define REQUEST    16
#define TOKEN_SIZE 16

struct kept {
	uint8_t request[REQUEST];
	struct bytes text; /* NULL: a free place; owned */
};

struct query {
	struct query_filter filter;
	query_hit_fn *hit;
	void *context;
	struct line_parser parser;
	struct buf text;
	struct kept *kept;
	size_t next;
	struct map places; /* from a request to its place in `kept` */
	uint64_t unreadable;
};

struct query *query_new(const struct query_filter *filter, query_hit_fn *hit, void *context)
{
	struct query *q = memory_new(sizeof(*q));

	q->filter = *filter;
	q->hit = hit;
	q->context = context;
	q->kept = memory_array(KEPT_MAX, sizeof(*q->kept));
	line_parser_init(&q->parser);
	buf_init(&q->text, LINE_MAX_LEN);
	map_init(&q->places);
	return q;
}

/* What memory_text gave, which is looked at as bytes that nobody changes. */
static void free_text(struct bytes text)
{
	union {
		const uint8_t *at;
		void *memory;
	} owned = {.at = text.at};

	free(owned.memory);
}

void query_free(struct query *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < KEPT_MAX; i++)
		free_text(q->kept[i].text);
	free(q->kept);
	map_fini(&q->places);
	buf_fini(&q->text);
	line_parser_fini(&q->parser);
	free(q);
}

uint64_t query_unreadable(const struct query *q)
{
	return q->unreadable;
}

struct bytes query_value(const struct query_hit *hit, enum line_key key)
{
	return line_has(hit->line, key) ? hit->line->values[key] : hit->whole->values[key];
}

static bool among(const struct query_words *words, struct bytes text)
{
	for (size_t i = 0; i < words->count; i++)
		if (bytes_equal_str(text, words->at[i]))
			return true;
	return false;
}

/* A JSON string, escaped, against texts that are not. */
static bool string_among(struct query *q, const struct query_words *words, struct bytes value)
{
	if (!value.at)
		return false;
	buf_clear(&q->text);
	line_unescape(value, &q->text);
	return among(words, buf_bytes(&q->text));
}

static bool passes(struct query *q, const struct query_hit *hit, const struct query_words *words,
	enum line_key key)
{
	return !words->count || string_among(q, words, query_value(hit, key));
}

static bool list_passes(struct query *q, const struct query_words *words, struct bytes list)
{
	struct bytes element;

	if (!words->count)
		return true;
	while (line_next_string(&list, &element))
		if (string_among(q, words, element))
			return true;
	return false;
}

static size_t string_len(struct bytes at)
{
	size_t i = 1;

	while (i < at.len && at.at[i] != '"')
		i += at.at[i] == '\\' ? 2 : 1;
	return i < at.len ? i + 1 : at.len;
}

/* The keys of an object; the line has been parsed, so that its form is right. */
static bool keys_pass(struct query *q, const struct query_words *words, struct bytes object)
{
	unsigned depth = 0;

	if (!words->count)
		return true;
	while (object.len) {
		uint8_t c = object.at[0];
		size_t len = c == '"' ? string_len(object) : 1;

		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		if (c == '"' && depth == 1 && object.len > len && object.at[len] == ':' &&
			string_among(q, words, bytes_head(object, len)))
			return true;
		object = bytes_from(object, len);
	}
	return false;
}

static bool all_pass(struct query *q, const struct query_hit *hit)
{
	const struct query_filter *f = &q->filter;

	return passes(q, hit, &f->users, LINE_KEY_user) &&
	       passes(q, hit, &f->purposes, LINE_KEY_purpose) &&
	       passes(q, hit, &f->namespaces, LINE_KEY_ns) &&
	       passes(q, hit, &f->apps, LINE_KEY_app) &&
	       list_passes(q, &f->roles, query_value(hit, LINE_KEY_roles)) &&
	       keys_pass(q, &f->classes, query_value(hit, LINE_KEY_disclosed));
}

static bool request_of(const struct line *l, uint8_t request[REQUEST])
{
	return line_unhex(line_raw_text(l, LINE_KEY_request), request, REQUEST);
}

static void forget(struct query *q, struct kept *k)
{
	if (!k->text.at)
		return;
	if (map_get(&q->places, bytes_of(k->request, REQUEST)) == k)
		(void)map_remove(&q->places, bytes_of(k->request, REQUEST));
	free_text(k->text);
	k->text = bytes_of(NULL, 0);
}

static void keep(struct query *q, const struct line *l, const uint8_t request[REQUEST])
{
	struct kept *k = map_get(&q->places, bytes_of(request, REQUEST));

	if (k)
		forget(q, k);
	k = &q->kept[q->next];
	q->next = (q->next + 1) % KEPT_MAX;
	forget(q, k);
	memcpy(k->request, request, REQUEST);
	k->text = bytes_of(memory_text(l->text), l->text.len);
	(void)map_set(&q->places, bytes_of(k->request, REQUEST), k);
}

/* Finds, or keeps, the line that says what others of the same request leave out. */
static const struct line *whole_of(struct query *q, const struct line *l, struct line *room)
{
	uint8_t request[REQUEST];
	uint64_t part = line_count(l, LINE_KEY_part);
	const struct kept *k;

	if (!request_of(l, request))
		return l;
	if (l->event == LINE_INTENT && part <= 1) {
		keep(q, l, request);
		return l;
	}
	k = map_get(&q->places, bytes_of(request, REQUEST));
	if (part == 1 && l->event != LINE_OUTCOME) {
		keep(q, l, request);
		return l;
	}
	if ((l->event != LINE_OUTCOME && part <= 1) || !k)
		return l;
	return line_parse(&q->parser, k->text, room) ? room : l;
}

static bool on_line(struct query *q, const struct line *l, const struct line_file *f)
{
	const struct query_filter *filter = &q->filter;
	struct line room;
	struct query_hit hit = {.line = l, .file = f->path, .number = f->line};

	hit.whole = whole_of(q, l, &room);
	if (l->time_us < filter->since_us || l->time_us >= filter->until_us)
		return true;
	if (filter->events.count && !among(&filter->events, line_raw_text(l, LINE_KEY_event)))
		return true;
	/* Of the line's own: a later part has its own share. */
	if (!list_passes(q, &filter->subjects, l->values[LINE_KEY_subjects]) || !all_pass(q, &hit))
		return true;
	return q->hit(q->context, &hit);
}

bool query_file(struct query *q, const char *path)
{
	struct line_file in;
	struct bytes text;
	struct line line;
	bool on = true;
	int saved = 0;

	if (!line_file_open(&in, path))
		return false;
	while (on) {
		enum line_read how = line_file_next(&in, &text);

		if (how == LINE_READ_ONE && line_parse(&q->parser, text, &line)) {
			on = on_line(q, &line, &in);
			continue;
		}
		if (how == LINE_READ_FAILED)
			saved = errno;
		if (how == LINE_READ_ONE || how == LINE_READ_LONG)
			q->unreadable++;
		/* Where a line that is too long ends is not known. */
		if (how != LINE_READ_ONE)
			break;
	}
	line_file_close(&in);
	errno = saved;
	return on && !saved;
}

bool query_parse_time(const char *text, int64_t *time_us)
{
	static const char rest[] = "0000-00-00T00:00:00.000000Z";
	char whole[sizeof(rest)];
	size_t len = strlen(text);

	if (len && text[len - 1] == 'Z')
		len--;
	if ((len != 10 || len != strlen(text)) && len != 16 && len != 19 && len != 26)
		return false;
	memcpy(whole, rest, sizeof(rest));
	memcpy(whole, text, len);
	return line_parse_time(bytes_of(whole, sizeof(whole) - 1), time_us);
}

bool query_is_subject(const char *text)
{
	uint8_t token[TOKEN_SIZE];

	return line_unhex(bytes_str(text + (text[0] == '~')), token, sizeof(token));
}

bool query_is_event(const char *text)
{
	for (size_t i = 0; i < LINE_EVENTS; i++)
		if (strcmp(text, line_event_name((enum line_event)i)) == 0)
			return true;
	return false;
}
