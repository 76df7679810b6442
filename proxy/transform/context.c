#include "transform/inside.h"

#include <stdlib.h>

#include <sodium.h>

#include "util/memory.h"

#define SUBJECTS_FIRST 128u

struct transform *transform_new(struct policy *p, struct keyring *k, const struct master *m)
{
	struct transform *t = memory_new(sizeof(*t));
	size_t nkeys = keyring_count(k);

	t->policy = policy_ref(p);
	t->keyring = keyring_ref(k);
	t->master = m;
	t->cipher = cipher_new(k);
	t->key_of_field = memory_array(p->nencrypted, sizeof(*t->key_of_field));
	t->field_of_key = memory_array(nkeys, sizeof(*t->field_of_key));
	for (size_t i = 0; i < nkeys; i++)
		t->field_of_key[i] = NO_FIELD;
	for (size_t i = 0; i < p->nencrypted; i++) {
		int key = keyring_find(k, p->encrypted[i].ns, p->encrypted[i].path);

		t->key_of_field[i] = key;
		if (key != KEY_NONE)
			t->field_of_key[key] = (int16_t)i;
	}
	randombytes_buf(t->object_id, sizeof(t->object_id));
	t->object_count = randombytes_random();
	buf_init(&t->scratch, DOC_MAX_LEN);
	return t;
}

void transform_free(struct transform *t)
{
	if (!t)
		return;
	cipher_free(t->cipher);
	keyring_unref(t->keyring);
	policy_unref(t->policy);
	buf_wipe(&t->scratch);
	free(t->key_of_field);
	free(t->field_of_key);
	free(t->subjects);
	free(t);
}

const struct policy *transform_policy(const struct transform *t)
{
	return t->policy;
}

const struct keyring *transform_keyring(const struct transform *t)
{
	return t->keyring;
}

uint64_t random_number(struct transform *t)
{
	if (t->random_left < 8) {
		randombytes_buf(t->random, sizeof(t->random));
		t->random_left = sizeof(t->random);
	}
	t->random_left -= 8;
	return load_u64(t->random + t->random_left);
}

void note_subject(struct transform *t, const struct subject_token *token)
{
	memory_grow(&t->subjects, t->nsubjects, &t->subjects_capacity, sizeof(*t->subjects));
	t->subjects[t->nsubjects++] = *token;
}

static bool is_not_ours(void *context, struct bytes content)
{
	return cipher_key_of(context, content) == KEY_NONE;
}

bool transform_check_literals(const struct keyring *k, const struct command *c, struct fault *why)
{
	union {
		const struct keyring *keyring;
		void *context;
	} visit = {.keyring = k}; /* visitors take a non-const context */
	bool foreign;

	if (!c->encrypted)
		return true;
	foreign = doc_each_encrypted(c->body, is_not_ours, visit.context);
	for (size_t i = 0; foreign && i < c->nseq; i++) {
		struct command_docs docs = {.left = c->seq[i].docs};
		struct bytes doc;
		bool bad = false;

		while (foreign && command_docs_next(&docs, &doc, &bad))
			foreign = doc_each_encrypted(doc, is_not_ours, visit.context);
	}
	return foreign || fault_set(why, FAULT_CIPHERTEXT, "a literal under one of our keys");
}
