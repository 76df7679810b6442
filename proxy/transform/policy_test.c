#include "transform/policy_test.h"

#include "query/match.h"
#include "transform/transform.h"

/* One test on its way: a user made of its `as`, and a command. */
struct testing {
	struct policy *policy;
	const struct policy_test *test;
	struct transform *transform;
	struct arena arena;
	struct user user;
	struct facts facts;
	struct relation_list lists[POLICY_RELATIONS_MAX];
	const struct relation_list *known[POLICY_RELATIONS_MAX];
	struct buf message;
};

static void make_user(struct testing *t, struct bytes vault)
{
	const struct role *role = policy_role(t->policy, t->test->role);
	struct doc_iter it;
	struct element e;

	t->user.name = bytes_str("test");
	t->user.roles = arena_alloc(&t->arena, sizeof(*t->user.roles));
	t->user.roles[0] = t->test->role;
	t->user.nroles = 1;
	t->user.purpose = t->test->purpose;
	if (t->test->attributes.len) {
		t->user.attributes = arena_array(
			&t->arena, doc_count(t->test->attributes), sizeof(*t->user.attributes));
		it = doc_iter_of(t->test->attributes);
		while (doc_next(&it, &e))
			t->user.attributes[t->user.nattributes++] =
				(struct attribute){e.name, element_string(&e)};
	}
	t->facts.user = &t->user;
	t->facts.observe = t->test->observed;
	t->facts.vault = vault;
	t->facts.method = role->auth_scram ? AUTH_SCRAM : AUTH_X509;
	/* From where the role may be used, at a time when it may. */
	if (role->nnetworks)
		memcpy(t->facts.address, role->networks[0].address, sizeof(t->facts.address));
}

/* What the test says that relations give; of the others nothing is known. */
static void make_lists(struct testing *t)
{
	for (size_t i = 0; t->test->lists.len && i < t->policy->nrelations; i++) {
		const struct relation *r = &t->policy->relations[i];
		struct element e;

		if (!doc_find_name(t->test->lists, r->name, &e))
			continue;
		t->lists[t->facts.nlists] = (struct relation_list){.of = r, .values = e.value};
		t->known[t->facts.nlists] = &t->lists[t->facts.nlists];
		t->facts.nlists++;
	}
	t->facts.lists = t->known;
}

static void make_message(struct testing *t, struct bytes document)
{
	size_t frame;

	buf_clear(&t->message);
	frame = frame_begin(&t->message, 1, 0, OPCODE_MSG);
	buf_put_u32(&t->message, 0);
	buf_put_u8(&t->message, 0);
	buf_put(&t->message, document);
	frame_end(&t->message, frame);
}

/* {find: …, $db: …} on the test's namespace. */
static void make_find(struct testing *t)
{
	const uint8_t *dot = memchr(t->test->ns.at, '.', t->test->ns.len);
	size_t db = (size_t)(dot - t->test->ns.at), begun;
	struct buf find;

	buf_init(&find, 4096);
	begun = doc_begin(&find);
	doc_put_string(&find, NAME("find"), bytes_from(t->test->ns, db + 1));
	doc_put_string(&find, NAME("$db"), bytes_head(t->test->ns, db));
	doc_end(&find, begun);
	make_message(t, buf_bytes(&find));
	buf_fini(&find);
}

static bool decide(struct testing *t, struct command *c, struct plan *plan, struct fault *why)
{
	return command_parse(c, buf_bytes(&t->message), why) &&
	       policy_decide(t->policy, &t->facts, c, &t->arena, plan, why);
}

static bool same_value(const struct element *a, const struct element *b);

/* The same fields, in whatever order. */
static bool same_document(struct bytes a, struct bytes b)
{
	struct doc_iter it = doc_iter_of(a);
	struct element e;
	bool same = doc_count(a) == doc_count(b);

	while (same && doc_next(&it, &e)) {
		struct doc_iter other = doc_iter_of(b);
		struct element candidate;
		bool found = false;

		while (!found && doc_next(&other, &candidate))
			found = bytes_equal(candidate.name, e.name) && same_value(&e, &candidate);
		same = found;
	}
	return same;
}

static bool same_value(const struct element *a, const struct element *b)
{
	if (a->type != b->type)
		return false;
	return element_is_document(a) ? same_document(a->value, b->value)
				      : bytes_equal(a->value, b->value);
}

static bool test_row(struct testing *t)
{
	struct command c;
	struct plan plan;
	struct fault why;
	bool fits;

	make_find(t);
	fits = decide(t, &c, &plan, &why) &&
	       (!plan.rows.len || match_document(plan.rows, t->test->document));
	return fits == t->test->row;
}

static bool test_sees(struct testing *t)
{
	struct buf shown;
	struct command c;
	struct plan plan;
	struct fault why;
	bool same;

	make_find(t);
	if (!decide(t, &c, &plan, &why))
		return doc_is_empty(t->test->sees);
	buf_init(&shown, DOC_MAX_LEN);
	same = transform_show(t->transform, &plan.reply, t->test->document, &shown, &why) &&
	       same_document(buf_bytes(&shown), t->test->sees);
	buf_fini(&shown);
	return same;
}

static bool test_expect(struct testing *t)
{
	struct command c;
	struct plan plan;
	struct fault why;

	make_message(t, t->test->command);
	return decide(t, &c, &plan, &why) == t->test->allowed;
}

static bool run_one(struct testing *t, struct bytes vault)
{
	static bool (*const forms[])(struct testing *) = {
		[TEST_ROW] = test_row,
		[TEST_SEES] = test_sees,
		[TEST_EXPECT] = test_expect,
	};

	make_user(t, vault);
	make_lists(t);
	return forms[t->test->form](t);
}

static const char *const failures[] = {
	[TEST_ROW] = "the row filter says otherwise",
	[TEST_SEES] = "the role sees something else",
	[TEST_EXPECT] = "the command is decided otherwise",
};

size_t policy_run_tests(
	struct policy *p, const struct master *m, struct bytes vault, struct complaints *complaints)
{
	struct fault why;
	struct keyring *none = keyring_new(m, false, &why);
	struct transform *transform;
	size_t failed = 0;

	if (!none) {
		complain(complaints, (struct place){.file = "policy test"}, NULL, "%s", why.detail);
		return 1;
	}
	transform = transform_new(p, none, m);
	for (size_t i = 0; i < p->ntests; i++) {
		struct testing t = {.policy = p, .test = &p->tests[i], .transform = transform};

		arena_init(&t.arena);
		buf_init(&t.message, FRAME_MESSAGE_MAX);
		if (!run_one(&t, vault)) {
			failed++;
			complain(complaints, t.test->at, NULL, "test failed: %.*s: %s",
				BYTES_ARG(t.test->name), failures[t.test->form]);
		}
		buf_fini(&t.message);
		arena_fini(&t.arena);
	}
	transform_free(transform);
	keyring_unref(none);
	return failed;
}
