#include "policy/decide.h"
#include "policy/loader.h"

/* Filters with values in place of their templates.  What a template stands for is data: it
 * is copied as it is, never looked into. */

const struct relation_list *facts_list(const struct facts *facts, const struct relation *r)
{
	for (size_t i = 0; i < facts->nlists; i++)
		if (facts->lists[i]->of == r)
			return facts->lists[i];
	return NULL;
}

bool facts_has_list(const struct facts *facts, const struct relation *r)
{
	return facts_list(facts, r) != NULL;
}

static bool put_template(struct instance *i, struct buf *out, const struct element *e)
{
	struct bytes text = element_string(e), name, value;
	const struct relation_list *list;
	const struct relation *relation;

	if (is_user_template(text, &name)) {
		value = user_attribute(i->facts->user, name);
		doc_put_string(out, e->name, value);
		return value.len != 0;
	}
	if (is_now_template(text)) {
		doc_put_date(out, e->name, i->facts->now_us / 1000);
		return true;
	}
	relation = relation_of_template(i->policy, text);
	if (!relation) {
		doc_put_element(out, e);
		return true;
	}
	list = facts_list(i->facts, relation);
	if (!list) {
		i->needs = relation;
		return false;
	}
	doc_put_value(out, TYPE_ARRAY, e->name, list->values);
	return true;
}

static bool put_fields(struct instance *i, struct buf *out, struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		size_t begun;

		if (e.type == TYPE_STRING) {
			if (!put_template(i, out, &e))
				return false;
			continue;
		}
		if (!element_is_document(&e)) {
			doc_put_element(out, &e);
			continue;
		}
		begun = (e.type == TYPE_ARRAY ? doc_put_array : doc_put_document)(out, e.name);
		if (!put_fields(i, out, e.value))
			return false;
		doc_end(out, begun);
	}
	return true;
}

bool instance_put(struct instance *i, struct bytes filter, struct buf *out)
{
	size_t begun = doc_begin(out);

	if (!put_fields(i, out, filter))
		return false;
	doc_end(out, begun);
	return !out->failed;
}
