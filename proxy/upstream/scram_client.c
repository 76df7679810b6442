#include "upstream/scram_client.h"

#include <stdlib.h>

#include <gsasl.h>
#include <sodium.h>

#include "util/memory.h"

struct scram_client {
	Gsasl *sasl;
	Gsasl_session *session;
	const char *user;   /* of the caller */
	const char *salted; /* during one step */
	struct buf nonce;   /* ours, once the first message is made */
	char challenge[SCRAM_MESSAGE_MAX + 1];
	size_t challenge_len;
};

static int give_property(Gsasl *sasl, Gsasl_session *session, Gsasl_property property)
{
	const struct scram_client *s = gsasl_callback_hook_get(sasl);

	if (property == GSASL_AUTHID)
		return gsasl_property_set(session, property, s->user);
	if (property == GSASL_SCRAM_SALTED_PASSWORD && s->salted)
		return gsasl_property_set(session, property, s->salted);
	return GSASL_NO_CALLBACK;
}

struct scram_client *scram_client_new(bool sha1, const char *user)
{
	struct scram_client *s = memory_new(sizeof(*s));

	s->user = user;
	buf_init(&s->nonce, SCRAM_MESSAGE_MAX);
	if (gsasl_init(&s->sasl) == GSASL_OK) {
		gsasl_callback_set(s->sasl, give_property);
		gsasl_callback_hook_set(s->sasl, s);
		if (gsasl_client_start(s->sasl, sha1 ? "SCRAM-SHA-1" : "SCRAM-SHA-256",
			    &s->session) == GSASL_OK)
			return s;
	}
	scram_client_free(s);
	return NULL;
}

void scram_client_free(struct scram_client *s)
{
	if (!s)
		return;
	if (s->session)
		gsasl_finish(s->session);
	if (s->sasl)
		gsasl_done(s->sasl);
	buf_fini(&s->nonce);
	sodium_memzero(s, sizeof(*s));
	free(s);
}

/* Appends what is to be said; nothing when that is over SCRAM_MESSAGE_MAX. */
static int step(struct scram_client *s, struct bytes in, struct buf *out)
{
	char *text = NULL;
	size_t len = 0;
	int rc = gsasl_step(s->session, (const char *)in.at, in.len, &text, &len);

	if (out && text && len <= SCRAM_MESSAGE_MAX)
		buf_put(out, bytes_of(text, len));
	gsasl_free(text);
	return rc;
}

bool scram_client_first(struct scram_client *s, struct buf *out)
{
	size_t begun = out->len, at;

	if (step(s, bytes_of(NULL, 0), out) != GSASL_NEEDS_MORE || out->failed)
		return false;
	/* No comma is in a nonce, nor, but escaped, in a name. */
	for (at = out->len; at > begun && out->at[at - 1] != ','; at--)
		;
	buf_clear(&s->nonce);
	buf_put(&s->nonce, bytes_from(buf_bytes(out), at + 2));
	return s->nonce.len != 0;
}

/* "x=value" up to the next comma. */
static bool take_attribute(struct bytes *left, char name, struct bytes *value)
{
	const uint8_t *comma = left->len ? memchr(left->at, ',', left->len) : NULL;
	size_t len = comma ? (size_t)(comma - left->at) : left->len;

	if (len < 3 || left->at[0] != name || left->at[1] != '=')
		return false;
	*value = bytes_of(left->at + 2, len - 2);
	*left = bytes_from(*left, comma ? len + 1 : len);
	return true;
}

static bool read_iterations(struct bytes digits, uint32_t *iterations)
{
	uint32_t n = 0;

	for (size_t i = 0; i < digits.len; i++) {
		if (digits.at[i] < '0' || digits.at[i] > '9' || n > SCRAM_ITERATIONS_MAX)
			return false;
		n = n * 10 + (uint32_t)(digits.at[i] - '0');
	}
	*iterations = n;
	return n >= SCRAM_ITERATIONS_MIN && n <= SCRAM_ITERATIONS_MAX;
}

bool scram_client_challenge(struct scram_client *s, struct bytes message, struct bytes *salt,
	uint32_t *iterations, struct fault *why)
{
	struct bytes left, nonce, digits;

	if (!message.len || message.len > SCRAM_MESSAGE_MAX || memchr(message.at, 0, message.len))
		return fault_set(
			why, FAULT_UPSTREAM_GARBAGE, "a SCRAM challenge of %zu bytes", message.len);
	memcpy(s->challenge, message.at, message.len);
	s->challenge_len = message.len;
	left = bytes_of(s->challenge, message.len);
	if (!take_attribute(&left, 'r', &nonce) || !take_attribute(&left, 's', salt) ||
		!take_attribute(&left, 'i', &digits))
		return fault_set(why, FAULT_UPSTREAM_GARBAGE, "a SCRAM challenge is malformed");
	/* Before a password is salted for it. */
	if (nonce.len <= s->nonce.len || !bytes_start_with(nonce, buf_bytes(&s->nonce)))
		return fault_set(
			why, FAULT_UPSTREAM_GARBAGE, "the server's nonce does not extend ours");
	return read_iterations(digits, iterations) ||
	       fault_set(why, FAULT_UPSTREAM_GARBAGE, "SCRAM iterations are out of %u to %u",
		       SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX);
}

bool scram_client_proof(
	struct scram_client *s, const char *salted, struct buf *out, struct fault *why)
{
	size_t begun = out->len;
	int rc;

	s->salted = salted;
	rc = step(s, bytes_of(s->challenge, s->challenge_len), out);
	s->salted = NULL;
	if (rc != GSASL_NEEDS_MORE)
		return fault_set(why, FAULT_UPSTREAM_GARBAGE, "SCRAM: %s", gsasl_strerror(rc));
	return (out->len > begun && !out->failed) ||
	       fault_set(why, FAULT_UPSTREAM_GARBAGE, "the server's nonce is too long");
}

bool scram_client_verify(struct scram_client *s, struct bytes message, struct fault *why)
{
	if (!message.len || message.len > SCRAM_MESSAGE_MAX || memchr(message.at, 0, message.len) ||
		step(s, message, NULL) != GSASL_OK)
		return fault_set(why, FAULT_UPSTREAM_GARBAGE,
			"the server did not prove that it knows the password");
	return true;
}
