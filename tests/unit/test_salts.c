#include "scram_fixture.h"

#include <pthread.h>

#include "upstream/inside.h"

#define ROOM 16 /* salted passwords that are kept */

static char user[] = "user";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned nready;

static void on_ready(void *context)
{
	assert_ptr_equal(context, user);
	pthread_mutex_lock(&lock);
	nready++;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static struct salts *begin(struct target *t, enum mechanism mechanism, char *password)
{
	struct salts *s;

	*t = (struct target){.mechanism = mechanism, .user = user, .password = password};
	s = salts_new(t);
	assert_non_null(s);
	salts_set_ready(s, on_ready, user);
	nready = 0;
	return s;
}

/* Asks until it is there. */
static enum salts_found get(struct salts *s, const char *salt, unsigned iterations, char *out)
{
	enum salts_found found;

	for (;;) {
		pthread_mutex_lock(&lock);
		nready = 0;
		pthread_mutex_unlock(&lock);
		found = salts_get(s, bytes_str(salt), iterations, out);
		if (found != SALTS_WAIT)
			return found;
		pthread_mutex_lock(&lock);
		while (!nready)
			pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
	}
}

static void expect(const struct target *t, const char *salt, const char *hex)
{
	struct scram_server server = {.sha1 = t->mechanism == MECHANISM_SCRAM_SHA_1,
		.user = user,
		.password = "pencil",
		.salt = salt,
		.iterations = 4096};
	uint8_t salted[32];
	char text[65] = "";

	fixture_salted(&server, salted);
	for (size_t i = 0; i < fixture_hash_len(&server); i++)
		sprintf(text + 2 * i, "%02x", salted[i]);
	assert_string_equal(hex, text);
}

static void test_salts(void **state)
{
	static const char *const salts[] = {"QQ==", "QUI=", "QUJD",
		"W22ZaJ0SNY7soEsUEjb6gQ==", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYg=="};
	/* With a soft hyphen, which is no part of it. */
	char plain[] = "pencil", hyphened[] = "pen\xc2\xad"
					      "cil";
	char hex[2 * SALTED_MAX + 1];
	struct target t;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct salts *s = begin(&t, i ? MECHANISM_SCRAM_SHA_256 : MECHANISM_SCRAM_SHA_1,
			i == 2 ? hyphened : plain);

		for (size_t k = 0; k < COUNT_OF(salts); k++) {
			assert_int_equal(salts_get(s, bytes_str(salts[k]), 4096, hex), SALTS_WAIT);
			assert_int_equal(get(s, salts[k], 4096, hex), SALTS_HAVE);
			expect(&t, salts[k], hex);
			/* Once made it is there at once. */
			assert_int_equal(salts_get(s, bytes_str(salts[k]), 4096, hex), SALTS_HAVE);
			assert_int_equal(salts_get(s, bytes_str(salts[k]), 4097, hex), SALTS_WAIT);
		}
		salts_free(s);
	}
}

/* Not base64, or not all of it. */
static void test_malformed(void **state)
{
	static const char *const cases[] = {"Q", "QQ", "QQ=", "QUI", "QUJDR",
		"Q===", "====", "QR==", "QQ==QQ==", "QUJ\n", " QUJD", "QUJD ", "QU-D", "QUJ_",
		"\xc3\xa4\xc3\xa4"};
	char password[] = "pencil", hex[2 * SALTED_MAX + 1];
	struct target t;
	struct salts *s = begin(&t, MECHANISM_SCRAM_SHA_256, password);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(get(s, cases[i], 4096, hex), SALTS_REFUSED);
		/* And stays so. */
		assert_int_equal(salts_get(s, bytes_str(cases[i]), 4096, hex), SALTS_REFUSED);
	}
	assert_int_equal(get(s, "QUJD", 4096, hex), SALTS_HAVE);
	salts_free(s);
}

static void test_longest(void **state)
{
	char password[] = "pencil", hex[2 * SALTED_MAX + 1], text[SALT_TEXT_MAX + 1];
	struct target t;
	struct salts *s = begin(&t, MECHANISM_SCRAM_SHA_256, password);

	(void)state;
	memset(text, 'A', sizeof(text));
	text[SALT_TEXT_MAX] = 0;
	/* Refused without a thread that looks at it. */
	assert_int_equal(salts_get(s, bytes_str(text), 4096, hex), SALTS_REFUSED);
	text[SALT_TEXT_MAX - 4] = 0;
	assert_int_equal(get(s, text, 4096, hex), SALTS_HAVE);
	expect(&t, text, hex);
	/* As long as can be kept, and no base64. */
	strcpy(text + SALT_TEXT_MAX - 4, "AAA");
	assert_int_equal(get(s, text, 4096, hex), SALTS_REFUSED);
	salts_free(s);
}

static void test_password_is_not_prepared(void **state)
{
	char password[] = "pen\x07", hex[2 * SALTED_MAX + 1];
	struct target t;
	struct salts *s = begin(&t, MECHANISM_SCRAM_SHA_256, password);

	(void)state;
	assert_int_equal(get(s, "QUJD", 4096, hex), SALTS_REFUSED);
	salts_free(s);
}

/* The oldest goes, and is made again. */
static void test_many(void **state)
{
	char password[] = "pencil", hex[2 * SALTED_MAX + 1], salt[ROOM + 1][9];
	struct target t;
	struct salts *s = begin(&t, MECHANISM_SCRAM_SHA_256, password);

	(void)state;
	for (size_t i = 0; i <= ROOM; i++)
		sprintf(salt[i], "QUJD%c%c%c%c", 'A' + (char)i, 'A', 'A', 'A');
	for (size_t i = 0; i < ROOM; i++)
		assert_int_equal(get(s, salt[i], 4096, hex), SALTS_HAVE);
	for (size_t i = 0; i < ROOM; i++)
		assert_int_equal(salts_get(s, bytes_str(salt[i]), 4096, hex), SALTS_HAVE);
	assert_int_equal(get(s, salt[ROOM], 4096, hex), SALTS_HAVE);
	for (size_t i = 1; i <= ROOM; i++)
		assert_int_equal(salts_get(s, bytes_str(salt[i]), 4096, hex), SALTS_HAVE);
	assert_int_equal(salts_get(s, bytes_str(salt[0]), 4096, hex), SALTS_WAIT);
	assert_int_equal(get(s, salt[0], 4096, hex), SALTS_HAVE);
	expect(&t, salt[0], hex);
	salts_free(s);
}

/* All at once, more than there is room for: it ends, with and without an answer. */
static void test_end_with_work_left(void **state)
{
	char password[] = "pencil", hex[2 * SALTED_MAX + 1], salt[9];
	struct target t;
	struct salts *s = begin(&t, MECHANISM_SCRAM_SHA_256, password);

	(void)state;
	for (char i = 0; i < 2 * ROOM; i++) {
		sprintf(salt, "QUJD%c%c%c%c", 'A' + i / 2, 'A' + i % 2, 'A', 'A');
		assert_int_equal(salts_get(s, bytes_str(salt), 100000, hex), SALTS_WAIT);
	}
	salts_free(s);
	salts_free(begin(&t, MECHANISM_SCRAM_SHA_256, password));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_salts),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_password_is_not_prepared),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_end_with_work_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
