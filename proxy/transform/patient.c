/* Tokens of a patient whom somebody knows, for a search in the audit log. */
#include "transform/inside.h"

#define INPUT_MAX 65536u

struct search {
	const struct master *master;
	const struct collection *collection;
	const struct subject_line *line; /* NULL: the _id alone */
	const struct known_part *known;
	size_t nknown;
	struct value parts[ID_PART + 1];
	struct buf input;
	struct subject_token *out;
	size_t found, max;
};

static void found(struct search *s)
{
	struct subject_token token;

	if (!subject_line_token(s->master, TOKEN_AUDIT_SUBJECT, s->collection, s->line, s->parts,
		    &s->input, &token))
		return;
	if (s->found < s->max)
		s->out[s->found] = token;
	s->found++;
}

/* Every type that is known for the line's parts from `at` on. */
static void choose(struct search *s, size_t at)
{
	size_t part;
	struct bytes path;

	if (at == (s->line ? s->line->nparts : 1)) {
		found(s);
		return;
	}
	part = s->line ? (size_t)s->line->parts[at] : ID_PART;
	path = s->line ? s->collection->subject_paths[part] : bytes_str("_id");
	for (size_t i = 0; i < s->nknown; i++) {
		if (!bytes_equal(s->known[i].path, path))
			continue;
		s->parts[part] = (struct value){s->known[i].type, s->known[i].value};
		choose(s, at + 1);
	}
}

size_t transform_patient_tokens(const struct policy *p, const struct master *m, struct bytes ns,
	const struct known_part *parts, size_t nparts, struct subject_token *out, size_t max)
{
	struct search s = {.master = m, .known = parts, .nknown = nparts, .out = out, .max = max};

	buf_init(&s.input, INPUT_MAX);
	for (size_t i = 0; i < p->ncollections; i++) {
		s.collection = &p->collections[i];
		if (ns.len && !bytes_equal(ns, s.collection->ns))
			continue;
		for (size_t k = 0; k < s.collection->nsubjects; k++) {
			s.line = &s.collection->subjects[k];
			choose(&s, 0);
		}
		s.line = NULL;
		choose(&s, 0);
	}
	buf_fini(&s.input);
	return s.found;
}
