#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/memory.h"
#include "util/yaml.h"

/* Files that mean something: `tree` is what is read, in a notation of this test. */
static const struct {
	const char *name;
	const char *text;
	const char *tree;
} accepted[] = {
	{"an empty file", "", "null"},
	{"a byte order mark alone", "\xef\xbb\xbf", "null"},
	{"a comment alone", "# nothing\n", "null"},
	{"an empty document", "---\n", "null"},
	{"one scalar", "hello\n", "hello"},
	{"a byte order mark",
		"\xef\xbb\xbf"
		"a: 1\n",
		"{a@1:1=1}"},
	{"CRLF", "a: 1\r\nb: 2\r\n", "{a@1:1=1,b@2:1=2}"},
	{"no line end at the end", "a: 1", "{a@1:1=1}"},
	{"a document's start and end", "---\na: 1\n...\n# end\n", "{a@2:1=1}"},
	{"nested", "a:\n  - {b: [1, x]}\n  - c\n", "{a@1:1=[{b@2:6=[1,x]},c]}"},
	{"quoted", "a: \"x\\ty\"\nb: 'it''s'\n", "{a@1:1='x\ty',b@2:1='it's'}"},
	{"a block scalar", "a: |\n  x\n  y\n", "{a@1:1='x\ny\n'}"},
	{"nothing in four forms", "a:\nb: ~\nc: null\nd: NULL\n",
		"{a@1:1=null,b@2:1=null,c@3:1=null,d@4:1=null}"},
	{"a quoted null is text", "a: 'null'\nb: \"\"\n", "{a@1:1='null',b@2:1=''}"},
	{"a quoted key", "\"*\": 1\n'x y': 2\n", "{*@1:1=1,x y@2:1=2}"},
	{"a null as a name", "null: 1\n", "{null@1:1=1}"},
	{"a quoted merge key is a name", "'<<': 1\n", "{<<@1:1=1}"},
	{"columns count characters", "é: {ü: 1, b: 2}\n", "{é@1:1={ü@1:5=1,b@1:11=2}}"},
	{"empty collections", "a: []\nb: {}\n", "{a@1:1=[],b@2:1={}}"},
	{"tabs between values", "a:\t1\n", "{a@1:1=1}"},
	{"keys that differ in case", "a: 1\nA: 2\n", "{a@1:1=1,A@2:1=2}"},
	{"one key in two mappings", "a: {x: 1}\nb: {x: 1}\n", "{a@1:1={x@1:5=1},b@2:1={x@2:5=1}}"},
};

static const struct {
	const char *name;
	const char *text;
	const char *complaint; /* behind "f.yaml:" */
} refused[] = {
	{"an anchor", "a: 1\nb:   &x 1\n", "2:6: anchors are not allowed (write the value out)"},
	{"an anchor on a sequence", "a: &x [1]\n",
		"1:4: anchors are not allowed (write the value out)"},
	{"an anchor on a mapping", "a: &x {b: 1}\n",
		"1:4: anchors are not allowed (write the value out)"},
	{"an anchor on a key", "&a b: 1\n", "1:1: anchors are not allowed (write the value out)"},
	{"an alias", "a: 1\nb: [1, *x]\n", "2:8: aliases are not allowed (write the value out)"},
	{"an alias as a key", "a: 1\n*x : 2\n", "2:1: a key is not a name (use a plain name)"},
	{"a tag", "a: !!str 1\n", "1:4: tags are not allowed (leave the tag out)"},
	{"a tag of its own", "a: !secret 1\n", "1:4: tags are not allowed (leave the tag out)"},
	{"a tag on a key", "a: 1\n!!str b: 1\n", "2:1: tags are not allowed (leave the tag out)"},
	{"a merge key", "b:\n  <<: {c: 1}\n",
		"2:3: merge keys are not allowed (write the keys out)"},
	{"a key twice", "a: 1\nb: 2\na: 3\n",
		"3:1: the key 'a' stands here and at line 1 (keep one of them)"},
	{"a key twice, quoted once", "a: 1\n\"a\": 3\n",
		"2:1: the key 'a' stands here and at line 1 (keep one of them)"},
	{"a key twice, written by escapes", "a: 1\n\"\\x61\": 3\n",
		"2:1: the key 'a' stands here and at line 1 (keep one of them)"},
	{"a key twice, deep", "x:\n  - {p: 1, p: 2}\n",
		"2:12: the key 'p' stands here and at line 2 (keep one of them)"},
	{"a sequence as a key", "? [a]\n: 1\n", "1:3: a key is not a name (use a plain name)"},
	{"a mapping as a key", "{{a: 1}: 2}\n", "1:2: a key is not a name (use a plain name)"},
	{"no key", ": 1\n", "1:1: a key is empty (give the key a name)"},
	{"an empty key", "a: 1\n\"\": 1\n", "2:1: a key is empty (give the key a name)"},
	{"two documents", "a: 1\n---\nb: 1\n", "2:1: a second document begins (split the file)"},
	{"a second document that is empty", "a: 1\n---\n",
		"2:1: a second document begins (split the file)"},
	{"a second document without a line", "a: 1\n...\n\nb: 2\n",
		"4:1: a second document begins (split the file)"},
	{"another version", "%YAML 1.1\n---\na: yes\n",
		"1:1: directives are not allowed (leave out the lines that begin with %)"},
	{"tags declared", "%TAG ! tag:x,2000:\n---\na: 1\n",
		"1:1: directives are not allowed (leave out the lines that begin with %)"},
	{"a tab as indentation", "a:\n\tb: 1\n",
		"2:1: tab character may not be used as indentation (see YAML 1.2)"},
	{"a quote that does not end", "a: 1\nb: \"x\n",
		"2:5: double-quoted scalar without closing quote (see YAML 1.2)"},
	{"a bracket that does not end", "a: [1, 2\n",
		"2:1: flow sequence without a closing bracket (see YAML 1.2)"},
	{"deeper than its key allows", "a: 1\n  b: 2\n",
		"1:4: invalid multiline plain key (see YAML 1.2)"},
	{"a NUL as an escape", "a: \"\\0\"\n", "1:4: a value is not valid UTF-8 text"},
	{"bad UTF-8", "a: 1\nb: é\xff\n",
		"2:5: the file is not UTF-8 text (save the file as UTF-8)"},
	{"a surrogate", "a: \xed\xa0\x80\n",
		"1:4: the file is not UTF-8 text (save the file as UTF-8)"},
	{"UTF-16",
		"\xff\xfe"
		"a",
		"1:1: the file is not UTF-8 text (save the file as UTF-8)"},
	{"a control character", "a: \x1b[0m\n",
		"1:4: a control character (write it as an escape in double quotes)"},
};

static void put_node(struct buf *out, const struct yaml_node *n)
{
	if (n->key.len)
		buf_put_format(out, "%s@%u:%u=", (const char *)n->key.at, n->key_at.line,
			n->key_at.column);
	switch (n->kind) {
	case YAML_NULL:
		buf_put_str(out, "null");
		return;
	case YAML_SCALAR:
		buf_put_format(out, n->quoted ? "'%s'" : "%s", (const char *)n->text.at);
		return;
	case YAML_SEQUENCE:
	case YAML_MAPPING:
		break;
	}
	buf_put_u8(out, n->kind == YAML_SEQUENCE ? '[' : '{');
	for (size_t i = 0; i < n->count; i++) {
		if (i)
			buf_put_u8(out, ',');
		put_node(out, &n->children[i]);
	}
	buf_put_u8(out, n->kind == YAML_SEQUENCE ? ']' : '}');
}

static void test_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(accepted); i++) {
		struct arena arena;
		struct complaints c;
		struct buf tree;
		const struct yaml_node *root;

		arena_init(&arena);
		complaints_init(&c);
		buf_init(&tree, 10000);
		root = yaml_parse(&arena, "f.yaml", bytes_str(accepted[i].text), &c);
		if (!root)
			fail_msg("%s: %.*s", accepted[i].name, BYTES_ARG(buf_bytes(&c.lines)));
		put_node(&tree, root);
		buf_put_u8(&tree, 0);
		assert_string_equal((const char *)tree.at, accepted[i].tree);
		buf_fini(&tree);
		complaints_fini(&c);
		arena_fini(&arena);
	}
}

/* Parses and gives the complaints back, for free(). */
static char *complaint_about(struct bytes text, bool *done)
{
	struct arena arena;
	struct complaints c;
	char *line;

	arena_init(&arena);
	complaints_init(&c);
	*done = yaml_parse(&arena, "f.yaml", text, &c) != NULL;
	line = memory_text(buf_bytes(&c.lines));
	assert_int_equal(c.count, !*done);
	complaints_fini(&c);
	arena_fini(&arena);
	return line;
}

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		char *expected = memory_format("f.yaml:%s\n", refused[i].complaint);
		bool done;
		char *line = complaint_about(bytes_str(refused[i].text), &done);

		if (done)
			fail_msg("%s: accepted", refused[i].name);
		assert_string_equal(line, expected);
		free(line);
		free(expected);
	}
}

/* Every beginning of a file is read or refused, whatever it is. */
static void test_torn(void **state)
{
	static const char text[] =
		"a: {b: [1, \"x\\n\", {c: ~}], 'd': |\n}\ne:\n  - f: >\n     g\n  - ? h\n    : é\n";

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		uint8_t *exact = memory_new(len);
		bool done;

		memcpy(exact, text, len);
		free(complaint_about(bytes_of(exact, len), &done));
		free(exact);
	}
}

static void nest(struct buf *text, const char *open, const char *close, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_put_str(text, open);
	buf_put_str(text, "x");
	for (int i = 0; i < depth; i++)
		buf_put_str(text, close);
}

static void test_depth(void **state)
{
	static const struct {
		const char *open, *close;
	} forms[] = {{"[", "]"}, {"{a: ", "}"}, {"- ", ""}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(forms); i++) {
		struct buf text;
		bool done;
		char *line;

		buf_init(&text, 1000);
		nest(&text, forms[i].open, forms[i].close, YAML_DEPTH_MAX);
		free(complaint_about(buf_bytes(&text), &done));
		assert_true(done);
		buf_clear(&text);
		nest(&text, forms[i].open, forms[i].close, YAML_DEPTH_MAX + 1);
		line = complaint_about(buf_bytes(&text), &done);
		assert_false(done);
		assert_non_null(strstr(line, ": the file is nested too deeply (nest less)\n"));
		free(line);
		buf_fini(&text);
	}
}

/* Far too deep, in forms that a recursive or quadratic reader would not survive. */
static void test_abyss(void **state)
{
	static const char *const forms[] = {"[", "{", "- ", "? ", "{a: ", "&", "!", "'", "a: "};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(forms); i++) {
		struct buf text;
		bool done;

		buf_init(&text, 1000000);
		nest(&text, forms[i], "", 50000);
		free(complaint_about(buf_bytes(&text), &done));
		assert_false(done);
		buf_fini(&text);
	}
}

static void test_large(void **state)
{
	struct arena arena;
	struct complaints c;
	struct buf text;
	const struct yaml_node *root;

	(void)state;
	arena_init(&arena);
	complaints_init(&c);
	buf_init(&text, YAML_FILE_MAX);
	for (int i = 0; i < 20000; i++)
		buf_put_format(&text, "user%d: {roles: [doctor], purpose: treatment}\n", i);
	root = yaml_parse(&arena, "f.yaml", buf_bytes(&text), &c);
	assert_non_null(root);
	assert_int_equal(root->count, 20000);
	assert_non_null(yaml_get(&root->children[19999], "purpose"));
	buf_put_str(&text, "user7: {}\n");
	assert_null(yaml_parse(&arena, "f.yaml", buf_bytes(&text), &c));
	buf_put_u8(&c.lines, 0);
	assert_string_equal((const char *)c.lines.at,
		"f.yaml:20001:1: the key 'user7' stands here and at line 8 (keep one of them)\n");
	buf_fini(&text);
	complaints_fini(&c);
	arena_fini(&arena);
}

static void test_too_many_values(void **state)
{
	struct buf text;
	bool done;
	char *line;

	(void)state;
	buf_init(&text, YAML_FILE_MAX);
	buf_put_u8(&text, '[');
	for (int i = 0; i < YAML_NODES_MAX; i++)
		buf_put_str(&text, "a,");
	buf_put_u8(&text, ']');
	free(complaint_about(buf_bytes(&text), &done));
	assert_true(done);
	text.len--;
	buf_put_str(&text, "a]");
	line = complaint_about(buf_bytes(&text), &done);
	assert_false(done);
	assert_string_equal(line, "f.yaml: the file holds too many values\n");
	free(line);
	buf_fini(&text);
}

static const struct {
	const char *text;
	char kind; /* b, i, d or - */
	double value;
} scalars[] = {
	{"true", 'b', 1},
	{"True", 'b', 1},
	{"FALSE", 'b', 0},
	{"yes", '-', 0},
	{"tRue", '-', 0},
	{"'true'", '-', 0},
	{"0", 'i', 0},
	{"-7", 'i', -7},
	{"+7", 'i', 7},
	{"007", 'i', 7},
	{"9007199254740992", 'i', 9007199254740992.0},
	{"-9223372036854775808", 'i', -9223372036854775808.0},
	{"9223372036854775808", 'd', 9223372036854775808.0},
	{"'7'", '-', 0},
	{"0x10", '-', 0},
	{"1_000", '-', 0},
	{"--1", '-', 0},
	{"+", '-', 0},
	{"1.5", 'd', 1.5},
	{".5", 'd', 0.5},
	{"1.", 'd', 1},
	{"-1e3", 'd', -1000},
	{"1e400", '-', 0},
	{".inf", '-', 0},
	{"nan", '-', 0},
	{".", '-', 0},
	{"1.2.3", '-', 0},
	{"1 2", '-', 0},
	{"2026-11-23", '-', 0},
	{"~", '-', 0},
};

static void test_scalars(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(scalars); i++) {
		struct arena arena;
		struct complaints c;
		const struct yaml_node *root;
		char *text = memory_format("k: %s\n", scalars[i].text);
		bool is_true = false, is_bool, is_int, is_double;
		int64_t whole = 0;
		double number = 0;

		arena_init(&arena);
		complaints_init(&c);
		root = yaml_parse(&arena, "f.yaml", bytes_str(text), &c);
		assert_non_null(root);
		is_bool = yaml_bool(yaml_get(root, "k"), &is_true);
		is_int = yaml_int(yaml_get(root, "k"), &whole);
		is_double = yaml_double(yaml_get(root, "k"), &number);
		if (is_bool != (scalars[i].kind == 'b') || is_int != (scalars[i].kind == 'i') ||
			is_double != (scalars[i].kind == 'i' || scalars[i].kind == 'd'))
			fail_msg("%s: bool %d int %d double %d", scalars[i].text, is_bool, is_int,
				is_double);
		if (is_bool)
			assert_int_equal(is_true, scalars[i].value);
		if (is_int)
			assert_true((double)whole == scalars[i].value);
		if (is_double)
			assert_true(number == scalars[i].value);
		complaints_fini(&c);
		arena_fini(&arena);
		free(text);
	}
}

static void test_get(void **state)
{
	struct arena arena;
	struct complaints c;
	const struct yaml_node *root;

	(void)state;
	arena_init(&arena);
	complaints_init(&c);
	root = yaml_parse(&arena, "f.yaml", bytes_str("a: {b: 1}\nc: [x]\n"), &c);
	assert_non_null(yaml_get(yaml_get(root, "a"), "b"));
	assert_null(yaml_get(root, "b"));
	assert_null(yaml_get(yaml_get(root, "c"), "x"));
	assert_null(yaml_get(NULL, "a"));
	complaints_fini(&c);
	arena_fini(&arena);
}

static void expect_load(const char *file, const char *complaint)
{
	struct arena arena;
	struct complaints c;
	char *expected = memory_format("%s%s", file, complaint);

	arena_init(&arena);
	complaints_init(&c);
	assert_null(yaml_load(&arena, file, &c));
	buf_put_u8(&c.lines, 0);
	assert_string_equal((const char *)c.lines.at, expected);
	complaints_fini(&c);
	arena_fini(&arena);
	free(expected);
}

static void test_load(void **state)
{
	char folder[] = "/tmp/test_yaml.XXXXXX";
	char *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	file = memory_format("%s/f.yaml", folder);
	expect_load(file, ": cannot be read: No such file or directory\n");
	expect_load(folder, ": cannot be read: Is a directory\n");
	assert_int_equal(close(creat(file, 0600)), 0);
	assert_int_equal(truncate(file, (off_t)YAML_FILE_MAX + 1), 0);
	expect_load(file, ": cannot be read: the file is too large\n");
	assert_int_equal(truncate(file, (off_t)YAML_FILE_MAX), 0);
	expect_load(file, ":1:1: a control character (write it as an escape in double quotes)\n");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(folder), 0);
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_abyss),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_too_many_values),
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
