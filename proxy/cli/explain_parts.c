#include "cli/explain_parts.h"

#include <stdio.h>
#include <string.h>

#include <bson/bson.h>

#include "cli/cli.h"
#include "policy/language.h"
#include "util/json_writer.h"

#define COMMAND  "policy"
#define LIST_MAX (1u << 20)
#define JSON_MAX (1u << 20)
#define LABEL    10
#define WIDTH    80

/* ------------------------------------------------------------------------- lists */

static const struct relation *relation_named(const struct policy *p, struct bytes name)
{
	for (size_t i = 0; i < p->nrelations; i++)
		if (bytes_equal(p->relations[i].name, name))
			return &p->relations[i];
	return NULL;
}

/* "Ada,Bruno" */
static struct bytes texts_of(const char *values, struct arena *arena)
{
	char index[DOC_INDEX_MAX];
	struct bytes array;
	size_t n = 0, begun;
	struct buf out;

	buf_init(&out, LIST_MAX);
	begun = doc_begin(&out);
	while (*values) {
		size_t len = strcspn(values, ",");

		doc_put_string(&out, doc_index_name(n++, index), bytes_of(values, len));
		values += len + (values[len] == ',');
	}
	doc_end(&out, begun);
	array = out.failed ? bytes_of("", 0) : arena_copy(arena, buf_bytes(&out));
	buf_fini(&out);
	return array;
}

/* "[1, {"$oid": …}]", extended JSON; empty when it is none. */
static struct bytes array_of(const char *json, struct arena *arena)
{
	char *text = arena_format(arena, "{\"v\":%s}", json);
	bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, NULL);
	struct bytes array = bytes_of("", 0);
	struct element e;

	if (doc && doc_find(bytes_of(bson_get_data(doc), doc->len), "v", &e) &&
		e.type == TYPE_ARRAY)
		array = arena_copy(arena, e.value);
	bson_destroy(doc);
	return array;
}

bool explain_lists(const struct args_list *given, const struct policy *p, struct arena *arena,
	struct facts *facts)
{
	const struct relation_list **lists = arena_array(arena, given->count, sizeof(*lists));

	for (size_t i = 0; i < given->count; i++) {
		const char *equals = strchr(given->at[i], '=');
		struct relation_list *list = arena_alloc(arena, sizeof(*list));

		if (!equals) {
			cli_usage(COMMAND, "--list %s: NAME=VALUE,... is expected", given->at[i]);
			return false;
		}
		list->of =
			relation_named(p, bytes_of(given->at[i], (size_t)(equals - given->at[i])));
		list->values = equals[1] == '[' ? array_of(equals + 1, arena)
						: texts_of(equals + 1, arena);
		if (!list->of || !list->values.len || facts_has_list(facts, list->of)) {
			cli_usage(COMMAND, "--list %s: %s", given->at[i],
				!list->of           ? "there is no such relation"
				: !list->values.len ? "this is no JSON array"
						    : "it is given twice");
			return false;
		}
		policy_relation_print(list);
		lists[facts->nlists++] = list;
		facts->lists = lists;
	}
	return true;
}

/* -------------------------------------------------------------------------- text */

void explain_wrapped(size_t indent, const char *text)
{
	size_t width = WIDTH - indent;

	while (strlen(text) > width) {
		size_t n = width;

		while (n > width / 2 && text[n] != ' ' && text[n - 1] != ',')
			n--;
		/* A character of several bytes is not cut. */
		while ((text[n] & 0xc0) == 0x80)
			n++;
		printf("%.*s\n%*s", (int)n, text, (int)indent, "");
		text += n;
		while (*text == ' ')
			text++;
	}
	puts(text);
}

/* ------------------------------------------------------------------------- masks */

const char *explain_clearance(const struct view_node *node)
{
	static const char *const names[] = {
		[CLEAR_REMOVE] = "not shown",
		[CLEAR_MASK] = "masked",
		[CLEAR_CIPHERTEXT] = "ciphertext",
		[CLEAR_PLAINTEXT] = "plaintext",
	};

	return node->clearance == CLEAR_MASK ? language_mask_name(node->mask->kind)
					     : names[node->clearance];
}

static void put_constant(const struct element *value, struct buf *out)
{
	struct buf doc;
	size_t begun;
	bson_t view;
	char *json;

	buf_init(&doc, LIST_MAX);
	begun = doc_begin(&doc);
	doc_put_value(&doc, value->type, NAME("v"), value->value);
	doc_end(&doc, begun);
	json = bson_init_static(&view, doc.at, doc.len) ? bson_as_relaxed_extended_json(&view, NULL)
							: NULL;
	/* Without `{ "v" : ` and ` }`. */
	if (json && strlen(json) > 10)
		buf_put_format(out, "always %.*s", (int)(strlen(json) - 10), json + 8);
	bson_free(json);
	buf_fini(&doc);
}

void explain_mask(const struct mask *m, struct buf *out)
{
	switch (m->kind) {
	case MASK_CONSTANT:
		put_constant(&m->constant, out);
		break;
	case MASK_PARTIAL:
		buf_put_format(out, "keeps the first %u and the last %u characters", m->keep_first,
			m->keep_last);
		break;
	case MASK_PSEUDONYM:
		buf_put_format(out, "the same within %.*s", BYTES_ARG(m->scope));
		break;
	case MASK_BANDS:
		for (size_t i = 0; i <= m->nedges && m->labels; i++)
			buf_put_format(
				out, "%s%.*s", i ? ", " : "one of ", BYTES_ARG(m->labels[i]));
		break;
	case MASK_ROUND:
		buf_put_format(out, "to a multiple of %g", m->to);
		break;
	case MASK_TRUNCATE:
		buf_put_format(out, "to the first instant of the %s",
			language_word(WORDS_UNIT, (size_t)m->unit));
		break;
	case MASK_COUNT:
		break;
	}
}

/* ------------------------------------------------------------------------ grants */

static const struct {
	const char *name, *text;
} fates[] = {
	[GRANT_CHOSEN] = {"decides", "decides"},
	[GRANT_NARROWER] = {"narrower", "shows or allows less than the one that decides"},
	[GRANT_AS_WIDE] = {"as_wide", "is as wide as the one that decides, which stands first"},
	[GRANT_UNORDERED] = {"unordered",
		"is neither wider nor narrower than another: comment.role names which"},
	[GRANT_ROLE_UNUSABLE] = {"role_unusable",
		"its role cannot be used now: until, networks, auth or exclusive"},
	[GRANT_ROLE_NOT_NAMED] = {"role_not_named", "comment.role names another role"},
	[GRANT_OTHER_ACTIONS] = {"other_actions", "does not allow this: see its `do`"},
	[GRANT_OTHER_PURPOSE] = {"other_purpose", "wants another purpose"},
	[GRANT_OBSERVED] = {"observed", "is only observed (mode: observe)"},
	[GRANT_REPLACED] = {"replaced", "an observed grant stands in its place (--observe)"},
	[GRANT_NOT_IN_EMERGENCY] = {"not_in_emergency", "a break-glass is decided alone"},
};

static void print_grant(void *context, const struct grant *g, enum grant_fate fate)
{
	const char **label = context;

	if (fate == GRANT_CHOSEN)
		return;
	printf("%-*s%.*s (%s:%u)\n%-*s  %s\n", LABEL, *label, BYTES_ARG(g->rule), g->at.file,
		g->at.line, LABEL, "", fates[fate].text);
	*label = "";
}

void explain_grants(const struct policy *p, const struct facts *facts, const struct command *c,
	const struct plan *plan)
{
	const char *label = "other";

	policy_each_grant(p, facts, c, plan, print_grant, &label);
}

static void put_grant(void *context, const struct grant *g, enum grant_fate fate)
{
	struct json_writer *w = context;

	if (fate == GRANT_CHOSEN)
		return;
	json_begin_object(w);
	json_put_text(w, "rule", g->rule);
	json_put_word(w, "file", g->at.file);
	json_put_number(w, "line", g->at.line);
	json_put_word(w, "why", fates[fate].name);
	json_end(w);
}

void explain_grants_json(const struct policy *p, const struct facts *facts, const struct command *c,
	const struct plan *plan)
{
	struct buf out;
	struct json_writer w = {.out = &out};

	buf_init(&out, JSON_MAX);
	json_begin_array(&w);
	policy_each_grant(p, facts, c, plan, put_grant, &w);
	json_end(&w);
	printf("%.*s", BYTES_ARG(buf_bytes(&out)));
	buf_fini(&out);
}
