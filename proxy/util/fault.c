#include "util/fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/utf8.h"

static const struct {
	int32_t server_code;
	const char *code_name;
	bool keeps_session;
	const char *text; /* at most one %s, for `what` */
} faults[FAULT_COUNT] = {
	[FAULT_NONE] = {0, "OK", true, ""},
#define FAULT(name, server_code, code_name, keeps_session, text) \
	[FAULT_##name] = {server_code, code_name, keeps_session, text},
#include "util/faults.def"
#undef FAULT
};

bool fault_set(struct fault *why, enum fault_code code, const char *detail_format, ...)
{
	va_list args;

	why->code = code;
	why->what[0] = '\0';
	va_start(args, detail_format);
	vsnprintf(why->detail, sizeof(why->detail), detail_format, args);
	va_end(args);
	return false;
}

bool fault_name(struct fault *why, enum fault_code code, struct bytes what)
{
	why->code = code;
	why->detail[0] = '\0';
	utf8_printable(what, why->what, sizeof(why->what));
	return false;
}

int32_t fault_server_code(enum fault_code code)
{
	return faults[code].server_code;
}

const char *fault_code_name(enum fault_code code)
{
	return faults[code].code_name;
}

bool fault_keeps_session(enum fault_code code)
{
	return faults[code].keeps_session;
}

const char *fault_text(const struct fault *fault, char *out, size_t size)
{
	const char *text = faults[fault->code].text;
	const char *gap = strstr(text, "%s");

	if (gap)
		snprintf(out, size, "%.*s%s%s", (int)(gap - text), text, fault->what, gap + 2);
	else
		snprintf(out, size, "%s", text);
	return out;
}
