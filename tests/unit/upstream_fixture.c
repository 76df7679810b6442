#include "upstream_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <bson/bson.h>

#include "net/inside.h"
#include "util/clock.h"
#include "util/memory.h"
#include "wire/doc.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define SAID_MAX (64u * 1024 * 1024)

/* ------------------------------------------------------------------- saying */

void fake_say_bytes(struct fake_conn *c, struct bytes b)
{
	if (c->net)
		net_conn_write(c->net, b, false);
}

void fake_say_document(struct fake_conn *c, struct bytes document)
{
	struct buf out;
	size_t frame;

	buf_init(&out, SAID_MAX);
	frame = frame_begin(&out, 4711, c->request_id, OPCODE_MSG);
	buf_put_u32(&out, 0);
	buf_put_u8(&out, 0);
	buf_put(&out, document);
	frame_end(&out, frame);
	assert_false(out.failed);
	fake_say_bytes(c, buf_bytes(&out));
	buf_fini(&out);
}

void fake_say(struct fake_conn *c, const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);

	assert_non_null(doc);
	fake_say_document(c, bytes_of(bson_get_data(doc), doc->len));
	bson_destroy(doc);
}

struct bytes fake_body(struct bytes message)
{
	struct wire_msg m;
	struct fault why;

	assert_true(wire_msg_parse(&m, message, &why));
	return m.body;
}

void fake_answer(struct fake_conn *c, struct bytes message)
{
	struct element e;
	int64_t n = 0;
	char json[100];

	assert_true(doc_find(fake_body(message), "n", &e) && element_int(&e, &n));
	snprintf(json, sizeof(json), "{\"ok\": 1, \"n\": %d}", (int)n);
	fake_say(c, json);
}

void fake_ignore(struct fake_conn *c, struct bytes message)
{
	(void)c;
	(void)message;
}

void fake_log_in(struct fake_conn *c, struct bytes message)
{
	struct element e;

	assert_true(doc_find(fake_body(message), "isMaster", &e));
	fake_say(c, "{\"ok\": 1, \"maxWireVersion\": 17}");
}

/* ------------------------------------------------------------------ hearing */

static void forget(struct fake_conn *c)
{
	c->net = NULL;
	c->fake->nopen--;
}

void fake_close(struct fake_conn *c)
{
	if (!c->net)
		return;
	net_conn_close(c->net, 0);
	forget(c);
}

void fake_reset(struct fake_conn *c)
{
	static const struct linger none = {.l_onoff = 1};

	assert_int_equal(setsockopt(c->net->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	fake_close(c);
}

static void hear(struct fake_conn *c)
{
	struct fake *f = c->fake;

	while (c->net && c->in.len >= FRAME_HEADER_LEN) {
		size_t len = load_u32(c->in.at);
		uint8_t *message;
		bool login = c->messages < f->login_messages;

		if (c->in.len < len)
			return;
		message = memcpy(memory_new(len), c->in.at, len);
		buf_consume(&c->in, len);
		c->messages++;
		c->request_id = load_i32(message + 4);
		f->commands += !login;
		(login ? f->login : f->command)(c, bytes_of(message, len));
		free(message);
	}
}

static void on_opened(void *owner)
{
	(void)owner;
}

static void on_readable(void *owner)
{
	struct fake_conn *c = owner;
	static uint8_t chunk[100000];
	size_t n;

	while (c->net && (n = net_conn_read(c->net, chunk, sizeof(chunk)))) {
		buf_put(&c->in, bytes_of(chunk, n));
		hear(c);
	}
}

static void on_closed(void *owner, const char *why)
{
	struct fake_conn *c = owner;

	(void)why;
	fake_close(c);
}

static void on_accept(evutil_socket_t fd, short what, void *context)
{
	static const struct net_conn_events events = {on_opened, on_readable, NULL, on_closed};
	struct fake *f = context;
	struct fake_conn *c = &f->conns[f->nconns];
	int taken = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (taken < 0)
		return;
	assert_true(f->nconns < FAKE_CONNS_MAX);
	c->fake = f;
	buf_init(&c->in, SAID_MAX);
	c->net = net_conn_accept(f->loop, taken, f->tls, &events, c);
	if (!c->net) {
		close(taken);
		return;
	}
	net_conn_pause(c->net, f->reads_nothing);
	f->nconns++;
	f->nopen++;
}

/* ------------------------------------------------------------------ servers */

static void fake_begin(struct fake *f, struct net_loop *l)
{
	socklen_t len = sizeof(f->at);

	f->loop = l;
	f->login = fake_log_in;
	f->login_messages = 1;
	f->command = fake_answer;
	f->at.sin_family = AF_INET;
	f->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(f->fd >= 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&f->at, len), 0);
	assert_int_equal(listen(f->fd, FAKE_CONNS_MAX), 0);
	assert_int_equal(getsockname(f->fd, (struct sockaddr *)&f->at, &len), 0);
	f->accepts = event_new(net_loop_base(l), f->fd, EV_READ | EV_PERSIST, on_accept, f);
	event_add(f->accepts, NULL);
}

void fake_leave(struct fake *f)
{
	if (!f->accepts)
		return;
	event_free(f->accepts);
	f->accepts = NULL;
	close(f->fd);
}

static void fake_end(struct fake *f)
{
	fake_leave(f);
	for (size_t i = 0; i < f->nconns; i++) {
		fake_close(&f->conns[i]);
		buf_fini(&f->conns[i].in);
	}
}

/* -------------------------------------------------------------------- stage */

static void end_tick(void *context)
{
	net_loop_stop(context);
}

void stage_tick(struct stage *s)
{
	net_timer_set(s->tick, MS);
	net_loop_run(s->loop);
}

void stage_idle(struct stage *s)
{
	for (unsigned i = 0; i < 20; i++)
		stage_tick(s);
}

struct upstream_config fixture_config(void)
{
	return (struct upstream_config){
		.uri = PLAIN_URI,
		.insecure = true,
		.pool_max = 10,
		.pool_wait_us = 60000 * MS,
		.pool_idle_us = 60000 * MS,
		.select_us = 60000 * MS,
		.awaiting_max = 10,
	};
}

void stage_begin(struct stage *s, const struct upstream_config *config, size_t nfakes)
{
	struct fault why;

	memset(s, 0, sizeof(*s));
	s->loop = net_loop_new();
	s->tick = net_timer_new(s->loop, end_tick, s->loop);
	s->nfakes = nfakes;
	for (size_t i = 0; i < nfakes; i++)
		fake_begin(&s->fakes[i], s->loop);
	s->upstream = upstream_make(config, &why);
	assert_non_null(s->upstream);
	s->pool = upstream_pool_new(s->upstream, s->loop);
}

void stage_end(struct stage *s)
{
	upstream_pool_free(s->pool);
	for (size_t i = 0; i < s->nfakes; i++)
		fake_end(&s->fakes[i]);
	upstream_free(s->upstream);
	net_timer_free(s->tick);
	net_loop_free(s->loop);
}

void stage_publish(struct stage *s)
{
	struct topology *t = topology_new(s->nfakes);

	strcpy(t->auth_source, "admin");
	for (size_t i = 0; i < s->nfakes; i++) {
		struct server *server = &t->servers[i];

		server->kind = i ? SERVER_SECONDARY : SERVER_PRIMARY;
		strcpy(server->host, "127.0.0.1");
		snprintf(server->text, sizeof(server->text), "127.0.0.1:%u",
			ntohs(s->fakes[i].at.sin_port));
		memcpy(&server->addresses[0], &s->fakes[i].at, sizeof(s->fakes[i].at));
		server->address_len[0] = sizeof(s->fakes[i].at);
		server->naddresses = 1;
		pthread_mutex_lock(&s->upstream->lock);
		server->id = upstream_id_of(s->upstream, server->text);
		pthread_mutex_unlock(&s->upstream->lock);
		assert_int_equal(server->id, i + 1);
	}
	upstream_publish(s->upstream, t);
}

bool stage_is_down(struct stage *s, server_id id)
{
	struct topology *t = upstream_topology(s->upstream);
	const struct server *server = topology_server(t, id);
	bool down;

	assert_non_null(server);
	down = server->down;
	topology_unref(t);
	return down;
}

/* -------------------------------------------------------------------- calls */

static void on_done(void *context, const struct upstream_answer *answer)
{
	struct asked *a = context;
	struct element e;
	int64_t n;

	assert_int_equal(a->done++, 0);
	a->call = NULL;
	a->result = answer->result;
	a->server = answer->server;
	a->done_us = clock_monotonic_us();
	if (answer->result != UPSTREAM_ANSWERED)
		return;
	a->answer_len = answer->len;
	assert_true(answer->document > answer->message);
	assert_true(answer->document + answer->document_len <= answer->message + answer->len);
	if (doc_find(bytes_of(answer->document, answer->document_len), "n", &e) &&
		element_int(&e, &n))
		a->n = (int32_t)n;
}

void ask(struct stage *s, struct asked *a, const struct upstream_want *want, size_t padding)
{
	static int32_t last;
	struct buf out;
	size_t frame, doc;
	uint8_t *pad = memory_array(padding + 1, 1);

	*a = (struct asked){.n = -1, .began_us = clock_monotonic_us()};
	buf_init(&out, SAID_MAX);
	frame = frame_begin(&out, 0, 0, OPCODE_MSG);
	buf_put_u32(&out, 0);
	buf_put_u8(&out, 0);
	doc = doc_begin(&out);
	doc_put_int32(&out, NAME("ping"), 1);
	doc_put_int32(&out, NAME("n"), ++last);
	doc_put_binary(&out, NAME("padding"), 0, bytes_of(pad, padding));
	doc_put_string(&out, NAME("$db"), NAME("admin"));
	doc_end(&out, doc);
	frame_end(&out, frame);
	free(pad);
	a->message = out.at;
	a->len = out.len;
	a->asked_n = last;
	a->call = upstream_send(s->pool, a->message, a->len, want, on_done, a);
	assert_int_equal(a->done, 0);
}

void ask_primary(struct stage *s, struct asked *a)
{
	static const struct upstream_want want = {.write = true};

	ask(s, a, &want, 0);
}

void asked_fini(struct asked *a)
{
	upstream_call_drop(a->call);
	free(a->message);
}
