#include "util/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libfyaml.h>

#include "util/file.h"
#include "util/map.h"
#include "util/memory.h"
#include "util/utf8.h"

struct loader {
	struct fy_parser *parser;
	struct arena *arena;
	const char *file;
	struct complaints *complaints;
	size_t nodes;
	bool failed;
};

/* A growing list of children; their final place is the arena. */
struct children {
	struct yaml_node *at;
	size_t count, capacity;
};

static void stop(struct loader *l, struct place at, const char *hint, const char *what)
{
	if (!l->failed)
		complain(l->complaints, at, hint, "%s", what);
	l->failed = true;
}

static struct place place_of_mark(const struct loader *l, const struct fy_mark *mark)
{
	struct place at = {.file = l->file, .line = 1, .column = 1};

	if (mark) {
		at.line = (unsigned)mark->line + 1;
		at.column = (unsigned)mark->column + 1;
	}
	return at;
}

static bool is_quoted(struct fy_token *scalar)
{
	enum fy_scalar_style style = fy_token_scalar_style(scalar);

	return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
}

static struct place place_of_event(const struct loader *l, struct fy_event *event)
{
	struct place at = place_of_mark(l, fy_event_start_mark(event));

	/* libfyaml points behind the quote and behind the asterisk. */
	if (event->type == FYET_ALIAS ||
		(event->type == FYET_SCALAR && is_quoted(event->scalar.value)))
		at.column--;
	return at;
}

static bool is_end(enum fy_event_type type)
{
	return type == FYET_SEQUENCE_END || type == FYET_MAPPING_END;
}

static void refuse_properties(struct loader *l, struct fy_event *event)
{
	struct fy_token *anchor = NULL, *tag = NULL;

	if (event->type == FYET_SCALAR) {
		anchor = event->scalar.anchor;
		tag = event->scalar.tag;
	} else if (event->type == FYET_SEQUENCE_START) {
		anchor = event->sequence_start.anchor;
		tag = event->sequence_start.tag;
	} else if (event->type == FYET_MAPPING_START) {
		anchor = event->mapping_start.anchor;
		tag = event->mapping_start.tag;
	}
	if (anchor) {
		struct place at = place_of_mark(l, fy_token_start_mark(anchor));

		at.column--; /* libfyaml points behind the ampersand */
		stop(l, at, "write the value out", "anchors are not allowed");
	}
	if (tag)
		stop(l, place_of_mark(l, fy_token_start_mark(tag)), "leave the tag out",
			"tags are not allowed");
}

static bool read_node(struct loader *l, struct fy_event *event, struct yaml_node *node, int depth);

static struct fy_event *next_event(struct loader *l)
{
	struct fy_event *event = l->failed ? NULL : fy_parser_parse(l->parser);

	if (!event)
		l->failed = true;
	return event;
}

static bool is_plain_null(struct bytes text)
{
	return text.len == 0 || bytes_equal_str(text, "~") || bytes_equal_str(text, "null") ||
	       bytes_equal_str(text, "Null") || bytes_equal_str(text, "NULL");
}

static void read_scalar(struct loader *l, struct fy_event *event, struct yaml_node *node)
{
	size_t len = 0;
	const char *text = fy_token_get_text(event->scalar.value, &len);

	node->kind = YAML_SCALAR;
	node->quoted = fy_token_scalar_style(event->scalar.value) != FYSS_PLAIN;
	node->text = arena_copy(l->arena, bytes_of(text ? text : "", text ? len : 0));
	if (!node->quoted && is_plain_null(node->text))
		node->kind = YAML_NULL;
	if (memchr(node->text.at, 0, node->text.len) || !utf8_valid(node->text))
		stop(l, node->at, NULL, "a value is not valid UTF-8 text");
}

static struct yaml_node *add_child(struct loader *l, struct children *list)
{
	if (++l->nodes > YAML_NODES_MAX) {
		stop(l, (struct place){.file = l->file}, NULL, "the file holds too many values");
		return NULL;
	}
	memory_grow(&list->at, list->count, &list->capacity, sizeof(*list->at));
	list->at[list->count] = (struct yaml_node){0};
	return &list->at[list->count++];
}

static void keep_children(struct loader *l, struct yaml_node *node, struct children *list)
{
	node->count = list->count;
	node->children = arena_array(l->arena, list->count, sizeof(*list->at));
	if (list->count)
		memcpy(node->children, list->at, list->count * sizeof(*list->at));
	free(list->at);
}

static void read_sequence(struct loader *l, struct yaml_node *node, int depth)
{
	struct children list = {0};

	node->kind = YAML_SEQUENCE;
	for (;;) {
		struct fy_event *event = next_event(l);
		struct yaml_node *child;

		if (!event || is_end(event->type)) {
			fy_parser_event_free(l->parser, event);
			break;
		}
		child = add_child(l, &list);
		if (child)
			read_node(l, event, child, depth + 1);
		else
			fy_parser_event_free(l->parser, event);
	}
	keep_children(l, node, &list);
}

/* Takes the key out of `event`, which it frees. */
static void read_key(struct loader *l, struct fy_event *event, struct yaml_node *child)
{
	struct yaml_node key = {.at = place_of_event(l, event)};

	refuse_properties(l, event);
	if (event->type == FYET_SCALAR)
		read_scalar(l, event, &key);
	else
		stop(l, key.at, "use a plain name", "a key is not a name");
	if (bytes_equal_str(key.text, "<<") && !key.quoted)
		stop(l, key.at, "write the keys out", "merge keys are not allowed");
	if (!l->failed && key.text.len == 0)
		stop(l, key.at, "give the key a name", "a key is empty");
	child->key = key.text;
	child->key_at = key.at;
	fy_parser_event_free(l->parser, event);
}

static void refuse_twice(struct loader *l, const struct children *list)
{
	struct map seen;

	map_init(&seen);
	for (size_t i = 0; i < list->count && !l->failed; i++) {
		const struct yaml_node *before = map_set(&seen, list->at[i].key, &list->at[i]);

		if (!before)
			continue;
		complain(l->complaints, list->at[i].key_at, "keep one of them",
			"the key '%s' stands here and at line %u", (const char *)before->key.at,
			before->key_at.line);
		l->failed = true;
	}
	map_fini(&seen);
}

static void read_mapping(struct loader *l, struct yaml_node *node, int depth)
{
	struct children list = {0};

	node->kind = YAML_MAPPING;
	for (;;) {
		struct fy_event *event = next_event(l);
		struct yaml_node *child;

		if (!event || is_end(event->type)) {
			fy_parser_event_free(l->parser, event);
			break;
		}
		child = add_child(l, &list);
		if (!child) {
			fy_parser_event_free(l->parser, event);
			continue;
		}
		read_key(l, event, child);
		child->at = child->key_at;
		event = next_event(l);
		if (event)
			read_node(l, event, child, depth + 1);
	}
	refuse_twice(l, &list);
	keep_children(l, node, &list);
}

/* Frees `event`. */
static bool read_node(struct loader *l, struct fy_event *event, struct yaml_node *node, int depth)
{
	enum fy_event_type type = event->type;

	/* An empty value has no mark: it stands where its key does. */
	if (fy_event_start_mark(event))
		node->at = place_of_event(l, event);
	refuse_properties(l, event);
	if (depth > YAML_DEPTH_MAX)
		stop(l, node->at, "nest less", "the file is nested too deeply");
	if (type == FYET_SCALAR)
		read_scalar(l, event, node);
	if (type == FYET_ALIAS)
		stop(l, node->at, "write the value out", "aliases are not allowed");
	fy_parser_event_free(l->parser, event);
	if (!l->failed && type == FYET_SEQUENCE_START)
		read_sequence(l, node, depth);
	if (!l->failed && type == FYET_MAPPING_START)
		read_mapping(l, node, depth);
	return !l->failed;
}

static void check_document_start(struct loader *l, struct fy_event *event)
{
	struct fy_document_state *state = event->document_start.document_state;

	if (fy_document_state_version_explicit(state) || fy_document_state_tags_explicit(state))
		stop(l, (struct place){.file = l->file, .line = 1, .column = 1},
			"leave out the lines that begin with %", "directives are not allowed");
}

static void read_stream(struct loader *l, struct yaml_node *root)
{
	struct fy_event *event;
	bool seen = false;

	while ((event = next_event(l))) {
		enum fy_event_type type = event->type;

		/* "---", or, where a document has no such line, what stands in it. */
		if (seen && fy_event_start_mark(event) && type != FYET_STREAM_END &&
			type != FYET_DOCUMENT_END)
			stop(l, place_of_event(l, event), "split the file",
				"a second document begins");
		if (type == FYET_DOCUMENT_START)
			check_document_start(l, event);
		if (type == FYET_SCALAR || type == FYET_ALIAS || type == FYET_SEQUENCE_START ||
			type == FYET_MAPPING_START) {
			seen = true;
			read_node(l, event, root, 0);
			continue;
		}
		fy_parser_event_free(l->parser, event);
		if (type == FYET_STREAM_END)
			return;
	}
}

/* Refuses what is no text, at its place: YAML allows no control characters but these. */
static bool check_text(struct bytes text, const char *file, struct complaints *complaints)
{
	struct place at = {.file = file, .line = 1, .column = 1};
	size_t bad, n;

	for (size_t i = 0; i < text.len; i += n, at.column++) {
		uint8_t c = text.at[i];

		n = utf8_character(bytes_from(text, i), &bad);
		if (!n)
			return complain(complaints, at, "save the file as UTF-8",
				"the file is not UTF-8 text");
		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
			return complain(complaints, at, "write it as an escape in double quotes",
				"a control character");
		if (c == '\n') {
			at.line++;
			at.column = 0;
		}
	}
	return true;
}

/* The first thing that libfyaml said, at its place, in our form. */
static void complain_of_syntax(struct loader *l, struct fy_diag *diag)
{
	struct fy_diag_error *error;
	void *iterator = NULL;

	error = fy_diag_errors_iterate(diag, &iterator);
	if (error)
		complain(l->complaints,
			(struct place){.file = l->file,
				.line = error->line > 0 ? (unsigned)error->line : 1,
				.column = error->column > 0 ? (unsigned)error->column : 1},
			"see YAML 1.2", "%s", error->msg);
	else
		complain(l->complaints, (struct place){.file = l->file, .line = 1, .column = 1},
			"see YAML 1.2", "this is not YAML");
}

const struct yaml_node *yaml_parse(
	struct arena *arena, const char *file, struct bytes text, struct complaints *complaints)
{
	struct loader l = {.arena = arena, .complaints = complaints};
	struct fy_diag_cfg diag_cfg;
	struct fy_diag *diag;
	struct yaml_node *root = arena_alloc(arena, sizeof(*root));
	size_t before = complaints->count;

	l.file = file;
	root->at = (struct place){.file = l.file, .line = 1, .column = 1};
	if (!check_text(text, l.file, complaints))
		return NULL;
	if (text.len == 0)
		return root; /* libfyaml takes no empty string */
	fy_diag_cfg_default(&diag_cfg);
	diag = fy_diag_create(&diag_cfg);
	if (!diag)
		abort();
	fy_diag_set_collect_errors(diag, true);
	l.parser = fy_parser_create(
		&(struct fy_parse_cfg){.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = diag});
	if (!l.parser || fy_parser_set_string(l.parser, (const char *)text.at, text.len))
		l.failed = true;
	read_stream(&l, root);
	if (l.failed && complaints->count == before)
		complain_of_syntax(&l, diag);
	fy_parser_destroy(l.parser);
	fy_diag_destroy(diag);
	return complaints->count == before ? root : NULL;
}

const struct yaml_node *yaml_load(
	struct arena *arena, const char *file, struct complaints *complaints)
{
	const struct yaml_node *root = NULL;
	struct buf text;

	buf_init(&text, YAML_FILE_MAX);
	if (file_read(file, &text))
		root = yaml_parse(arena, file, buf_bytes(&text), complaints);
	else
		complain(complaints, (struct place){.file = arena_text(arena, bytes_str(file))},
			NULL, "cannot be read: %s",
			text.failed ? "the file is too large" : strerror(errno));
	buf_wipe(&text);
	return root;
}

const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
	if (!mapping || mapping->kind != YAML_MAPPING)
		return NULL;
	for (size_t i = 0; i < mapping->count; i++)
		if (bytes_equal_str(mapping->children[i].key, key))
			return &mapping->children[i];
	return NULL;
}

static bool is_plain(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && !node->quoted && node->text.len;
}

bool yaml_bool(const struct yaml_node *node, bool *value)
{
	static const char *const words[] = {"false", "False", "FALSE", "true", "True", "TRUE"};

	if (!is_plain(node))
		return false;
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (bytes_equal_str(node->text, words[i])) {
			*value = i >= 3;
			return true;
		}
	}
	return false;
}

bool yaml_int(const struct yaml_node *node, int64_t *value)
{
	const char *text = (const char *)node->text.at;
	char *end;

	if (!is_plain(node) || strspn(text, "+-0123456789") != node->text.len)
		return false;
	errno = 0;
	*value = strtoll(text, &end, 10);
	return !errno && end == text + node->text.len;
}

bool yaml_double(const struct yaml_node *node, double *value)
{
	const char *text = (const char *)node->text.at;
	char *end;

	if (!is_plain(node) || strspn(text, "+-.0123456789eE") != node->text.len)
		return false;
	*value = strtod(text, &end);
	return end == text + node->text.len && isfinite(*value);
}
