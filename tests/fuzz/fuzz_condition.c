/* A filter that a client sent with a question for statistics: refused, or taken apart so that
 * what is written again is whole BSON, says the same when it is read again, and has as many
 * parts. */
#include <assert.h>

#include "query/condition.h"

static struct bytes filter_of(struct buf *out)
{
	struct doc_facts facts = {0};
	struct fault why;
	struct element filter;

	assert(!out->failed && doc_check(buf_bytes(out), &facts, &why));
	assert(doc_find(buf_bytes(out), "f", &filter) && filter.type == TYPE_DOCUMENT);
	return filter.value;
}

static void write_again(struct arena *arena, const struct conditions *c)
{
	const struct condition *parts[CONDITION_PARTS], *same[CONDITION_PARTS];
	uint8_t hash[CONDITION_HASH_LEN], again[CONDITION_HASH_LEN];
	size_t n = conditions_parts(c, parts), begun;
	struct conditions copy;
	struct fault why;
	struct buf out;

	assert(n <= CONDITION_PARTS && n >= c->nleaves);
	buf_init(&out, 4 * DOC_MAX_LEN);
	begun = doc_begin(&out);
	conditions_put(&out, NAME("f"), c, NULL);
	doc_end(&out, begun);
	conditions_init(&copy, arena);
	if (c->nleaves) {
		assert(conditions_read(&copy, filter_of(&out), FAULT_STATISTICS, &why));
		conditions_hash(c, hash);
		conditions_hash(&copy, again);
		assert(memcmp(hash, again, sizeof(hash)) == 0);
		assert(conditions_parts(&copy, same) == n);
	}
	for (size_t i = 0; i < n; i++) {
		buf_clear(&out);
		begun = doc_begin(&out);
		conditions_put_decided(&out, NAME("f"), c, parts[i]);
		doc_end(&out, begun);
		(void)filter_of(&out);
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes doc = bytes_of(data, size);
	struct conditions c;
	struct arena arena;
	struct fault why;

	/* What a command holds has been checked, and is not nested as deep as it may be. */
	struct doc_facts facts = {0};

	if (!doc_check(doc, &facts, &why) || facts.depth > DOC_DEPTH_MAX / 4)
		return 0;
	arena_init(&arena);
	conditions_init(&c, &arena);
	if (conditions_read(&c, doc, FAULT_STATISTICS, &why))
		write_again(&arena, &c);
	arena_fini(&arena);
	return 0;
}
