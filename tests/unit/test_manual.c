/* The manual says what the tables say: every option of config.def and every command of
 * commands.def stands in it word for word. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/config_values.h"
#include "util/file.h"

static const char *const proses[] = {
#define OPTION(path, kind, member, def, low, high, words, reload, prose) prose,
#include "cli/config.def"
#undef OPTION
};

static const char *const kinds[] = {
	[CONFIG_TEXT] = "text",
	[CONFIG_PATH] = "path",
	[CONFIG_FLAG] = "true or false",
	[CONFIG_COUNT] = "number",
	[CONFIG_SIZE] = "size",
	[CONFIG_DURATION] = "time",
	[CONFIG_WORD] = "word",
	[CONFIG_LIST] = "list",
};

/* As troff wants it: a dash that can be copied. */
static void put_roff(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '-')
			buf_put_u8(out, '\\');
		buf_put_u8(out, (uint8_t)*text);
	}
}

static void put_bound(struct buf *out, const struct config_row *row, uint64_t value)
{
	char text[32];

	config_put_number(text, sizeof(text), row->kind, value);
	put_roff(out, text);
}

static void put_option(struct buf *out, const struct config_row *row, const char *prose)
{
	buf_put_str(out, ".TP\n\\fB");
	put_roff(out, row->path);
	buf_put_format(out, "\\fR (%s", kinds[row->kind]);
	if (row->words) {
		buf_put_str(out, ": ");
		put_roff(out, row->words);
	}
	if (row->high) {
		buf_put_str(out, " from ");
		put_bound(out, row, row->low);
		buf_put_str(out, " to ");
		put_bound(out, row, row->high);
	}
	if (row->default_text) {
		buf_put_str(out, "; default \\fB");
		put_roff(out, row->default_text);
		buf_put_str(out, "\\fR");
	}
	buf_put_str(out, ")\n");
	put_roff(out, prose);
	buf_put_str(out, "\n.br\nEnvironment: \\fBMONGOWARD_");
	for (const char *p = row->path; *p; p++)
		buf_put_u8(out, *p == '.' ? '_' : (uint8_t)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p));
	buf_put_format(out, "\\fR.%s\n", row->reload ? "  A reload takes it up." : "");
}

static void read_page(const char *name, struct buf *out)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];

	snprintf(path, sizeof(path), "%s/docs/man/%s", srcdir ? srcdir : ".", name);
	buf_init(out, 1024 * 1024);
	assert_true(file_read(path, out));
	buf_put_u8(out, 0);
}

static void test_options(void **state)
{
	struct buf page, all;
	const char *at;

	(void)state;
	buf_init(&all, 1024 * 1024);
	for (size_t i = 0; i < config_nrows; i++)
		put_option(&all, &config_rows[i], proses[i]);
	buf_put_u8(&all, 0);
	read_page("mongoward.yaml.5", &page);
	at = strstr((const char *)page.at, "\n.SH OPTIONS\n");
	assert_non_null(at);
	at = strstr(at, "\n.TP\n");
	if (!at || strncmp(at + 1, (const char *)all.at, all.len - 1) != 0) {
		/* Whole: cmocka would cut it. */
		fputs((const char *)all.at, stderr);
		fail_msg("the above should stand below OPTIONS in mongoward.yaml.5");
	}
	assert_int_equal(strncmp(at + all.len, ".SH ", 4), 0); /* and nothing else */
	buf_fini(&page);
	buf_fini(&all);
}

static void test_commands(void **state)
{
	static const struct {
		const char *name, *summary;
	} commands[] = {
#define CLI_COMMAND(name, function, summary, help) {name, summary},
#include "cli/commands.def"
#undef CLI_COMMAND
	};
	struct buf page, wanted;

	(void)state;
	read_page("mongoward.1", &page);
	for (size_t i = 0; i < COUNT_OF(commands); i++) {
		buf_init(&wanted, 4096);
		buf_put_format(&wanted, "\n.SS %s\n%s.\n", commands[i].name, commands[i].summary);
		buf_put_u8(&wanted, 0);
		if (!strstr((const char *)page.at, (const char *)wanted.at))
			fail_msg("mongoward.1 lacks:\n%s", (const char *)wanted.at);
		buf_fini(&wanted);
	}
	buf_fini(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
