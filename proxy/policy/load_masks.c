#include "policy/loader.h"

#include <math.h>

#include <sodium.h>

#include "util/utf8.h"

static bool load_constant(struct loader *l, const struct yaml_node *node, struct mask *m)
{
	const struct yaml_node *value = yaml_get(node, "value");
	struct yaml_node wrapped = {.kind = YAML_MAPPING, .at = node->at, .count = 1};
	struct yaml_node child = *value;
	struct bytes document = {0};
	struct doc_iter it;

	if (value->kind == YAML_MAPPING || value->kind == YAML_SEQUENCE)
		return complain(l->complaints, value->at, NULL, "a single value is expected");
	child.key = bytes_str("");
	wrapped.children = &child;
	if (!load_document(l, &wrapped, &document))
		return false;
	it = doc_iter_of(document);
	return doc_next(&it, &m->constant);
}

static bool load_partial(struct loader *l, const struct yaml_node *node, struct mask *m)
{
	const struct yaml_node *first = yaml_get(node, "keep_first");
	const struct yaml_node *last = yaml_get(node, "keep_last");
	const struct yaml_node *with = yaml_get(node, "with");
	int64_t n = 0;
	size_t bad;

	if (first && !load_int(l, first, 0, LANGUAGE_KEEP_MAX, &n))
		return false;
	m->keep_first = (uint32_t)n;
	n = 0;
	if (last && !load_int(l, last, 0, LANGUAGE_KEEP_MAX, &n))
		return false;
	m->keep_last = (uint32_t)n;
	m->with = bytes_str("*");
	if (!with)
		return true;
	if (!load_is_text(l, with))
		return false;
	m->with = load_copy(l, with->text);
	return utf8_character(m->with, &bad) == m->with.len ||
	       complain(l->complaints, with->at, NULL, "one character is expected");
}

/* Eight digits of the scope's hash: a scope's name has dots. */
static void name_stored(struct mask *m)
{
	uint8_t hash[16];

	crypto_generichash(hash, sizeof(hash), m->scope.at, m->scope.len, NULL, 0);
	sodium_bin2hex(m->stored, sizeof(m->stored), hash, (sizeof(m->stored) - 1) / 2);
}

static bool load_pseudonym(struct loader *l, const struct yaml_node *node, const char *scope_view,
	const char *scope_role, struct mask *m)
{
	const struct yaml_node *scope = yaml_get(node, "scope");
	enum word_list words = scope_view ? WORDS_SCOPE_OF_VIEW : WORDS_SCOPE_OF_ROLE;
	int which = scope_view ? SCOPE_VIEW : SCOPE_ROLE;
	bool fits = !scope || load_word(scope, words, &which);
	bool of_view = fits && which == SCOPE_VIEW;
	bool of_role = fits && which == SCOPE_ROLE;

	if (of_view)
		m->scope = bytes_str(arena_format(&l->policy->arena, "view:%s", scope_view));
	else if (of_role)
		m->scope = bytes_str(arena_format(&l->policy->arena, "role:%s", scope_role));
	else
		return complain(l->complaints, scope ? scope->at : node->at,
			scope_view ? "scope: view" : "scope: role",
			"this scope is not supported here by this version");
	name_stored(m);
	return true;
}

static bool load_edges(struct loader *l, const struct yaml_node *edges, struct mask *m)
{
	if (!load_is_sequence(l, edges))
		return false;
	if (edges->count < 1 || edges->count > LANGUAGE_EDGES_MAX)
		return complain(l->complaints, edges->at, NULL, "1 to %d edges are expected",
			LANGUAGE_EDGES_MAX);
	m->nedges = edges->count;
	m->edges = arena_array(&l->policy->arena, m->nedges, sizeof(*m->edges));
	for (size_t i = 0; i < m->nedges; i++) {
		if (!yaml_double(&edges->children[i], &m->edges[i]))
			return complain(
				l->complaints, edges->children[i].at, NULL, "a number is expected");
		if (i && m->edges[i] <= m->edges[i - 1])
			return complain(
				l->complaints, edges->children[i].at, NULL, "edges must rise");
	}
	return true;
}

static struct bytes default_label(struct loader *l, const struct mask *m, size_t band)
{
	struct arena *arena = &l->policy->arena;

	if (band == 0)
		return bytes_str(arena_format(arena, "<%.0f", m->edges[0]));
	if (band == m->nedges)
		return bytes_str(arena_format(arena, "%.0f+", m->edges[band - 1]));
	return bytes_str(arena_format(arena, "%.0f-%.0f", m->edges[band - 1], m->edges[band] - 1));
}

static bool load_labels(struct loader *l, const struct yaml_node *node, struct mask *m)
{
	const struct yaml_node *labels = yaml_get(node, "labels");
	size_t n = m->nedges + 1;

	m->labels = arena_array(&l->policy->arena, n, sizeof(*m->labels));
	if (labels && (!load_is_sequence(l, labels) || labels->count != n))
		return complain(l->complaints, labels->at, NULL,
			"%zu labels are expected, one more than edges", n);
	for (size_t i = 0; i < n; i++) {
		if (labels && !load_is_text(l, &labels->children[i]))
			return false;
		if (!labels && i < m->nedges && rint(m->edges[i]) != m->edges[i])
			return complain(l->complaints, node->at, "give `labels`",
				"edges that are no whole numbers need labels");
		m->labels[i] =
			labels ? load_copy(l, labels->children[i].text) : default_label(l, m, i);
	}
	return true;
}

static bool load_round(struct loader *l, const struct yaml_node *node, struct mask *m)
{
	const struct yaml_node *to = yaml_get(node, "to");

	return (yaml_double(to, &m->to) && m->to > 0) ||
	       complain(l->complaints, to->at, NULL, "a number over 0 is expected");
}

static bool load_truncate(struct loader *l, const struct yaml_node *node, struct mask *m)
{
	const struct yaml_node *to = yaml_get(node, "to");
	int unit;

	if (!load_word(to, WORDS_UNIT, &unit))
		return complain(l->complaints, to->at, NULL, "year, month or day is expected");
	m->unit = (enum mask_unit)unit;
	return true;
}

static bool load_parameters(struct loader *l, const struct yaml_node *node, const char *scope_view,
	const char *scope_role, struct mask *m)
{
	switch (m->kind) {
	case MASK_CONSTANT:
		return load_constant(l, node, m);
	case MASK_PARTIAL:
		return load_partial(l, node, m);
	case MASK_PSEUDONYM:
		return load_pseudonym(l, node, scope_view, scope_role, m);
	case MASK_BANDS:
		return load_edges(l, yaml_get(node, "edges"), m) && load_labels(l, node, m);
	case MASK_ROUND:
		return load_round(l, node, m);
	case MASK_TRUNCATE:
		return load_truncate(l, node, m);
	case MASK_COUNT:
		break;
	}
	return false;
}

/* Keys of another kind of mask would mean nothing here. */
static bool check_mask_keys(struct loader *l, const struct yaml_node *node, enum mask_kind kind)
{
	const char *needed = language_mask_needs(kind);

	for (size_t i = 0; i < node->count; i++) {
		struct bytes key = node->children[i].key;

		if (bytes_equal_str(key, "mask") || !language_has_key(LANGUAGE_OBJECT_MASK, key))
			continue;
		if (!language_among(language_mask_takes(kind), key))
			return complain(l->complaints, node->children[i].key_at, NULL,
				"'%.*s' means nothing to the mask %s", BYTES_ARG(key),
				language_mask_name(kind));
	}
	if (*needed && !yaml_get(node, needed))
		return complain(l->complaints, node->at, NULL, "the mask %s needs '%s'",
			language_mask_name(kind), needed);
	return true;
}

const struct mask *load_mask(struct loader *l, const struct yaml_node *node, const char *scope_view,
	const char *scope_role)
{
	const struct yaml_node *name = yaml_get(node, "mask");
	struct mask *m = arena_alloc(&l->policy->arena, sizeof(*m));
	int kind;

	if (!name || !load_is_text(l, name))
		return NULL;
	if (!load_word(name, WORDS_MASK, &kind)) {
		complain(l->complaints, name->at,
			"constant, partial, pseudonym, bands, round or truncate", "unknown mask");
		return NULL;
	}
	m->kind = (enum mask_kind)kind;
	if (!check_mask_keys(l, node, m->kind) ||
		!load_parameters(l, node, scope_view, scope_role, m))
		return NULL;
	return m;
}

bool load_clearance(struct loader *l, const struct yaml_node *node, const char *scope_role,
	enum clearance *clearance, const struct mask **mask)
{
	int word;

	*mask = NULL;
	if (node->kind == YAML_MAPPING) {
		*clearance = CLEAR_MASK;
		if (!load_check_keys(l, node, LANGUAGE_OBJECT_MASK))
			return false;
		if (!yaml_get(node, "mask"))
			return complain(l->complaints, node->at, "{mask: …}", "a mask is expected");
		*mask = load_mask(l, node, NULL, scope_role);
		return *mask != NULL;
	}
	if (!load_word(node, WORDS_CLEARANCE, &word))
		return complain(l->complaints, node->at,
			"plaintext, ciphertext, remove or {mask: …}", "unknown clearance");
	*clearance = (enum clearance)word;
	return true;
}
