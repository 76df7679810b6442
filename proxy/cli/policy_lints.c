#include "cli/policy_lints.h"

#include <stdio.h>

#include "util/json.h"
#include "util/utf8.h"

#define WHAT_MAX 1024u
#define JSON_MAX (LINTS_MAX * 16384u)

static size_t count_kept(const struct lints *lints)
{
	return lints->count < LINTS_MAX ? lints->count : LINTS_MAX;
}

void lints_print(const struct lints *lints)
{
	for (size_t i = 0; i < count_kept(lints); i++) {
		const struct lint *lint = &lints->list[i];
		char what[WHAT_MAX];

		utf8_printable(bytes_str(lint->what), what, sizeof(what));
		fprintf(stderr, "%s:%u:%u: warning: %s (%s) [%s]\n", lint->at.file, lint->at.line,
			lint->at.column, what, lint->hint, lint_name(lint->kind));
	}
	if (lints->count > LINTS_MAX)
		fprintf(stderr, "and %zu more warnings\n", lints->count - LINTS_MAX);
}

static void put_text(struct buf *out, const char *name, const char *text)
{
	buf_put_format(out, ",\"%s\":", name);
	json_put_string(out, bytes_str(text));
}

void lints_print_json(const struct lints *lints)
{
	struct buf out;

	buf_init(&out, JSON_MAX);
	buf_put_u8(&out, '[');
	for (size_t i = 0; i < count_kept(lints); i++) {
		const struct lint *lint = &lints->list[i];

		buf_put_format(&out, "%s{\"lint\":\"%s\"", i ? "," : "", lint_name(lint->kind));
		put_text(&out, "file", lint->at.file);
		buf_put_format(&out, ",\"line\":%u,\"column\":%u", lint->at.line, lint->at.column);
		put_text(&out, "what", lint->what);
		put_text(&out, "hint", lint->hint);
		buf_put_u8(&out, '}');
	}
	buf_put_u8(&out, ']');
	fwrite(out.at, 1, out.len, stdout);
	buf_fini(&out);
}
