#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/inside.h"
#include "net_fixture.h"
#include "util/memory.h"

#define LINGER_US (60ull * 1000 * 1000)
#define MANY      (9u * 1000 * 1000)

/* One end of a connection, as an owner has it. */
struct end {
	struct net_conn *conn;
	struct buf got;
	size_t at_a_time; /* read; 0: all there is */
	size_t stop_at;   /* bytes that are waited for */
	unsigned opened, closed, drained;
	bool closes_on_end;
	bool reads_nothing;
	size_t unsent; /* when it was closed */
	char why[200];
};

static struct net_loop *loop;
static struct end a, b;
static struct net_tls *server, *client;
static bool inside; /* a call of the owner: no callback may come */
static uint8_t chunk[200000];

static void on_opened(void *owner)
{
	struct end *e = owner;

	assert_false(inside);
	assert_non_null(e->conn);
	e->opened++;
}

static void on_readable(void *owner)
{
	struct end *e = owner;
	size_t n;

	assert_false(inside);
	assert_non_null(e->conn);
	assert_int_equal(e->opened, 1);
	if (e->reads_nothing)
		return;
	do {
		inside = true;
		n = net_conn_read(e->conn, chunk, e->at_a_time ? e->at_a_time : sizeof(chunk));
		inside = false;
		buf_put(&e->got, bytes_of(chunk, n));
	} while (n && !e->at_a_time);
	if (e->stop_at && e->got.len >= e->stop_at)
		net_loop_stop(loop);
}

static void on_drained(void *owner)
{
	struct end *e = owner;

	assert_false(inside);
	assert_int_equal(net_conn_unsent(e->conn), 0);
	e->drained++;
}

static void write_all(struct end *e, struct bytes content)
{
	inside = true;
	net_conn_write(e->conn, content, false);
	inside = false;
}

static void end_close(struct end *e, uint64_t linger_us)
{
	if (!e->conn)
		return;
	inside = true;
	net_conn_close(e->conn, linger_us);
	inside = false;
	e->conn = NULL;
}

static void on_closed(void *owner, const char *why)
{
	struct end *e = owner;

	assert_false(inside);
	assert_non_null(e->conn);
	assert_int_equal(e->closed++, 0);
	snprintf(e->why, sizeof(e->why), "%s", why);
	write_all(e, bytes_str("too late"));
	e->unsent = net_conn_unsent(e->conn);
	end_close(e, 0);
	net_loop_stop(loop);
}

static const struct net_conn_events events = {on_opened, on_readable, on_drained, on_closed};

/* Runs until `n` bytes in all have come. */
static void run_until(struct end *e, size_t n)
{
	e->stop_at = n;
	if (e->got.len < n)
		net_loop_run(loop);
	e->stop_at = 0;
}

static int begin(void **state)
{
	(void)state;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	buf_init(&a.got, 2 * MANY);
	buf_init(&b.got, 2 * MANY);
	loop = net_loop_new();
	return 0;
}

static int end(void **state)
{
	(void)state;
	end_close(&a, 0);
	end_close(&b, 0);
	net_loop_free(loop);
	net_tls_unref(server);
	net_tls_unref(client);
	server = client = NULL;
	buf_fini(&a.got);
	buf_fini(&b.got);
	return 0;
}

static void pair(int fds[2], int type)
{
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void make_tls(struct net_tls_server_files s, struct net_tls_client_files c)
{
	struct fault why;

	s.certificate = "server.pem";
	s.key = "server.key";
	server = net_tls_server_new(&s, &why);
	client = net_tls_client_new(&c, &why);
	assert_non_null(server);
	assert_non_null(client);
}

static void make_default_tls(void)
{
	make_tls((struct net_tls_server_files){0}, (struct net_tls_client_files){.ca = "ca.pem"});
}

/* `a` is who connects, `b` who accepts; over TCP. */
static void connect_both(const char *name)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	socklen_t len = sizeof(to);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&to, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&to, &len), 0);
	inside = true;
	a.conn = net_conn_connect(loop, (struct sockaddr *)&to, len, client, name, &events, &a);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	b.conn = net_conn_accept(loop, fd, server, &events, &b);
	inside = false;
	assert_non_null(a.conn);
	assert_non_null(b.conn);
	close(listener);
}

static uint8_t *make_content(size_t n, unsigned seed)
{
	uint8_t *content = memory_new(n);

	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245u + 12345u;
		content[i] = (uint8_t)(seed >> 16);
	}
	return content;
}

/* -------------------------------------------------------------------- cases */

static void stop_loop(void *context)
{
	net_loop_stop(context);
}

/* So many ticks that whatever could move has moved. */
static void run_a_while(void)
{
	for (int i = 0; i < 200; i++) {
		net_loop_post(loop, stop_loop, loop);
		net_loop_run(loop);
	}
}

static void expect_idle_has_no_buffers(const struct net_conn *c)
{
	assert_null(c->in.at);
	assert_null(c->out.at);
	assert_null(c->early.at);
}

/* Both ways at once, more than any buffer holds. */
static void exchange_many(void)
{
	uint8_t *to_b = make_content(MANY, 1), *to_a = make_content(MANY, 2);

	connect_both("proxy.test");
	/* Before it is open: it waits. */
	write_all(&a, bytes_of(to_b, 1000));
	assert_int_equal(net_conn_unsent(a.conn), 1000);
	run_until(&b, 1000);
	write_all(&a, bytes_of(to_b + 1000, MANY - 1000));
	write_all(&b, bytes_of(to_a, MANY));
	assert_true(net_conn_unsent(b.conn) > 0);
	run_until(&b, MANY);
	run_until(&a, MANY);
	assert_true(bytes_equal(buf_bytes(&b.got), bytes_of(to_b, MANY)));
	assert_true(bytes_equal(buf_bytes(&a.got), bytes_of(to_a, MANY)));
	assert_true(a.drained >= 1 && b.drained >= 1);
	expect_idle_has_no_buffers(a.conn);
	expect_idle_has_no_buffers(b.conn);
	end_close(&a, LINGER_US);
	net_loop_run(loop);
	assert_int_equal(b.closed, 1);
	assert_string_equal(b.why, "the peer has closed the connection");
	free(to_a);
	free(to_b);
}

static void test_many_plain(void **state)
{
	(void)state;
	exchange_many();
}

static void test_many_tls(void **state)
{
	(void)state;
	make_default_tls();
	exchange_many();
}

/* What OpenSSL holds is told again until it has been read. */
static void test_read_in_small_pieces(void **state)
{
	uint8_t *content = make_content(100000, 3);

	(void)state;
	make_default_tls();
	connect_both("proxy.test");
	b.at_a_time = 999;
	write_all(&a, bytes_of(content, 100000));
	run_until(&b, 100000);
	assert_true(bytes_equal(buf_bytes(&b.got), bytes_of(content, 100000)));
	free(content);
}

static void test_names(void **state)
{
	(void)state;
	make_default_tls();
	connect_both("127.0.0.1");
	write_all(&a, bytes_str("x"));
	run_until(&b, 1);
	assert_string_equal(net_conn_tls_text(b.conn), "TLSv1.3 TLS_AES_256_GCM_SHA384");
	assert_string_equal(net_conn_tls_text(a.conn), net_conn_tls_text(b.conn));
	assert_int_equal(strncmp(net_conn_peer(b.conn), "127.0.0.1:", 10), 0);
	assert_int_equal(net_conn_peer_address(b.conn)->sa_family, AF_INET);
	assert_int_equal(net_conn_peer_subject(b.conn).len, 0);
	assert_ptr_equal(net_conn_loop(b.conn), loop);
}

/* Carries bytes between two sockets, `step` at a time, and ends after `limit`. */
struct relay {
	int from, to;
	struct event *event;
	size_t step, limit, carried;
};

static void carry(evutil_socket_t fd, short what, void *context)
{
	struct relay *r = context;
	uint8_t bytes[65536];
	ssize_t n;

	(void)fd;
	(void)what;
	n = read(r->from, bytes, r->step);
	if (n > 0 && write(r->to, bytes, (size_t)n) == n)
		r->carried += (size_t)n;
	if (n <= 0 || (r->limit && r->carried >= r->limit)) {
		shutdown(r->to, SHUT_WR);
		event_del(r->event);
	}
}

static void relay_start(struct relay *r, int from, int to, size_t step, size_t limit)
{
	*r = (struct relay){.from = from, .to = to, .step = step, .limit = limit};
	r->event = event_new(net_loop_base(loop), from, EV_READ | EV_PERSIST, carry, r);
	event_add(r->event, NULL);
}

/* `a` as TLS client, made over a socket pair by hand. */
static void connect_over(int fd_a, int fd_b)
{
	b.conn = net_conn_accept(loop, fd_b, server, &events, &b);
	assert_non_null(b.conn);
	assert_string_equal(net_conn_peer(b.conn), "unix");
	if (!client) {
		a.conn = net_conn_accept(loop, fd_a, NULL, &events, &a);
		return;
	}
	/* The client's side of a socket that is connected already. */
	a.conn = net_conn_accept(loop, fd_a, NULL, &events, &a);
	assert_true(net_handshake_begin(a.conn, client, false, "proxy.test"));
	a.conn->state = NET_CONNECTING;
	net_watch_write(a.conn, true);
}

static void exchange_torn(size_t step)
{
	uint8_t *content = make_content(40000, 4);
	int left[2], right[2];
	struct relay there, back;

	pair(left, SOCK_STREAM);
	pair(right, SOCK_STREAM);
	relay_start(&there, left[1], right[1], step, 0);
	relay_start(&back, right[1], left[1], step, 0);
	connect_over(left[0], right[0]);
	write_all(&a, bytes_of(content, 40000));
	run_until(&b, 40000);
	write_all(&b, bytes_of(content, 17000));
	run_until(&a, 17000);
	assert_true(bytes_equal(buf_bytes(&b.got), bytes_of(content, 40000)));
	assert_true(bytes_equal(buf_bytes(&a.got), bytes_of(content, 17000)));
	end_close(&a, 0);
	end_close(&b, 0);
	event_free(there.event);
	event_free(back.event);
	close(left[1]);
	close(right[1]);
	free(content);
}

static void test_torn_plain(void **state)
{
	(void)state;
	exchange_torn(1);
}

static void test_torn_tls(void **state)
{
	(void)state;
	make_default_tls();
	exchange_torn(1);
}

/* The peer's bytes end after each number of bytes: never more than was whole comes out. */
static void test_cut_anywhere(void **state)
{
	static const char text[] = "twenty bytes of text";
	bool came = false;

	(void)state;
	make_default_tls();
	for (size_t limit = 1; !came; limit++) {
		int left[2], right[2];
		struct relay there, back;

		pair(left, SOCK_STREAM);
		pair(right, SOCK_STREAM);
		relay_start(&there, left[1], right[1], 65536, limit);
		/* The last read must not take more than may pass. */
		there.step = 1;
		relay_start(&back, right[1], left[1], 65536, 0);
		connect_over(left[0], right[0]);
		write_all(&a, bytes_str(text));
		while (!b.closed)
			net_loop_run(loop);
		came = b.got.len != 0;
		assert_true(!came || bytes_equal_str(buf_bytes(&b.got), text));
		if (!came)
			assert_true(limit < 5000);
		end_close(&a, 0);
		event_free(there.event);
		event_free(back.event);
		close(left[1]);
		close(right[1]);
		buf_fini(&a.got);
		a = b = (struct end){.got = b.got};
		buf_init(&a.got, 2 * MANY);
	}
}

static void expect_garbage_refused(struct bytes garbage)
{
	int fds[2];
	uint8_t alert[100];

	pair(fds, SOCK_STREAM);
	b.conn = net_conn_accept(loop, fds[0], server, &events, &b);
	assert_int_equal(write(fds[1], garbage.at, garbage.len), (ssize_t)garbage.len);
	net_loop_run(loop);
	assert_int_equal(b.opened, 0);
	assert_int_equal(b.closed, 1);
	assert_int_equal(strncmp(b.why, "TLS handshake: ", 15), 0);
	/* The alert, if any, and the end. */
	run_a_while();
	while (read(fds[1], alert, sizeof(alert)) > 0)
		;
	close(fds[1]);
	b = (struct end){.got = b.got};
}

static void test_garbage(void **state)
{
	uint8_t *noise = make_content(70000, 5);

	(void)state;
	make_default_tls();
	expect_garbage_refused(bytes_str("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
	expect_garbage_refused(bytes_of(noise, 70000));
	/* OP_MSG, by who forgot about TLS. */
	expect_garbage_refused(bytes_of("\x3a\0\0\0\1\0\0\0\0\0\0\0\xdd\7\0\0\0\0\0\0", 20));
	/* A record that claims 65535 bytes. */
	expect_garbage_refused(bytes_of("\x16\3\1\xff\xff\1\0\0\0\0\0\0\0\0\0\0", 16));
	free(noise);
}

static void test_peer_without_close_notify(void **state)
{
	(void)state;
	make_default_tls();
	connect_both("proxy.test");
	write_all(&a, bytes_str("x"));
	run_until(&b, 1);
	shutdown(a.conn->fd, SHUT_WR);
	net_loop_run(loop);
	assert_int_equal(b.closed, 1);
	assert_string_equal(b.why, "the peer has closed the connection");
}

static void test_altered_record(void **state)
{
	static const uint8_t record[] = "\x17\3\3\0\x20 this is no record of that session";

	(void)state;
	make_default_tls();
	connect_both("proxy.test");
	write_all(&a, bytes_str("x"));
	run_until(&b, 1);
	assert_true(send(a.conn->fd, record, 37, 0) == 37);
	net_loop_run(loop);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.got.len, 1);
	assert_int_equal(strncmp(b.why, "TLS: ", 5), 0);
}

/* What a broken connection could not send is unsent, to the last byte of it. */
static void break_while_sending(void)
{
	uint8_t *content = make_content(MANY, 7);
	size_t waiting;

	connect_both("proxy.test");
	write_all(&a, bytes_str("x"));
	run_until(&b, 1);
	net_conn_pause(b.conn, true);
	write_all(&a, bytes_of(content, MANY));
	run_a_while();
	waiting = net_conn_unsent(a.conn);
	assert_true(waiting > 0 && waiting < MANY + 100000);
	/* It has not read all: so this is a reset. */
	end_close(&b, 0);
	net_loop_run(loop);
	assert_int_equal(a.closed, 1);
	assert_int_equal(a.unsent, waiting + strlen("too late"));
	free(content);
}

static void test_break_plain(void **state)
{
	(void)state;
	break_while_sending();
}

static void test_break_tls(void **state)
{
	(void)state;
	make_default_tls();
	break_while_sending();
}

static void pause_and_resume(void)
{
	uint8_t *content = make_content(MANY, 6);
	size_t waiting, read_before;

	connect_both("proxy.test");
	write_all(&a, bytes_str("x"));
	run_until(&b, 1);
	net_conn_pause(b.conn, true);
	write_all(&a, bytes_of(content, MANY));
	run_a_while();
	/* Nothing is read, so the sender cannot get rid of it. */
	assert_int_equal(b.got.len, 1);
	waiting = net_conn_unsent(a.conn);
	assert_true(waiting > 0);
	run_a_while();
	assert_int_equal(net_conn_unsent(a.conn), waiting);
	assert_int_equal(net_conn_read(b.conn, chunk, sizeof(chunk)), 0);
	/* Paused with something left, in the middle. */
	net_conn_pause(b.conn, false);
	b.at_a_time = 1000;
	run_until(&b, 50001);
	net_conn_pause(b.conn, true);
	read_before = b.got.len;
	run_a_while();
	assert_int_equal(b.got.len, read_before);
	net_conn_pause(b.conn, false);
	b.at_a_time = 0;
	run_until(&b, MANY + 1);
	assert_true(bytes_equal(bytes_from(buf_bytes(&b.got), 1), bytes_of(content, MANY)));
	free(content);
}

static void test_pause_plain(void **state)
{
	(void)state;
	pause_and_resume();
}

static void test_pause_tls(void **state)
{
	(void)state;
	make_default_tls();
	pause_and_resume();
}

/* All arrives although its sender has closed. */
static void close_behind(void)
{
	uint8_t *content = make_content(MANY, 7);

	connect_both("proxy.test");
	write_all(&a, bytes_str("x"));
	run_until(&b, 1);
	write_all(&b, bytes_of(content, MANY));
	end_close(&b, LINGER_US);
	while (!a.closed)
		net_loop_run(loop);
	assert_true(bytes_equal(buf_bytes(&a.got), bytes_of(content, MANY)));
	assert_string_equal(a.why, "the peer has closed the connection");
	free(content);
}

static void test_linger_plain(void **state)
{
	(void)state;
	close_behind();
}

static void test_linger_tls(void **state)
{
	(void)state;
	make_default_tls();
	close_behind();
}

/* The peer does not read: the loop does not wait for ever. */
static void test_linger_ends(void **state)
{
	uint8_t *content = make_content(MANY, 8);

	(void)state;
	make_default_tls();
	connect_both("proxy.test");
	write_all(&a, bytes_str("x"));
	run_until(&b, 1);
	net_conn_pause(a.conn, true);
	write_all(&b, bytes_of(content, MANY));
	end_close(&b, 1000);
	net_loop_stop(loop);
	net_loop_run(loop);
	assert_null(loop->lingering);
	free(content);
}

/* What lingers when the loop is freed is freed with it. */
static void test_free_while_lingering(void **state)
{
	uint8_t *content = make_content(MANY, 9);

	(void)state;
	connect_both(NULL);
	write_all(&a, bytes_str("x"));
	run_until(&b, 1);
	net_conn_pause(a.conn, true);
	write_all(&b, bytes_of(content, MANY));
	end_close(&b, LINGER_US);
	assert_non_null(loop->lingering);
	free(content);
}

/* A peer that is still sending reads the last answer; it is not reset. */
static void test_answer_to_who_still_sends(void **state)
{
	uint8_t *content = make_content(MANY, 10);

	(void)state;
	connect_both(NULL);
	b.at_a_time = 16;
	write_all(&a, bytes_of(content, 100000));
	run_until(&b, 16);
	write_all(&b, bytes_str("no"));
	end_close(&b, LINGER_US);
	write_all(&a, bytes_of(content, 100000));
	while (!a.closed)
		net_loop_run(loop);
	assert_true(bytes_equal_str(buf_bytes(&a.got), "no"));
	free(content);
}

/* Sends that follow each other leave in one. */
static void test_more(void **state)
{
	int fds[2];
	char got[100];

	(void)state;
	pair(fds, SOCK_SEQPACKET);
	b.conn = net_conn_accept(loop, fds[0], NULL, &events, &b);
	run_a_while();
	assert_int_equal(b.opened, 1);
	net_conn_write(b.conn, bytes_str("one "), true);
	net_conn_write(b.conn, bytes_str("two "), true);
	assert_int_equal(read(fds[1], got, sizeof(got)), -1);
	net_conn_write(b.conn, bytes_str("three"), false);
	assert_int_equal(read(fds[1], got, sizeof(got)), 13);
	assert_memory_equal(got, "one two three", 13);
	/* Nothing followed: it leaves at the end of the tick. */
	net_conn_write(b.conn, bytes_str("four"), true);
	run_a_while();
	assert_int_equal(read(fds[1], got, sizeof(got)), 4);
	close(fds[1]);
}

static void write_early(size_t n)
{
	uint8_t *content = make_content(n, 11);

	connect_both("proxy.test");
	write_all(&a, bytes_of(content, n));
	free(content);
}

static void test_early_limit(void **state)
{
	(void)state;
	make_default_tls();
	write_early(1024 * 1024);
	run_until(&b, 1024 * 1024);
	end_close(&a, 0);
	end_close(&b, 0);
	a.opened = b.opened = 0;
	write_early(1024 * 1024 + 1);
	while (!a.closed)
		net_loop_run(loop);
	assert_string_equal(a.why, "too much was written before it was open");
}

static void test_connect_refused(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int taken = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(to);

	(void)state;
	/* Bound, so that nobody else can have it, and not listening. */
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(taken, (struct sockaddr *)&to, len), 0);
	assert_int_equal(getsockname(taken, (struct sockaddr *)&to, &len), 0);
	inside = true;
	a.conn = net_conn_connect(loop, (struct sockaddr *)&to, len, NULL, NULL, &events, &a);
	inside = false;
	net_loop_run(loop);
	assert_int_equal(a.closed, 1);
	assert_non_null(strstr(a.why, "Connection refused"));
	close(taken);
}

static void test_peer_gone_before_accept(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)state;
	assert_null(net_conn_accept(loop, fd, NULL, &events, &b));
	assert_int_equal(close(fd), 0);
}

/* Closed before anything could be told: nothing is. */
static void test_close_at_once(void **state)
{
	(void)state;
	make_default_tls();
	connect_both("proxy.test");
	end_close(&a, LINGER_US);
	end_close(&b, LINGER_US);
	run_a_while();
	assert_int_equal(a.opened + b.opened + a.closed + b.closed, 0);
}

/* ------------------------------------------------------------- certificates */

/* Whether both ends open. */
static bool shakes_hands(const char *name)
{
	connect_both(name);
	write_all(&a, bytes_str("x"));
	run_until(&b, 1);
	return b.got.len == 1;
}

static void test_client_certificate(void **state)
{
	(void)state;
	make_tls((struct net_tls_server_files){.client_ca = "ca.pem"},
		(struct net_tls_client_files){.ca = "ca.pem", .certificate_key = "client.pem"});
	assert_true(shakes_hands("proxy.test"));
	assert_true(bytes_equal_str(
		net_conn_peer_subject(b.conn), "CN=billing,OU=apps,O=Hôpital\\, Nord"));
}

static void test_client_certificate_is_optional(void **state)
{
	(void)state;
	make_tls((struct net_tls_server_files){.client_ca = "ca.pem"},
		(struct net_tls_client_files){.ca = "ca.pem"});
	assert_true(shakes_hands("proxy.test"));
	assert_int_equal(net_conn_peer_subject(b.conn).len, 0);
}

static void test_client_certificate_of_another_authority(void **state)
{
	(void)state;
	make_tls((struct net_tls_server_files){.client_ca = "ca.pem"},
		(struct net_tls_client_files){.ca = "ca.pem", .certificate_key = "stranger.pem"});
	assert_false(shakes_hands("proxy.test"));
	while (!b.closed)
		net_loop_run(loop);
	assert_non_null(strstr(b.why, "certificate"));
	assert_int_equal(b.opened, 0);
}

/* Not asked for: it is not even sent. */
static void test_client_certificate_unasked(void **state)
{
	(void)state;
	make_tls((struct net_tls_server_files){0},
		(struct net_tls_client_files){.ca = "ca.pem", .certificate_key = "stranger.pem"});
	assert_true(shakes_hands("proxy.test"));
	assert_int_equal(net_conn_peer_subject(b.conn).len, 0);
}

static void expect_client_refuses(
	struct net_tls_client_files files, const char *name, const char *reason)
{
	make_tls((struct net_tls_server_files){0}, files);
	connect_both(name);
	while (!a.closed)
		net_loop_run(loop);
	assert_int_equal(a.opened, 0);
	if (!strstr(a.why, reason))
		fail_msg("'%s' does not say '%s'", a.why, reason);
}

static void test_wrong_authority(void **state)
{
	(void)state;
	expect_client_refuses((struct net_tls_client_files){.ca = "other.pem"}, "proxy.test",
		"unable to get local issuer certificate");
}

static void test_wrong_name(void **state)
{
	(void)state;
	expect_client_refuses(
		(struct net_tls_client_files){.ca = "ca.pem"}, "other.test", "hostname mismatch");
}

static void test_wrong_literal_address(void **state)
{
	(void)state;
	expect_client_refuses(
		(struct net_tls_client_files){.ca = "ca.pem"}, "127.0.0.2", "IP address mismatch");
}

static void test_no_name(void **state)
{
	(void)state;
	expect_client_refuses(
		(struct net_tls_client_files){.ca = "ca.pem"}, NULL, "no host name to verify");
}

static void test_any_name(void **state)
{
	(void)state;
	make_tls((struct net_tls_server_files){0},
		(struct net_tls_client_files){.ca = "ca.pem", .any_hostname = true});
	assert_true(shakes_hands("other.test"));
}

static void test_any_name_of_the_right_authority(void **state)
{
	(void)state;
	expect_client_refuses(
		(struct net_tls_client_files){.ca = "other.pem", .any_hostname = true},
		"other.test", "certificate verify failed");
}

static void test_any_certificate(void **state)
{
	(void)state;
	make_tls((struct net_tls_server_files){0},
		(struct net_tls_client_files){.ca = "other.pem", .any_certificate = true});
	assert_true(shakes_hands("other.test"));
}

/* ------------------------------------------- another implementation's client */

/* A blocking client of OpenSSL's own, on its own thread. */
struct foreign {
	int fd;
	SSL_CTX *ctx;
	SSL_SESSION *session; /* to resume; then the one to resume next */
	bool shook, resumed;
	char answer[8];
};

static void *run_foreign(void *context)
{
	struct foreign *f = context;
	SSL *ssl = SSL_new(f->ctx);

	SSL_set_fd(ssl, f->fd);
	if (f->session)
		SSL_set_session(ssl, f->session);
	SSL_SESSION_free(f->session);
	f->session = NULL;
	f->shook = SSL_connect(ssl) == 1;
	if (f->shook && SSL_write(ssl, "ping", 4) == 4 && SSL_read(ssl, f->answer, 4) == 4) {
		f->resumed = SSL_session_reused(ssl);
		f->session = SSL_get1_session(ssl);
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	shutdown(f->fd, SHUT_RDWR);
	return NULL;
}

/* True: it was answered. */
static bool meet_foreign(struct foreign *f)
{
	pthread_t thread;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	f->fd = fds[1];
	f->resumed = false;
	memset(f->answer, 0, sizeof(f->answer));
	b = (struct end){.got = b.got};
	buf_clear(&b.got);
	b.conn = net_conn_accept(loop, fds[0], server, &events, &b);
	assert_int_equal(pthread_create(&thread, NULL, run_foreign, f), 0);
	run_until(&b, 4);
	if (b.conn)
		write_all(&b, bytes_str("pong"));
	while (!b.closed)
		net_loop_run(loop);
	pthread_join(thread, NULL);
	close(f->fd);
	return strcmp(f->answer, "pong") == 0;
}

static SSL_CTX *foreign_context(int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	return ctx;
}

static void test_tls12_is_refused(void **state)
{
	struct foreign f = {.ctx = foreign_context(TLS1_2_VERSION)};

	(void)state;
	make_default_tls();
	assert_false(meet_foreign(&f));
	assert_false(f.shook);
	assert_non_null(strstr(b.why, "unsupported protocol"));
	SSL_CTX_free(f.ctx);
}

static void test_tls12_by_choice(void **state)
{
	static const char *const refused[] = {"ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA",
		"AES256-GCM-SHA384", "DHE-RSA-AES256-GCM-SHA384"};
	struct foreign f = {.ctx = foreign_context(TLS1_2_VERSION)};

	(void)state;
	make_tls((struct net_tls_server_files){.allow_tls12 = true},
		(struct net_tls_client_files){.ca = "ca.pem"});
	assert_true(meet_foreign(&f));
	SSL_SESSION_free(f.session);
	f.session = NULL;
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		assert_int_equal(SSL_CTX_set_cipher_list(f.ctx, refused[i]), 1);
		assert_false(meet_foreign(&f));
		assert_non_null(strstr(b.why, "no shared cipher"));
	}
	SSL_CTX_free(f.ctx);
}

static void test_resumption(void **state)
{
	static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};

	(void)state;
	make_tls((struct net_tls_server_files){.client_ca = "ca.pem", .allow_tls12 = true},
		(struct net_tls_client_files){.ca = "ca.pem"});
	for (size_t i = 0; i < COUNT_OF(versions); i++) {
		struct foreign f = {.ctx = foreign_context(versions[i])};

		SSL_CTX_use_certificate_file(f.ctx, "client.pem", SSL_FILETYPE_PEM);
		SSL_CTX_use_PrivateKey_file(f.ctx, "client.pem", SSL_FILETYPE_PEM);
		assert_true(meet_foreign(&f));
		assert_false(f.resumed);
		assert_non_null(f.session);
		assert_int_equal(SSL_SESSION_get_max_early_data(f.session), 0);
		assert_true(meet_foreign(&f));
		assert_true(f.resumed);
		SSL_SESSION_free(f.session);
		SSL_CTX_free(f.ctx);
	}
}

/* Another context has other ticket keys: after a reload nobody resumes. */
static void test_no_resumption_across_contexts(void **state)
{
	struct foreign f = {.ctx = foreign_context(TLS1_3_VERSION)};

	(void)state;
	make_default_tls();
	assert_true(meet_foreign(&f));
	net_tls_unref(server);
	net_tls_unref(client);
	make_default_tls();
	assert_true(meet_foreign(&f));
	assert_false(f.resumed);
	SSL_SESSION_free(f.session);
	SSL_CTX_free(f.ctx);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {CASE(test_many_plain), CASE(test_many_tls),
		CASE(test_read_in_small_pieces), CASE(test_names), CASE(test_torn_plain),
		CASE(test_torn_tls), CASE(test_cut_anywhere), CASE(test_garbage),
		CASE(test_peer_without_close_notify), CASE(test_altered_record),
		CASE(test_break_plain), CASE(test_break_tls), CASE(test_pause_plain),
		CASE(test_pause_tls), CASE(test_linger_plain), CASE(test_linger_tls),
		CASE(test_linger_ends), CASE(test_free_while_lingering),
		CASE(test_answer_to_who_still_sends), CASE(test_more), CASE(test_early_limit),
		CASE(test_connect_refused), CASE(test_peer_gone_before_accept),
		CASE(test_close_at_once), CASE(test_client_certificate),
		CASE(test_client_certificate_is_optional),
		CASE(test_client_certificate_of_another_authority),
		CASE(test_client_certificate_unasked), CASE(test_wrong_authority),
		CASE(test_wrong_name), CASE(test_wrong_literal_address), CASE(test_no_name),
		CASE(test_any_name), CASE(test_any_name_of_the_right_authority),
		CASE(test_any_certificate), CASE(test_tls12_is_refused), CASE(test_tls12_by_choice),
		CASE(test_resumption), CASE(test_no_resumption_across_contexts)};

	return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
