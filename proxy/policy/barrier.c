#include "policy/barrier.h"

#include <stdio.h>

size_t stage_begin(struct stages *s)
{
	char index[DOC_INDEX_MAX];

	return doc_put_document(s->out, doc_index_name(s->count++, index));
}

void put_rows(struct stages *s, struct bytes rows)
{
	size_t stage = stage_begin(s);

	doc_put_value(s->out, TYPE_DOCUMENT, NAME("$match"), rows);
	doc_end(s->out, stage);
}

struct bytes rows_of_stage(struct bytes stages)
{
	struct doc_iter it = {.at = stages.at, .end = stages.at + stages.len};
	struct element stage, match = {0};

	if (doc_next(&it, &stage)) {
		it = doc_iter_of(stage.value);
		(void)doc_next(&it, &match);
	}
	return match.value;
}

void put_fence(struct stages *s)
{
	size_t stage = stage_begin(s);

	doc_put_int64(s->out, NAME("$limit"), INT64_MAX);
	doc_end(s->out, stage);
}

bool barrier_can_compute(const struct mask *m)
{
	return m->kind != MASK_PSEUDONYM;
}

bool barrier_can_show(const struct view_node *node)
{
	if (node->clearance == CLEAR_MASK)
		return barrier_can_compute(node->mask) &&
		       (node->field == NO_FIELD || node->mask->kind == MASK_CONSTANT);
	return node->clearance == CLEAR_PLAINTEXT;
}

/* Something of the node, or of what lies below it, is there behind the barrier. */
static bool shows_some(const struct view_node *node)
{
	if (barrier_can_show(node))
		return true;
	for (size_t i = 0; i < node->nchildren; i++)
		if (shows_some(&node->children[i]))
			return true;
	return false;
}

/* Variables are told apart by how deep they stand: "e3", "$$e3", "$$e3.name". */
struct variable {
	char text[16];
};

static struct variable variable(const char *prefix, char letter, unsigned depth)
{
	struct variable v;

	snprintf(v.text, sizeof(v.text), "%s%c%u", prefix, letter, depth);
	return v;
}

static void put_list(struct buf *out, struct arena *arena, struct bytes name,
	const struct view_node *node, struct bytes ref, unsigned depth);

static bool is_changed(const struct view_node *node)
{
	return shows_some(node) && !node->all_plaintext;
}

static bool hides_a_child(const struct view_node *node)
{
	for (size_t i = 0; i < node->nchildren; i++)
		if (!shows_some(&node->children[i]))
			return true;
	return false;
}

/* Whether a field's name is one of those that are shown, or that are not hidden. */
static void put_is_kept(struct buf *out, const struct view_node *node, unsigned depth)
{
	bool keeps = node->clearance == CLEAR_PLAINTEXT;
	struct variable key = variable("$$", 'f', depth);
	struct call none = {0}, in;
	char index[DOC_INDEX_MAX], of_key[32];
	size_t list, n = 0;

	if (keeps)
		none = call_begin(out, NAME("cond"), "$not");
	in = call_begin(out, keeps ? NAME("0") : NAME("cond"), "$in");
	snprintf(of_key, sizeof(of_key), "%s.k", key.text);
	doc_put_string(out, NAME("0"), bytes_str(of_key));
	list = doc_put_array(out, NAME("1"));
	for (size_t i = 0; i < node->nchildren; i++)
		if (shows_some(&node->children[i]) != keeps)
			doc_put_string(out, doc_index_name(n++, index), node->children[i].name);
	doc_end(out, list);
	call_end(out, in);
	if (keeps)
		call_end(out, none);
}

/* The pairs of name and value of a document of which something is shown, in its own order. */
static void put_kept(struct buf *out, struct bytes name, const struct view_node *node,
	struct bytes ref, unsigned depth)
{
	struct variable as = variable("", 'f', depth);
	bool whole = node->clearance == CLEAR_PLAINTEXT && !hides_a_child(node);
	size_t outer = doc_put_document(out, name), filter, input;

	if (whole) {
		doc_put_string(out, NAME("$objectToArray"), ref);
		doc_end(out, outer);
		return;
	}
	filter = doc_put_document(out, NAME("$filter"));
	input = doc_put_document(out, NAME("input"));
	doc_put_string(out, NAME("$objectToArray"), ref);
	doc_end(out, input);
	doc_put_string(out, NAME("as"), bytes_str(as.text));
	put_is_kept(out, node, depth);
	doc_end(out, filter);
	doc_end(out, outer);
}

/* {case: {$eq: ["$$f.k", name]}, then: [{k: name, v: what the field shows}] or []} */
static void put_branch(struct buf *out, struct arena *arena, struct bytes index,
	const struct view_node *child, unsigned depth)
{
	struct variable item = variable("", 'v', depth), value = variable("$$", 'v', depth);
	size_t branch = doc_put_document(out, index), then, map, pair;
	struct call same = call_begin(out, NAME("case"), "$eq");

	doc_put_string(out, NAME("0"), bytes_str(arena_format(arena, "$$f%u.k", depth)));
	doc_put_string(out, NAME("1"), child->name);
	call_end(out, same);
	then = doc_put_document(out, NAME("then"));
	map = doc_put_document(out, NAME("$map"));
	put_list(out, arena, NAME("input"), child, bytes_str(arena_format(arena, "$$f%u.v", depth)),
		depth + 1);
	doc_put_string(out, NAME("as"), bytes_str(item.text));
	pair = doc_put_document(out, NAME("in"));
	doc_put_string(out, NAME("k"), child->name);
	doc_put_string(out, NAME("v"), bytes_str(value.text));
	doc_end(out, pair);
	doc_end(out, map);
	doc_end(out, then);
	doc_end(out, branch);
}

/* Each pair as a list of none or one. */
static void put_pairs(struct buf *out, struct arena *arena, struct bytes name,
	const struct view_node *node, struct bytes ref, unsigned depth)
{
	struct variable as = variable("", 'f', depth), pair = variable("$$", 'f', depth);
	size_t outer = doc_put_document(out, name), map, in, cases, branches, list, n = 0;
	char index[DOC_INDEX_MAX];

	map = doc_put_document(out, NAME("$map"));
	put_kept(out, NAME("input"), node, ref, depth);
	doc_put_string(out, NAME("as"), bytes_str(as.text));
	in = doc_put_document(out, NAME("in"));
	cases = doc_put_document(out, NAME("$switch"));
	branches = doc_put_array(out, NAME("branches"));
	for (size_t i = 0; i < node->nchildren; i++)
		if (is_changed(&node->children[i]))
			put_branch(
				out, arena, doc_index_name(n++, index), &node->children[i], depth);
	doc_end(out, branches);
	list = doc_put_array(out, NAME("default"));
	doc_put_string(out, NAME("0"), bytes_str(pair.text));
	doc_end(out, list);
	doc_end(out, cases);
	doc_end(out, in);
	doc_end(out, map);
	doc_end(out, outer);
}

static bool changes_a_child(const struct view_node *node)
{
	for (size_t i = 0; i < node->nchildren; i++)
		if (is_changed(&node->children[i]))
			return true;
	return false;
}

/* What becomes of a document: the pairs that are left, as a document again. */
static void put_fields(struct buf *out, struct arena *arena, struct bytes name,
	const struct view_node *node, struct bytes ref, unsigned depth)
{
	size_t outer = doc_put_document(out, name), inner, reduce;
	struct call both;

	if (!changes_a_child(node)) {
		put_kept(out, NAME("$arrayToObject"), node, ref, depth);
		doc_end(out, outer);
		return;
	}
	inner = doc_put_document(out, NAME("$arrayToObject"));
	reduce = doc_put_document(out, NAME("$reduce"));
	put_pairs(out, arena, NAME("input"), node, ref, depth);
	doc_end(out, doc_put_array(out, NAME("initialValue")));
	both = call_begin(out, NAME("in"), "$concatArrays");
	doc_put_string(out, NAME("0"), NAME("$$value"));
	doc_put_string(out, NAME("1"), NAME("$$this"));
	call_end(out, both);
	doc_end(out, reduce);
	doc_end(out, inner);
	doc_end(out, outer);
}

/* A value that is no array and is there. */
static void put_single(struct buf *out, struct arena *arena, struct bytes name,
	const struct view_node *node, struct bytes ref, unsigned depth)
{
	struct call cond;

	if (!node->nchildren && node->clearance == CLEAR_MASK) {
		put_mask_expression(out, name, node->mask, ref);
		return;
	}
	cond = call_begin(out, name, "$cond");
	put_is_type(out, NAME("0"), ref, "object");
	put_fields(out, arena, NAME("1"), node, ref, depth);
	if (node->clearance == CLEAR_MASK && barrier_can_show(node))
		put_mask_expression(out, NAME("2"), node->mask, ref);
	else
		doc_put_string(out, NAME("2"), barrier_can_show(node) ? ref : NAME("$$REMOVE"));
	call_end(out, cond);
}

/* Which elements of an array, or which single value, have anything to show. */
static void put_keeps(struct buf *out, const struct view_node *node, struct bytes ref)
{
	struct call ne;

	if (!barrier_can_show(node)) {
		put_is_type(out, NAME("cond"), ref, "object");
		return;
	}
	ne = call_begin(out, NAME("cond"), "$not");
	put_is_type(out, NAME("0"), ref, "array");
	call_end(out, ne);
}

/* The elements of the array "$$a<depth>", each as it may be seen. */
static void put_elements(struct buf *out, struct arena *arena, struct bytes name,
	const struct view_node *node, unsigned depth)
{
	struct variable array = variable("$$", 'a', depth), item = variable("$$", 'e', depth);
	struct variable as = variable("", 'e', depth);
	size_t outer = doc_put_document(out, name), map, filter, input;

	map = doc_put_document(out, NAME("$map"));
	input = doc_put_document(out, NAME("input"));
	filter = doc_put_document(out, NAME("$filter"));
	doc_put_string(out, NAME("input"), bytes_str(array.text));
	doc_put_string(out, NAME("as"), bytes_str(as.text));
	put_keeps(out, node, bytes_str(item.text));
	doc_end(out, filter);
	doc_end(out, input);
	doc_put_string(out, NAME("as"), bytes_str(as.text));
	put_single(out, arena, NAME("in"), node, bytes_str(item.text), depth);
	doc_end(out, map);
	doc_end(out, outer);
}

/* As above without the shells of documents of which nothing is left. */
static void put_left(struct buf *out, struct arena *arena, struct bytes name,
	const struct view_node *node, unsigned depth)
{
	struct variable item = variable("$$", 'e', depth), as = variable("", 'e', depth);
	size_t outer, filter, empty;
	struct call ne;

	if (node->clearance == CLEAR_PLAINTEXT || !node->nchildren) {
		put_elements(out, arena, name, node, depth);
		return;
	}
	outer = doc_put_document(out, name);
	filter = doc_put_document(out, NAME("$filter"));
	put_elements(out, arena, NAME("input"), node, depth);
	doc_put_string(out, NAME("as"), bytes_str(as.text));
	ne = call_begin(out, NAME("cond"), "$ne");
	doc_put_string(out, NAME("0"), bytes_str(item.text));
	empty = doc_put_document(out, NAME("1"));
	doc_end(out, empty);
	call_end(out, ne);
	doc_end(out, filter);
	doc_end(out, outer);
}

void put_is_array(struct buf *out, struct bytes name, struct bytes ref)
{
	struct call is = call_begin(out, name, "$isArray");

	doc_put_string(out, NAME("0"), ref);
	call_end(out, is);
}

/* An array that has something left, or that is shown as such, is one value; of a value that
 * is none, what is left of it is. */
static void put_what_is_left(
	struct buf *out, const struct view_node *node, struct bytes ref, unsigned depth)
{
	struct variable left = variable("$$", 'm', depth);
	struct call cond = call_begin(out, NAME("in"), "$cond"), both, part;
	size_t list;

	both = call_begin(out, NAME("0"), "$and");
	put_is_array(out, NAME("0"), ref);
	if (node->clearance != CLEAR_PLAINTEXT) {
		part = call_begin(out, NAME("1"), "$ne");
		doc_put_string(out, NAME("0"), bytes_str(left.text));
		doc_end(out, doc_put_array(out, NAME("1")));
		call_end(out, part);
	}
	call_end(out, both);
	list = doc_put_array(out, NAME("1"));
	doc_put_string(out, NAME("0"), bytes_str(left.text));
	doc_end(out, list);
	doc_put_string(out, NAME("2"), bytes_str(left.text));
	call_end(out, cond);
}

/* The value as an array: itself, or of one element. */
static void put_as_array(struct buf *out, struct bytes name, struct bytes ref)
{
	struct call cond = call_begin(out, name, "$cond");
	size_t list;

	put_is_array(out, NAME("0"), ref);
	doc_put_string(out, NAME("1"), ref);
	list = doc_put_array(out, NAME("2"));
	doc_put_string(out, NAME("0"), ref);
	doc_end(out, list);
	call_end(out, cond);
}

/* What a value that is there shows, as a list of none or one:
 * {$let: {vars: {a: …}, in: {$let: {vars: {m: the elements that are left}, in: …}}}} */
static void put_list(struct buf *out, struct arena *arena, struct bytes name,
	const struct view_node *node, struct bytes ref, unsigned depth)
{
	struct variable array = variable("", 'a', depth), left = variable("", 'm', depth);
	size_t outer[2], let[2], vars;

	outer[0] = doc_put_document(out, name);
	let[0] = doc_put_document(out, NAME("$let"));
	vars = doc_put_document(out, NAME("vars"));
	put_as_array(out, bytes_str(array.text), ref);
	doc_end(out, vars);
	outer[1] = doc_put_document(out, NAME("in"));
	let[1] = doc_put_document(out, NAME("$let"));
	vars = doc_put_document(out, NAME("vars"));
	put_left(out, arena, bytes_str(left.text), node, depth);
	doc_end(out, vars);
	put_what_is_left(out, node, ref, depth);
	for (size_t i = 2; i-- > 0;) {
		doc_end(out, let[i]);
		doc_end(out, outer[i]);
	}
}

/* {$cond: [it is missing, REMOVE, the only element of its list, or REMOVE]} */
static void put_top(struct buf *out, struct arena *arena, const struct view_node *node)
{
	struct bytes ref = bytes_str(arena_format(arena, "$%.*s", BYTES_ARG(node->name)));
	struct call cond = call_begin(out, node->name, "$cond"), inner, part;
	size_t outer, let, vars;

	put_is_type(out, NAME("0"), ref, "missing");
	doc_put_string(out, NAME("1"), NAME("$$REMOVE"));
	outer = doc_put_document(out, NAME("2"));
	let = doc_put_document(out, NAME("$let"));
	vars = doc_put_document(out, NAME("vars"));
	put_list(out, arena, NAME("l"), node, ref, 0);
	doc_end(out, vars);
	inner = call_begin(out, NAME("in"), "$cond");
	part = call_begin(out, NAME("0"), "$eq");
	doc_put_string(out, NAME("0"), NAME("$$l"));
	doc_end(out, doc_put_array(out, NAME("1")));
	call_end(out, part);
	doc_put_string(out, NAME("1"), NAME("$$REMOVE"));
	part = call_begin(out, NAME("2"), "$arrayElemAt");
	doc_put_string(out, NAME("0"), NAME("$$l"));
	doc_put_int32(out, NAME("1"), 0);
	call_end(out, part);
	call_end(out, inner);
	doc_end(out, let);
	doc_end(out, outer);
	call_end(out, cond);
}

static bool is_id(const struct view_node *node)
{
	return bytes_equal_str(node->name, "_id");
}

/* {$project: {a: 1, b: 1}}: of each, all that stands there for now. */
static void put_inclusion(struct stages *s, const struct view_node *root)
{
	size_t stage = stage_begin(s), project, n = 0;
	const struct view_node *id = view_node_child(root, NAME("_id"));
	bool shows_id = id && shows_some(id);

	for (size_t i = 0; i < root->nchildren; i++)
		n += shows_some(&root->children[i]);
	if (!n) {
		/* No projection includes nothing. */
		project = doc_put_document(s->out, NAME("$replaceWith"));
		doc_end(s->out, doc_put_document(s->out, NAME("$literal")));
		doc_end(s->out, project);
		doc_end(s->out, stage);
		return;
	}
	project = doc_put_document(s->out, NAME("$project"));
	doc_put_int32(s->out, NAME("_id"), shows_id);
	for (size_t i = 0; i < root->nchildren; i++)
		if (!is_id(&root->children[i]) && shows_some(&root->children[i]))
			doc_put_int32(s->out, root->children[i].name, 1);
	doc_end(s->out, project);
	doc_end(s->out, stage);
}

/* {$unset: ["__mw", …]} */
static void put_exclusion(struct stages *s, const struct view_node *root)
{
	size_t stage = stage_begin(s), list = doc_put_array(s->out, NAME("$unset")), n = 0;
	char index[DOC_INDEX_MAX];

	doc_put_string(s->out, doc_index_name(n++, index), NAME("__mw"));
	for (size_t i = 0; i < root->nchildren; i++)
		if (!shows_some(&root->children[i]) &&
			!bytes_equal_str(root->children[i].name, "__mw"))
			doc_put_string(s->out, doc_index_name(n++, index), root->children[i].name);
	doc_end(s->out, list);
	doc_end(s->out, stage);
}

bool finish_stages(struct arena *arena, struct buf *built, struct bytes *stages)
{
	struct doc_facts facts = {0};
	struct fault unwanted;
	struct buf whole;
	size_t begun;
	bool fits;

	buf_init(&whole, BARRIER_LEN_MAX + 64);
	begun = doc_begin(&whole);
	buf_put(&whole, buf_bytes(built));
	doc_end(&whole, begun);
	fits = !built->failed && !whole.failed && doc_check(buf_bytes(&whole), &facts, &unwanted) &&
	       facts.depth <= BARRIER_DEPTH_MAX;
	*stages = fits ? arena_copy(arena, buf_bytes(built)) : bytes_of("", 0);
	buf_fini(&whole);
	buf_fini(built);
	return fits;
}

bool barrier_compares_names(const struct view_node *root)
{
	for (size_t i = 0; i < root->nchildren; i++)
		if (is_changed(&root->children[i]) && root->children[i].nchildren)
			return true;
	return false;
}

bool build_view_stages(struct arena *arena, const struct view_node *root, struct bytes *stages)
{
	struct buf built;
	struct stages s = {.out = &built};
	size_t stage, set, n = 0;

	buf_init(&built, BARRIER_LEN_MAX);
	(root->clearance == CLEAR_PLAINTEXT ? put_exclusion : put_inclusion)(&s, root);
	for (size_t i = 0; i < root->nchildren; i++)
		n += is_changed(&root->children[i]);
	if (!n)
		return finish_stages(arena, &built, stages);
	stage = stage_begin(&s);
	set = doc_put_document(s.out, NAME("$set"));
	for (size_t i = 0; i < root->nchildren; i++)
		if (is_changed(&root->children[i]))
			put_top(s.out, arena, &root->children[i]);
	doc_end(s.out, set);
	doc_end(s.out, stage);
	return finish_stages(arena, &built, stages);
}
