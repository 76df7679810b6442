/* A policy file that a person wrote: loaded, or complained about with a place; what was
 * loaded loads again to the same, and decides without falling over. */
#include <assert.h>

#include "policy/lint.h"
#include "policy/policy.h"
#include "util/utf8.h"
#include "wire/doc.h"
#include "wire/frame.h"

/* libfyaml 0.7 loses 2 kB where a long quoted scalar does not end as it should. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so";
}

static void expect_lines(const struct complaints *c)
{
	struct bytes lines = buf_bytes(&c->lines);

	assert(c->count > 0 && lines.len > 0);
	assert(bytes_start_with(lines, bytes_str("f.yaml")));
	assert(utf8_valid(lines) && lines.at[lines.len - 1] == '\n');
}

static void put_find(struct buf *out, struct bytes db, struct bytes collection)
{
	size_t frame = frame_begin(out, 1, 0, OPCODE_MSG), begun;

	buf_put_u32(out, 0);
	buf_put_u8(out, 0);
	begun = doc_begin(out);
	doc_put_string(out, NAME("find"), collection);
	doc_put_string(out, NAME("$db"), db);
	doc_end(out, begun);
	frame_end(out, frame);
}

/* Every role against every collection and view: allowed or refused, nothing else. */
static void decide_all(const struct policy *p, struct bytes db, struct bytes collection)
{
	struct buf message;

	buf_init(&message, 65536);
	put_find(&message, db, collection);
	for (size_t i = 0; i < p->nroles; i++) {
		struct bytes role = p->roles[i].name;
		const struct user user = {.name = bytes_str("u"), .roles = &role, .nroles = 1};
		const struct facts facts = {.user = &user, .vault = bytes_str("encryption.keys")};
		struct arena arena;
		struct command c;
		struct plan plan;
		struct fault why = {.code = FAULT_NONE};

		arena_init(&arena);
		if (command_parse(&c, buf_bytes(&message), &why) &&
			!policy_decide(p, &facts, &c, &arena, &plan, &why))
			assert(why.code != FAULT_NONE);
		arena_fini(&arena);
	}
	buf_fini(&message);
}

/* Warnings are of the file, too, and say what to do. */
static void lint(const struct policy *p)
{
	struct lints lints;

	lints_init(&lints);
	policy_lint(p, NULL, &lints);
	for (size_t i = 0; i < lints.count && i < LINTS_MAX; i++) {
		assert(strcmp(lints.list[i].at.file, "f.yaml") == 0 && lints.list[i].at.line);
		assert(lints.list[i].hint && *lints.list[i].what);
	}
	lints_fini(&lints);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct complaints complaints;
	struct policy *p, *again;

	complaints_init(&complaints);
	p = policy_load_text("f.yaml", bytes_of(data, size), &complaints);
	if (!p) {
		expect_lines(&complaints);
		complaints_fini(&complaints);
		return 0;
	}
	assert(complaints.count == 0);
	again = policy_load_text("f.yaml", bytes_of(data, size), &complaints);
	assert(again && strcmp(p->hash, again->hash) == 0);
	assert(p->nroles == again->nroles && p->ncollections == again->ncollections);
	policy_unref(again);
	lint(p);
	for (size_t i = 0; i < p->ncollections; i++)
		decide_all(p, p->collections[i].db, p->collections[i].name);
	for (size_t i = 0; i < p->nviews; i++)
		decide_all(p, p->views[i].db, p->views[i].name);
	policy_unref(p);
	complaints_fini(&complaints);
	return 0;
}
