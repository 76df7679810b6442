/* salts.c - PBKDF2 for logging in upstream: some milliseconds, so never on a worker's loop. */
#include <stdlib.h>

#include <gsasl.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "keys/locked.h"
#include "upstream/inside.h"
#include "util/log.h"
#include "util/memory.h"

#define ENTRIES_MAX 16u /* a user has one salt a mechanism; a deployment's mongos share it */

struct entry {
	char salt[SALT_TEXT_MAX];
	uint32_t iterations;
	bool asked, made;
	char hex[2 * SALTED_MAX + 1];
};

struct salts {
	const struct target *target;
	struct entry *entries; /* locked memory */
	size_t next;           /* to be overwritten */
	void (*ready)(void *context);
	void *context;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	pthread_t thread;
	bool started, stopping;
};

struct salts *salts_new(const struct target *t)
{
	struct salts *s = memory_new(sizeof(*s));
	struct fault why;
	bool locked;

	s->target = t;
	s->entries = locked_array(ENTRIES_MAX, sizeof(*s->entries), false, &locked, &why);
	if (!s->entries) {
		free(s);
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->asked, NULL);
	return s;
}

void salts_free(struct salts *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->asked);
	pthread_mutex_unlock(&s->lock);
	if (s->started)
		pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->asked);
	pthread_mutex_destroy(&s->lock);
	locked_free(s->entries);
	free(s);
}

void salts_set_ready(struct salts *s, void (*ready)(void *context), void *context)
{
	s->ready = ready;
	s->context = context;
}

/* SCRAM-SHA-1 hashes what older servers stored: MD5 of "user:mongo:password" in hex. */
static bool digest_password(const struct target *t, char out[33])
{
	char *text = memory_format("%s:mongo:%s", t->user, t->password);
	uint8_t digest[16];
	bool done = EVP_Digest(text, strlen(text), digest, NULL, EVP_md5(), NULL);

	sodium_memzero(text, strlen(text));
	free(text);
	if (done)
		sodium_bin2hex(out, 33, digest, sizeof(digest));
	sodium_memzero(digest, sizeof(digest));
	return done;
}

static bool derive(const char *password, const uint8_t *salt, size_t salt_len, uint32_t iterations,
	bool sha1, char *hex)
{
	uint8_t salted[SALTED_MAX];
	size_t len = sha1 ? 20 : 32;
	bool done = PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_len,
		(int)iterations, sha1 ? EVP_sha1() : EVP_sha256(), (int)len, salted);

	if (done)
		sodium_bin2hex(hex, 2 * SALTED_MAX + 1, salted, len);
	sodium_memzero(salted, sizeof(salted));
	return done;
}

static bool salt_password(
	const struct target *t, const char *salt_text, uint32_t iterations, char *hex)
{
	uint8_t salt[SALT_TEXT_MAX];
	size_t salt_len;
	char digest[33], *prepared = NULL;
	bool done = false;

	if (!bytes_are_ascii(bytes_str(salt_text)) ||
		sodium_base642bin(salt, sizeof(salt), salt_text, strlen(salt_text), NULL, &salt_len,
			NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return false;
	if (t->mechanism == MECHANISM_SCRAM_SHA_1) {
		done = digest_password(t, digest) &&
		       derive(digest, salt, salt_len, iterations, true, hex);
		sodium_memzero(digest, sizeof(digest));
	} else if (gsasl_saslprep(t->password, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) ==
		   GSASL_OK) {
		done = derive(prepared, salt, salt_len, iterations, false, hex);
		sodium_memzero(prepared, strlen(prepared));
	}
	gsasl_free(prepared);
	return done;
}

static struct entry *next_asked(struct salts *s)
{
	for (size_t i = 0; i < ENTRIES_MAX; i++)
		if (s->entries[i].asked)
			return &s->entries[i];
	return NULL;
}

static void *run(void *context)
{
	struct salts *s = context;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		struct entry *e = next_asked(s);
		char salt[SALT_TEXT_MAX], hex[2 * SALTED_MAX + 1] = "";
		uint32_t iterations;

		if (!e) {
			pthread_cond_wait(&s->asked, &s->lock);
			continue;
		}
		memcpy(salt, e->salt, sizeof(salt));
		iterations = e->iterations;
		pthread_mutex_unlock(&s->lock);
		if (!salt_password(s->target, salt, iterations, hex))
			log_error("upstream", "the password cannot be salted");
		pthread_mutex_lock(&s->lock);
		/* Unless it was overwritten meanwhile. */
		if (e->iterations == iterations && strcmp(e->salt, salt) == 0) {
			memcpy(e->hex, hex, sizeof(hex));
			e->asked = false;
			e->made = true;
		}
		sodium_memzero(hex, sizeof(hex));
		pthread_mutex_unlock(&s->lock);
		if (s->ready)
			s->ready(s->context);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static struct entry *find_entry(struct salts *s, struct bytes salt, uint32_t iterations)
{
	for (size_t i = 0; i < ENTRIES_MAX; i++)
		if (s->entries[i].iterations == iterations &&
			bytes_equal_str(salt, s->entries[i].salt))
			return &s->entries[i];
	return NULL;
}

static bool ask(struct salts *s, struct bytes salt, uint32_t iterations)
{
	struct entry *e = &s->entries[s->next++ % ENTRIES_MAX];

	if (!s->started)
		s->started = pthread_create(&s->thread, NULL, run, s) == 0;
	sodium_memzero(e, sizeof(*e));
	memcpy(e->salt, salt.at, salt.len);
	e->iterations = iterations;
	e->asked = true;
	pthread_cond_signal(&s->asked);
	return s->started;
}

enum salts_found salts_get(
	struct salts *s, struct bytes salt, uint32_t iterations, char out[2 * SALTED_MAX + 1])
{
	enum salts_found found = SALTS_WAIT;
	struct entry *e;

	if (salt.len >= SALT_TEXT_MAX)
		return SALTS_REFUSED;
	pthread_mutex_lock(&s->lock);
	e = find_entry(s, salt, iterations);
	if (!e && !ask(s, salt, iterations)) {
		found = SALTS_REFUSED;
	} else if (e && e->made) {
		memcpy(out, e->hex, sizeof(e->hex));
		found = e->hex[0] ? SALTS_HAVE : SALTS_REFUSED;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}
