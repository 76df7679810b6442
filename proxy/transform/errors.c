#include "transform/inside.h"

#define HOST_UNREACHABLE 6

static const struct {
	int32_t code;
	const char *text;
} texts[] = {
#define ERROR(code, text) {code, text},
#include "transform/errors.def"
#undef ERROR
};

/* Retryable "state change" errors of the server discovery specification. */
bool transform_is_state_code(int32_t code)
{
	static const int32_t codes[] = {91, 189, 10058, 10107, 11600, 11602, 13435, 13436};

	for (size_t i = 0; i < COUNT_OF(codes); i++)
		if (codes[i] == code)
			return true;
	return false;
}

static const char *text_of(int32_t code)
{
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		if (texts[i].code == code)
			return texts[i].text;
	return "the database refused the operation";
}

int32_t error_code(struct bytes error)
{
	struct element e;
	int64_t code;

	if (!doc_find(error, "code", &e) || !element_int(&e, &code) || code < INT32_MIN ||
		code > INT32_MAX)
		return 8; /* UnknownError */
	return (int32_t)code;
}

/* Fields that say which error it is, and nothing of values. */
static bool is_harmless(const struct element *e)
{
	static const struct bytes names[] = {BYTES_LITERAL("code"), BYTES_LITERAL("codeName"),
		BYTES_LITERAL("index"), BYTES_LITERAL("ok"), BYTES_LITERAL("errorLabels"),
		BYTES_LITERAL("operationTime"), BYTES_LITERAL("$clusterTime"),
		BYTES_LITERAL("electionId"), BYTES_LITERAL("opTime"), BYTES_LITERAL("n"),
		BYTES_LITERAL("nModified"), BYTES_LITERAL("upserted")};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (bytes_equal(e->name, names[i]))
			return true;
	return false;
}

/* 91 and its like speak of the upstream; a driver would take them for the proxy's state. */
static void put_state_error(const struct element *e, struct buf *out)
{
	if (element_named(e, "code"))
		doc_put_int32(out, e->name, HOST_UNREACHABLE);
	else if (element_named(e, "codeName"))
		doc_put_string(out, e->name, NAME("HostUnreachable"));
	else if (element_named(e, "errmsg"))
		doc_put_string(out, e->name, bytes_str(text_of(HOST_UNREACHABLE)));
	else if (is_harmless(e))
		doc_put_element(out, e);
}

void put_error_fields(const struct reply_context *x, struct bytes error, struct buf *out)
{
	int32_t code = error_code(error);
	bool state = transform_is_state_code(code);
	struct doc_iter it = doc_iter_of(error);
	struct element e;

	while (doc_next(&it, &e)) {
		if (element_named(&e, "topologyVersion"))
			continue;
		if (state)
			put_state_error(&e, out);
		else if (!x->rules->masks_errors || is_harmless(&e))
			doc_put_element(out, &e);
		else if (element_named(&e, "errmsg"))
			doc_put_string(out, e.name, bytes_str(text_of(code)));
	}
}
