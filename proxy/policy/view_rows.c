#include "policy/barrier.h"
#include "policy/loader.h"

static struct bytes find(const struct attribute *attributes, size_t n, struct bytes name)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_equal(attributes[i].name, name))
			return attributes[i].value;
	return bytes_of("", 0);
}

static bool fill(struct buf *out, struct bytes doc, const struct attribute *attributes, size_t n,
	struct bytes *missing)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		struct bytes text = e.type == TYPE_STRING ? element_string(&e) : bytes_of("", 0);
		struct bytes name, value = {0};

		if (bytes_start_with(text, bytes_str("${"))) {
			if (is_user_template(text, &name))
				value = find(attributes, n, name);
			*missing = text;
			if (!value.len)
				return false;
			doc_put_string(out, e.name, value);
		} else if (element_is_document(&e)) {
			size_t begun = (e.type == TYPE_ARRAY ? doc_put_array : doc_put_document)(
				out, e.name);

			if (!fill(out, e.value, attributes, n, missing))
				return false;
			doc_end(out, begun);
		} else {
			doc_put_element(out, &e);
		}
	}
	return true;
}

bool policy_fill_rows(struct bytes rows, const struct attribute *attributes, size_t n,
	struct buf *out, struct bytes *missing)
{
	size_t begun;

	if (!rows.len || doc_is_empty(rows))
		return true;
	begun = doc_begin(out);
	if (!fill(out, rows, attributes, n, missing))
		return false;
	doc_end(out, begun);
	return true;
}

static bool reads(const struct role *role, const struct virtual_view *v)
{
	for (size_t i = 0; i < role->ngrants; i++)
		if (role->grants[i].actions & ACTION_READ &&
			grant_covers(&role->grants[i], v->db, v->name))
			return true;
	return false;
}

bool policy_view_hidden(const struct policy *p, const struct virtual_view *v, struct bytes role,
	struct bytes *filter)
{
	size_t number = (size_t)(v->from - p->collections);
	const struct hidden_rows *found = NULL;

	*filter = bytes_of("", 0);
	for (size_t i = 0; i < p->nroles; i++) {
		const struct hidden_rows *hidden = &p->roles[i].hidden[number];

		if (role.len ? !bytes_equal(p->roles[i].name, role) : !reads(&p->roles[i], v))
			continue;
		if (found && found->lines != hidden->lines)
			return false;
		found = hidden;
		*filter = hidden->filter;
	}
	return found || !role.len;
}

bool policy_view_shows(const struct virtual_view *v, const struct view_field *f)
{
	return !v->min_group || barrier_shows_field(v, f);
}
