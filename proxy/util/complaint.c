#include "util/complaint.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/utf8.h"

#define WHAT_MAX 400u

void complaints_init(struct complaints *c)
{
	*c = (struct complaints){0};
	buf_init(&c->lines, COMPLAINTS_MAX * 2048u);
}

void complaints_fini(struct complaints *c)
{
	buf_fini(&c->lines);
}

bool complain(struct complaints *c, struct place at, const char *hint, const char *what_format, ...)
{
	char raw[WHAT_MAX], what[WHAT_MAX];
	va_list args;

	c->count++;
	if (c->count > COMPLAINTS_MAX)
		return false;
	va_start(args, what_format);
	vsnprintf(raw, sizeof(raw), what_format, args);
	va_end(args);
	utf8_printable(bytes_str(raw), what, sizeof(what));
	if (at.line)
		buf_put_format(&c->lines, "%s:%u:%u: %s", at.file, at.line, at.column, what);
	else
		buf_put_format(&c->lines, "%s: %s", at.file, what);
	if (hint)
		buf_put_format(&c->lines, " (%s)", hint);
	buf_put_u8(&c->lines, '\n');
	return false;
}
