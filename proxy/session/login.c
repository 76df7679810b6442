#include "session/inside.h"

#include "util/log.h"

#define CONVERSATION 1

/* A login on its way: its answer waits for the record, and after many failures longer. */

static const struct element *field(
	const struct element *in, const struct command *c, const char *name, struct element *own)
{
	if (!in)
		return command_field(c, name);
	return doc_find(in->value, name, own) ? own : NULL;
}

static bool is_text(const struct element *e, const char *text)
{
	return e && e->type == TYPE_STRING && bytes_equal_str(element_string(e), text);
}

static struct bytes payload_of(const struct element *e)
{
	uint8_t subtype;

	if (e && e->type == TYPE_BINARY)
		return element_binary(e, &subtype);
	if (e && e->type == TYPE_STRING)
		return element_string(e);
	return bytes_of("", 0);
}

static void put_conversation(struct buf *out, bool done, struct bytes payload)
{
	doc_put_int32(out, NAME("conversationId"), CONVERSATION);
	doc_put_bool(out, NAME("done"), done);
	doc_put_binary(out, NAME("payload"), 0, payload);
}

static void send_recorded(void *context, bool durable)
{
	struct exchange *x = context;
	struct fault why;

	if (!durable) {
		struct reply r = exchange_begin_reply(x);

		fault_set(&why, FAULT_AUDIT_STOPPED, "a login was not recorded");
		reply_put_fault(&r, &why, 0);
		reply_end(&r);
		if (x->session)
			session_drop_identity(x->session);
	}
	exchange_send_reply(x);
}

static void send_late(void *context)
{
	struct exchange *x = context;

	net_timer_free(x->delay);
	x->delay = NULL;
	exchange_send_reply(x);
}

static void on_failure_recorded(void *context, bool durable)
{
	struct exchange *x = context;
	uint32_t delay_ms = x->delay_ms;

	(void)durable; /* the answer says no either way */
	if (!x->session || !delay_ms) {
		exchange_send_reply(x);
		return;
	}
	x->delay = net_timer_new(x->worker->loop, send_late, x);
	net_timer_set(x->delay, (uint64_t)delay_ms * 1000);
}

/* Whatever the reason, the client reads the same. */
static void fail(struct exchange *x, struct bytes user, const struct fault *why)
{
	struct session *s = x->session;
	struct server *server = x->worker->server;
	uint64_t now_us = net_loop_now_us(x->worker->loop);
	struct bytes address = bytes_of(s->address, sizeof(s->address));
	struct reply r;

	log_info("session", "connection %llu of %s: a login failed: %s", (unsigned long long)s->id,
		s->client, why->detail);
	count(x->worker, METRIC_LOGIN_FAILURES, 1);
	throttle_failed(server->throttle, address, user, now_us);
	x->delay_ms = throttle_delay_ms(server->throttle, address, user, now_us);
	r = exchange_begin_reply(x);
	reply_put_fault(&r, why, 0);
	reply_end(&r);
	record_login(
		s, AUDIT_LOGIN_FAILED, user, fault_server_code(why->code), on_failure_recorded, x);
	scram_free(s->scram);
	s->scram = NULL;
}

static void fail_plainly(struct exchange *x, const char *detail)
{
	struct fault why;

	fault_set(&why, FAULT_LOGIN_FAILED, "%s", detail);
	fail(x, bytes_of("", 0), &why);
}

/* The conversation's end: from here on the connection speaks for the user. */
static bool enter(
	struct exchange *x, const struct user *user, enum auth_method method, struct fault *why)
{
	struct session *s = x->session;

	if (!session_set_identity(s, x->snapshot->users, user, method))
		return fault_set(why, FAULT_LOGIN_FAILED, "over %zu connections of one user",
			x->worker->server->config.per_user_connections);
	count(x->worker, METRIC_LOGINS, 1);
	throttle_succeeded(
		x->worker->server->throttle, bytes_of(s->address, sizeof(s->address)), user->name);
	return true;
}

static bool wants_no_empty_exchange(const struct element *options)
{
	struct element e;

	return options && options->type == TYPE_DOCUMENT &&
	       doc_find(options->value, "skipEmptyExchange", &e) && element_truth(&e);
}

/* The first half of SCRAM, from saslStart or from within hello.  Appends the answer. */
static bool start_scram(
	struct exchange *x, const struct element *in, struct buf *out, struct fault *why)
{
	struct session *s = x->session;
	struct element own;
	struct buf payload;
	bool going;

	if (!is_text(field(in, &x->command, "mechanism", &own), "SCRAM-SHA-256"))
		return fault_set(why, FAULT_MECHANISM, "a mechanism that is not offered");
	scram_free(s->scram);
	s->scram = scram_new(x->snapshot->users, x->worker->server->parts.master);
	s->scram_finished = false;
	s->skip_empty_exchange = wants_no_empty_exchange(field(in, &x->command, "options", &own));
	buf_init(&payload, SCRAM_PAYLOAD_MAX);
	going = scram_step(s->scram, payload_of(field(in, &x->command, "payload", &own)), &payload,
			why) == SCRAM_GO_ON;
	if (going)
		put_conversation(out, false, buf_bytes(&payload));
	buf_wipe(&payload);
	return going;
}

static void send_fields(struct exchange *x, const struct buf *fields, bool recorded)
{
	struct reply r = exchange_begin_reply(x);

	buf_put(&x->reply, buf_bytes(fields));
	doc_put_double(&x->reply, NAME("ok"), 1);
	reply_end(&r);
	if (recorded)
		record_login(x->session, AUDIT_LOGIN, x->session->identity.user->name, 0,
			send_recorded, x);
	else
		exchange_send_reply(x);
}

void login_sasl_start(struct exchange *x)
{
	struct buf fields;
	struct fault why;

	if (x->session->logged_in) {
		fail_plainly(x, "saslStart on a connection that has logged in");
		return;
	}
	buf_init(&fields, SCRAM_PAYLOAD_MAX * 2);
	if (start_scram(x, NULL, &fields, &why)) {
		send_fields(x, &fields, false);
	} else {
		struct bytes name =
			x->session->scram ? scram_user_name(x->session->scram) : bytes_of("", 0);

		fail(x, arena_copy(&x->arena, name), &why);
	}
	buf_wipe(&fields);
}

/* Some clients want one more exchange, without a payload, after the server's last. */
static void finish_empty(struct exchange *x)
{
	struct session *s = x->session;
	struct buf fields;

	buf_init(&fields, 256);
	put_conversation(&fields, true, bytes_of("", 0));
	scram_free(s->scram);
	s->scram = NULL;
	send_fields(x, &fields, false);
	buf_fini(&fields);
}

void login_sasl_continue(struct exchange *x)
{
	const struct element *conversation = command_field(&x->command, "conversationId");
	struct session *s = x->session;
	struct buf payload, fields;
	struct bytes name;
	struct fault why;
	int64_t id;

	if (!s->scram || !conversation || !element_int(conversation, &id) || id != CONVERSATION) {
		fail_plainly(x, "saslContinue without a conversation");
		return;
	}
	if (s->scram_finished) {
		finish_empty(x);
		return;
	}
	name = arena_copy(&x->arena, scram_user_name(s->scram));
	buf_init(&payload, SCRAM_PAYLOAD_MAX);
	buf_init(&fields, SCRAM_PAYLOAD_MAX * 2);
	if (scram_step(s->scram, payload_of(command_field(&x->command, "payload")), &payload,
		    &why) == SCRAM_DONE &&
		enter(x, scram_user(s->scram), AUTH_SCRAM, &why)) {
		put_conversation(&fields, s->skip_empty_exchange, buf_bytes(&payload));
		s->scram_finished = !s->skip_empty_exchange;
		if (s->skip_empty_exchange) {
			scram_free(s->scram);
			s->scram = NULL;
		}
		send_fields(x, &fields, true);
	} else {
		fail(x, name, &why);
	}
	buf_wipe(&payload);
	buf_wipe(&fields);
}

/* Who the certificate says, if users.yaml knows the subject. */
static const struct user *user_of_certificate(
	struct exchange *x, const struct element *claimed, struct fault *why)
{
	struct bytes subject = net_conn_peer_subject(x->session->conn);
	const struct user *user = users_find_x509(x->snapshot->users, subject);

	if (!subject.len)
		fault_set(why, FAULT_LOGIN_FAILED, "no client certificate");
	else if (claimed && claimed->type == TYPE_STRING &&
		 !bytes_equal(element_string(claimed), subject))
		fault_set(why, FAULT_LOGIN_FAILED, "another subject than the certificate's");
	else if (!user)
		fault_set(why, FAULT_LOGIN_FAILED, "no user has the certificate's subject");
	else
		return user;
	return NULL;
}

static void put_x509(struct buf *out, struct bytes subject)
{
	doc_put_string(out, NAME("dbname"), NAME("$external"));
	doc_put_string(out, NAME("user"), subject);
}

void login_x509(struct exchange *x)
{
	const struct user *user;
	struct buf fields;
	struct fault why;

	if (x->session->logged_in) {
		fail_plainly(x, "authenticate on a connection that has logged in");
		return;
	}
	if (!is_text(command_field(&x->command, "mechanism"), "MONGODB-X509")) {
		fault_set(&why, FAULT_MECHANISM, "a mechanism that is not offered");
		fail(x, bytes_of("", 0), &why);
		return;
	}
	user = user_of_certificate(x, command_field(&x->command, "user"), &why);
	if (!user || !enter(x, user, AUTH_X509, &why)) {
		fail(x, net_conn_peer_subject(x->session->conn), &why);
		return;
	}
	buf_init(&fields, 16 * 1024);
	put_x509(&fields, net_conn_peer_subject(x->session->conn));
	send_fields(x, &fields, true);
	buf_fini(&fields);
}

void login_speculative(struct exchange *x)
{
	const struct element *asked = command_field(&x->command, "speculativeAuthenticate");
	const struct user *user;
	struct element own;
	struct buf fields;
	struct fault why;
	size_t begun;

	if (!asked || asked->type != TYPE_DOCUMENT)
		return;
	buf_init(&fields, 16 * 1024);
	if (is_text(field(asked, NULL, "mechanism", &own), "MONGODB-X509")) {
		user = user_of_certificate(x, field(asked, NULL, "user", &own), &why);
		if (user && enter(x, user, AUTH_X509, &why)) {
			put_x509(&fields, net_conn_peer_subject(x->session->conn));
			x->logged_in_now = true;
		}
	} else if (!start_scram(x, asked, &fields, &why)) {
		/* The driver starts anew, and then hears why not. */
		scram_free(x->session->scram);
		x->session->scram = NULL;
	}
	if (fields.len) {
		begun = doc_put_document(&x->reply, NAME("speculativeAuthenticate"));
		buf_put(&x->reply, buf_bytes(&fields));
		doc_end(&x->reply, begun);
	}
	buf_wipe(&fields);
}

void login_finish_speculative(struct exchange *x)
{
	record_login(x->session, AUDIT_LOGIN, x->session->identity.user->name, 0, send_recorded, x);
}

void logout(struct exchange *x)
{
	struct session *s = x->session;

	if (!s->logged_in)
		return;
	record_login(s, AUDIT_LOGOUT, s->identity.user->name, 0, NULL, NULL);
	session_drop_identity(s);
}
