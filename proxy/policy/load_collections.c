#include "policy/loader.h"

#include "util/json.h"

/* Kinds of quasi-identifiers; an empty list says that there are none. */
static bool load_quasi(struct loader *l, const struct yaml_node *node, quasi_set *set)
{
	bool fine = load_is_sequence(l, node);

	for (size_t i = 0; fine && i < node->count; i++) {
		const struct yaml_node *word = &node->children[i];
		int kind;

		if (!load_word(word, WORDS_QUASI, &kind))
			return complain(l->complaints, word->at, QUASI_WORDS,
				"unknown kind of quasi-identifier");
		*set = (quasi_set)(*set | 1u << kind);
	}
	return fine;
}

/* A text about it, or a mapping; either may be left out. */
static void load_class_facts(
	struct loader *l, const struct yaml_node *node, struct class_facts *facts)
{
	const struct yaml_node *about = yaml_get(node, "about"), *quasi = yaml_get(node, "quasi");

	facts->listed = true;
	facts->at = node->key_at;
	if (node->kind == YAML_NULL || node->kind == YAML_SCALAR)
		return;
	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_CLASS))
		return;
	if (about)
		(void)load_is_text(l, about);
	if (quasi)
		(void)load_quasi(l, quasi, &facts->quasi);
}

static void add_class(struct loader *l, const struct yaml_node *node)
{
	struct policy *p = l->policy;

	for (size_t i = 0; i < p->nclasses; i++) {
		if (bytes_equal(p->classes[i], node->key)) {
			complain(l->complaints, node->key_at, "keep one of them",
				"the class '%.*s' stands twice", BYTES_ARG(node->key));
			return;
		}
	}
	if (memchr(node->key.at, '.', node->key.len) || bytes_equal_str(node->key, "*"))
		complain(l->complaints, node->key_at, "use a name without dots",
			"'%.*s' cannot name a class", BYTES_ARG(node->key));
	if (p->nclasses == POLICY_CLASSES_MAX) {
		complain(l->complaints, node->key_at, NULL, "over %d classes", POLICY_CLASSES_MAX);
		return;
	}
	load_class_facts(l, node, &p->class_facts[p->nclasses]);
	p->classes[p->nclasses++] = load_copy(l, node->key);
}

/* `restricted` and `technical` have a meaning of their own, whether listed or not. */
static uint8_t own_class(struct loader *l, const char *name)
{
	struct policy *p = l->policy;

	for (size_t i = 0; i < p->nclasses; i++)
		if (bytes_equal_str(p->classes[i], name))
			return (uint8_t)i;
	p->classes[p->nclasses] = bytes_str(name);
	return (uint8_t)p->nclasses++;
}

static void put_class_texts(struct policy *p)
{
	struct buf text;

	buf_init(&text, 8 * YAML_FILE_MAX); /* whatever has to be escaped in it */
	p->class_texts = arena_array(&p->arena, p->nclasses, sizeof(*p->class_texts));
	for (size_t i = 0; i < p->nclasses; i++) {
		buf_clear(&text);
		json_put_string(&text, p->classes[i]);
		buf_put_u8(&text, ':');
		p->class_texts[i] = arena_copy(&p->arena, buf_bytes(&text));
	}
	buf_fini(&text);
}

void load_classes(struct loader *l)
{
	struct policy *p = l->policy;

	p->classes = arena_array(&p->arena, POLICY_CLASSES_MAX + 2, sizeof(*p->classes));
	p->class_facts = arena_array(&p->arena, POLICY_CLASSES_MAX + 2, sizeof(*p->class_facts));
	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *classes = yaml_get(l->files[f], "classes");

		if (!classes || !load_is_mapping(l, classes))
			continue;
		for (size_t i = 0; i < classes->count; i++)
			add_class(l, &classes->children[i]);
	}
	p->restricted = own_class(l, "restricted");
	p->technical = own_class(l, "technical");
	put_class_texts(p);
}

static int load_class_key(struct loader *l, const struct yaml_node *node)
{
	return node && load_is_text(l, node) ? load_class(l, node, node->text) : -1;
}

static void load_encryption(
	struct loader *l, const struct yaml_node *node, struct bytes ns, struct field *field)
{
	const struct yaml_node *algorithm = yaml_get(node, "algorithm");
	struct policy *p = l->policy;
	struct encrypted_field *e = &p->encrypted[p->nencrypted];
	int deterministic;

	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_ENCRYPT))
		return;
	*e = (struct encrypted_field){.ns = ns, .path = field->path, .type = field->type};
	if (algorithm && load_word(algorithm, WORDS_ALGORITHM, &deterministic))
		e->deterministic = deterministic;
	else
		complain(l->complaints, algorithm ? algorithm->at : node->at,
			"algorithm: deterministic or random",
			"the algorithm is missing or unknown");
	if (!field->type)
		complain(l->complaints, node->at, "add type: string or another",
			"an encrypted field needs a type");
	/* Client-side encryption specification: what deterministic encryption cannot hold. */
	if (e->deterministic && (field->type == TYPE_DOUBLE || field->type == TYPE_DECIMAL128 ||
					field->type == TYPE_BOOL))
		complain(l->complaints, node->at, "use algorithm: random",
			"values of this type cannot be encrypted deterministically");
	if (bytes_equal_str(field->path, "_id"))
		complain(l->complaints, node->at, NULL, "_id cannot be encrypted");
	field->encrypted = (int16_t)p->nencrypted++;
}

static void load_field(struct loader *l, const struct yaml_node *node, struct collection *c)
{
	struct field *field = &c->fields[c->nfields];
	int class;

	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_FIELD))
		return;
	if (!load_path(l, node->key_at, node->key, &field->path))
		return;
	field->at = node->key_at;
	field->encrypted = NO_FIELD;
	if (!yaml_get(node, "class")) {
		complain(l->complaints, node->at, "add class: …", "the field has no class");
		return;
	}
	class = load_class_key(l, yaml_get(node, "class"));
	if (class < 0 || !load_type(l, yaml_get(node, "type"), &field->type))
		return;
	field->class = (uint8_t) class;
	if (yaml_get(node, "encrypt"))
		load_encryption(l, yaml_get(node, "encrypt"), c->ns, field);
	field->quasi_said = yaml_get(node, "quasi") != NULL;
	if (field->quasi_said && !load_quasi(l, yaml_get(node, "quasi"), &field->quasi))
		return;
	c->nfields++;
}

static void load_fields(struct loader *l, const struct yaml_node *node, struct collection *c)
{
	if (!node || !load_is_mapping(l, node))
		return;
	if (node->count > POLICY_FIELDS_MAX) {
		complain(l->complaints, node->at, NULL, "over %d fields", POLICY_FIELDS_MAX);
		return;
	}
	c->fields = arena_array(&l->policy->arena, node->count, sizeof(*c->fields));
	for (size_t i = 0; i < node->count; i++)
		load_field(l, &node->children[i], c);
	/* Ciphertext is a value without parts. */
	for (size_t i = 0; i < c->nfields; i++) {
		c->any_encrypted |= c->fields[i].encrypted != NO_FIELD;
		for (size_t k = 0; k < c->nfields; k++)
			if (c->fields[i].encrypted != NO_FIELD &&
				path_relation(c->fields[i].path, c->fields[k].path) == PATH_ABOVE)
				complain(l->complaints, c->fields[k].at,
					"encrypt the parts instead",
					"'%.*s' lies within an encrypted field",
					BYTES_ARG(c->fields[k].path));
	}
}

static int subject_part(struct loader *l, struct collection *c, const struct yaml_node *node)
{
	struct bytes path;

	if (!load_is_text(l, node) || !load_path(l, node->at, node->text, &path))
		return NO_PART;
	for (size_t i = 0; i < c->nsubject_paths; i++)
		if (bytes_equal(c->subject_paths[i], path))
			return (int)i;
	if (c->nsubject_paths == POLICY_SUBJECT_PATHS) {
		complain(l->complaints, node->at, NULL, "over %d paths of a subject",
			POLICY_SUBJECT_PATHS);
		return NO_PART;
	}
	c->subject_paths[c->nsubject_paths] = path;
	return (int)c->nsubject_paths++;
}

static void load_subject_line(struct loader *l, const struct yaml_node *node, struct collection *c)
{
	struct subject_line *line = &c->subjects[c->nsubjects];
	const struct yaml_node *of = yaml_get(node, "of");
	const struct yaml_node *normalized = yaml_get(node, "normalized");

	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_SUBJECT))
		return;
	if (!of || !load_is_sequence(l, of) || !of->count || of->count > POLICY_SUBJECT_PATHS) {
		complain(l->complaints, node->at, "{of: [path, …]}", "1 to %d paths are expected",
			POLICY_SUBJECT_PATHS);
		return;
	}
	if (normalized && !load_bool(l, normalized, &line->normalized))
		return;
	for (size_t i = 0; i < of->count; i++) {
		int part = subject_part(l, c, &of->children[i]);

		if (part != NO_PART)
			line->parts[line->nparts++] = (int8_t)part;
	}
	c->nsubjects++;
}

static void load_subject(struct loader *l, const struct yaml_node *node, struct collection *c)
{
	if (!node || !load_is_sequence(l, node))
		return;
	if (node->count > POLICY_SUBJECT_LINES) {
		complain(l->complaints, node->at, NULL, "over %d lines of a subject",
			POLICY_SUBJECT_LINES);
		return;
	}
	for (size_t i = 0; i < node->count; i++)
		load_subject_line(l, &node->children[i], c);
	/* A part below another part, or around fields, would be no single value. */
	for (size_t i = 0; i < c->nsubject_paths; i++)
		for (size_t k = 0; k < c->nfields; k++)
			if (path_relation(c->subject_paths[i], c->fields[k].path) == PATH_ABOVE)
				complain(l->complaints, node->at, "name single values",
					"the subject's '%.*s' holds other fields",
					BYTES_ARG(c->subject_paths[i]));
}

static void load_accountable(struct loader *l, const struct yaml_node *node, struct collection *c)
{
	if (!node || !load_is_sequence(l, node))
		return;
	for (size_t i = 0; i < node->count; i++) {
		int class = load_class_key(l, &node->children[i]);

		if (class >= 0)
			c->accountable |= (class_set)1 << class;
	}
}

/* A field's path, and those above it, the empty one included. */
static void add_named(struct words *named, struct bytes path)
{
	words_add(named, path, path.at);
	for (size_t i = 0; i < path.len; i++)
		if (path.at[i] == '.')
			words_add(named, bytes_head(path, i), path.at);
	words_add(named, bytes_head(path, 0), path.at);
}

static void load_collection(struct loader *l, const struct yaml_node *node)
{
	struct policy *p = l->policy;
	struct collection *c = &p->collections[p->ncollections];
	const struct yaml_node *unlisted = yaml_get(node, "unlisted");
	int class;

	c->at = node->key_at;
	c->ns = load_copy(l, node->key);
	if (!load_namespace(l, c->at, c->ns, &c->db, &c->name) || !load_is_mapping(l, node))
		return;
	if (policy_collection(p, c->ns))
		complain(l->complaints, c->at, "keep one of them", "the collection stands twice");
	if (!load_check_keys(l, node, LANGUAGE_OBJECT_COLLECTION))
		return;
	c->unlisted = p->restricted;
	if (unlisted && (class = load_class_key(l, unlisted)) >= 0)
		c->unlisted = (uint8_t) class;
	load_fields(l, yaml_get(node, "fields"), c);
	load_subject(l, yaml_get(node, "subject"), c);
	load_accountable(l, yaml_get(node, "accountable"), c);
	c->stores_own = c->nsubjects != 0;
	load_print(node, c->print);
	compile_collection(p, c);
	load_protected(l, yaml_get(node, "protected"), c);
	for (size_t i = 0; i < c->nfields; i++)
		add_named(&c->named, c->fields[i].path);
	p->ncollections++;
}

void load_collections(struct loader *l)
{
	struct policy *p = l->policy;
	size_t n = 0, fields = 0;

	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "collections");

		if (!list || !load_is_mapping(l, list))
			continue;
		n += list->count;
		for (size_t i = 0; i < list->count; i++) {
			const struct yaml_node *node = yaml_get(&list->children[i], "fields");

			fields += node ? node->count : 0;
		}
	}
	if (n > POLICY_COLLECTIONS_MAX || fields > INT16_MAX) {
		complain(l->complaints, l->files[0]->at, NULL, "over %d collections or %d fields",
			POLICY_COLLECTIONS_MAX, INT16_MAX);
		return;
	}
	p->collections = arena_array(&p->arena, n, sizeof(*p->collections));
	p->encrypted = arena_array(&p->arena, fields, sizeof(*p->encrypted));
	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "collections");

		for (size_t i = 0; list && list->kind == YAML_MAPPING && i < list->count; i++)
			load_collection(l, &list->children[i]);
	}
}
