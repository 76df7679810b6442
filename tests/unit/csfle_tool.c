/* Lets a script use keys/: tests/integration/test_csfle_interop.py.
 *
 * csfle_tool MASTER-KEY-FILE reads commands, one a line, and answers each with a line:
 *   make NS PATH                         the key document, in hex; it is added, too
 *   add DOCUMENT                         added | foreign | bad
 *   seal NS PATH ALGORITHM TYPE VALUE    the content of the Binary, in hex
 *   open CONTENT                         opened ALGORITHM TYPE VALUE | foreign | damaged
 * What is refused is answered by "refused". */
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "keys/cipher.h"
#include "util/memory.h"

#define WORDS_MAX 6
#define ROOM      (1u << 20)

struct tool {
	struct master *master;
	struct keyring *keyring;
	char *words[WORDS_MAX];
	size_t nwords;
	struct buf in;  /* the bytes of a word in hex */
	struct buf out; /* of the answer */
};

static NORETURN void die(const char *text)
{
	fprintf(stderr, "csfle_tool: %s\n", text);
	exit(2);
}

static struct bytes word(const struct tool *t, size_t i)
{
	return bytes_str(t->words[i]);
}

static struct bytes hex(struct tool *t, size_t i)
{
	struct bytes text = word(t, i);
	size_t len = 0;
	uint8_t *room;

	buf_clear(&t->in);
	room = buf_reserve(&t->in, text.len / 2 + 1);
	if (!room || sodium_hex2bin(room, text.len / 2, (const char *)text.at, text.len, NULL, &len,
			     NULL) != 0)
		die("a word is not hex");
	buf_commit(&t->in, len);
	return buf_bytes(&t->in);
}

static void print_hex(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		printf("%02x", b.at[i]);
	putchar('\n');
}

static void run_make(struct tool *t)
{
	struct fault why;

	if (!keyring_make_document(
		    t->master, word(t, 1), word(t, 2), 1700000000000, &t->out, &why) ||
		keyring_add(t->keyring, buf_bytes(&t->out), &why) != KEY_ADDED)
		puts("refused");
	else
		print_hex(buf_bytes(&t->out));
}

static void run_add(struct tool *t)
{
	struct fault why;

	switch (keyring_add(t->keyring, hex(t, 1), &why)) {
	case KEY_ADDED:
		puts("added");
		return;
	case KEY_FOREIGN:
		puts("foreign");
		return;
	case KEY_BAD:
		puts("bad");
		return;
	}
}

static void run_seal(struct tool *t)
{
	int key = keyring_find(t->keyring, word(t, 1), word(t, 2));
	enum seal_algorithm algorithm = (enum seal_algorithm)atoi(t->words[3]);
	uint8_t type = (uint8_t)atoi(t->words[4]);
	struct cipher *c = cipher_new(t->keyring);
	struct fault why;

	if (key != KEY_NONE && cipher_seal(c, key, algorithm, type, hex(t, 5), &t->out, &why))
		print_hex(buf_bytes(&t->out));
	else
		puts("refused");
	cipher_free(c);
}

static void run_open(struct tool *t)
{
	struct cipher *c = cipher_new(t->keyring);
	struct opened opened;

	switch (cipher_open(c, hex(t, 1), &opened)) {
	case OPENED:
		printf("opened %d %d ", opened.algorithm, opened.type);
		print_hex(opened.value);
		break;
	case OPEN_FOREIGN:
		puts("foreign");
		break;
	case OPEN_DAMAGED:
		puts("damaged");
		break;
	}
	cipher_free(c);
}

static void run(struct tool *t, char *line)
{
	static const struct {
		const char *name;
		size_t nwords;
		void (*run)(struct tool *t);
	} commands[] = {{"make", 3, run_make}, {"add", 2, run_add}, {"seal", 6, run_seal},
		{"open", 2, run_open}};

	t->nwords = 0;
	for (char *rest = line, *w; (w = strsep(&rest, " \n")) && t->nwords < WORDS_MAX;)
		if (*w)
			t->words[t->nwords++] = w;
	buf_clear(&t->out);
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (t->nwords == commands[i].nwords && strcmp(t->words[0], commands[i].name) == 0) {
			commands[i].run(t);
			return;
		}
	die("an unknown command");
}

int main(int argc, char **argv)
{
	struct tool t = {0};
	struct fault why;
	char *line = NULL;
	size_t size = 0;

	setvbuf(stdout, NULL, _IOLBF, 0); /* a script waits for each answer */
	if (argc != 2)
		die("one argument is needed: the file of the master key");
	t.master = master_load(argv[1], false, &why);
	t.keyring = t.master ? keyring_new(t.master, false, &why) : NULL;
	if (!t.keyring)
		die(why.detail);
	buf_init(&t.in, ROOM);
	buf_init(&t.out, ROOM);
	while (getline(&line, &size, stdin) > 0)
		run(&t, line);
	free(line);
	buf_fini(&t.in);
	buf_fini(&t.out);
	keyring_unref(t.keyring);
	master_free(t.master);
	return 0;
}
