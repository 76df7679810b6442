/* The tables of the language by themselves; tests/integration/test_policy_schema.py holds the
 * loader against the schema that is made of them. */
#include "unit.h"

#include <stdio.h>

#include "auth/users.h"
#include "policy/language.h"
#include "policy/schema.h"

static void test_keys(void **state)
{
	bool used[LANGUAGE_OBJECT_COUNT] = {[LANGUAGE_OBJECT_FILE] = true};

	(void)state;
	for (int o = 0; o < LANGUAGE_OBJECT_COUNT; o++) {
		enum language_object object = (enum language_object)o;
		const struct language_key *key;
		const char *later;
		size_t n = 0;

		for (; (key = language_key(object, n)); n++) {
			assert_true(language_has_key(object, bytes_str(key->name)));
			assert_false(language_has_later(object, bytes_str(key->name)));
			assert_true(strlen(key->about) > 3);
			for (size_t k = 0; k < n; k++)
				assert_string_not_equal(key->name, language_key(object, k)->name);
		}
		assert_true(n > 0);
		for (size_t i = 0; (later = language_later(object, i)); i++) {
			assert_true(language_has_later(object, bytes_str(later)));
			assert_false(language_has_key(object, bytes_str(later)));
		}
		assert_false(language_has_key(object, bytes_str("zz")));
		assert_false(language_has_later(object, bytes_str("zz")));
	}
	for (int v = 0; v < LANGUAGE_VALUE_COUNT; v++) {
		const struct language_value *value = language_value((enum language_value_id)v);

		if (value->kind == VALUE_OBJECT || value->kind == VALUE_OBJECT_OR)
			used[value->object] = true;
	}
	for (int o = 0; o < LANGUAGE_OBJECT_COUNT; o++)
		assert_true(used[o]);
}

static const struct {
	enum word_list list;
	const char *word;
	int value; /* -1: none of them */
} words[] = {
	{WORDS_TYPE, "string", TYPE_STRING},
	{WORDS_TYPE, "binData", TYPE_BINARY},
	{WORDS_TYPE, "String", -1},
	{WORDS_TYPE, "read", -1},
	{WORDS_ALGORITHM, "deterministic", 1},
	{WORDS_ALGORITHM, "random", 0},
	{WORDS_ALGORITHM, "", -1},
	{WORDS_CLEARANCE, "ciphertext", CLEAR_CIPHERTEXT},
	{WORDS_MASK, "truncate", MASK_TRUNCATE},
	{WORDS_SCOPE_OF_VIEW, "role", -1},
	{WORDS_SCOPE_OF_ROLE, "role", SCOPE_ROLE},
	{WORDS_UNIT, "day", UNIT_DAY},
	{WORDS_QUASI, "stay", QUASI_STAY},
	{WORDS_AUTH, "x509", AUTH_X509},
	{WORDS_OUTCOME, "refused", 0},
	{WORDS_ACTION, "read", ACTION_READ},
	{WORDS_ACTION, "explain", ACTION_EXPLAIN},
	{WORDS_ACTION, "all", ACTIONS_ALL},
	{WORDS_ACTION, "watch", -1},
	{WORDS_ACTION, "al", -1},
};

/* Of a word that is none of them nothing is said, least of all something wide. */
static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		int value = -1;
		bool known = language_means(words[i].list, bytes_str(words[i].word), &value);

		assert_int_equal(known, words[i].value != -1);
		assert_int_equal(value, words[i].value);
	}
	for (int list = 0; list <= WORDS_ACTION; list++) {
		const char *word;
		size_t n = 0;

		for (; (word = language_word((enum word_list)list, n)); n++)
			for (size_t k = 0; k < n; k++)
				assert_string_not_equal(
					word, language_word((enum word_list)list, k));
		assert_true(n > 0);
	}
}

static void test_masks(void **state)
{
	(void)state;
	for (int kind = 0; kind < MASK_COUNT; kind++) {
		const char *takes = language_mask_takes((enum mask_kind)kind);
		const char *needs = language_mask_needs((enum mask_kind)kind);

		assert_true(*takes);
		assert_true(!*needs || language_among(takes, bytes_str(needs)));
	}
	assert_string_equal(language_mask_name(MASK_BANDS), "bands");
	assert_true(language_among("a bc d", bytes_str("bc")));
	assert_false(language_among("a bc d", bytes_str("b")));
	assert_false(language_among("a bc d", bytes_str("bc d")));
	assert_false(language_among("", bytes_str("a")));
}

static void test_schema(void **state)
{
	struct buf out;
	struct json_writer w = {.out = &out};

	(void)state;
	buf_init(&out, 1u << 20);
	policy_put_schema(&w);
	assert_false(out.failed);
	assert_int_equal(w.depth, 0);
	for (int o = 0; o < LANGUAGE_OBJECT_COUNT; o++) {
		char name[64];

		snprintf(name, sizeof(name),
			"\"%s\":{\"description\":", language_object_name((enum language_object)o));
		assert_non_null(memmem(out.at, out.len, name, strlen(name)));
	}
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
