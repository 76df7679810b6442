#include "scram_fixture.h"

#include <stdlib.h>

#include "upstream/scram_client.h"
#include "util/memory.h"

#define SALT "W22ZaJ0SNY7soEsUEjb6gQ==" /* of RFC 7677 */

/* Both halves, and what the client has said. */
struct made {
	struct scram_server server;
	struct scram_client *client;
	struct buf said;
	char nonce[100]; /* the client's */
	struct fault why;
};

static void begin(struct made *m, bool sha1, const char *user)
{
	*m = (struct made){.server = {.sha1 = sha1,
				   .user = user,
				   .password = "pencil",
				   .salt = SALT,
				   .iterations = SCRAM_ITERATIONS_MIN}};
	buf_init(&m->said, SCRAM_MESSAGE_MAX);
	m->client = scram_client_new(sha1, user);
	assert_non_null(m->client);
	assert_true(scram_client_first(m->client, &m->said));
	fixture_challenge(&m->server, (const char *)m->said.at, m->said.len);
	snprintf(m->nonce, sizeof(m->nonce), "%s", strstr(m->server.bare, ",r=") + 3);
}

static void end(struct made *m)
{
	scram_client_free(m->client);
	buf_fini(&m->said);
}

static bool challenge(struct made *m, struct bytes message)
{
	struct bytes salt;
	uint32_t iterations;

	m->why.code = FAULT_NONE;
	if (scram_client_challenge(m->client, message, &salt, &iterations, &m->why)) {
		assert_true(bytes_equal_str(salt, m->server.salt));
		assert_int_equal(iterations, m->server.iterations);
		return true;
	}
	assert_int_equal(m->why.code, FAULT_UPSTREAM_GARBAGE);
	return false;
}

/* With what the password is salted to, as hex. */
static bool prove(struct made *m)
{
	uint8_t salted[32];
	char hex[65];

	fixture_salted(&m->server, salted);
	for (size_t i = 0; i < fixture_hash_len(&m->server); i++)
		sprintf(hex + 2 * i, "%02x", salted[i]);
	buf_clear(&m->said);
	m->why.code = FAULT_NONE;
	if (scram_client_proof(m->client, hex, &m->said, &m->why))
		return true;
	assert_int_equal(m->why.code, FAULT_UPSTREAM_GARBAGE);
	return false;
}

static bool verify(struct made *m, const char *text)
{
	m->why.code = FAULT_NONE;
	if (scram_client_verify(m->client, bytes_str(text), &m->why))
		return true;
	assert_int_equal(m->why.code, FAULT_UPSTREAM_GARBAGE);
	return false;
}

/* Up to where the server's signature is due. */
static void begin_proved(struct made *m)
{
	begin(m, false, "user");
	assert_true(challenge(m, bytes_str(m->server.first)));
	assert_true(prove(m));
	assert_true(fixture_proves(&m->server, (const char *)m->said.at, m->said.len));
}

static void test_logins(void **state)
{
	static const struct {
		const char *user, *bare;
	} cases[] = {
		{"user", "n=user,r="},
		{"a,b=c", "n=a=2Cb=3Dc,r="},
		{",r=abc", "n==2Cr=3Dabc,r="},
	};

	(void)state;
	for (unsigned sha1 = 0; sha1 < 2; sha1++)
		for (size_t i = 0; i < COUNT_OF(cases); i++) {
			char text[120];
			struct made m;

			begin(&m, sha1, cases[i].user);
			assert_int_equal(
				strncmp(m.server.bare, cases[i].bare, strlen(cases[i].bare)), 0);
			assert_true(challenge(&m, bytes_str(m.server.first)));
			assert_true(prove(&m));
			assert_true(fixture_proves(&m.server, (const char *)m.said.at, m.said.len));
			snprintf(text, sizeof(text), "v=%s", m.server.signature);
			assert_true(verify(&m, text));
			/* Once. */
			assert_false(verify(&m, text));
			end(&m);
		}
}

static void test_nonces_differ(void **state)
{
	struct made a, b;

	(void)state;
	begin(&a, false, "user");
	begin(&b, false, "user");
	assert_true(strlen(a.nonce) >= 24);
	assert_string_not_equal(a.nonce, b.nonce);
	end(&a);
	end(&b);
}

/* Of `first`: what the server sends with another nonce. */
static void test_nonces(void **state)
{
	static const struct {
		const char *before;
		int cut; /* of the end of the client's */
		const char *behind;
		bool flip;
		bool good;
	} cases[] = {
		{"", 0, "SERVER", false, true},
		{"", 0, "x", false, true},
		{"", 0, "", false, false},
		{"", 1, "", false, false},
		{"", 1, "SERVER", false, false},
		{"", 0, "SERVER", true, false},
		{"x", 0, "SERVER", false, false},
		{"SERVER", 0, "", false, false},
		{"SERVERSERVERSERVERSERVERSERVER", 100, "", false, false},
		{"x", 100, "", false, false},
		{"", 100, "", false, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int kept;
		struct made m;

		begin(&m, false, "user");
		kept = (int)strlen(m.nonce) - cases[i].cut;
		if (cases[i].flip)
			m.nonce[kept - 1] ^= 1;
		snprintf(m.server.first, sizeof(m.server.first), "r=%s%.*s%s,s=" SALT ",i=4096",
			cases[i].before, kept > 0 ? kept : 0, m.nonce, cases[i].behind);
		assert_int_equal(challenge(&m, bytes_str(m.server.first)), cases[i].good);
		end(&m);
	}
}

static void test_iterations(void **state)
{
	static const struct {
		const char *digits;
		unsigned good; /* or 0 */
	} cases[] = {
		{"4096", SCRAM_ITERATIONS_MIN},
		{"4095", 0},
		{"1000000", SCRAM_ITERATIONS_MAX},
		{"1000001", 0},
		{"10000000", 0},
		{"4294971392", 0}, /* 2^32 + 4096 */
		{"18446744073709555712", 0},
		{"99999999999999999999999999", 0},
		{"0", 0},
		{"1", 0},
		{"-4096", 0},
		{"+4096", 0},
		{" 4096", 0},
		{"4096 ", 0},
		{"4096x", 0},
		{"0x1000", 0},
		{"4e3", 0},
		{"", 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct made m;
		char text[300];

		begin(&m, false, "user");
		m.server.iterations = cases[i].good;
		snprintf(
			text, sizeof(text), "r=%sSERVER,s=" SALT ",i=%s", m.nonce, cases[i].digits);
		assert_int_equal(challenge(&m, bytes_str(text)), cases[i].good != 0);
		end(&m);
	}
}

/* "@" stands for the nonce, with what the server adds. */
static void test_malformed(void **state)
{
	static const char *const cases[] = {
		"",
		"r=@",
		"r=@,s=" SALT,
		"r=@,s=" SALT ",",
		"r=@,i=4096,s=" SALT,
		"s=" SALT ",r=@,i=4096",
		"r=@,s=,i=4096",
		"r=,s=" SALT ",i=4096",
		"R=@,s=" SALT ",i=4096",
		"m=must,r=@,s=" SALT ",i=4096",
		"r=@,m=must,s=" SALT ",i=4096",
		"x=@,s=" SALT ",i=4096",
		"r:@,s=" SALT ",i=4096",
		",r=@,s=" SALT ",i=4096",
		"r=@,,s=" SALT ",i=4096",
		"e=other-error",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *at = strchr(cases[i], '@');
		char text[300];
		struct made m;

		begin(&m, false, "user");
		snprintf(text, sizeof(text), "%.*s%s%s%s",
			at ? (int)(at - cases[i]) : (int)strlen(cases[i]), cases[i],
			at ? m.nonce : "", at ? "SERVER" : "", at ? at + 1 : "");
		assert_false(challenge(&m, bytes_str(text)));
		/* Nor is anything proved then. */
		assert_false(prove(&m));
		assert_int_equal(m.said.len, 0);
		end(&m);
	}
}

static void test_lengths(void **state)
{
	char text[SCRAM_MESSAGE_MAX + 1];
	struct made m;
	size_t len;

	(void)state;
	for (unsigned over = 0; over < 2; over++) {
		const char tail[] = ",s=" SALT ",i=4096";
		size_t tail_len = sizeof(tail) - 1;

		len = SCRAM_MESSAGE_MAX + over;
		begin(&m, false, "user");
		memset(text, 'S', sizeof(text));
		memcpy(text, "r=", 2);
		memcpy(text + 2, m.nonce, strlen(m.nonce));
		memcpy(text + len - tail_len, tail, tail_len);
		assert_int_equal(challenge(&m, bytes_of(text, len)), !over);
		end(&m);
	}
	/* What C would end at. */
	begin(&m, false, "user");
	assert_false(challenge(&m, bytes_of(m.server.first, strlen(m.server.first) + 1)));
	end(&m);
	begin(&m, false, "user");
	len = strlen(m.server.first);
	m.server.first[len - 1] = 0;
	assert_false(challenge(&m, bytes_of(m.server.first, len)));
	end(&m);
}

/* The server's nonce is said again, with more around it. */
static void test_long_proofs(void **state)
{
	const char around[] = "c=biws,r=,p=";
	size_t longest = SCRAM_MESSAGE_MAX - (sizeof(around) - 1) - 44;

	(void)state;
	for (unsigned over = 0; over < 2; over++) {
		struct made m;
		size_t own;

		begin(&m, false, "user");
		own = strlen(m.nonce);
		memset(m.server.first, 'S', sizeof(m.server.first));
		memcpy(m.server.first, "r=", 2);
		memcpy(m.server.first + 2, m.nonce, own);
		strcpy(m.server.first + 2 + longest + over, ",s=" SALT ",i=4096");
		assert_true(strlen(m.server.first) <= SCRAM_MESSAGE_MAX);
		assert_true(challenge(&m, bytes_str(m.server.first)));
		assert_int_equal(prove(&m), !over);
		assert_int_equal(m.said.len, over ? 0 : SCRAM_MESSAGE_MAX);
		if (!over)
			assert_true(fixture_proves(&m.server, (const char *)m.said.at, m.said.len));
		end(&m);
	}
}

/* A user so long that the first message has no room for it. */
static void test_long_users(void **state)
{
	char user[SCRAM_MESSAGE_MAX + 1], short_user[SCRAM_MESSAGE_MAX];
	struct buf out;
	size_t rest;

	(void)state;
	buf_init(&out, 2 * SCRAM_MESSAGE_MAX);
	memset(user, 'u', sizeof(user) - 1);
	user[sizeof(user) - 1] = 0;
	memset(short_user, 'u', sizeof(short_user));
	short_user[1] = 0;
	for (unsigned i = 0; i < 3; i++) {
		struct scram_client *c = scram_client_new(false, i ? user : short_user);
		bool fits;

		buf_clear(&out);
		fits = scram_client_first(c, &out);
		scram_client_free(c);
		switch (i) {
		case 0: /* how much is not the name */
			assert_true(fits);
			rest = out.len - 1;
			user[SCRAM_MESSAGE_MAX - rest] = 0;
			break;
		case 1:
			assert_true(fits);
			assert_int_equal(out.len, SCRAM_MESSAGE_MAX);
			user[SCRAM_MESSAGE_MAX - rest] = 'u';
			user[SCRAM_MESSAGE_MAX - rest + 1] = 0;
			break;
		case 2:
			assert_false(fits);
			assert_int_equal(out.len, 0);
			break;
		}
	}
	buf_fini(&out);
}

static void test_salts(void **state)
{
	/* Of 1, 2, 3, 15, 16, 17, 18 and 28 bytes. */
	static const char *const salts[] = {"QQ==", "QUI=", "QUJD", "QUJDREVGR0hJSktMTU5P",
		"QUJDREVGR0hJSktMTU5PUA==", "QUJDREVGR0hJSktMTU5PUFE=", "QUJDREVGR0hJSktMTU5PUFFS",
		"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYg=="};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(salts); i++) {
		struct made m;

		begin(&m, false, "user");
		m.server.salt = salts[i];
		fixture_challenge(&m.server, (const char *)m.said.at, m.said.len);
		assert_true(challenge(&m, bytes_str(m.server.first)));
		assert_true(prove(&m));
		assert_true(fixture_proves(&m.server, (const char *)m.said.at, m.said.len));
		end(&m);
	}
}

static void test_wrong_password(void **state)
{
	struct made m;

	(void)state;
	begin(&m, false, "user");
	assert_true(challenge(&m, bytes_str(m.server.first)));
	m.server.password = "Pencil";
	assert_true(prove(&m));
	m.server.password = "pencil";
	assert_false(fixture_proves(&m.server, (const char *)m.said.at, m.said.len));
	end(&m);
}

static void test_wrong_signatures(void **state)
{
	static const char *const cases[] = {"", "v=", "v", "@", "e=invalid-proof", "x=@",
		"v=@=", "v=@,v=@", "V=@", "v=AAAA", " v=@",
		"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
	char text[SCRAM_MESSAGE_MAX + 2];
	struct made m;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *from = cases[i], *at;

		begin_proved(&m);
		text[0] = 0;
		for (; (at = strchr(from, '@')); from = at + 1)
			sprintf(text + strlen(text), "%.*s%s", (int)(at - from), from,
				m.server.signature);
		strcat(text, from);
		assert_false(verify(&m, text));
		end(&m);
	}
	/* Each character decides. */
	for (size_t i = 0; i < 43; i++) {
		begin_proved(&m);
		snprintf(text, sizeof(text), "v=%s", m.server.signature);
		text[2 + i] = text[2 + i] == 'A' ? 'Q' : 'A';
		assert_false(verify(&m, text));
		end(&m);
	}
	begin_proved(&m);
	snprintf(text, sizeof(text), "v=%s", m.server.signature);
	assert_false(scram_client_verify(m.client, bytes_of(text, strlen(text) + 1), &m.why));
	end(&m);
	begin_proved(&m);
	memset(text, 'A', sizeof(text));
	assert_false(scram_client_verify(m.client, bytes_of(text, SCRAM_MESSAGE_MAX + 1), &m.why));
	end(&m);
}

/* One of these in another's place. */
static void test_wrong_order(void **state)
{
	struct made m;

	(void)state;
	begin(&m, false, "user");
	assert_false(verify(&m, "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
	end(&m);
	begin(&m, false, "user");
	assert_true(challenge(&m, bytes_str(m.server.first)));
	/* Without a proof there is no signature to verify. */
	assert_false(verify(&m, "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
	end(&m);
	begin_proved(&m);
	assert_false(verify(&m, m.server.first));
	end(&m);
	begin_proved(&m);
	assert_false(prove(&m));
	assert_int_equal(m.said.len, 0);
	end(&m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logins),
		cmocka_unit_test(test_nonces_differ),
		cmocka_unit_test(test_nonces),
		cmocka_unit_test(test_iterations),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_long_proofs),
		cmocka_unit_test(test_long_users),
		cmocka_unit_test(test_salts),
		cmocka_unit_test(test_wrong_password),
		cmocka_unit_test(test_wrong_signatures),
		cmocka_unit_test(test_wrong_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
