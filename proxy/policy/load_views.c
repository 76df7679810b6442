#include "policy/barrier.h"
#include "policy/loader.h"

#define OF_SUBJECT "${subject}"

static bool has_no_mask_keys(struct loader *l, const struct yaml_node *node)
{
	for (size_t i = 0; i < node->count; i++)
		if (language_has_key(LANGUAGE_OBJECT_MASK, node->children[i].key))
			return complain(l->complaints, node->children[i].key_at, "add mask: …",
				"'%s' means nothing without a mask",
				(const char *)node->children[i].key.at);
	return true;
}

static void load_view_field(
	struct loader *l, const struct yaml_node *node, struct virtual_view *v, const char *scope)
{
	struct view_field *f = &v->fields[v->nfields];
	const struct yaml_node *of = yaml_get(node, "of");

	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_VIEW_FIELD))
		return;
	f->at = node->key_at;
	f->name = load_copy(l, node->key);
	if (memchr(f->name.at, '.', f->name.len) || f->name.at[0] == '$' ||
		bytes_equal_str(f->name, "__mw")) {
		complain(l->complaints, f->at, "use a plain name", "'%.*s' cannot name a field",
			BYTES_ARG(f->name));
		return;
	}
	if (!of || !load_is_text(l, of)) {
		complain(l->complaints, node->at, "of: path, or of: \"" OF_SUBJECT "\"",
			"the field has no origin");
		return;
	}
	f->of_subject = bytes_equal_str(of->text, OF_SUBJECT);
	if (!f->of_subject && !load_path(l, of->at, of->text, &f->path))
		return;
	if (yaml_get(node, "mask") ? !(f->mask = load_mask(l, node, scope, NULL))
				   : !has_no_mask_keys(l, node))
		return;
	if (f->of_subject && (!f->mask || f->mask->kind != MASK_PSEUDONYM))
		complain(l->complaints, of->at, "add mask: pseudonym",
			"a subject can only be shown as a pseudonym");
	if (f->of_subject && !v->from->nsubjects)
		complain(l->complaints, of->at, "add `subject:` to the collection",
			"the collection has no subject");
	v->nfields++;
}

static void load_view_fields(struct loader *l, const struct yaml_node *node, struct virtual_view *v)
{
	const char *scope = arena_text(&l->scratch, v->ns);

	if (!load_is_mapping(l, node))
		return;
	if (!node->count || node->count > POLICY_FIELDS_MAX) {
		complain(l->complaints, node->at, NULL, "1 to %d fields are expected",
			POLICY_FIELDS_MAX);
		return;
	}
	v->fields = arena_array(&l->policy->arena, node->count, sizeof(*v->fields));
	for (size_t i = 0; i < node->count; i++)
		load_view_field(l, &node->children[i], v, scope);
}

/* A relation is read from what is stored. */
static void refuse_as_origin(struct loader *l, const struct virtual_view *v)
{
	for (size_t i = 0; i < l->policy->nrelations; i++) {
		const struct relation *r = &l->policy->relations[i];

		if (bytes_equal(arena_dotted(&l->scratch, r->db, r->from), v->ns))
			complain(l->complaints, r->at, "name a collection",
				"the relation '%.*s' is read from a view", BYTES_ARG(r->name));
	}
}

static void load_view(struct loader *l, const struct yaml_node *node)
{
	struct policy *p = l->policy;
	struct virtual_view *v = &p->views[p->nviews];
	const struct yaml_node *from = yaml_get(node, "from"), *rows = yaml_get(node, "rows");
	const struct yaml_node *fields = yaml_get(node, "fields");
	const struct yaml_node *accountable = yaml_get(node, "accountable");
	const struct yaml_node *min_group = yaml_get(node, "min_group");
	size_t before = l->complaints->count;
	int64_t least = 0;

	v->at = node->key_at;
	v->ns = load_copy(l, node->key);
	refuse_as_origin(l, v);
	if (!load_namespace(l, v->at, v->ns, &v->db, &v->name) || !load_is_mapping(l, node) ||
		!load_check_keys(l, node, LANGUAGE_OBJECT_VIEW))
		return;
	if (policy_collection(p, v->ns) || policy_view(p, v->ns))
		complain(l->complaints, v->at, "choose another name",
			"there is a collection or view of that name");
	if (!from || !load_is_text(l, from) || !(v->from = policy_collection(p, from->text))) {
		complain(l->complaints, from ? from->at : node->at, "name one of `collections:`",
			"the view has no collection to come from");
		return;
	}
	if (!bytes_equal(v->from->db, v->db))
		complain(l->complaints, from->at, "name one of the same database",
			"a view and its collection share a database");
	p->collections[v->from - p->collections].stores_own = true;
	if (rows)
		load_rows(l, rows, &v->rows);
	if (rows)
		check_filter_types(l, rows->at, v->rows, v->from);
	v->relations = relations_in(p, v->rows);
	if (accountable && !load_bool(l, accountable, &v->accountable))
		return;
	if (min_group && !load_int(l, min_group, 2, POLICY_MIN_GROUP_MAX, &least))
		return;
	v->min_group = (uint32_t)least;
	if (!fields)
		complain(l->complaints, node->at, "add `fields:`", "the view has no fields");
	else
		load_view_fields(l, fields, v);
	/* Of a field with a mistake there may be no mask to build. */
	if (l->complaints->count == before && !build_virtual_stages(&p->arena, v, &v->stages))
		complain(l->complaints, v->at, "take fields nearer to the top",
			"the view is nested too deeply for a pipeline");
	load_print(node, v->print);
	p->nviews++;
}

void load_views(struct loader *l)
{
	struct policy *p = l->policy;
	size_t n = 0;

	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "views");

		n += list && load_is_mapping(l, list) ? list->count : 0;
	}
	p->views = arena_array(&p->arena, n, sizeof(*p->views));
	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "views");

		for (size_t i = 0; list && list->kind == YAML_MAPPING && i < list->count; i++)
			load_view(l, &list->children[i]);
	}
}
