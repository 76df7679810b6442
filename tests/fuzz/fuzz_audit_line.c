/* One line of an audit log.  What parses is judged again: its values lie within it, and its
 * strings and lists come apart. */
#include <assert.h>

#include "audit/line.h"
#include "audit/query_row.h"
#include "util/utf8.h"

static void check_lists(const struct line *l)
{
	static const enum line_key lists[] = {LINE_KEY_roles, LINE_KEY_subjects, LINE_KEY_searched};

	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		struct bytes rest = l->values[lists[i]], element;
		size_t before = rest.len;

		while (line_next_string(&rest, &element)) {
			assert(rest.len < before && element.len >= 2);
			before = rest.len;
		}
		assert(rest.len <= 2);
	}
}

static void check_values(const struct line *l)
{
	for (size_t i = 0; i < LINE_KEYS; i++) {
		struct bytes v = l->values[i];

		if (!v.at)
			continue;
		assert(v.len && v.at > l->text.at && v.at + v.len < l->text.at + l->text.len);
		if (v.at[0] == '"') {
			struct buf text;

			buf_init(&text, LINE_MAX_LEN);
			line_unescape(v, &text);
			assert(!text.failed && text.len <= v.len - 2);
			assert(utf8_valid(buf_bytes(&text)));
			buf_fini(&text);
		}
	}
}

static void check_row(const struct line *l)
{
	struct query_hit hit = {.line = l, .whole = l, .file = "x", .number = 1};
	struct buf row;

	buf_init(&row, 8192);
	query_put_row(&row, &hit);
	assert(!row.failed && row.at[row.len - 1] == '\n' && utf8_valid(buf_bytes(&row)));
	buf_fini(&row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line_parser p;
	struct line l;

	line_parser_init(&p);
	if (line_parse(&p, bytes_of(data, size), &l)) {
		assert(l.event < LINE_EVENTS && line_is_instance(l.instance));
		assert(l.seq <= INT64_MAX && size <= LINE_MAX_LEN);
		check_values(&l);
		check_lists(&l);
		check_row(&l);
	} else {
		assert(p.why[0]);
	}
	line_parser_fini(&p);
	return 0;
}
