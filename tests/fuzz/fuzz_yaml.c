/* A file that a person wrote: read or complained about; what was read means the same when
 * it is written out with all its texts in quotes and read again. */
#include <assert.h>

#include "util/utf8.h"
#include "util/yaml.h"

/* libfyaml 0.7 loses 2 kB where a long quoted scalar does not end as it should. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so";
}

static uint32_t code_point(struct bytes character)
{
	static const uint8_t bits_of_first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t point = character.at[0] & bits_of_first[character.len];

	for (size_t i = 1; i < character.len; i++)
		point = point << 6 | (character.at[i] & 0x3fu);
	return point;
}

static void put_text(struct buf *out, struct bytes text)
{
	buf_put_u8(out, '"');
	while (text.len) {
		size_t bad, n = utf8_character(text, &bad);

		assert(n && text.at[0]);
		buf_put_format(out, "\\U%08x", code_point(bytes_head(text, n)));
		text = bytes_from(text, n);
	}
	buf_put_u8(out, '"');
}

static void put_node(struct buf *out, const struct yaml_node *n)
{
	if (n->kind == YAML_NULL) {
		buf_put_str(out, "null");
		return;
	}
	if (n->kind == YAML_SCALAR) {
		assert(n->text.at[n->text.len] == 0);
		put_text(out, n->text);
		return;
	}
	buf_put_u8(out, n->kind == YAML_SEQUENCE ? '[' : '{');
	for (size_t i = 0; i < n->count; i++) {
		if (n->kind == YAML_MAPPING) {
			assert(n->children[i].key.at[n->children[i].key.len] == 0);
			assert(n->children[i].key_at.line >= 1);
			put_text(out, n->children[i].key);
			buf_put_str(out, ": ");
		}
		put_node(out, &n->children[i]);
		buf_put_str(out, ", ");
	}
	buf_put_u8(out, n->kind == YAML_SEQUENCE ? ']' : '}');
}

static void expect_same(const struct yaml_node *a, const struct yaml_node *b)
{
	assert(a->kind == b->kind && a->count == b->count);
	assert(a->kind != YAML_SCALAR || bytes_equal(a->text, b->text));
	for (size_t i = 0; i < a->count; i++) {
		assert(bytes_equal(a->children[i].key, b->children[i].key));
		assert(a->kind != YAML_MAPPING ||
			yaml_get(a, (const char *)a->children[i].key.at) == &a->children[i]);
		expect_same(&a->children[i], &b->children[i]);
	}
}

static void expect_line(const struct complaints *c)
{
	struct bytes line = buf_bytes(&c->lines);

	assert(c->count == 1);
	assert(bytes_start_with(line, bytes_str("f.yaml:")));
	assert(utf8_valid(line) && line.at[line.len - 1] == '\n');
	assert(memchr(line.at, '\n', line.len) == line.at + line.len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct complaints complaints;
	const struct yaml_node *root, *again;
	struct buf out;

	arena_init(&arena);
	complaints_init(&complaints);
	root = yaml_parse(&arena, "f.yaml", bytes_of(data, size), &complaints);
	if (root) {
		assert(complaints.count == 0);
		buf_init(&out, YAML_FILE_MAX);
		put_node(&out, root);
		if (!out.failed) {
			again = yaml_parse(&arena, "again.yaml", buf_bytes(&out), &complaints);
			assert(again);
			expect_same(root, again);
		}
		buf_fini(&out);
	} else {
		expect_line(&complaints);
	}
	complaints_fini(&complaints);
	arena_fini(&arena);
	return 0;
}
