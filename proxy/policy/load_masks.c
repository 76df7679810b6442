#include "policy/loader.h"

#include <math.h>

#include <sodium.h>

#include "util/utf8.h"

#define KEEP_MAX  1000
#define EDGES_MAX 100

static const char *const mask_names[MASK_COUNT] = {
#define MASK(id, name) [MASK_##id] = name,
#include "policy/masks.def"
#undef MASK
};

/* What each kind takes beside `mask`, and what it cannot do without. */
static const struct {
	const char *keys;
	const char *needed;
} mask_keys[MASK_COUNT] = {
	[MASK_CONSTANT] = {"value", "value"},
	[MASK_PARTIAL] = {"keep_first keep_last with", NULL},
	[MASK_PSEUDONYM] = {"scope", NULL},
	[MASK_BANDS] = {"edges labels", "edges"},
	[MASK_ROUND] = {"to", "to"},
	[MASK_TRUNCATE] = {"to", "to"},
};

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

	if (first && !load_int(l, first, 0, KEEP_MAX, &n))
		return false;
	m->keep_first = (uint32_t)n;
	n = 0;
	if (last && !load_int(l, last, 0, KEEP_MAX, &n))
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
	bool of_view = scope_view && (!scope || bytes_equal_str(scope->text, "view"));
	bool of_role = scope_role && (!scope || bytes_equal_str(scope->text, "role"));

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
	if (edges->count < 1 || edges->count > EDGES_MAX)
		return complain(
			l->complaints, edges->at, NULL, "1 to %d edges are expected", EDGES_MAX);
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
	static const char *const units[] = {
		[UNIT_YEAR] = "year", [UNIT_MONTH] = "month", [UNIT_DAY] = "day"};
	const struct yaml_node *to = yaml_get(node, "to");

	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if (to->kind == YAML_SCALAR && bytes_equal_str(to->text, units[i])) {
			m->unit = (enum mask_unit)i;
			return true;
		}
	}
	return complain(l->complaints, to->at, NULL, "year, month or day is expected");
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
	const char *needed = mask_keys[kind].needed;

	for (size_t i = 0; i < node->count; i++) {
		struct bytes key = node->children[i].key;

		if (bytes_equal_str(key, "mask") || !load_has_word(LOAD_MASK_KEYS, key))
			continue;
		if (!load_has_word(mask_keys[kind].keys, key))
			return complain(l->complaints, node->children[i].key_at, NULL,
				"'%.*s' means nothing to the mask %s", BYTES_ARG(key),
				mask_names[kind]);
	}
	if (needed && !yaml_get(node, needed))
		return complain(l->complaints, node->at, NULL, "the mask %s needs '%s'",
			mask_names[kind], needed);
	return true;
}

const struct mask *load_mask(struct loader *l, const struct yaml_node *node, const char *scope_view,
	const char *scope_role)
{
	const struct yaml_node *name = yaml_get(node, "mask");
	struct mask *m = arena_alloc(&l->policy->arena, sizeof(*m));

	if (!name || !load_is_text(l, name))
		return NULL;
	for (int i = 0; i < MASK_COUNT; i++) {
		if (!bytes_equal_str(name->text, mask_names[i]))
			continue;
		m->kind = (enum mask_kind)i;
		if (check_mask_keys(l, node, m->kind) &&
			load_parameters(l, node, scope_view, scope_role, m))
			return m;
		return NULL;
	}
	complain(l->complaints, name->at, "constant, partial, pseudonym, bands, round or truncate",
		"unknown mask");
	return NULL;
}

bool load_clearance(struct loader *l, const struct yaml_node *node, const char *scope_role,
	enum clearance *clearance, const struct mask **mask)
{
	static const struct {
		const char *name;
		enum clearance clearance;
	} words[] = {
		{"plaintext", CLEAR_PLAINTEXT},
		{"ciphertext", CLEAR_CIPHERTEXT},
		{"remove", CLEAR_REMOVE},
	};

	*mask = NULL;
	if (node->kind == YAML_MAPPING) {
		*clearance = CLEAR_MASK;
		if (!load_check_keys(l, node, LOAD_MASK_KEYS, "stored"))
			return false;
		if (!yaml_get(node, "mask"))
			return complain(l->complaints, node->at, "{mask: …}", "a mask is expected");
		*mask = load_mask(l, node, NULL, scope_role);
		return *mask != NULL;
	}
	for (size_t i = 0; node->kind == YAML_SCALAR && i < COUNT_OF(words); i++) {
		if (bytes_equal_str(node->text, words[i].name)) {
			*clearance = words[i].clearance;
			return true;
		}
	}
	return complain(l->complaints, node->at, "plaintext, ciphertext, remove or {mask: …}",
		"unknown clearance");
}
