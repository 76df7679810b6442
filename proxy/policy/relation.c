#include "policy/decide.h"
#include "policy/loader.h"

#include <stdlib.h>

#include <sodium.h>

#include "util/memory.h"

/* Lists that rows may use: how they are read, and what of an answer they take. */

/* Of all values of one list, so that a filter with it stays far below a document's limit. */
#define VALUES_BYTES_MAX (4u * 1024 * 1024)

static bool name_fits(struct bytes name)
{
	if (!name.len || bytes_equal_str(name, "now") || bytes_equal_str(name, "user") ||
		bytes_equal_str(name, "subject"))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!(name.at[i] == '_' || name.at[i] == '-' ||
			    (name.at[i] >= '0' && name.at[i] <= '9') ||
			    (name.at[i] >= 'a' && name.at[i] <= 'z') ||
			    (name.at[i] >= 'A' && name.at[i] <= 'Z')))
			return false;
	return true;
}

static const struct relation *relation_named(const struct policy *p, struct bytes name)
{
	for (size_t i = 0; i < p->nrelations; i++)
		if (bytes_equal(p->relations[i].name, name))
			return &p->relations[i];
	return NULL;
}

const struct relation *relation_of_template(const struct policy *p, struct bytes text)
{
	if (text.len < 4 || !bytes_start_with(text, bytes_str("${")) ||
		text.at[text.len - 1] != '}')
		return NULL;
	return relation_named(p, bytes_of(text.at + 2, text.len - 3));
}

uint32_t relations_in(const struct policy *p, struct bytes filter)
{
	struct doc_iter it = doc_iter_of(filter);
	struct element e;
	uint32_t set = 0;

	while (filter.len && doc_next(&it, &e)) {
		const struct relation *r =
			e.type == TYPE_STRING ? relation_of_template(p, element_string(&e)) : NULL;

		if (r)
			set |= 1u << (r - p->relations);
		else if (element_is_document(&e))
			set |= relations_in(p, e.value);
	}
	return set;
}

static void check_gives(struct loader *l, const struct yaml_node *node, const struct relation *r)
{
	bool at;

	if (r->collection && view_node_of(&r->collection->tree, r->gives, &at)->field != NO_FIELD &&
		!at)
		complain(l->complaints, node->at, "name the field itself",
			"'%.*s' lies within an encrypted field", BYTES_ARG(r->gives));
}

static void load_relation(struct loader *l, const struct yaml_node *node)
{
	struct policy *p = l->policy;
	struct relation *r = &p->relations[p->nrelations];
	const struct yaml_node *from = yaml_get(node, "from"), *where = yaml_get(node, "where");
	const struct yaml_node *gives = yaml_get(node, "gives");
	struct bytes ns;

	r->name = load_copy(l, node->key);
	r->at = node->key_at;
	if (!name_fits(r->name))
		complain(l->complaints, r->at, "letters, digits, _ and -; not user, now, subject",
			"'%.*s' cannot name a relation", BYTES_ARG(r->name));
	if (relation_named(p, r->name))
		complain(l->complaints, r->at, "keep one of them", "the relation stands twice");
	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_RELATION))
		return;
	if (!from || !where || !gives) {
		complain(l->complaints, node->at, "{from: db.collection, where: {…}, gives: path}",
			"a relation needs from, where and gives");
		return;
	}
	if (!load_is_text(l, from) || !load_is_text(l, gives))
		return;
	ns = load_copy(l, from->text);
	if (!load_namespace(l, from->at, ns, &r->db, &r->from) ||
		!load_path(l, gives->at, gives->text, &r->gives))
		return;
	r->collection = policy_collection(p, ns);
	load_relation_where(l, where, &r->where);
	if (r->where.len && r->collection)
		check_filter_types(l, where->at, r->where, r->collection);
	check_gives(l, gives, r);
	load_print(node, r->print);
	p->nrelations++;
}

void load_relations(struct loader *l)
{
	struct policy *p = l->policy;
	size_t n = 0;

	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "relations");

		n += list && load_is_mapping(l, list) ? list->count : 0;
	}
	if (n > POLICY_RELATIONS_MAX) {
		complain(l->complaints, l->files[0]->at, NULL, "over %d relations",
			POLICY_RELATIONS_MAX);
		return;
	}
	p->relations = arena_array(&p->arena, n, sizeof(*p->relations));
	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "relations");

		for (size_t i = 0; list && list->kind == YAML_MAPPING && i < list->count; i++)
			load_relation(l, &list->children[i]);
	}
}

/* ------------------------------------------------------------------ reading */

static void put_find(const struct relation *r, struct bytes where, struct buf *out)
{
	size_t begun = doc_begin(out), inner;

	doc_put_string(out, NAME("find"), r->from);
	doc_put_value(out, TYPE_DOCUMENT, NAME("filter"), where);
	inner = doc_put_document(out, NAME("projection"));
	doc_put_int32(out, r->gives, 1);
	if (!bytes_equal_str(r->gives, "_id"))
		doc_put_int32(out, NAME("_id"), 0);
	doc_end(out, inner);
	/* One more than may be, so that more are noticed; and a batch that holds them all. */
	doc_put_int32(out, NAME("limit"), POLICY_RELATION_VALUES_MAX + 1);
	doc_put_int32(out, NAME("batchSize"), POLICY_RELATION_VALUES_MAX + 2);
	inner = doc_put_document(out, NAME("collation"));
	doc_put_string(out, NAME("locale"), NAME("simple"));
	doc_end(out, inner);
	doc_put_string(out, NAME("$db"), r->db);
	doc_end(out, begun);
}

static struct bytes message_of(struct arena *arena, struct bytes body)
{
	struct bytes copy;
	struct buf out;
	size_t frame;

	buf_init(&out, DOC_SLACK_LEN);
	frame = frame_begin(&out, 0, 0, OPCODE_MSG);
	buf_put_u32(&out, 0);
	buf_put_u8(&out, 0);
	buf_put(&out, body);
	frame_end(&out, frame);
	copy = arena_copy(arena, buf_bytes(&out));
	buf_fini(&out);
	return copy;
}

static bool build_find(const struct relation *r, struct instance *i, struct arena *arena,
	struct command *c, struct fault *why)
{
	struct buf where, find;
	bool fine;

	buf_init(&where, DOC_MAX_LEN);
	buf_init(&find, DOC_SLACK_LEN);
	fine = instance_put(i, r->where, &where) || fault_name(why, FAULT_UNAUTHORIZED, r->name);
	if (fine) {
		put_find(r, buf_bytes(&where), &find);
		fine = command_parse(c, message_of(arena, buf_bytes(&find)), why);
	}
	buf_fini(&where);
	buf_fini(&find);
	return fine;
}

bool policy_relation_find(const struct policy *p, const struct relation *r,
	const struct facts *facts, struct arena *arena, struct command *c, struct plan *plan,
	struct fault *why)
{
	static const struct view_node plain = {.clearance = CLEAR_PLAINTEXT,
		.field = NO_FIELD,
		.part = NO_PART,
		.class = NO_CLASS};
	struct instance i = {.policy = p, .facts = facts};
	const struct element *filter;

	*plan = (struct plan){.row = command_row(COMMAND_FIND), .policy = p, .arena = arena};
	if (bytes_equal(arena_dotted(arena, r->db, r->from), facts->vault))
		return fault_name(why, FAULT_UNAUTHORIZED, r->name);
	if (!build_find(r, &i, arena, c, why))
		return false;
	plan->reply = (struct reply_rules){.form = REPLY_CURSOR,
		.policy = p,
		.collection = r->collection,
		.tree = r->collection ? &r->collection->tree : &plain};
	filter = command_field(c, "filter");
	return !r->collection || seal_literals(plan, r->collection, filter->value, why);
}

/* ------------------------------------------------------------------- values */

struct values {
	const struct relation *relation;
	struct element *list;
	size_t n, capacity, bytes;
};

/* What can be compared with and means nothing else: in $in a regular expression would. */
static bool is_value(const struct relation *r, const struct element *e)
{
	double d;

	if (r->type && e->type != r->type)
		return false;
	switch ((enum element_type)e->type) {
	case TYPE_DOUBLE:
		return element_double(e, &d) && d == d;
	case TYPE_STRING:
	case TYPE_BINARY:
	case TYPE_OBJECT_ID:
	case TYPE_BOOL:
	case TYPE_DATE:
	case TYPE_INT32:
	case TYPE_INT64:
	case TYPE_TIMESTAMP:
		return true;
	case TYPE_DOCUMENT:
	case TYPE_ARRAY:
	case TYPE_UNDEFINED:
	case TYPE_NULL:
	case TYPE_REGEX:
	case TYPE_DB_POINTER:
	case TYPE_CODE:
	case TYPE_SYMBOL:
	case TYPE_CODE_WITH_SCOPE:
	case TYPE_DECIMAL128:
	case TYPE_MIN_KEY:
	case TYPE_MAX_KEY:
		break;
	}
	return false;
}

static void add_value(struct values *v, const struct element *e)
{
	if (v->n > POLICY_RELATION_VALUES_MAX || !is_value(v->relation, e))
		return;
	memory_grow(&v->list, v->n, &v->capacity, sizeof(*v->list));
	v->list[v->n++] = *e;
	v->bytes += e->value.len;
}

/* The values at `path`; in arrays, on the way to it or there, each element's. */
static void collect(struct values *v, const struct element *e, struct bytes path)
{
	struct bytes left = path, name;
	struct doc_iter it;
	struct element child;
	bool ends = !path_next(&left, &name);

	if (ends && e->type != TYPE_ARRAY) {
		add_value(v, e);
		return;
	}
	if (!element_is_document(e))
		return;
	it = doc_iter_of(e->value);
	while (doc_next(&it, &child)) {
		if (e->type == TYPE_ARRAY && (ends || child.type != TYPE_ARRAY))
			collect(v, &child, path);
		else if (e->type == TYPE_DOCUMENT && bytes_equal(child.name, name))
			collect(v, &child, left);
	}
}

static int by_value(const void *a, const void *b)
{
	const struct element *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return bytes_compare(x->value, y->value);
}

static void put_values(struct values *v, struct buf *out)
{
	size_t begun = doc_begin(out), n = 0;

	if (v->n)
		qsort(v->list, v->n, sizeof(*v->list), by_value);
	for (size_t i = 0; i < v->n; i++) {
		char index[DOC_INDEX_MAX];

		if (i && by_value(&v->list[i - 1], &v->list[i]) == 0)
			continue;
		doc_put_value(out, v->list[i].type, doc_index_name(n++, index), v->list[i].value);
	}
	doc_end(out, begun);
}

bool policy_relation_values(
	const struct relation *r, struct bytes reply, struct buf *out, struct fault *why)
{
	struct values v = {.relation = r};
	struct element batch, id, document;
	int64_t open = 0;
	size_t documents = 0;
	struct doc_iter it;
	bool fits;

	if (!doc_find_path(reply, "cursor.firstBatch", &batch) || batch.type != TYPE_ARRAY)
		return fault_set(why, FAULT_RELATION, "the answer is no cursor");
	if (doc_find_path(reply, "cursor.id", &id))
		(void)element_int(&id, &open);
	it = doc_iter_of(batch.value);
	while (doc_next(&it, &document)) {
		documents++;
		collect(&v, &document, r->gives);
	}
	fits = !open && documents <= POLICY_RELATION_VALUES_MAX &&
	       v.n <= POLICY_RELATION_VALUES_MAX && v.bytes <= VALUES_BYTES_MAX;
	if (fits)
		put_values(&v, out);
	free(v.list);
	return (fits && !out->failed) || fault_set(why, FAULT_RELATION_TOO_LONG, "over %d values",
						 POLICY_RELATION_VALUES_MAX);
}

void policy_relation_print(struct relation_list *list)
{
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, NULL, 0, sizeof(list->print));
	crypto_generichash_update(&hash, list->of->print, sizeof(list->of->print));
	crypto_generichash_update(&hash, list->values.at, list->values.len);
	crypto_generichash_final(&hash, list->print, sizeof(list->print));
}
