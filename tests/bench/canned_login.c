#include "canned_login.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "util/memory.h"

#define ITERATIONS      15000
#define ITERATIONS_TEXT "15000"
/* libmongoc takes salts of 28 bytes only. */
#define SALT            "0123456789abcdef0123456789ab"

struct canned_login {
	Gsasl *sasl;
	char stored_key[64], server_key[64], salt[64]; /* base64 */
};

static int give_property(Gsasl *sasl, Gsasl_session *s, Gsasl_property property)
{
	const struct canned_login *c = gsasl_callback_hook_get(sasl);

	switch ((int)property) {
	case GSASL_SCRAM_ITER:
		return gsasl_property_set(s, property, ITERATIONS_TEXT);
	case GSASL_SCRAM_SALT:
		return gsasl_property_set(s, property, c->salt);
	case GSASL_SCRAM_STOREDKEY:
		return gsasl_property_set(s, property, c->stored_key);
	case GSASL_SCRAM_SERVERKEY:
		return gsasl_property_set(s, property, c->server_key);
	default:
		return GSASL_NO_CALLBACK;
	}
}

static void put_base64(char *out, const void *at, size_t len)
{
	(void)EVP_EncodeBlock((uint8_t *)out, at, (int)len);
}

/* RFC 5802: StoredKey = H(HMAC(SaltedPassword, "Client Key")), ServerKey = HMAC(…, "Server Key"). */
static void make_verifier(struct canned_login *c, const char *password)
{
	uint8_t salted[32], key[32], stored[32];

	if (!PKCS5_PBKDF2_HMAC(password, -1, (const uint8_t *)SALT, sizeof(SALT) - 1, ITERATIONS,
		    EVP_sha256(), sizeof(salted), salted) ||
		!HMAC(EVP_sha256(), salted, sizeof(salted), (const uint8_t *)"Client Key", 10, key,
			NULL) ||
		!EVP_Digest(key, sizeof(key), stored, NULL, EVP_sha256(), NULL) ||
		!HMAC(EVP_sha256(), salted, sizeof(salted), (const uint8_t *)"Server Key", 10, key,
			NULL))
		abort();
	put_base64(c->salt, SALT, sizeof(SALT) - 1);
	put_base64(c->stored_key, stored, sizeof(stored));
	put_base64(c->server_key, key, sizeof(key));
}

struct canned_login *canned_login_new(const char *password)
{
	struct canned_login *c = memory_new(sizeof(*c));

	make_verifier(c, password);
	if (gsasl_init(&c->sasl) != GSASL_OK)
		abort();
	gsasl_callback_set(c->sasl, give_property);
	gsasl_callback_hook_set(c->sasl, c);
	return c;
}

void canned_login_free(struct canned_login *c)
{
	gsasl_done(c->sasl);
	free(c);
}

void canned_login_start(struct canned_login *c, struct canned_session *s)
{
	canned_session_end(s);
	if (gsasl_server_start(c->sasl, "SCRAM-SHA-256", &s->login) != GSASL_OK)
		abort();
}

bool canned_login_step(struct canned_session *s, struct bytes payload, struct buf *out, bool *ended)
{
	char *text = NULL;
	size_t len = 0;
	int rc;

	if (!s->login)
		return false;
	/* A last, empty round for those who do not skip it. */
	rc = payload.len ? gsasl_step(s->login, (const char *)payload.at, payload.len, &text, &len)
			 : GSASL_OK;
	if (text)
		buf_put(out, bytes_of(text, len));
	gsasl_free(text);
	*ended = rc == GSASL_OK;
	return rc == GSASL_OK || rc == GSASL_NEEDS_MORE;
}

void canned_session_end(struct canned_session *s)
{
	if (s->login)
		gsasl_finish(s->login);
	s->login = NULL;
}
