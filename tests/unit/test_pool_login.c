#include "scram_fixture.h"
#include "upstream_fixture.h"

#include <stdlib.h>

#include "net/tls.h"
#include "net_fixture.h"
#include "upstream/scram_client.h"
#include "wire/doc.h"

#define SCRAM_URI "mongodb://user@127.0.0.1:1/?tls=false"
#define SHA1_URI  SCRAM_URI "&authMechanism=SCRAM-SHA-1"
#define X509_URI                                                                \
	"mongodb://127.0.0.1:1/?tls=true&authMechanism=MONGODB-X509&tlsCAFile=" \
	"ca.pem&tlsCertificateKeyFile=client.pem"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="

static struct stage stage;
static struct fake *const one = &stage.fakes[0];
static struct upstream_config config;

/* What a server does otherwise than it should. */
enum twist {
	NOTHING,
	/* that is allowed */
	NO_SPECULATION,
	SPECULATION_IS_TEXT,
	PAYLOAD_IS_TEXT,
	ASKS_FOR_FINISH,
	DONE_IN_CHALLENGE,
	OLDEST_VERSION,
	/* that is not */
	TOO_OLD,
	NO_VERSION,
	VERSION_IS_TEXT,
	REFUSES_HELLO,
	REFUSES_START,
	REFUSES_PROOF,
	REFUSES_FINISH,
	NO_OK,
	NO_CONVERSATION,
	CONVERSATION_IS_TEXT,
	CONVERSATION_IS_LONG,
	CHALLENGE_WITHOUT_PAYLOAD,
	CHALLENGE_IS_NUMBER,
	OUR_NONCE_ALONE,
	ANOTHER_NONCE,
	DONE_WITHOUT_SIGNATURE,
	DONE_WITH_EMPTY_SIGNATURE,
	WRONG_SIGNATURE,
	SIGNATURE_OF_ANOTHER,
	NEVER_DONE,
};

static enum twist twist;
static struct scram_server server;                  /* as one begins */
static struct scram_server servers[FAKE_CONNS_MAX]; /* by the connection */
static bool proof_fits;

/* ------------------------------------------------------------------- server */

static void put_payload(struct buf *out, const char *text)
{
	if (twist == PAYLOAD_IS_TEXT)
		doc_put_string(out, NAME("payload"), bytes_str(text));
	else if (twist == CHALLENGE_IS_NUMBER)
		doc_put_int32(out, NAME("payload"), 1);
	else if (twist != CHALLENGE_WITHOUT_PAYLOAD)
		doc_put_binary(out, NAME("payload"), 0, bytes_str(text));
}

static void put_challenge(struct scram_server *s, struct buf *out, struct bytes first)
{
	char *nonce;

	fixture_challenge(s, (const char *)first.at, first.len);
	nonce = strstr(s->bare, ",r=") + 3;
	if (twist == OUR_NONCE_ALONE)
		sprintf(s->first, "r=%s,s=" SALT ",i=4096", nonce);
	else if (twist == ANOTHER_NONCE)
		sprintf(s->first, "r=SERVER%s,s=" SALT ",i=4096", nonce);
	if (twist == CONVERSATION_IS_TEXT)
		doc_put_string(out, NAME("conversationId"), NAME("1"));
	else if (twist == CONVERSATION_IS_LONG)
		doc_put_int64(out, NAME("conversationId"), (int64_t)INT32_MAX + 1);
	else if (twist != NO_CONVERSATION)
		doc_put_int32(out, NAME("conversationId"), 17);
	doc_put_bool(out, NAME("done"), twist == DONE_IN_CHALLENGE);
	put_payload(out, s->first);
}

static void put_signature(struct scram_server *s, struct buf *out, struct bytes last)
{
	char text[120];

	assert_int_equal(fixture_proves(s, (const char *)last.at, last.len), proof_fits);
	sprintf(text, "v=%s", s->signature);
	if (twist == WRONG_SIGNATURE)
		text[5] = text[5] == 'A' ? 'Q' : 'A';
	else if (twist == SIGNATURE_OF_ANOTHER)
		strcpy(text, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	doc_put_bool(out, NAME("done"),
		twist != ASKS_FOR_FINISH && twist != NEVER_DONE && twist != REFUSES_FINISH);
	if (twist == DONE_WITH_EMPTY_SIGNATURE)
		put_payload(out, "");
	else if (twist != DONE_WITHOUT_SIGNATURE)
		put_payload(out, text);
}

/* The payload at `path`; empty when it is not there. */
static struct bytes payload_of(struct bytes body, const char *path)
{
	struct element e;
	uint8_t subtype;

	if (!doc_find_path(body, path, &e))
		return bytes_of("", 0);
	assert_int_equal(e.type, TYPE_BINARY);
	return element_binary(&e, &subtype);
}

static void put_hello(struct scram_server *s, struct buf *out, struct bytes body)
{
	struct bytes first = payload_of(body, "speculativeAuthenticate.payload");
	size_t part;

	assert_true(first.len);
	if (twist == VERSION_IS_TEXT)
		doc_put_string(out, NAME("maxWireVersion"), NAME("17"));
	else if (twist != NO_VERSION)
		doc_put_int32(out, NAME("maxWireVersion"),
			twist == TOO_OLD          ? 5
			: twist == OLDEST_VERSION ? 6
						  : 17);
	if (twist == NO_SPECULATION || twist == REFUSES_START)
		return;
	if (twist == SPECULATION_IS_TEXT) {
		doc_put_string(out, NAME("speculativeAuthenticate"), NAME("no"));
		return;
	}
	part = doc_put_document(out, NAME("speculativeAuthenticate"));
	put_challenge(s, out, first);
	doc_end(out, part);
}

static void expect_conversation(struct bytes body)
{
	struct element e;
	int64_t id = 0;

	assert_true(doc_find(body, "conversationId", &e) && element_int(&e, &id));
	assert_int_equal(id, 17);
}

/* Goes on with the login of the one connection. */
static void serve_scram(struct fake_conn *c, struct bytes message)
{
	struct scram_server *s = &servers[c - one->conns];
	struct bytes body = fake_body(message);
	struct element e;
	struct buf out;
	size_t doc;
	bool refuses = false;

	buf_init(&out, 16384);
	doc = doc_begin(&out);
	if (doc_find(body, "isMaster", &e)) {
		*s = server;
		refuses = twist == REFUSES_HELLO;
		put_hello(s, &out, body);
	} else if (doc_find(body, "saslStart", &e)) {
		refuses = twist == REFUSES_START;
		put_challenge(s, &out, payload_of(body, "payload"));
	} else {
		struct bytes payload = payload_of(body, "payload");

		assert_true(doc_find(body, "saslContinue", &e));
		expect_conversation(body);
		refuses = payload.len ? twist == REFUSES_PROOF : twist == REFUSES_FINISH;
		if (payload.len)
			put_signature(s, &out, payload);
		else
			doc_put_bool(&out, NAME("done"), twist != NEVER_DONE);
	}
	if (twist != NO_OK)
		doc_put_double(&out, NAME("ok"), refuses ? 0 : 1);
	if (refuses)
		doc_put_string(&out, NAME("errmsg"), NAME("Authentication failed."));
	doc_end(&out, doc);
	fake_say_document(c, buf_bytes(&out));
	buf_fini(&out);
}

/* -------------------------------------------------------------------- stage */

static int begin(void **state)
{
	(void)state;
	config = fixture_config();
	config.uri = SCRAM_URI;
	config.password = "pencil";
	server = (struct scram_server){
		.user = "user", .password = "pencil", .salt = SALT, .iterations = 4096};
	twist = NOTHING;
	proof_fits = true;
	return 0;
}

static int end(void **state)
{
	(void)state;
	stage_end(&stage);
	return 0;
}

static void start(fake_fn *login, size_t login_messages)
{
	stage_begin(&stage, &config, 1);
	one->login = login;
	one->login_messages = login_messages;
	stage_publish(&stage);
}

/* Logs in with so many messages, and serves then. */
static void expect_login(size_t messages)
{
	struct asked a;

	one->login_messages = messages;
	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, a.done);
	assert_int_equal(a.result, UPSTREAM_ANSWERED);
	assert_int_equal(a.n, a.asked_n);
	assert_int_equal(one->conns[one->nconns - 1].messages, messages + 1);
	asked_fini(&a);
}

/* Does not log in, and nothing is sent to such a server. */
static void expect_refused(void)
{
	struct asked a;

	one->login_messages = 100;
	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, stage_is_down(&stage, 1));
	STAGE_UNTIL(&stage, one->nopen == 0);
	assert_int_equal(stage.pool->numbers.opened, 0);
	assert_int_equal(a.done, 0);
	assert_int_equal(stage.pool->nwaiting, 1);
	assert_int_equal(one->commands, 0);
	asked_fini(&a);
}

/* -------------------------------------------------------------------- SCRAM */

static void run_twist(enum twist t, size_t messages)
{
	twist = t;
	start(serve_scram, 100);
	if (messages)
		expect_login(messages);
	else
		expect_refused();
}

static void test_twists(void **state)
{
	static const size_t messages[] = {
		[NOTHING] = 2,
		[NO_SPECULATION] = 3,
		[SPECULATION_IS_TEXT] = 3,
		[PAYLOAD_IS_TEXT] = 2,
		[ASKS_FOR_FINISH] = 3,
		[DONE_IN_CHALLENGE] = 2,
		[OLDEST_VERSION] = 2,
	};

	(void)state;
	for (unsigned sha1 = 0; sha1 < 2; sha1++) {
		config.uri = sha1 ? SHA1_URI : SCRAM_URI;
		server.sha1 = sha1;
		for (enum twist t = NOTHING; t <= NEVER_DONE; t++) {
			run_twist(t, t < COUNT_OF(messages) ? messages[t] : 0);
			if (!sha1 || t < NEVER_DONE)
				stage_end(&stage);
		}
	}
}

static void test_iterations(void **state)
{
	static const struct {
		unsigned iterations;
		bool good;
	} cases[] = {
		{SCRAM_ITERATIONS_MIN - 1, false},
		{SCRAM_ITERATIONS_MIN, true},
		{15000, true},
		/* Up to the other limit it would only take longer. */
		{SCRAM_ITERATIONS_MAX + 1, false},
		{UINT32_MAX, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		server.iterations = cases[i].iterations;
		run_twist(NOTHING, cases[i].good ? 2 : 0);
		if (i + 1 < COUNT_OF(cases))
			stage_end(&stage);
	}
}

static void test_salts(void **state)
{
	static const struct {
		const char *salt;
		bool good;
	} cases[] = {
		{"QQ==", true},
		{"QUI=", true},
		{"QUJD", true},
		{"QUJDREVGR0hJSktMTU5PUFE=", true},
		{"Q", false},
		{"QQ", false},
		{"QUI", false},
		{"QUJDR", false},
		{"QU-D", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		server.salt = cases[i].salt;
		run_twist(NOTHING, cases[i].good ? 2 : 0);
		if (i + 1 < COUNT_OF(cases))
			stage_end(&stage);
	}
}

static void test_wrong_password(void **state)
{
	(void)state;
	config.password = "Pencil";
	proof_fits = false;
	run_twist(REFUSES_PROOF, 0);
	assert_int_equal(one->conns[0].messages, 2);
}

/* --------------------------------------------------------------- interrupted */

static void say_garbage(struct fake_conn *c)
{
	fake_say(c, "{\"ok\": 1}");
}

static void send_nothing(struct fake_conn *c)
{
	(void)c;
}

static bool is_salting(void)
{
	const struct pool_conn *c = TAILQ_FIRST(&stage.pool->conns);

	return c && c->state == CONN_SALTING;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool held, at_work;

/* On the thread that salts passwords, when it has done one: it does no more for now. */
static void hold(void *context)
{
	pthread_mutex_lock(&lock);
	at_work = true;
	pthread_cond_broadcast(&changed);
	while (held)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	upstream_wake_pools(context);
}

/* From here on nothing is salted, until it is let go. */
static void hold_salting(void)
{
	char hex[2 * SALTED_MAX + 1];

	held = true;
	at_work = false;
	salts_set_ready(stage.upstream->salts, hold, stage.upstream);
	assert_int_equal(
		salts_get(stage.upstream->salts, bytes_str("QUJD"), 4096, hex), SALTS_WAIT);
	pthread_mutex_lock(&lock);
	while (!at_work)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void let_go(void)
{
	pthread_mutex_lock(&lock);
	held = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void test_interrupted_while_salting(void **state)
{
	static void (*const ways[])(struct fake_conn * c) = {
		fake_close, fake_reset, say_garbage, send_nothing};
	struct asked a;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		config.uri =
			ways[i] == send_nothing ? SCRAM_URI "&connectTimeoutMS=200" : SCRAM_URI;
		start(serve_scram, 100);
		hold_salting();
		ask_primary(&stage, &a);
		STAGE_UNTIL(&stage, is_salting());
		ways[i](&one->conns[0]);
		STAGE_UNTIL(&stage, stage_is_down(&stage, 1));
		STAGE_UNTIL(&stage, one->nopen == 0);
		assert_int_equal(one->conns[0].messages, 1);
		assert_int_equal(a.done, 0);
		asked_fini(&a);
		let_go();
		stage_publish(&stage);
		expect_login(2);
		if (i + 1 < COUNT_OF(ways))
			stage_end(&stage);
	}
}

static void test_pool_ends_while_salting(void **state)
{
	struct asked a;

	(void)state;
	start(serve_scram, 100);
	hold_salting();
	ask_primary(&stage, &a);
	STAGE_UNTIL(&stage, is_salting());
	upstream_pool_free(stage.pool);
	stage.pool = NULL;
	assert_int_equal(a.result, UPSTREAM_NO_SERVER);
	asked_fini(&a);
	let_go();
}

/* Several wait for the same one. */
static void test_salted_once_for_all(void **state)
{
	struct asked a[2];

	(void)state;
	start(serve_scram, 2);
	hold_salting();
	for (size_t i = 0; i < COUNT_OF(a); i++)
		ask_primary(&stage, &a[i]);
	STAGE_UNTIL(&stage,
		is_salting() && TAILQ_LAST(&stage.pool->conns, conns)->state == CONN_SALTING);
	assert_int_equal(one->nconns, 2);
	let_go();
	for (size_t i = 0; i < COUNT_OF(a); i++) {
		STAGE_UNTIL(&stage, a[i].done);
		assert_int_equal(a[i].result, UPSTREAM_ANSWERED);
		assert_int_equal(a[i].n, a[i].asked_n);
		asked_fini(&a[i]);
	}
}

static unsigned closes_at;

static void serve_and_close(struct fake_conn *c, struct bytes message)
{
	if (c->messages == closes_at)
		fake_close(c);
	else
		serve_scram(c, message);
}

static void test_closes_at_each_step(void **state)
{
	(void)state;
	twist = NO_SPECULATION;
	for (closes_at = 1; closes_at <= 3; closes_at++) {
		start(serve_and_close, 100);
		expect_refused();
		assert_int_equal(one->conns[0].messages, closes_at);
		if (closes_at < 3)
			stage_end(&stage);
	}
}

/* ----------------------------------------------------------- no login, X.509 */

static void say_hello_only(struct fake_conn *c, struct bytes message)
{
	struct element e;

	assert_false(doc_find(fake_body(message), "speculativeAuthenticate", &e));
	fake_log_in(c, message);
}

static void test_no_login(void **state)
{
	(void)state;
	config.uri = PLAIN_URI;
	start(say_hello_only, 1);
	expect_login(1);
}

static void serve_x509(struct fake_conn *c, struct bytes message)
{
	struct bytes body = fake_body(message);
	struct element e;

	if (doc_find(body, "isMaster", &e)) {
		assert_true(doc_find_path(body, "speculativeAuthenticate.db", &e));
		assert_true(bytes_equal_str(element_string(&e), "$external"));
		assert_true(doc_find_path(body, "speculativeAuthenticate.mechanism", &e));
		assert_true(bytes_equal_str(element_string(&e), "MONGODB-X509"));
		fake_say(c, twist == NOTHING ? "{\"ok\": 1, \"maxWireVersion\": 17, "
					       "\"speculativeAuthenticate\": {}}"
					     : "{\"ok\": 1, \"maxWireVersion\": 17}");
		return;
	}
	assert_true(doc_find(body, "authenticate", &e));
	assert_true(doc_find(body, "$db", &e));
	assert_true(bytes_equal_str(element_string(&e), "$external"));
	fake_say(c, twist == REFUSES_START ? "{\"ok\": 0, \"errmsg\": \"no such user\"}"
					   : "{\"ok\": 1, \"user\": \"CN=billing\"}");
}

static void start_x509(const char *ca)
{
	const struct net_tls_server_files files = {
		.certificate = "server.pem", .key = "server.key", .client_ca = ca};
	struct fault why;

	config.uri = X509_URI;
	config.password = NULL;
	stage_begin(&stage, &config, 1);
	one->tls = net_tls_server_new(&files, &why);
	assert_non_null(one->tls);
	one->login = serve_x509;
	stage_publish(&stage);
}

static void end_x509(void)
{
	net_tls_unref(one->tls);
	stage_end(&stage);
}

static void test_x509(void **state)
{
	static const struct {
		enum twist twist;
		size_t messages;
	} cases[] = {{NOTHING, 1}, {NO_SPECULATION, 2}, {REFUSES_START, 0}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		twist = cases[i].twist;
		start_x509("ca.pem");
		if (cases[i].messages)
			expect_login(cases[i].messages);
		else
			expect_refused();
		end_x509();
	}
}

/* A certificate of an authority that the server does not know. */
static void test_tls_is_refused(void **state)
{
	(void)state;
	start_x509("other.pem");
	expect_refused();
	end_x509();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {CASE(test_twists), CASE(test_iterations),
		CASE(test_salts), CASE(test_wrong_password), CASE(test_interrupted_while_salting),
		CASE(test_pool_ends_while_salting), CASE(test_salted_once_for_all),
		CASE(test_closes_at_each_step), CASE(test_no_login),
		cmocka_unit_test_setup(test_x509, begin),
		cmocka_unit_test_setup(test_tls_is_refused, begin)};

	return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
