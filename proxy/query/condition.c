#include "query/condition.h"

#include <stdlib.h>

#include <sodium.h>

struct reading {
	struct conditions *conditions;
	enum fault_code code;
	struct fault *why;
};

void conditions_init(struct conditions *c, struct arena *arena)
{
	*c = (struct conditions){.arena = arena, .root = {.kind = CONDITION_ALL}};
}

static bool refuse(const struct reading *r, struct bytes name)
{
	return fault_name(r->why, r->code, name);
}

static struct condition *add_child(
	const struct reading *r, struct condition *parent, enum condition_kind kind)
{
	struct condition *child = arena_alloc(r->conditions->arena, sizeof(*child));
	struct condition **last = &parent->first;

	while (*last)
		last = &(*last)->next;
	child->kind = kind;
	*last = child;
	return child;
}

static bool is_single(const struct element *e)
{
	switch (e->type) {
	case TYPE_DOUBLE:
	case TYPE_STRING:
	case TYPE_OBJECT_ID:
	case TYPE_BOOL:
	case TYPE_DATE:
	case TYPE_NULL:
	case TYPE_INT32:
	case TYPE_INT64:
		return true;
	default:
		return false;
	}
}

static bool add_leaf(const struct reading *r, struct condition *parent, struct bytes path,
	const char *op, const struct element *operand)
{
	struct conditions *c = r->conditions;
	struct condition *leaf;

	if (!is_single(operand))
		return refuse(r, path);
	if (c->nleaves == CONDITIONS_MAX)
		return fault_name(r->why, FAULT_CONDITIONS, path);
	leaf = add_child(r, parent, CONDITION_LEAF);
	leaf->path = leaf->as = path;
	leaf->op = op;
	leaf->operand = *operand;
	c->leaves[c->nleaves++] = leaf;
	return true;
}

/* $in, $nin: a leaf for each value. */
static bool add_list(const struct reading *r, struct condition *parent, enum condition_kind kind,
	struct bytes path, const struct element *list)
{
	struct condition *any;
	struct doc_iter it;
	struct element e;

	if (list->type != TYPE_ARRAY || doc_is_empty(list->value))
		return refuse(r, list->name);
	any = add_child(r, parent, kind);
	it = doc_iter_of(list->value);
	while (doc_next(&it, &e))
		if (!add_leaf(r, any, path, "$eq", &e))
			return false;
	return true;
}

static bool read_operators(
	const struct reading *r, struct condition *parent, struct bytes path, struct bytes doc);

static bool read_operator(const struct reading *r, struct condition *parent, struct bytes path,
	const struct element *e)
{
	static const char *const plain[] = {"$eq", "$gt", "$gte", "$lt", "$lte", "$exists"};

	for (size_t i = 0; i < COUNT_OF(plain); i++)
		if (element_named(e, plain[i]))
			return add_leaf(r, parent, path, plain[i], e);
	if (element_named(e, "$ne"))
		return add_leaf(r, add_child(r, parent, CONDITION_NONE), path, "$eq", e);
	if (element_named(e, "$in"))
		return add_list(r, parent, CONDITION_ANY, path, e);
	if (element_named(e, "$nin"))
		return add_list(r, parent, CONDITION_NONE, path, e);
	if (element_named(e, "$not") && e->type == TYPE_DOCUMENT) {
		struct condition *none = add_child(r, parent, CONDITION_NONE);

		return read_operators(r, add_child(r, none, CONDITION_ALL), path, e->value);
	}
	return refuse(r, e->name);
}

static bool read_operators(
	const struct reading *r, struct condition *parent, struct bytes path, struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	if (doc_is_empty(doc))
		return refuse(r, path);
	while (doc_next(&it, &e))
		if (!read_operator(r, parent, path, &e))
			return false;
	return true;
}

static bool read_filter(const struct reading *r, struct condition *all, struct bytes filter);

static bool read_branches(
	const struct reading *r, struct condition *parent, const struct element *e)
{
	struct condition *branches;
	struct doc_iter it;
	struct element branch;

	if (element_named(e, "$and"))
		branches = add_child(r, parent, CONDITION_ALL);
	else if (element_named(e, "$or"))
		branches = add_child(r, parent, CONDITION_ANY);
	else if (element_named(e, "$nor"))
		branches = add_child(r, parent, CONDITION_NONE);
	else
		return refuse(r, e->name);
	if (e->type != TYPE_ARRAY || doc_is_empty(e->value))
		return refuse(r, e->name);
	it = doc_iter_of(e->value);
	while (doc_next(&it, &branch)) {
		/* An empty branch holds always, and would decide alone. */
		if (branch.type != TYPE_DOCUMENT || doc_is_empty(branch.value))
			return refuse(r, e->name);
		if (!read_filter(r, add_child(r, branches, CONDITION_ALL), branch.value))
			return false;
	}
	return true;
}

static bool read_filter(const struct reading *r, struct condition *all, struct bytes filter)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element e;
	bool fine = true;

	while (fine && doc_next(&it, &e)) {
		if (e.name.len && e.name.at[0] == '$')
			fine = read_branches(r, all, &e);
		else if (e.type == TYPE_DOCUMENT)
			fine = read_operators(r, all, e.name, e.value);
		else
			fine = add_leaf(r, all, e.name, "$eq", &e);
	}
	return fine;
}

bool conditions_read(
	struct conditions *c, struct bytes filter, enum fault_code code, struct fault *why)
{
	const struct reading r = {.conditions = c, .code = code, .why = why};

	return read_filter(&r, &c->root, filter);
}

static bool joins_several(const struct condition *c)
{
	return c->first && c->first->next;
}

/* What a child is taken for once it is left out; `own` is that of its parent, which goes with
 * its only child. */
static bool value_without(const struct condition *parent, bool own)
{
	if (joins_several(parent))
		return parent->kind == CONDITION_ALL;
	return parent->kind == CONDITION_NONE ? !own : own;
}

/* What joins others decides about all that one of those does, if being left out changes it the
 * same way. */
static bool decides_more(const struct condition *c, bool without)
{
	return c->kind == CONDITION_ANY ? !without : without;
}

static void add_parts(const struct condition *c, bool without,
	const struct condition *parts[CONDITION_PARTS], size_t *n)
{
	if (c->kind == CONDITION_LEAF || (joins_several(c) && !decides_more(c, without)))
		parts[(*n)++] = c;
	for (const struct condition *child = c->first; child; child = child->next)
		add_parts(child, value_without(c, without), parts, n);
}

size_t conditions_parts(const struct conditions *c, const struct condition *parts[CONDITION_PARTS])
{
	size_t n = 0;

	add_parts(&c->root, true, parts, &n);
	return n;
}

/* Whether anything is left of it. */
static bool is_left(const struct condition *c, const struct condition *without)
{
	if (c == without || c->kind == CONDITION_LEAF)
		return c != without;
	for (const struct condition *child = c->first; child; child = child->next)
		if (is_left(child, without))
			return true;
	return false;
}

static void put_condition(struct buf *out, struct bytes name, const struct condition *c,
	const struct condition *without)
{
	static const char *const names[] = {
		[CONDITION_ALL] = "$and", [CONDITION_ANY] = "$or", [CONDITION_NONE] = "$nor"};
	size_t begun = doc_put_document(out, name), inner, n = 0;
	char index[DOC_INDEX_MAX];

	if (c->kind == CONDITION_LEAF) {
		inner = doc_put_document(out, c->as);
		doc_put_value(out, c->operand.type, bytes_str(c->op), c->operand.value);
	} else if (is_left(c, without)) {
		inner = doc_put_array(out, bytes_str(names[c->kind]));
		for (const struct condition *child = c->first; child; child = child->next)
			if (is_left(child, without))
				put_condition(out, doc_index_name(n++, index), child, without);
	} else {
		doc_end(out, begun);
		return;
	}
	doc_end(out, inner);
	doc_end(out, begun);
}

void conditions_put(struct buf *out, struct bytes name, const struct conditions *c,
	const struct condition *without)
{
	put_condition(out, name, &c->root, without);
}

/* {$nor: [the filter]} */
static void put_not(struct buf *out, struct bytes name, const struct conditions *c,
	const struct condition *without)
{
	size_t begun = doc_put_document(out, name), list = doc_put_array(out, NAME("$nor"));

	conditions_put(out, NAME("0"), c, without);
	doc_end(out, list);
	doc_end(out, begun);
}

void conditions_put_decided(struct buf *out, struct bytes name, const struct conditions *c,
	const struct condition *part)
{
	size_t begun = doc_put_document(out, name), either = doc_put_array(out, NAME("$or")),
	       branch;
	size_t both;

	branch = doc_put_document(out, NAME("0"));
	both = doc_put_array(out, NAME("$and"));
	conditions_put(out, NAME("0"), c, NULL);
	put_not(out, NAME("1"), c, part);
	doc_end(out, both);
	doc_end(out, branch);
	branch = doc_put_document(out, NAME("1"));
	both = doc_put_array(out, NAME("$and"));
	conditions_put(out, NAME("0"), c, part);
	put_not(out, NAME("1"), c, NULL);
	doc_end(out, both);
	doc_end(out, branch);
	doc_end(out, either);
	doc_end(out, begun);
}

static bool fixes(const struct condition *c, struct bytes path)
{
	const struct condition *child = c->first;

	if (c->kind == CONDITION_LEAF)
		return strcmp(c->op, "$eq") == 0 && bytes_equal(c->path, path);
	if (c->kind == CONDITION_ANY)
		return child && !child->next && fixes(child, path);
	for (; c->kind == CONDITION_ALL && child; child = child->next)
		if (fixes(child, path))
			return true;
	return false;
}

bool conditions_fix(const struct conditions *c, struct bytes path)
{
	return fixes(&c->root, path);
}

struct condition_hash {
	uint8_t bytes[CONDITION_HASH_LEN];
};

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, CONDITION_HASH_LEN);
}

static struct condition_hash hash_leaf(const struct condition *c)
{
	crypto_generichash_state state;
	struct condition_hash hash;
	uint8_t type = c->operand.type, whole[8];
	struct bytes value = c->operand.value;
	int64_t n;

	if (element_is_number(&c->operand) && element_int(&c->operand, &n)) {
		type = TYPE_INT64;
		store_u64(whole, (uint64_t)n);
		value = bytes_of(whole, sizeof(whole));
	}
	crypto_generichash_init(&state, NULL, 0, sizeof(hash.bytes));
	crypto_generichash_update(&state, (const uint8_t *)c->op, strlen(c->op) + 1);
	crypto_generichash_update(&state, c->path.at, c->path.len);
	crypto_generichash_update(&state, (const uint8_t *)"", 1);
	crypto_generichash_update(&state, &type, 1);
	crypto_generichash_update(&state, value.at, value.len);
	crypto_generichash_final(&state, hash.bytes, sizeof(hash.bytes));
	return hash;
}

/* Hashes of what must all hold, or of which any may; those of the same kind below are as if
 * they stood here. */
struct hash_list {
	struct condition_hash *list;
	size_t n;
};

static struct condition_hash hash_condition(struct arena *arena, const struct condition *c);

/* What joins one alone is that one. */
static const struct condition *unwrapped(const struct condition *c)
{
	while ((c->kind == CONDITION_ALL || c->kind == CONDITION_ANY) && c->first &&
		!c->first->next)
		c = c->first;
	return c;
}

static size_t count_below(const struct condition *c, enum condition_kind kind)
{
	size_t n = 0;

	for (const struct condition *at = c->first; at; at = at->next) {
		const struct condition *child = unwrapped(at);

		n += child->kind == kind ? count_below(child, kind) : 1;
	}
	return n;
}

static void hash_below(struct arena *arena, const struct condition *c, enum condition_kind kind,
	struct hash_list *l)
{
	for (const struct condition *at = c->first; at; at = at->next) {
		const struct condition *child = unwrapped(at);

		if (child->kind == kind)
			hash_below(arena, child, kind, l);
		else
			l->list[l->n++] = hash_condition(arena, child);
	}
}

static void drop_repeated(struct hash_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (!n || by_bytes(&l->list[n - 1], &l->list[i]) != 0)
			l->list[n++] = l->list[i];
	l->n = n;
}

static struct condition_hash hash_condition(struct arena *arena, const struct condition *c)
{
	enum condition_kind below = c->kind == CONDITION_NONE ? CONDITION_ANY : c->kind;
	struct hash_list l = {.n = 0};
	struct condition_hash hash;
	crypto_generichash_state state;
	uint8_t kind = (uint8_t)c->kind;

	if (c->kind == CONDITION_LEAF)
		return hash_leaf(c);
	l.list = arena_array(arena, count_below(c, below) + 1, sizeof(*l.list));
	hash_below(arena, c, below, &l);
	qsort(l.list, l.n, sizeof(*l.list), by_bytes);
	drop_repeated(&l);
	/* One that stands alone is what it is. */
	if (l.n == 1 && c->kind != CONDITION_NONE)
		return l.list[0];
	crypto_generichash_init(&state, NULL, 0, sizeof(hash.bytes));
	crypto_generichash_update(&state, &kind, 1);
	for (size_t i = 0; i < l.n; i++)
		crypto_generichash_update(&state, l.list[i].bytes, sizeof(l.list[i].bytes));
	crypto_generichash_final(&state, hash.bytes, sizeof(hash.bytes));
	return hash;
}

void conditions_hash(const struct conditions *c, uint8_t hash[CONDITION_HASH_LEN])
{
	struct condition_hash whole = hash_condition(c->arena, &c->root);

	memcpy(hash, whole.bytes, sizeof(whole.bytes));
}
