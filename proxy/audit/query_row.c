#include "audit/query_row.h"

#include "util/utf8.h"

enum { TIME_WIDTH = 19, EVENT_WIDTH = 12, USER_WIDTH = 14, WHERE_WIDTH = 24, RESULT_WIDTH = 7 };
_Static_assert(TIME_WIDTH + EVENT_WIDTH + USER_WIDTH + WHERE_WIDTH + RESULT_WIDTH + 4 <= 80,
	"fits a terminal");

#define CELL_MAX 1024

/* Pads or cuts to `width` characters; a blank follows. */
static void put_cell(struct buf *out, struct bytes text, size_t width)
{
	char clean[4 * CELL_MAX];
	struct bytes left = bytes_of(clean, utf8_printable(text, clean, sizeof(clean)));
	size_t characters = 0, bad, kept = 0;

	for (struct bytes rest = left; rest.len; characters++) {
		size_t n = utf8_character(rest, &bad);

		/* Where the last but one ends, in case of a cut. */
		if (characters + 1 < width)
			kept += n ? n : bad;
		rest = bytes_from(rest, n ? n : bad);
	}
	if (characters > width) {
		buf_put(out, bytes_head(left, kept));
		buf_put_str(out, "\xe2\x80\xa6");
		characters = width;
	} else {
		buf_put(out, left);
	}
	buf_put_format(out, "%*s", (int)(width - characters + 1), "");
}

static void put_value(struct buf *out, const struct query_hit *hit, enum line_key key)
{
	struct bytes value = query_value(hit, key);

	if (value.len && value.at[0] == '"')
		line_unescape(value, out);
}

static void put_where(struct buf *out, const struct query_hit *hit)
{
	put_value(out, hit, LINE_KEY_command);
	if (query_value(hit, LINE_KEY_ns).at) {
		buf_put_u8(out, ' ');
		put_value(out, hit, LINE_KEY_ns);
	}
	put_value(out, hit, LINE_KEY_act);
	if (query_value(hit, LINE_KEY_target).at) {
		buf_put_u8(out, ' ');
		put_value(out, hit, LINE_KEY_target);
	}
}

static void put_result(struct buf *out, const struct query_hit *hit)
{
	/* A code of its own, not the intent's. */
	if (line_has(hit->line, LINE_KEY_code) && line_integer(hit->line, LINE_KEY_code))
		buf_put_format(out, "%lld", (long long)line_integer(hit->line, LINE_KEY_code));
	else
		put_value(out, hit, LINE_KEY_decision);
}

static void put_row(struct buf *out, const struct bytes cells[5])
{
	static const size_t widths[] = {
		TIME_WIDTH, EVENT_WIDTH, USER_WIDTH, WHERE_WIDTH, RESULT_WIDTH};

	for (size_t i = 0; i < COUNT_OF(widths); i++)
		put_cell(out, cells[i], widths[i]);
	while (out->len && out->at[out->len - 1] == ' ')
		out->len--;
	buf_put_u8(out, '\n');
}

void query_put_heading(struct buf *out)
{
	const struct bytes cells[] = {bytes_str("time (UTC)"), bytes_str("event"),
		bytes_str("user"), bytes_str("what"), bytes_str("result")};

	put_row(out, cells);
}

void query_put_row(struct buf *out, const struct query_hit *hit)
{
	struct bytes ts = bytes_head(line_raw_text(hit->line, LINE_KEY_ts), TIME_WIDTH);
	struct buf user, where, result;
	struct bytes cells[5] = {ts, line_raw_text(hit->line, LINE_KEY_event)};

	buf_init(&user, CELL_MAX);
	buf_init(&where, CELL_MAX);
	buf_init(&result, CELL_MAX);
	put_value(&user, hit, LINE_KEY_user);
	put_where(&where, hit);
	put_result(&result, hit);
	cells[2] = buf_bytes(&user);
	cells[3] = buf_bytes(&where);
	cells[4] = buf_bytes(&result);
	put_row(out, cells);
	buf_fini(&user);
	buf_fini(&where);
	buf_fini(&result);
}
