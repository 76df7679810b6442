/* Prints how many nanoseconds the hot functions of keys/ take: the best of ROUNDS. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "keys/cipher.h"

#define ROUNDS     15
#define ITERATIONS 20000
#define KEYS       80 /* more than are kept prepared */
#define HOT_KEYS   4  /* as many as a document has encrypted fields */

struct bench {
	struct master *master;
	struct keyring *keyring;
	struct cipher *cipher;
	struct session_cipher *sessions;
	struct buf sealed[KEYS]; /* one value under each key */
	struct bytes value;
	struct buf out;
	enum seal_algorithm algorithm;
	int nkeys; /* that take turns */
};

static void must(bool done, const struct fault *why)
{
	if (done)
		return;
	fprintf(stderr, "bench_cipher: %s\n", why->detail);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

typedef void operation_fn(struct bench *b, int i);

static void measure(const char *name, operation_fn *operation, struct bench *b)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t begun = now_ns(), took;

		for (int i = 0; i < ITERATIONS; i++)
			operation(b, i);
		took = now_ns() - begun;
		best = took < best ? took : best;
	}
	printf("%-44s %8.1f ns\n", name, (double)best / ITERATIONS);
}

static void seal_one(struct bench *b, int i)
{
	struct fault why;

	buf_clear(&b->out);
	must(cipher_seal(b->cipher, i % b->nkeys, b->algorithm, 0x02, b->value, &b->out, &why),
		&why);
}

static void open_one(struct bench *b, int i)
{
	struct opened opened;
	struct fault why = {.detail = "not opened"};

	must(cipher_open(b->cipher, buf_bytes(&b->sealed[i % b->nkeys]), &opened) == OPENED, &why);
}

static void look_up_one(struct bench *b, int i)
{
	struct fault why = {.detail = "not found"};

	must(cipher_key_of(b->keyring, buf_bytes(&b->sealed[i % b->nkeys])) != KEY_NONE, &why);
}

static void token_one(struct bench *b, int i)
{
	struct token token;

	(void)i;
	master_token(b->master, TOKEN_SUBJECT, &b->value, 1, &token);
}

static void session_one(struct bench *b, int i)
{
	static uint8_t id[16];

	session_cipher_apply(b->sessions, i & 1, id);
}

static void set_up(struct bench *b)
{
	static const uint8_t bytes[MASTER_LEN] = {1};
	struct fault why;
	struct buf document;

	b->master = master_new(bytes, false, &why);
	must(b->master != NULL, &why);
	b->keyring = keyring_new(b->master, false, &why);
	must(b->keyring != NULL, &why);
	buf_init(&document, 4096);
	for (int i = 0; i < KEYS; i++) {
		char path[16];

		snprintf(path, sizeof(path), "field%d", i);
		buf_clear(&document);
		must(keyring_make_document(b->master, bytes_str("bench.bench"), bytes_str(path), 0,
			     &document, &why),
			&why);
		must(keyring_add(b->keyring, buf_bytes(&document), &why) == KEY_ADDED, &why);
	}
	buf_fini(&document);
	b->cipher = cipher_new(b->keyring);
	b->sessions = session_cipher_new(b->master, bytes_str("user"));
	buf_init(&b->out, 4096);
}

static void tear_down(struct bench *b)
{
	buf_fini(&b->out);
	for (int i = 0; i < KEYS; i++)
		buf_fini(&b->sealed[i]);
	session_cipher_free(b->sessions);
	cipher_free(b->cipher);
	keyring_unref(b->keyring);
	master_free(b->master);
}

static void seal_all(struct bench *b)
{
	struct fault why;

	for (int i = 0; i < KEYS; i++) {
		buf_fini(&b->sealed[i]);
		buf_init(&b->sealed[i], 4096);
		must(cipher_seal(b->cipher, i, SEAL_RANDOM, 0x02, b->value, &b->sealed[i], &why),
			&why);
	}
}

int main(void)
{
	/* BSON strings that fill two and five blocks of ciphertext. */
	static uint8_t text[4 + 76];
	static const size_t lengths[] = {30, 78};
	struct bench b = {.nkeys = HOT_KEYS};

	set_up(&b);
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		b.value = bytes_of(text, lengths[i]);
		memset(text, 'x', sizeof(text));
		store_u32(text, (uint32_t)lengths[i] - 4);
		text[lengths[i] - 1] = 0;
		printf("%zu bytes of ciphertext\n", (lengths[i] / 16 + 1) * 16);
		seal_all(&b);
		measure("  open", open_one, &b);
		b.algorithm = SEAL_DETERMINISTIC;
		measure("  seal, deterministic", seal_one, &b);
		b.algorithm = SEAL_RANDOM;
		measure("  seal, random", seal_one, &b);
		b.nkeys = KEYS;
		measure("  open, each time under a key not prepared", open_one, &b);
		b.nkeys = HOT_KEYS;
	}
	measure("name the key of a content", look_up_one, &b);
	measure("token of 78 bytes", token_one, &b);
	measure("session id", session_one, &b);
	tear_down(&b);
	return 0;
}
