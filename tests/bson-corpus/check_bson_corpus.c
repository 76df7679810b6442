/* check_bson_corpus - reads lines "valid|invalid TAB description TAB document in hex" from standard input.
 *
 * What is valid passes doc_check and is rebuilt from its elements to the same bytes; what
 * is invalid is refused, but for what is listed in `lenient`.
 */
#include <stdio.h>
#include <stdlib.h>

#include "wire/doc.h"

/* Bad text inside a value: it moves no boundary, the upstream judges it, and a reply of a
 * server that holds such text must stay readable. */
static const char *const lenient[] = {
	"String: invalid UTF-8",
	"Javascript Code: invalid UTF-8",
	"Symbol: invalid UTF-8",
	"DBPointer type (deprecated): String with bad UTF-8",
};

struct tally {
	size_t valid, refused, lenient, wrong;
};

static bool is_lenient(const char *description)
{
	for (size_t i = 0; i < COUNT_OF(lenient); i++)
		if (!strcmp(lenient[i], description))
			return true;
	return false;
}

static void put_hex(struct buf *out, const char *hex)
{
	unsigned byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		buf_put_u8(out, (uint8_t)byte);
}

static void rebuild(struct bytes doc, struct buf *out)
{
	struct doc_iter it = doc_iter_of(doc);
	size_t begun = doc_begin(out);
	struct element e;

	while (doc_next(&it, &e)) {
		if (element_is_document(&e)) {
			doc_put_value(out, e.type, e.name, bytes_of(NULL, 0));
			rebuild(e.value, out);
		} else {
			doc_put_value(out, e.type, e.name, e.value);
		}
	}
	doc_end(out, begun);
}

static bool is_rebuilt(struct bytes doc)
{
	struct buf out;
	bool same;

	buf_init(&out, doc.len);
	rebuild(doc, &out);
	same = !out.failed && bytes_equal(buf_bytes(&out), doc);
	buf_fini(&out);
	return same;
}

static void judge(struct tally *t, bool valid, const char *description, struct bytes doc)
{
	struct fault why = {.detail = "accepted"};
	bool passed = doc_check(doc, NULL, &why);

	if (valid && passed && is_rebuilt(doc))
		t->valid++;
	else if (!valid && !passed)
		t->refused++;
	else if (!valid && is_lenient(description))
		t->lenient++;
	else if (t->wrong++ < 100)
		printf("%s: %s\n", description, why.detail);
}

int main(void)
{
	struct tally t = {0};
	struct buf doc;
	char *line = NULL;
	size_t size = 0;

	buf_init(&doc, DOC_MAX_LEN);
	while (getline(&line, &size, stdin) > 0) {
		char *rest = line;
		const char *verdict = strsep(&rest, "\t"), *description = strsep(&rest, "\t");

		if (!rest)
			return 2;
		buf_clear(&doc);
		put_hex(&doc, rest);
		judge(&t, !strcmp(verdict, "valid"), description, buf_bytes(&doc));
	}
	free(line);
	buf_fini(&doc);
	printf("%zu valid, %zu refused, %zu left to the upstream\n", t.valid, t.refused, t.lenient);
	printf("%zu passed, %zu failed\n", t.valid + t.refused + t.lenient, t.wrong);
	return t.wrong || !t.valid || !t.refused;
}
