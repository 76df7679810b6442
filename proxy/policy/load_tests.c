#include "policy/loader.h"

/* As in users.yaml: texts, whatever they look like. */
static bool load_attributes(struct loader *l, const struct yaml_node *node, struct policy_test *t)
{
	bool fine = true;
	struct buf out;
	size_t begun;

	if (!load_is_mapping(l, node))
		return false;
	buf_init(&out, DOC_MAX_LEN);
	begun = doc_begin(&out);
	for (size_t i = 0; i < node->count; i++) {
		if (!load_is_text(l, &node->children[i])) {
			fine = false;
			continue;
		}
		doc_put_string(&out, node->children[i].key, node->children[i].text);
	}
	doc_end(&out, begun);
	t->attributes = load_copy(l, buf_bytes(&out));
	buf_fini(&out);
	return fine;
}

static bool load_lists(struct loader *l, const struct yaml_node *node, struct policy_test *t)
{
	if (!load_is_mapping(l, node))
		return false;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *child = &node->children[i];
		struct bytes template =
			bytes_str(arena_format(&l->scratch, "${%.*s}", BYTES_ARG(child->key)));

		if (!relation_of_template(l->policy, template))
			return complain(l->complaints, child->key_at, "name one of `relations:`",
				"there is no relation '%.*s'", BYTES_ARG(child->key));
		if (!load_is_sequence(l, child))
			return false;
	}
	return load_document(l, node, &t->lists);
}

static bool load_as(struct loader *l, const struct yaml_node *node, struct policy_test *t)
{
	const struct yaml_node *role = yaml_get(node, "role");
	const struct yaml_node *attributes = yaml_get(node, "attributes");
	const struct yaml_node *purpose = yaml_get(node, "purpose");
	const struct yaml_node *relations = yaml_get(node, "relations");

	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_AS))
		return false;
	if (!role || !load_is_text(l, role) || !policy_role(l->policy, role->text))
		return complain(l->complaints, node->at, "as: {role: …}", "there is no such role");
	t->role = load_copy(l, role->text);
	if (purpose && load_is_text(l, purpose))
		t->purpose = load_copy(l, purpose->text);
	load_mode(l, node, &t->observed);
	if (relations && !load_lists(l, relations, t))
		return false;
	return !attributes || load_attributes(l, attributes, t);
}

static bool load_expect(struct loader *l, const struct yaml_node *node, struct policy_test *t)
{
	const struct yaml_node *expect = yaml_get(node, "expect");
	int allowed;

	t->form = TEST_EXPECT;
	if (!expect || !load_is_text(l, expect))
		return complain(l->complaints, node->at, "expect: allowed or refused",
			"the test expects nothing");
	if (!load_word(expect, WORDS_OUTCOME, &allowed))
		return complain(l->complaints, expect->at, "allowed or refused", "unknown outcome");
	t->allowed = allowed;
	return load_document(l, yaml_get(node, "command"), &t->command);
}

/* The one collection that the role's grants name. */
static struct bytes only_collection(struct loader *l, const struct policy_test *t)
{
	const struct policy *p = l->policy;
	const struct role *role = policy_role(p, t->role);
	struct bytes only = {0};

	if (p->ncollections == 1)
		return p->collections[0].ns;
	for (size_t i = 0; role && i < role->ngrants; i++) {
		const struct grant *g = &role->grants[i];
		struct bytes ns = arena_dotted(&l->scratch, g->db, g->collection);
		const struct collection *c = policy_collection(p, ns);

		if (!c || (only.len && !bytes_equal(only, c->ns)))
			return bytes_of("", 0);
		only = c->ns;
	}
	return only;
}

/* Which collection or view the document is one of; without a word the only one that the role
 * has. */
static bool load_test_namespace(
	struct loader *l, const struct yaml_node *node, struct policy_test *t)
{
	const struct yaml_node *ns = yaml_get(node, "namespace");
	const struct policy *p = l->policy;

	if (!ns)
		t->ns = only_collection(l, t);
	if (t->ns.len)
		return true;
	if (!ns)
		return complain(l->complaints, node->at, "namespace: db.collection",
			"the test does not say which collection its document is of");
	if (!load_is_text(l, ns) || (!policy_collection(p, ns->text) && !policy_view(p, ns->text)))
		return complain(l->complaints, ns->at, "name a collection or a view of the policy",
			"there is no such namespace");
	t->ns = load_copy(l, ns->text);
	return true;
}

/* A test has exactly one form. */
static bool load_form(struct loader *l, const struct yaml_node *node, struct policy_test *t)
{
	const struct yaml_node *document = yaml_get(node, "document");
	const struct yaml_node *row = yaml_get(node, "row"), *sees = yaml_get(node, "sees");
	int forms = (row != NULL) + (sees != NULL) + (yaml_get(node, "command") != NULL);

	if (forms != 1)
		return complain(l->complaints, node->at,
			"document with row, document with sees, or command with expect",
			"a test has exactly one form");
	if (!row && !sees)
		return load_expect(l, node, t);
	if (!document)
		return complain(
			l->complaints, node->at, "document: {…}", "the test has no document");
	if (!load_document(l, document, &t->document) || !load_test_namespace(l, node, t))
		return false;
	if (row) {
		t->form = TEST_ROW;
		return load_bool(l, row, &t->row);
	}
	t->form = TEST_SEES;
	return load_document(l, sees, &t->sees);
}

static void load_test(struct loader *l, const struct yaml_node *node)
{
	struct policy_test *t = &l->policy->tests[l->policy->ntests];
	const struct yaml_node *name = yaml_get(node, "name"), *as = yaml_get(node, "as");

	t->at = node->at;
	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_TEST))
		return;
	if (!name || !load_is_text(l, name) || !as) {
		complain(l->complaints, node->at, "name: …, as: {role: …}",
			"a test needs name and as");
		return;
	}
	t->name = load_copy(l, name->text);
	if (load_as(l, as, t) && load_form(l, node, t))
		l->policy->ntests++;
}

void load_tests(struct loader *l)
{
	struct policy *p = l->policy;
	size_t n = 0;

	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "tests");

		n += list && load_is_sequence(l, list) ? list->count : 0;
	}
	p->tests = arena_array(&p->arena, n, sizeof(*p->tests));
	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "tests");

		for (size_t i = 0; list && list->kind == YAML_SEQUENCE && i < list->count; i++)
			load_test(l, &list->children[i]);
	}
}
