/* A whole message as a client could send it: what is accepted has only views into itself. */
#include <assert.h>

#include "wire/command.h"

static void inside(struct bytes part, struct bytes whole)
{
	assert(part.len == 0 ||
		(part.at >= whole.at && part.at + part.len <= whole.at + whole.len));
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
	for (size_t i = 0; i < c.nfields; i++)
		inside(c.fields[i].whole, message);
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
