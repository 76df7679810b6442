#include "keys_fixture.h"

#include <gsasl.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>

#include "auth/scram.h"
#include "auth/scram_messages.h"
#include "auth/users_file.h"
#include "util/memory.h"

#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define KEYS                                            \
	"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:" \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define VERIFIER "4096:" SALT ":" KEYS
#define C_NONCE  "rOprNGfwEbeRWgbNEkqO"

/* All with the password of RFC 7677, but for one who has none. */
static const char file_text[] = "users:\n"
				"  user: {roles: [r], scram-sha-256: \"" VERIFIER "\"}\n"
				"  \"a,b=c\": {roles: [r], scram-sha-256: \"" VERIFIER "\"}\n"
				"  cert: {roles: [r], x509: CN=cert}\n";

struct made {
	struct master *master;
	struct users *users;
	struct scram *s;
	struct buf out;
	struct fault why;
};

static int make(void **state)
{
	struct made *m = memory_new(sizeof(*m));
	struct complaints complaints;

	complaints_init(&complaints);
	m->master = fixture_master(0);
	m->users = users_parse("u.yaml", bytes_str(file_text), &complaints);
	assert_non_null(m->users);
	complaints_fini(&complaints);
	m->s = scram_new(m->users, m->master);
	buf_init(&m->out, SCRAM_PAYLOAD_MAX);
	*state = m;
	return 0;
}

static int unmake(void **state)
{
	struct made *m = *state;

	scram_free(m->s);
	buf_fini(&m->out);
	users_unref(m->users);
	master_free(m->master);
	free(m);
	return 0;
}

static void anew(struct made *m)
{
	scram_free(m->s);
	m->s = scram_new(m->users, m->master);
	buf_clear(&m->out);
	m->out.failed = false;
	m->why = (struct fault){.code = FAULT_NONE};
}

static enum scram_step step(struct made *m, const char *payload)
{
	buf_clear(&m->out);
	return scram_step(m->s, bytes_str(payload), &m->out, &m->why);
}

static void expect_failed(struct made *m, const char *payload, const char *reason)
{
	assert_int_equal(step(m, payload), SCRAM_FAILED);
	assert_int_equal(m->why.code, FAULT_LOGIN_FAILED);
	assert_non_null(strstr(m->why.detail, reason));
	assert_int_equal(m->out.len, 0);
	assert_null(scram_user(m->s));
}

/* The client's half, by OpenSSL and from RFC 5802 alone. */
struct client {
	const char *gs2, *bare, *password, *binding;
	char *server_first;
	char *nonce;
	uint8_t signature[SCRAM_HASH_LEN]; /* the server's, as it has to be */
};

static void client_final(struct client *c, struct buf *out)
{
	uint8_t salt[64], salted[32], key[32], stored[32], signature[32];
	char *s = strstr(c->server_first, ",s=") + 3, *i = strstr(c->server_first, ",i=");
	struct buf message;
	size_t salt_len;

	assert_true(scram_base64(bytes_of(s, (size_t)(i - s)), salt, sizeof(salt), &salt_len));
	PKCS5_PBKDF2_HMAC(c->password, (int)strlen(c->password), salt, (int)salt_len, atoi(i + 3),
		EVP_sha256(), sizeof(salted), salted);
	crypto_auth_hmacsha256(key, (const uint8_t *)"Client Key", 10, salted);
	crypto_hash_sha256(stored, key, sizeof(key));
	buf_init(&message, 1 << 16);
	buf_put_format(&message, "%s,%s,c=%s,r=%s", c->bare, c->server_first, c->binding, c->nonce);
	crypto_auth_hmacsha256(signature, message.at, message.len, stored);
	for (size_t k = 0; k < sizeof(key); k++)
		key[k] ^= signature[k];
	buf_put_format(out, "c=%s,r=%s,p=", c->binding, c->nonce);
	scram_put_base64(out, bytes_of(key, sizeof(key)));
	crypto_auth_hmacsha256(key, (const uint8_t *)"Server Key", 10, salted);
	crypto_auth_hmacsha256(c->signature, message.at, message.len, key);
	buf_fini(&message);
}

static void read_server_first(struct client *c, const struct buf *out)
{
	c->server_first = memory_text(buf_bytes(out));
	c->nonce = memory_text(bytes_of(
		c->server_first + 2, (size_t)(strchr(c->server_first, ',') - c->server_first) - 2));
}

static void client_fini(struct client *c)
{
	free(c->server_first);
	free(c->nonce);
}

/* Both steps; the final message stays in `final`. */
static enum scram_step log_in(struct made *m, struct client *c, struct buf *final)
{
	char *first = memory_format("%s%s", c->gs2, c->bare);
	enum scram_step result;

	anew(m);
	assert_int_equal(step(m, first), SCRAM_GO_ON);
	assert_null(scram_user(m->s));
	read_server_first(c, &m->out);
	buf_clear(final);
	client_final(c, final);
	buf_clear(&m->out);
	result = scram_step(m->s, buf_bytes(final), &m->out, &m->why);
	free(first);
	return result;
}

static void test_rfc_7677(void **state)
{
	struct made *m = *state;
	const struct user *user = users_find(m->users, bytes_str("user"));
	struct scram_client_first first;
	struct scram_client_final last;
	uint8_t signature[SCRAM_HASH_LEN];
	struct buf message;

	assert_true(scram_parse_client_first(&first, bytes_str("n,,n=user,r=" C_NONCE), &m->why));
	buf_init(&message, 4096);
	buf_put(&message, first.bare);
	buf_put_str(&message, ",");
	scram_put_server_first(&message, bytes_str(C_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
		user->scram.salt, user->scram.iterations);
	assert_true(bytes_equal_str(buf_bytes(&message),
		"n=user,r=" C_NONCE ",r=" C_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=" SALT
		",i=4096"));
	assert_true(scram_parse_client_final(&last,
		bytes_str("c=biws,r=" C_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
			  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
		&m->why));
	buf_put_str(&message, ",");
	buf_put(&message, last.without_proof);
	assert_true(scram_check_proof(&user->scram, buf_bytes(&message), last.proof, signature));
	buf_clear(&message);
	scram_put_base64(&message, bytes_of(signature, sizeof(signature)));
	assert_true(bytes_equal_str(
		buf_bytes(&message), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
	buf_fini(&message);
}

static void test_good_logins(void **state)
{
	static const struct {
		const char *gs2, *bare, *binding, *name;
	} cases[] = {
		{"n,,", "n=user,r=abc", "biws", "user"},
		{"y,,", "n=user,r=abc", "eSws", "user"},
		{"n,,", "n=a=2Cb=3Dc,r=!~", "biws", "a,b=c"},
		{"n,,", "n=user,r=abc,x=an unknown extension,z=1", "biws", "user"},
	};
	struct made *m = *state;
	struct buf final, expected;

	buf_init(&final, 8192);
	buf_init(&expected, 256);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client c = {.gs2 = cases[i].gs2,
			.bare = cases[i].bare,
			.binding = cases[i].binding,
			.password = "pencil"};

		assert_int_equal(log_in(m, &c, &final), SCRAM_DONE);
		assert_true(bytes_equal_str(scram_user(m->s)->name, cases[i].name));
		assert_true(bytes_equal_str(scram_user_name(m->s), cases[i].name));
		buf_clear(&expected);
		buf_put_str(&expected, "v=");
		scram_put_base64(&expected, bytes_of(c.signature, sizeof(c.signature)));
		assert_true(bytes_equal(buf_bytes(&m->out), buf_bytes(&expected)));
		/* 24 bytes of our own behind the client's nonce. */
		assert_int_equal(strlen(c.nonce),
			strlen(strstr(c.bare, ",r=")) - 3 -
				(i == 3 ? strlen(",x=an unknown extension,z=1") : 0) + 32);
		client_fini(&c);
	}
	buf_fini(&final);
	buf_fini(&expected);
}

static void test_bad_first_messages(void **state)
{
	static const struct {
		const char *payload, *reason;
	} cases[] = {
		{"", "header"},
		{"n", "header"},
		{"n,,", "no user name"},
		{"p=tls-unique,,n=user,r=abc", "channel binding"},
		{"n,a=other,n=user,r=abc", "another identity"},
		{"y,a=user,n=user,r=abc", "another identity"},
		{"N,,n=user,r=abc", "header"},
		{"n,,m=ext,n=user,r=abc", "mandatory"},
		{"n,,r=abc,n=user", "no user name"},
		{"n,,n=,r=abc", "malformed user name"},
		{"n,,n=user", "no nonce"},
		{"n,,n=user,", "no user name"},
		{"n,,n=user,r=", "no nonce"},
		{"n,,n=user,r=a b", "no nonce"},
		{"n,,n=user,r=a\x7f", "no nonce"},
		{"n,,n=user,r=abc,", "no nonce"},
		{"n,,n=user,r=abc,m=x", "extension"},
		{"n,,n=user,r=abc,xy", "extension"},
		{"n,,n=us=er,r=abc", "malformed user name"},
		{"n,,n=us=2c,r=abc", "malformed user name"},
		{"n,,n=us=2,r=abc", "malformed user name"},
		{"n,,n=user=,r=abc", "malformed user name"},
		{"n,,n=\xff,r=abc", "malformed user name"},
	};
	struct made *m = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		anew(m);
		expect_failed(m, cases[i].payload, cases[i].reason);
		expect_failed(m, "n,,n=user,r=abc", "behind the end");
	}
	anew(m);
	assert_int_equal(scram_step(m->s, bytes_of("n,,n=us\0er,r=abc", 16), &m->out, &m->why),
		SCRAM_FAILED);
}

static void test_limits(void **state)
{
	struct made *m = *state;
	char text[SCRAM_PAYLOAD_MAX + 2];

	for (unsigned over = 0; over < 2; over++) {
		anew(m);
		memset(text, 'x', sizeof(text));
		memcpy(text, "n,,n=user,r=a,x=", 16);
		text[SCRAM_PAYLOAD_MAX + over] = 0;
		assert_int_equal(step(m, text), over ? SCRAM_FAILED : SCRAM_GO_ON);
		anew(m);
		memset(text, 'x', sizeof(text));
		memcpy(text, "n,,n=", 5);
		strcpy(text + 5 + USER_NAME_MAX + over, ",r=a");
		assert_int_equal(step(m, text), over ? SCRAM_FAILED : SCRAM_GO_ON);
	}
	/* A nonce that leaves no room for ours. */
	anew(m);
	memset(text, 'x', sizeof(text));
	memcpy(text, "n,,n=user,r=", 12);
	text[SCRAM_PAYLOAD_MAX] = 0;
	expect_failed(m, text, "nonce is too long");
}

/* What does not fit, and what it was replaced by. */
static void expect_final_failed(
	struct made *m, const char *part, const char *by, const char *reason)
{
	struct client c = {
		.gs2 = "n,,", .bare = "n=user,r=abc", .binding = "biws", .password = "pencil"};
	struct buf final, changed;
	char *text, *at;

	anew(m);
	assert_int_equal(step(m, "n,,n=user,r=abc"), SCRAM_GO_ON);
	read_server_first(&c, &m->out);
	buf_init(&final, 8192);
	buf_init(&changed, 8192);
	client_final(&c, &final);
	text = memory_text(buf_bytes(&final));
	at = strstr(text, part);
	assert_non_null(at);
	buf_put_format(&changed, "%.*s%s%s", (int)(at - text), text, by, at + strlen(part));
	buf_put_u8(&changed, 0);
	expect_failed(m, (const char *)changed.at, reason);
	/* Not even the right one is taken afterwards. */
	expect_failed(m, text, "behind the end");
	free(text);
	buf_fini(&final);
	buf_fini(&changed);
	client_fini(&c);
}

static void test_bad_final_messages(void **state)
{
	struct made *m = *state;

	expect_final_failed(m, "c=biws", "c=eSws", "channel binding");
	expect_final_failed(m, "c=biws", "c=", "channel binding");
	expect_final_failed(m, "c=biws,", "", "channel binding");
	expect_final_failed(m, "r=abc", "r=abd", "another nonce");
	expect_final_failed(m, "r=abc", "r=abcd", "another nonce");
	expect_final_failed(m, ",p=", "A,p=", "another nonce");
	expect_final_failed(m, ",p=", ",m=x,p=", "no proof");
	expect_final_failed(m, ",p=", ",x=y,p=", "does not fit"); /* not what was signed */
	expect_final_failed(m, ",p=", ",p=A", "malformed proof");
	expect_final_failed(m, ",p=", ",q=", "no proof");
}

static void test_base64(void **state)
{
	static const struct {
		const char *text;
		size_t len; /* 0: refused */
	} cases[] = {
		{"QUJD", 3}, {"QUI=", 2}, {"QQ==", 1}, {"////", 3}, {"", 0}, {"Q", 0}, {"QQ", 0},
		{"QQ=", 0}, {"QR==", 0}, {"QUJD\n", 0}, {"QU_D", 0},
		/* libsodium reads it as "////". */
		{"\xc3\xbf\x80\xff", 0}, {"QUJDREVG", 0}, /* more than there is room for */
	};
	uint8_t out[3];
	size_t len;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		bool taken = scram_base64(bytes_str(cases[i].text), out, sizeof(out), &len);

		assert_int_equal(taken, cases[i].len != 0);
		if (taken)
			assert_int_equal(len, cases[i].len);
	}
}

static void test_wrong_password(void **state)
{
	struct made *m = *state;
	struct client c = {
		.gs2 = "n,,", .bare = "n=user,r=abc", .binding = "biws", .password = "Pencil"};
	struct buf final;

	buf_init(&final, 8192);
	assert_int_equal(log_in(m, &c, &final), SCRAM_FAILED);
	assert_string_equal(m->why.detail, "SCRAM: the proof does not fit");
	assert_int_equal(m->out.len, 0);
	assert_null(scram_user(m->s));
	client_fini(&c);
	buf_fini(&final);
}

static void test_replay(void **state)
{
	struct made *m = *state;
	struct client c = {
		.gs2 = "n,,", .bare = "n=user,r=abc", .binding = "biws", .password = "pencil"};
	struct buf final;

	buf_init(&final, 8192);
	assert_int_equal(log_in(m, &c, &final), SCRAM_DONE);
	assert_int_equal(scram_step(m->s, buf_bytes(&final), &m->out, &m->why), SCRAM_FAILED);
	assert_null(scram_user(m->s));
	anew(m);
	assert_int_equal(step(m, "n,,n=user,r=abc"), SCRAM_GO_ON);
	assert_int_equal(scram_step(m->s, buf_bytes(&final), &m->out, &m->why), SCRAM_FAILED);
	assert_non_null(strstr(m->why.detail, "another nonce"));
	client_fini(&c);
	buf_fini(&final);
}

/* One that is not there, and one that has no password. */
static void test_unknown_users_look_alike(void **state)
{
	static const char *const bare[] = {"n=nobody,r=abc", "n=cert,r=abc", "n=nobodx,r=abc"};
	struct made *m = *state;
	char *first[COUNT_OF(bare)], *salt;
	struct buf final;

	buf_init(&final, 8192);
	for (size_t i = 0; i < COUNT_OF(bare); i++) {
		struct client c = {
			.gs2 = "n,,", .bare = bare[i], .binding = "biws", .password = "pencil"};

		assert_int_equal(log_in(m, &c, &final), SCRAM_FAILED);
		assert_string_equal(m->why.detail, "SCRAM: the proof does not fit");
		salt = strstr(c.server_first, ",s=");
		assert_string_equal(salt + strlen(salt) - 8, ",i=15000");
		assert_int_equal(strlen(salt), 3 + 40 + 8); /* as 28 bytes of salt have it */
		first[i] = memory_text(bytes_str(salt));
		client_fini(&c);
		/* The same salt again, as if it were stored. */
		assert_int_equal(log_in(m, &c, &final), SCRAM_FAILED);
		assert_string_equal(strstr(c.server_first, ",s="), first[i]);
		client_fini(&c);
	}
	assert_string_not_equal(first[0], first[1]);
	assert_string_not_equal(first[0], first[2]);
	for (size_t i = 0; i < COUNT_OF(bare); i++)
		free(first[i]);
	buf_fini(&final);
}

static int give_property(Gsasl *sasl, Gsasl_session *session, Gsasl_property property)
{
	const char *password = gsasl_callback_hook_get(sasl);

	if (property == GSASL_AUTHID)
		return gsasl_property_set(session, property, "a,b=c");
	if (property == GSASL_PASSWORD)
		return gsasl_property_set(session, property, password);
	return GSASL_NO_CALLBACK;
}

/* Another's client half. */
static enum scram_step log_in_by_gsasl(struct made *m, char *password)
{
	enum scram_step going = SCRAM_GO_ON;
	Gsasl_session *session;
	Gsasl *sasl;

	anew(m);
	assert_int_equal(gsasl_init(&sasl), GSASL_OK);
	gsasl_callback_set(sasl, give_property);
	gsasl_callback_hook_set(sasl, password);
	assert_int_equal(gsasl_client_start(sasl, "SCRAM-SHA-256", &session), GSASL_OK);
	for (int i = 0; i < 2 && going == SCRAM_GO_ON; i++) {
		char *text;
		size_t len;

		assert_int_equal(
			gsasl_step(session, (const char *)m->out.at, m->out.len, &text, &len),
			GSASL_NEEDS_MORE);
		buf_clear(&m->out);
		going = scram_step(m->s, bytes_of(text, len), &m->out, &m->why);
		gsasl_free(text);
	}
	if (going == SCRAM_DONE) {
		char *text;
		size_t len;

		/* It believes the server, too. */
		assert_int_equal(
			gsasl_step(session, (const char *)m->out.at, m->out.len, &text, &len),
			GSASL_OK);
		gsasl_free(text);
	}
	gsasl_finish(session);
	gsasl_done(sasl);
	return going;
}

static void test_client_of_gsasl(void **state)
{
	char right[] = "pencil", wrong[] = "pen";

	assert_int_equal(log_in_by_gsasl(*state, right), SCRAM_DONE);
	assert_int_equal(log_in_by_gsasl(*state, wrong), SCRAM_FAILED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rfc_7677, make, unmake),
		cmocka_unit_test_setup_teardown(test_good_logins, make, unmake),
		cmocka_unit_test_setup_teardown(test_bad_first_messages, make, unmake),
		cmocka_unit_test_setup_teardown(test_limits, make, unmake),
		cmocka_unit_test_setup_teardown(test_bad_final_messages, make, unmake),
		cmocka_unit_test(test_base64),
		cmocka_unit_test_setup_teardown(test_wrong_password, make, unmake),
		cmocka_unit_test_setup_teardown(test_replay, make, unmake),
		cmocka_unit_test_setup_teardown(test_unknown_users_look_alike, make, unmake),
		cmocka_unit_test_setup_teardown(test_client_of_gsasl, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
