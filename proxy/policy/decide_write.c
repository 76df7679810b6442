#include "policy/decide.h"

static bool check_write_options(struct deciding *d, struct analysis *a)
{
	return check_flag(d, a, "bypassDocumentValidation") && check_let(d, a) &&
	       check_proven(d, a);
}

bool decide_insert(struct deciding *d)
{
	struct command_docs docs;
	struct analysis options;
	struct bytes doc;
	bool bad = false;

	if (!choose_grant(d, ACTION_INSERT))
		return false;
	if (d->virtual)
		return fault_name(d->why, FAULT_UNAUTHORIZED, d->plan->ns);
	analysis_init(&options, d->arena);
	if (!check_write_options(d, &options))
		return false;
	if (!command_docs(d->c, "documents", &docs))
		return fault_name(d->why, FAULT_MISSING_FIELD, bytes_str("documents"));
	while (command_docs_next(&docs, &doc, &bad))
		if (!check_new_document(d, doc))
			return false;
	if (bad)
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("documents"));
	d->plan->reply.form = REPLY_STATUS;
	d->plan->writes_documents = true;
	return true;
}

/* The fields of one update or delete; what else it has is refused. */
struct item_field {
	const char *name;
	uint8_t type; /* 0: any */
	struct element *e;
	bool *there;
};

static bool read_item(
	struct deciding *d, struct bytes item, const struct item_field *fields, size_t nfields)
{
	struct doc_iter it = doc_iter_of(item);
	struct element e;

	while (doc_next(&it, &e)) {
		const struct item_field *f = NULL;

		for (size_t i = 0; i < nfields; i++)
			if (element_named(&e, fields[i].name))
				f = &fields[i];
		if (!f)
			return fault_name(d->why, FAULT_UNKNOWN_FIELD, e.name);
		if (*f->there)
			return fault_name(d->why, FAULT_FIELD_TWICE, e.name);
		if (f->type && e.type != f->type)
			return fault_name(d->why, FAULT_WRONG_TYPE, e.name);
		*f->e = e;
		*f->there = true;
	}
	return true;
}

enum update_field { U_Q, U_U, U_C, U_UPSERT, U_MULTI, U_COLLATION, U_FILTERS, U_HINT, U_SORT, U_N };

static bool check_one_update(struct deciding *d, struct bytes doc)
{
	struct element e[U_N];
	bool there[U_N] = {false};
	const struct item_field fields[U_N] = {
		[U_Q] = {"q", TYPE_DOCUMENT, &e[U_Q], &there[U_Q]},
		[U_U] = {"u", 0, &e[U_U], &there[U_U]},
		[U_C] = {"c", TYPE_DOCUMENT, &e[U_C], &there[U_C]},
		[U_UPSERT] = {"upsert", 0, &e[U_UPSERT], &there[U_UPSERT]},
		[U_MULTI] = {"multi", 0, &e[U_MULTI], &there[U_MULTI]},
		[U_COLLATION] = {"collation", TYPE_DOCUMENT, &e[U_COLLATION], &there[U_COLLATION]},
		[U_FILTERS] = {"arrayFilters", TYPE_ARRAY, &e[U_FILTERS], &there[U_FILTERS]},
		[U_HINT] = {"hint", 0, &e[U_HINT], &there[U_HINT]},
		[U_SORT] = {"sort", TYPE_DOCUMENT, &e[U_SORT], &there[U_SORT]},
	};
	struct update_item item = {.holder = doc, .filter_name = "q"};
	struct analysis filter;

	if (!read_item(d, doc, fields, U_N))
		return false;
	if (!there[U_Q] || !there[U_U])
		return fault_name(d->why, FAULT_MISSING_FIELD, bytes_str(there[U_Q] ? "u" : "q"));
	item.filter = &e[U_Q];
	item.update = &e[U_U];
	item.array_filters = there[U_FILTERS] ? &e[U_FILTERS] : NULL;
	item.collation = there[U_COLLATION] ? &e[U_COLLATION] : NULL;
	item.hint = there[U_HINT] ? &e[U_HINT] : NULL;
	item.sort = there[U_SORT] ? &e[U_SORT] : NULL;
	item.upsert = there[U_UPSERT] && element_truth(&e[U_UPSERT]);
	analysis_init(&filter, d->arena);
	if (there[U_C])
		analysis_unproven(&filter, bytes_str("c"));
	return check_update_item(d, &item, &filter);
}

/* Whether any of the updates could make a new document. */
static bool any_upserts(const struct command *c)
{
	struct command_docs docs;
	struct bytes doc;
	bool bad = false;

	if (!command_docs(c, "updates", &docs))
		return false;
	while (command_docs_next(&docs, &doc, &bad)) {
		struct element e;

		if (doc_find(doc, "upsert", &e) && element_truth(&e))
			return true;
	}
	return false;
}

bool decide_update(struct deciding *d)
{
	uint32_t actions = ACTION_UPDATE | (any_upserts(d->c) ? (uint32_t)ACTION_INSERT : 0u);
	struct command_docs docs;
	struct analysis options;
	struct bytes doc;
	bool bad = false;

	if (!choose_grant(d, actions))
		return false;
	if (d->virtual)
		return fault_name(d->why, FAULT_UNAUTHORIZED, d->plan->ns);
	analysis_init(&options, d->arena);
	if (!check_write_options(d, &options))
		return false;
	if (!command_docs(d->c, "updates", &docs))
		return fault_name(d->why, FAULT_MISSING_FIELD, bytes_str("updates"));
	while (command_docs_next(&docs, &doc, &bad))
		if (!check_one_update(d, doc))
			return false;
	if (bad)
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("updates"));
	d->plan->reply.form = REPLY_STATUS;
	return true;
}

enum delete_field { D_Q, D_LIMIT, D_COLLATION, D_HINT, D_N };

static bool check_one_delete(struct deciding *d, struct bytes doc)
{
	struct element e[D_N];
	bool there[D_N] = {false};
	const struct item_field fields[D_N] = {
		[D_Q] = {"q", TYPE_DOCUMENT, &e[D_Q], &there[D_Q]},
		[D_LIMIT] = {"limit", 0, &e[D_LIMIT], &there[D_LIMIT]},
		[D_COLLATION] = {"collation", TYPE_DOCUMENT, &e[D_COLLATION], &there[D_COLLATION]},
		[D_HINT] = {"hint", 0, &e[D_HINT], &there[D_HINT]},
	};
	struct analysis filter;

	if (!read_item(d, doc, fields, D_N))
		return false;
	if (!there[D_Q])
		return fault_name(d->why, FAULT_MISSING_FIELD, bytes_str("q"));
	analysis_init(&filter, d->arena);
	if (!analyse_filter(&filter, e[D_Q].value, bytes_of("", 0), "filter", d->why) ||
		!check_hint(d, &filter, there[D_HINT] ? &e[D_HINT] : NULL) ||
		!check_proven(d, &filter) || !check_uses(d, &filter))
		return false;
	return wrap_filter(d, doc, &e[D_Q], "q") &&
	       check_collation(d, doc, there[D_COLLATION] ? &e[D_COLLATION] : NULL);
}

bool decide_delete(struct deciding *d)
{
	struct command_docs docs;
	struct analysis options;
	struct bytes doc;
	bool bad = false;

	if (!choose_grant(d, ACTION_DELETE))
		return false;
	if (d->virtual)
		return fault_name(d->why, FAULT_UNAUTHORIZED, d->plan->ns);
	analysis_init(&options, d->arena);
	if (!check_write_options(d, &options))
		return false;
	if (!command_docs(d->c, "deletes", &docs))
		return fault_name(d->why, FAULT_MISSING_FIELD, bytes_str("deletes"));
	while (command_docs_next(&docs, &doc, &bad))
		if (!check_one_delete(d, doc))
			return false;
	if (bad)
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("deletes"));
	d->plan->reply.form = REPLY_STATUS;
	return true;
}

static bool is_set(const struct command *c, const char *name)
{
	const struct element *e = command_field(c, name);

	return e && element_truth(e);
}

static bool read_optional(
	struct deciding *d, const char *name, uint8_t type, const struct element **e)
{
	if (type)
		return body_field(d, name, type, e);
	*e = command_field(d->c, name);
	return true;
}

/* The part of findAndModify that is an update, or a delete. */
static bool check_change(struct deciding *d, struct analysis *filter)
{
	struct update_item item = {.holder = d->c->body, .filter_name = "query"};
	bool removes = is_set(d->c, "remove");

	if (!read_optional(d, "query", TYPE_DOCUMENT, &item.filter) ||
		!read_optional(d, "sort", TYPE_DOCUMENT, &item.sort) ||
		!read_optional(d, "update", 0, &item.update) ||
		!read_optional(d, "arrayFilters", TYPE_ARRAY, &item.array_filters) ||
		!read_optional(d, "collation", TYPE_DOCUMENT, &item.collation) ||
		!read_optional(d, "hint", 0, &item.hint))
		return false;
	item.upsert = is_set(d->c, "upsert");
	if (removes == (item.update != NULL) || (removes && item.upsert))
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("update"));
	if (!removes)
		return check_update_item(d, &item, filter);
	if (item.filter &&
		!analyse_filter(filter, item.filter->value, bytes_of("", 0), "filter", d->why))
		return false;
	if (item.sort && !analyse_sort(filter, item.sort->value, "sort", d->why))
		return false;
	if (!check_hint(d, filter, item.hint) || !check_proven(d, filter) || !check_uses(d, filter))
		return false;
	return wrap_filter(d, item.holder, item.filter, item.filter_name) &&
	       check_collation(d, item.holder, item.collation);
}

bool decide_find_and_modify(struct deciding *d)
{
	uint32_t actions = ACTION_READ;
	struct analysis options, filter, fields;

	actions |= is_set(d->c, "remove") ? ACTION_DELETE : ACTION_UPDATE;
	if (is_set(d->c, "upsert"))
		actions |= ACTION_INSERT;
	if (!choose_grant(d, actions))
		return false;
	if (d->virtual)
		return fault_name(d->why, FAULT_UNAUTHORIZED, d->plan->ns);
	analysis_init(&options, d->arena);
	analysis_init(&filter, d->arena);
	analysis_init(&fields, d->arena);
	if (!check_write_options(d, &options) || !check_change(d, &filter))
		return false;
	if (!read_projection(d, &fields, "fields") || !check_proven(d, &fields) ||
		!check_uses(d, &fields))
		return false;
	d->plan->reply.form = REPLY_VALUE;
	d->plan->reply.tree = &d->view->root;
	return add_subject_to_find(d, &fields);
}
