#include "auth/scram.h"

#include <stdlib.h>

#include <sodium.h>

#include "auth/scram_messages.h"
#include "auth/users_file.h"
#include "util/memory.h"

#define NONCE_LEN 24u

enum state { AWAITS_FIRST, AWAITS_FINAL, DONE, FAILED };

struct scram {
	struct users *users;
	const struct master *master;
	enum state state;
	const struct user *known; /* NULL: there is none of that name, or none with a password */
	struct scram_verifier verifier; /* the user's, or one that no password fits */
	uint8_t fake_salt[2 * TOKEN_LEN];
	uint8_t name[USER_NAME_MAX];
	size_t name_len;
	char binding[5]; /* base64 of the header that the client sent */
	struct buf nonce;
	struct buf auth_message;
};

struct scram *scram_new(struct users *users, const struct master *m)
{
	struct scram *s = memory_new(sizeof(*s));

	if (sodium_init() < 0)
		abort();
	s->users = users_ref(users);
	s->master = m;
	buf_init(&s->nonce, 2 * SCRAM_PAYLOAD_MAX);
	buf_init(&s->auth_message, 4 * SCRAM_PAYLOAD_MAX);
	return s;
}

void scram_free(struct scram *s)
{
	if (!s)
		return;
	users_unref(s->users);
	buf_wipe(&s->nonce);
	buf_wipe(&s->auth_message);
	sodium_memzero(s, sizeof(*s));
	free(s);
}

/* The same work for every name, so that time does not tell who exists. */
static void choose_verifier(struct scram *s)
{
	struct bytes name = bytes_of(s->name, s->name_len);
	struct scram_verifier fake = {.iterations = SCRAM_ITERATIONS};
	const struct user *user;

	for (uint8_t half = 0; half < 2; half++) {
		struct bytes parts[] = {bytes_of(&half, 1), name};
		struct token token;

		master_token(s->master, TOKEN_FAKE_SALT, parts, COUNT_OF(parts), &token);
		memcpy(s->fake_salt + half * TOKEN_LEN, token.bytes, TOKEN_LEN);
	}
	fake.salt = bytes_of(s->fake_salt, SCRAM_SALT_LEN);
	randombytes_buf(fake.stored_key, sizeof(fake.stored_key));
	randombytes_buf(fake.server_key, sizeof(fake.server_key));
	user = users_find(s->users, name);
	s->known = user && user->scram.iterations ? user : NULL;
	s->verifier = s->known ? user->scram : fake;
}

static void put_nonce(struct scram *s, struct bytes of_client)
{
	uint8_t drawn[NONCE_LEN];

	randombytes_buf(drawn, sizeof(drawn));
	buf_put(&s->nonce, of_client);
	scram_put_base64(&s->nonce, bytes_of(drawn, sizeof(drawn)));
}

static bool first_step(struct scram *s, struct bytes payload, struct buf *out, struct fault *why)
{
	struct scram_client_first first;
	struct buf message;
	bool fits;

	if (!scram_parse_client_first(&first, payload, why))
		return false;
	memcpy(s->name, first.name, first.name_len);
	s->name_len = first.name_len;
	memcpy(s->binding, first.gs2_header.at[0] == 'n' ? "biws" : "eSws", sizeof(s->binding));
	choose_verifier(s);
	put_nonce(s, first.nonce);
	buf_init(&message, SCRAM_PAYLOAD_MAX);
	scram_put_server_first(
		&message, buf_bytes(&s->nonce), s->verifier.salt, s->verifier.iterations);
	buf_put(&s->auth_message, first.bare);
	buf_put_str(&s->auth_message, ",");
	buf_put(&s->auth_message, buf_bytes(&message));
	buf_put_str(&s->auth_message, ",");
	fits = !message.failed;
	if (fits)
		buf_put(out, buf_bytes(&message));
	else
		fault_set(why, FAULT_LOGIN_FAILED, "SCRAM: the nonce is too long");
	s->state = AWAITS_FINAL;
	buf_fini(&message);
	return fits;
}

static bool final_step(struct scram *s, struct bytes payload, struct buf *out, struct fault *why)
{
	struct scram_client_final last;
	uint8_t signature[SCRAM_HASH_LEN];
	bool proven;

	if (!scram_parse_client_final(&last, payload, why))
		return false;
	if (!bytes_equal_str(last.binding, s->binding))
		return fault_set(why, FAULT_LOGIN_FAILED, "SCRAM: other channel binding data");
	if (!bytes_equal(last.nonce, buf_bytes(&s->nonce)))
		return fault_set(why, FAULT_LOGIN_FAILED, "SCRAM: another nonce");
	buf_put(&s->auth_message, last.without_proof);
	proven =
		scram_check_proof(&s->verifier, buf_bytes(&s->auth_message), last.proof, signature);
	if (proven && s->known && !s->auth_message.failed) {
		buf_put_str(out, "v=");
		scram_put_base64(out, bytes_of(signature, sizeof(signature)));
		s->state = DONE;
	}
	sodium_memzero(signature, sizeof(signature));
	return s->state == DONE ||
	       fault_set(why, FAULT_LOGIN_FAILED, "SCRAM: the proof does not fit");
}

enum scram_step scram_step(
	struct scram *s, struct bytes payload, struct buf *out, struct fault *why)
{
	bool good = false;

	if (payload.len > SCRAM_PAYLOAD_MAX)
		fault_set(why, FAULT_LOGIN_FAILED, "SCRAM: a message of over %u bytes",
			SCRAM_PAYLOAD_MAX);
	else if (s->state == AWAITS_FIRST)
		good = first_step(s, payload, out, why);
	else if (s->state == AWAITS_FINAL)
		good = final_step(s, payload, out, why);
	else
		fault_set(why, FAULT_LOGIN_FAILED, "SCRAM: a message behind the end");
	if (good && out->failed)
		good = fault_set(why, FAULT_LOGIN_FAILED, "SCRAM: no room for the answer");
	if (!good) {
		s->state = FAILED;
		return SCRAM_FAILED;
	}
	return s->state == DONE ? SCRAM_DONE : SCRAM_GO_ON;
}

struct bytes scram_user_name(const struct scram *s)
{
	return bytes_of(s->name, s->name_len);
}

const struct user *scram_user(const struct scram *s)
{
	return s->state == DONE ? s->known : NULL;
}
