#include "policy/loader.h"

#include "query/match.h"

/* "${user.NAME}", whole; *name is NAME. */
bool is_user_template(struct bytes text, struct bytes *name)
{
	struct bytes begin = bytes_str("${user.");

	if (!bytes_start_with(text, begin) || text.at[text.len - 1] != '}')
		return false;
	*name = bytes_of(text.at + begin.len, text.len - begin.len - 1);
	return name->len != 0;
}

static bool has_template(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && memmem(node->text.at, node->text.len, "${", 2);
}

bool is_now_template(struct bytes text)
{
	return bytes_equal_str(text, "${now}");
}

/* Where a list is expected, a relation's may stand; elsewhere a value. */
static void check_template(struct loader *l, const struct yaml_node *node, bool in_relation)
{
	bool list = bytes_equal_str(node->key, "$in");
	struct bytes name;

	if (list && !in_relation && relation_of_template(l->policy, node->text))
		return;
	if (!list && (is_user_template(node->text, &name) ||
			     (in_relation && is_now_template(node->text))))
		return;
	if (in_relation)
		complain(l->complaints, node->at,
			"${user.ATTRIBUTE}, ${user.id} or ${now}, and nothing around it",
			"'%.*s' cannot stand in a relation", BYTES_ARG(node->text));
	else if (relation_of_template(l->policy, node->text))
		complain(l->complaints, node->at, "{$in: \"${RELATION}\"}", "'%.*s' is a list",
			BYTES_ARG(node->text));
	else
		complain(l->complaints, node->at,
			"${user.ATTRIBUTE}, or ${RELATION} after $in, and nothing around it",
			"'%.*s' stands for nothing here", BYTES_ARG(node->text));
}

static void check_templates(struct loader *l, const struct yaml_node *node, bool in_relation)
{
	if (has_template(node))
		check_template(l, node, in_relation);
	for (size_t i = 0; i < node->count; i++)
		check_templates(l, &node->children[i], in_relation);
}

static void refuse_templates(struct loader *l, const struct yaml_node *node)
{
	if (has_template(node))
		complain(l->complaints, node->at, "write a value",
			"'%.*s' is somebody's own: what is protected is so for everybody",
			BYTES_ARG(node->text));
	for (size_t i = 0; i < node->count; i++)
		refuse_templates(l, &node->children[i]);
}

struct row_paths {
	struct loader *l;
	const struct yaml_node *node;
};

static void check_row_path(void *context, struct bytes path)
{
	struct row_paths *r = context;
	struct bytes copy;

	load_path(r->l, r->node->at, path, &copy);
}

/* A filter of the kind that match.h understands. */
static bool load_filter(struct loader *l, const struct yaml_node *node, struct bytes *filter)
{
	struct row_paths paths = {.l = l, .node = node};
	struct fault why;

	if (!load_document(l, node, filter))
		return false;
	if (!match_check(*filter, &why))
		return complain(l->complaints, node->at,
			"equality, $in, $gt and the like, $exists, $and, $or on single values",
			"'%s' is not supported in rows", why.what);
	match_each_path(*filter, check_row_path, &paths);
	return true;
}

void load_rows(struct loader *l, const struct yaml_node *node, struct bytes *rows)
{
	check_templates(l, node, false);
	(void)load_filter(l, node, rows);
}

void load_relation_where(struct loader *l, const struct yaml_node *node, struct bytes *where)
{
	check_templates(l, node, true);
	(void)load_filter(l, node, where);
}

struct row_literals {
	struct loader *l;
	struct place at;
	const struct collection *collection;
};

static bool is_number_type(uint8_t type)
{
	return type == TYPE_INT32 || type == TYPE_INT64 || type == TYPE_DOUBLE ||
	       type == TYPE_DECIMAL128;
}

/* Of the value that stands there in the end. */
static uint8_t type_of_literal(const struct element *literal)
{
	return literal->type == TYPE_STRING && is_now_template(element_string(literal))
		       ? TYPE_DATE
		       : literal->type;
}

static bool fits_type(const struct element *literal, uint8_t type)
{
	uint8_t own = type_of_literal(literal);

	return own == type || (is_number_type(own) && is_number_type(type));
}

/* A list that a path is compared with, or NULL. */
static struct relation *list_of(
	const struct row_literals *r, struct bytes op, const struct element *literal)
{
	struct policy *p = r->l->policy;
	const struct relation *list;

	if (literal->type != TYPE_STRING || !bytes_equal_str(op, "$in"))
		return NULL;
	list = relation_of_template(p, element_string(literal));
	return list ? &p->relations[list - p->relations] : NULL;
}

/* What is sealed must be of the field's type: of other values a list is freed when read. */
static void check_sealed_list(
	struct row_literals *r, struct relation *list, const struct encrypted_field *field)
{
	if (list->type && list->type != field->type)
		complain(r->l->complaints, r->at, "make two relations of it",
			"the relation '%.*s' is compared with encrypted fields of two types",
			BYTES_ARG(list->name));
	list->type = field->type;
}

/* Ciphertext can be compared by equality, and with values of its own type only. */
static void check_sealed_literal(struct row_literals *r, struct bytes path, struct bytes op,
	const struct element *literal, const struct encrypted_field *field)
{
	bool equality = bytes_equal_str(op, "$eq") || bytes_equal_str(op, "$ne") ||
			bytes_equal_str(op, "$in") || bytes_equal_str(op, "$nin");

	if (bytes_equal_str(op, "$exists"))
		return;
	if (!field->deterministic || !equality)
		complain(r->l->complaints, r->at,
			field->deterministic ? "$eq, $ne, $in, $nin and $exists"
					     : "$exists, or algorithm: deterministic",
			"'%.*s' is encrypted: rows cannot compare it with %.*s", BYTES_ARG(path),
			BYTES_ARG(op));
	else if (list_of(r, op, literal))
		check_sealed_list(r, list_of(r, op, literal), field);
	else if (type_of_literal(literal) != field->type)
		complain(r->l->complaints, r->at, "a value of the field's own type, or $exists",
			"'%.*s' is encrypted, and is never equal to this value", BYTES_ARG(path));
}

static void check_literal(
	void *context, struct bytes path, struct bytes op, const struct element *literal)
{
	struct row_literals *r = context;
	const struct view_node *node;
	bool at;

	node = view_node_of(&r->collection->tree, path, &at);
	if (node->field != NO_FIELD && !at)
		complain(r->l->complaints, r->at, "name the field itself",
			"'%.*s' lies within an encrypted field", BYTES_ARG(path));
	else if (node->field != NO_FIELD)
		check_sealed_literal(r, path, op, literal, &r->l->policy->encrypted[node->field]);
	else if (at && node->type && !bytes_equal_str(op, "$exists") &&
		 literal->type != TYPE_NULL && !list_of(r, op, literal) &&
		 !fits_type(literal, node->type))
		complain(r->l->complaints, r->at, "a value of the field's own type",
			"'%.*s' is declared with another type than the value it is compared with",
			BYTES_ARG(path));
}

void check_filter_types(
	struct loader *l, struct place at, struct bytes filter, const struct collection *c)
{
	struct row_literals literals = {.l = l, .at = at, .collection = c};

	if (filter.len)
		match_each_literal(filter, check_literal, &literals);
}

static void load_only(struct loader *l, const struct yaml_node *node, struct protected_rows *line)
{
	if (!load_is_sequence(l, node))
		return;
	line->only = arena_array(&l->policy->arena, node->count, sizeof(*line->only));
	for (size_t i = 0; i < node->count; i++)
		if (load_is_text(l, &node->children[i]))
			line->only[line->nonly++] = load_copy(l, node->children[i].text);
	if (!line->nonly)
		complain(l->complaints, node->at, "only: [role]", "no role could read these rows");
}

static void load_line(struct loader *l, const struct yaml_node *node, struct collection *c)
{
	struct protected_rows *line = &c->protected_rows[c->nprotected];
	const struct yaml_node *where = yaml_get(node, "where"), *only = yaml_get(node, "only");

	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_PROTECTED))
		return;
	if (!where || !only) {
		complain(l->complaints, node->at, "{where: {path: value}, only: [role]}",
			"protected rows need where and only");
		return;
	}
	line->at = only->at;
	refuse_templates(l, where);
	if (!load_filter(l, where, &line->where))
		return;
	if (doc_is_empty(line->where))
		complain(l->complaints, where->at, "where: {path: value}", "`where` names no path");
	check_filter_types(l, where->at, line->where, c);
	load_only(l, only, line);
	c->nprotected++;
}

void load_protected(struct loader *l, const struct yaml_node *node, struct collection *c)
{
	if (!node || !load_is_sequence(l, node))
		return;
	if (node->count > POLICY_PROTECTED_MAX) {
		complain(l->complaints, node->at, NULL, "over %d kinds of protected rows",
			POLICY_PROTECTED_MAX);
		return;
	}
	c->protected_rows = arena_array(&l->policy->arena, node->count, sizeof(*c->protected_rows));
	for (size_t i = 0; i < node->count; i++)
		load_line(l, &node->children[i], c);
}
