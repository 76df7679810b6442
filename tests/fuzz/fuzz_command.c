/* A whole message as a client could send it: what is accepted has only views into itself. */
#include <assert.h>

#include "wire/command.h"

static void inside(struct bytes part, struct bytes whole)
{
	assert(part.len == 0 ||
		(part.at >= whole.at && part.at + part.len <= whole.at + whole.len));
}

static bool count(void *context, struct bytes content)
{
	(void)content;
	++*(size_t *)context;
	return true;
}

static size_t count_encrypted(const struct command *c)
{
	size_t n = 0;

	(void)doc_each_encrypted(c->body, count, &n);
	for (size_t i = 0; i < c->nseq; i++)
		for (struct bytes left = c->seq[i].docs; left.len;) {
			struct bytes doc = doc_at_front(left);

			(void)doc_each_encrypted(doc, count, &n);
			left = bytes_from(left, doc.len);
		}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes message = bytes_of(data, size);
	struct command c;
	struct fault why;

	if (!command_parse(&c, message, &why)) {
		assert(why.code != FAULT_NONE);
		return 0;
	}
	inside(c.name, message);
	inside(c.db, message);
	inside(c.body, message);
	assert(c.nfields > 0 && c.nfields <= COMMAND_FIELDS_MAX);
	assert(c.db.len > 0 && c.db.len <= COMMAND_DB_MAX);
	for (size_t i = 0; i < c.nfields; i++) {
		inside(c.fields[i].whole, message);
		for (size_t k = 0; k < i; k++)
			assert(!bytes_equal(c.fields[i].name, c.fields[k].name));
		for (size_t k = 0; k < c.nseq; k++)
			assert(!bytes_equal(c.fields[i].name, c.seq[k].name));
	}
	assert(c.encrypted == count_encrypted(&c) || c.opcode == OPCODE_QUERY);
	for (size_t i = 0; i < c.nseq; i++) {
		struct command_docs docs;
		struct bytes doc;
		bool bad = false;

		inside(c.seq[i].docs, message);
		docs = (struct command_docs){.left = c.seq[i].docs};
		while (command_docs_next(&docs, &doc, &bad))
			inside(doc, message);
		assert(!docs.left.len && !bad);
	}
	return 0;
}
