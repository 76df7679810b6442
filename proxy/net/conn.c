#include "net/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/err.h>

#include "util/memory.h"

/* A few partial records; OpenSSL takes what it can before the next is received. */
#define IN_MAX    (2 * NET_SCRATCH_LEN)
#define EARLY_MAX (1024u * 1024)

void net_watch_read(struct net_conn *c, bool on)
{
	if (c->reading == on)
		return;
	c->reading = on;
	if (on)
		event_add(&c->read, NULL);
	else
		event_del(&c->read);
}

void net_watch_write(struct net_conn *c, bool on)
{
	if (c->writing == on)
		return;
	c->writing = on;
	if (on)
		event_add(&c->write, NULL);
	else
		event_del(&c->write);
}

static void tell_closed(void *context)
{
	struct net_conn *c = context;

	if (!c->closed)
		c->events->closed(c->owner, c->why);
}

void net_fail(struct net_conn *c, const char *format, ...)
{
	va_list args;

	if (c->closed || c->state == NET_FAILED)
		return;
	va_start(args, format);
	vsnprintf(c->why, sizeof(c->why), format, args);
	va_end(args);
	c->state = NET_FAILED;
	net_watch_read(c, false);
	net_loop_defer(c->loop, tell_closed, c);
}

/* ------------------------------------------------------------------ reading */

/* What can be had without the kernel. */
static bool has_left(const struct net_conn *c)
{
	return c->ssl && (SSL_pending(c->ssl) > 0 || c->in_from < c->in.len);
}

static void queue_again(struct net_conn *c);

static void read_again(void *context)
{
	struct net_conn *c = context;

	c->again_queued = false;
	if (c->closed || c->paused || c->state != NET_OPEN || !has_left(c))
		return;
	c->events->readable(c->owner);
	if (!c->closed && c->state == NET_OPEN)
		queue_again(c);
}

/* For the kernel the event is level-triggered; for what OpenSSL holds we are. */
static void queue_again(struct net_conn *c)
{
	if (c->again_queued || c->paused || !has_left(c))
		return;
	c->again_queued = true;
	net_loop_defer(c->loop, read_again, c);
}

/* Errors that a call before has left would be taken for this one's; mostly there are none,
 * and to look costs less than to clear. */
static void forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

static size_t read_tls(struct net_conn *c, uint8_t *to, size_t n)
{
	size_t total = 0, got;

	if (c->dry && !SSL_pending(c->ssl) && !net_has_ciphertext(c))
		return 0;
	forget_errors();
	while (total < n) {
		/* Not even asked when it is known to have nothing. */
		if (!SSL_pending(c->ssl) && !net_has_ciphertext(c) && c->dry)
			break;
		if (SSL_read_ex(c->ssl, to + total, n - total, &got) == 1) {
			total += got;
			continue;
		}
		switch (SSL_get_error(c->ssl, 0)) {
		case SSL_ERROR_WANT_READ:
			break;
		case SSL_ERROR_ZERO_RETURN:
			net_fail(c, "the peer has closed the connection");
			break;
		default:
			net_fail_tls(c, "TLS");
		}
		break;
	}
	net_spill(c);
	net_flush(c); /* answers to key updates, alerts */
	return total;
}

size_t net_conn_read(struct net_conn *c, void *to, size_t n)
{
	size_t got;

	if (c->state != NET_OPEN || c->closed || !n)
		return 0;
	if (!c->ssl)
		return net_receive(c, to, n);
	got = read_tls(c, to, n);
	if (c->state == NET_OPEN)
		queue_again(c);
	return got;
}

void net_conn_pause(struct net_conn *c, bool paused)
{
	if (c->closed || c->paused == paused)
		return;
	c->paused = paused;
	if (c->state != NET_OPEN)
		return;
	net_watch_read(c, !paused);
	queue_again(c);
}

/* ------------------------------------------------------------------ writing */

static void write_plain(struct net_conn *c, struct bytes b)
{
	size_t taken;

	if (!b.len)
		return;
	if (!c->ssl) {
		net_send(c, b);
		return;
	}
	forget_errors();
	if (SSL_write_ex(c->ssl, b.at, b.len, &taken) != 1) {
		c->lost += b.len;
		net_fail_tls(c, "TLS");
	}
}

static void flush_later(void *context)
{
	struct net_conn *c = context;

	c->flush_queued = false;
	c->corked = false;
	if (!c->closed)
		net_flush(c);
}

void net_conn_write(struct net_conn *c, struct bytes b, bool more)
{
	if (c->closed || c->state == NET_FAILED) {
		c->lost += b.len;
		return;
	}
	if (c->state != NET_OPEN) {
		buf_put(&c->early, b);
		if (c->early.failed) {
			c->broken = true;
			net_fail(c, "too much was written before it was open");
		}
		return;
	}
	c->corked = more;
	write_plain(c, b);
	if (more && !c->flush_queued) {
		c->flush_queued = true;
		net_loop_defer(c->loop, flush_later, c);
	}
	net_flush(c);
}

size_t net_conn_unsent(const struct net_conn *c)
{
	return net_waiting(c) + c->lost;
}

/* ------------------------------------------------------------------- events */

static void open_now(struct net_conn *c)
{
	struct buf early = c->early;

	c->state = NET_OPEN;
	if (c->ssl && c->loop->nbuffered < NET_BUFFERED_MAX) {
		c->loop->nbuffered++;
		c->buffered = true;
		(void)SSL_clear_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS);
	}
	net_watch_read(c, !c->paused);
	buf_init(&c->early, EARLY_MAX);
	if (early.len)
		net_conn_write(c, buf_bytes(&early), false);
	buf_wipe(&early);
	if (c->state != NET_OPEN)
		return;
	c->events->opened(c->owner);
	/* With the last message of the handshake more may have come. */
	if (!c->closed && c->state == NET_OPEN)
		queue_again(c);
}

static void open_later(void *context)
{
	struct net_conn *c = context;

	if (!c->closed && c->state == NET_SHAKING)
		open_now(c);
}

static void shake(struct net_conn *c)
{
	if (!c->ssl || net_handshake_step(c))
		open_now(c);
}

static void on_read(evutil_socket_t fd, short what, void *context)
{
	struct net_conn *c = context;

	(void)fd;
	(void)what;
	c->dry = false;
	if (c->closed)
		net_linger_on(c);
	else if (c->state == NET_SHAKING)
		shake(c);
	else if (c->state == NET_OPEN)
		c->events->readable(c->owner);
}

static void on_connected(struct net_conn *c)
{
	int e = 0;
	socklen_t len = sizeof(e);

	net_watch_write(c, false);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		e = errno;
	if (e) {
		c->broken = true;
		net_fail(c, "connecting to %s: %s", c->peer, strerror(e));
		return;
	}
	c->state = NET_SHAKING;
	net_watch_read(c, true);
	shake(c);
}

static void on_write(evutil_socket_t fd, short what, void *context)
{
	struct net_conn *c = context;
	bool waited = c->out.len != 0;

	(void)fd;
	(void)what;
	if (!c->closed && c->state == NET_CONNECTING) {
		on_connected(c);
		return;
	}
	net_flush_waiting(c);
	if (c->closed)
		net_linger_on(c);
	else if (waited && c->state == NET_OPEN && !net_waiting(c) && c->events->drained)
		c->events->drained(c->owner);
}

/* ----------------------------------------------------- beginning and ending */

static struct net_conn *conn_new(
	struct net_loop *l, int fd, const struct net_conn_events *events, void *owner)
{
	struct net_conn *c = memory_new(sizeof(*c));

	c->loop = l;
	c->fd = fd;
	c->events = events;
	c->owner = owner;
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, NET_UNSENT_MAX);
	buf_init(&c->early, EARLY_MAX);
	event_assign(&c->read, l->base, fd, EV_READ | EV_PERSIST, on_read, c);
	event_assign(&c->write, l->base, fd, EV_WRITE | EV_PERSIST, on_write, c);
	return c;
}

static void note_peer(struct net_conn *c, const struct sockaddr_storage *peer)
{
	c->address.any.sa_family = peer->ss_family;
	if (peer->ss_family == AF_INET)
		memcpy(&c->address.v4, peer, sizeof(c->address.v4));
	else if (peer->ss_family == AF_INET6)
		memcpy(&c->address.v6, peer, sizeof(c->address.v6));
	net_address_text(&c->address.any, c->peer);
}

struct net_conn *net_conn_accept(struct net_loop *l, int fd, struct net_tls *tls,
	const struct net_conn_events *events, void *owner)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct net_conn *c;

	memset(&peer, 0, sizeof(peer));
	/* It fails when the peer has gone already. */
	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return NULL;
	c = conn_new(l, fd, events, owner);
	note_peer(c, &peer);
	c->state = NET_SHAKING;
	if (!tls)
		net_loop_defer(l, open_later, c);
	else if (net_handshake_begin(c, tls, true, NULL))
		net_watch_read(c, true);
	else
		net_fail(c, "TLS cannot be set up");
	return c;
}

/* True: connected or on the way. */
static bool start_connecting(struct net_conn *c, const struct sockaddr *to, socklen_t len)
{
	int done;

	if (c->fd < 0)
		return false;
	net_tune(c->fd);
	do {
		done = connect(c->fd, to, len);
	} while (done < 0 && errno == EINTR);
	return done == 0 || errno == EINPROGRESS;
}

struct net_conn *net_conn_connect(struct net_loop *l, const struct sockaddr *to, socklen_t len,
	struct net_tls *tls, const char *name, const struct net_conn_events *events, void *owner)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct net_conn *c = conn_new(l, fd, events, owner);
	struct sockaddr_storage peer;

	memset(&peer, 0, sizeof(peer));
	memcpy(&peer, to, len < sizeof(peer) ? len : sizeof(peer));
	note_peer(c, &peer);
	if (!start_connecting(c, to, len)) {
		c->broken = true;
		net_fail(c, "connecting to %s: %s", c->peer, strerror(errno));
	} else if (tls && !net_handshake_begin(c, tls, false, name)) {
		net_fail(c, "TLS cannot be set up, or there is no host name to verify");
	} else {
		net_watch_write(c, true);
	}
	return c;
}

void net_conn_close(struct net_conn *c, uint64_t linger_us)
{
	if (c->closed)
		return;
	c->closed = true;
	c->corked = false;
	net_watch_read(c, false);
	buf_wipe(&c->early);
	if (!linger_us && net_waiting(c)) {
		/* It would come in the middle of a record. */
		c->broken = true;
	} else if (c->ssl && !c->broken && SSL_is_init_finished(c->ssl)) {
		ERR_clear_error();
		SSL_shutdown(c->ssl);
	}
	net_flush(c);
	net_linger(c, linger_us);
}

const char *net_conn_peer(const struct net_conn *c)
{
	return c->peer;
}

const struct sockaddr *net_conn_peer_address(const struct net_conn *c)
{
	return &c->address.any;
}

const char *net_conn_tls_text(const struct net_conn *c)
{
	return c->tls_text;
}

struct bytes net_conn_peer_subject(const struct net_conn *c)
{
	return bytes_of(c->subject, c->subject_len);
}

struct net_loop *net_conn_loop(const struct net_conn *c)
{
	return c->loop;
}
