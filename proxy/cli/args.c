#include "cli/args.h"

#include <stdlib.h>

#include "cli/cli.h"
#include "util/memory.h"

struct parse {
	const char *command;
	const struct arg *args;
	size_t n;
	size_t positional; /* the row that takes the next one */
	bool only_positionals;
};

static bool is_option(const struct arg *a)
{
	return strncmp(a->name, "--", 2) == 0;
}

static void list_add(struct args_list *list, const char *value)
{
	memory_grow(&list->at, list->count, &list->capacity, sizeof(*list->at));
	list->at[list->count++] = value;
}

void args_list_fini(struct args_list *list)
{
	free(list->at);
	*list = (struct args_list){0};
}

/* By "--name" or "--name=VALUE"; `*value` is then what stands behind the sign, or NULL. */
static const struct arg *find_option(const struct parse *p, const char *word, const char **value)
{
	size_t len = strcspn(word, "=");

	*value = word[len] ? word + len + 1 : NULL;
	for (size_t i = 0; i < p->n; i++)
		if (is_option(&p->args[i]) && bytes_equal_str(bytes_of(word, len), p->args[i].name))
			return &p->args[i];
	return NULL;
}

static bool wrong(const struct parse *p, const char *what, const char *word)
{
	/* What stands behind '=' may be meant for nobody's eyes. */
	cli_usage(p->command, "%s '%.*s'", what,
		word[0] == '-' ? (int)strcspn(word, "=") : (int)strlen(word), word);
	return false;
}

/* `*next` is the word behind, or NULL; set to NULL when it was taken as the value. */
static bool take_option(const struct parse *p, const char *word, const char **next)
{
	const char *value;
	const struct arg *a = find_option(p, word, &value);

	if (!a)
		return wrong(p, "unknown option", word);
	if (a->flag) {
		if (value)
			return wrong(p, "no value is wanted for", word);
		if (*a->flag)
			return wrong(p, "given twice:", word);
		*a->flag = true;
		return true;
	}
	if (a->value && *a->value)
		return wrong(p, "given twice:", word);
	if (!value) {
		value = *next && strncmp(*next, "--", 2) != 0 ? *next : NULL;
		*next = NULL;
	}
	if (!value || !*value)
		return wrong(p, "a value is missing for", word);
	if (a->list)
		list_add(a->list, value);
	else
		*a->value = value;
	return true;
}

static bool take_positional(struct parse *p, const char *word)
{
	const struct arg *a;

	while (p->positional < p->n && is_option(&p->args[p->positional]))
		p->positional++;
	if (p->positional == p->n)
		return wrong(p, "too many words:", word);
	if (!*word)
		return wrong(p, "an empty word instead of", p->args[p->positional].name);
	a = &p->args[p->positional];
	if (a->list) {
		list_add(a->list, word);
		return true;
	}
	*a->value = word;
	p->positional++;
	return true;
}

static bool take_all(struct parse *p, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		const char *behind = i + 1 < argc ? argv[i + 1] : NULL, *next = behind;

		if (p->only_positionals || word[0] != '-' || !word[1]) {
			if (!take_positional(p, word))
				return false;
		} else if (strcmp(word, "--") == 0) {
			p->only_positionals = true;
		} else {
			if (!take_option(p, word, &next))
				return false;
			i += next != behind;
		}
	}
	return true;
}

static bool nothing_is_missing(const struct parse *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct arg *a = &p->args[i];

		if (is_option(a) || a->optional)
			continue;
		if (a->list ? !a->list->count : !*a->value) {
			cli_usage(p->command, "%s is missing", a->name);
			return false;
		}
	}
	return true;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

enum args_end args_parse(
	const char *command, int argc, char **argv, const struct arg *args, size_t n)
{
	struct parse p = {.command = command, .args = args, .n = n};

	if (asks_for_help(argc, argv)) {
		cli_help(command);
		return ARGS_HELP;
	}
	if (take_all(&p, argc, argv) && nothing_is_missing(&p))
		return ARGS_GO_ON;
	for (size_t i = 0; i < n; i++)
		if (args[i].list)
			args_list_fini(args[i].list);
	return ARGS_WRONG;
}

int args_exit(enum args_end end)
{
	return end == ARGS_HELP ? CLI_OK : CLI_BAD;
}
