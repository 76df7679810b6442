#include "net/inside.h"

#include <errno.h>
#include <netinet/tcp.h>

#include <openssl/bio.h>

/* What has been sent is moved away only when it is much and most of it. */
#define COMPACT_FROM (64u * 1024)

size_t net_receive(struct net_conn *c, void *to, size_t n)
{
	ssize_t got;

	if (c->dry || c->broken || (c->paused && c->state == NET_OPEN))
		return 0;
	do {
		got = recv(c->fd, to, n, 0);
	} while (got < 0 && errno == EINTR);
	if (got > 0) {
		/* A short read has emptied it: no second call that only says so. */
		c->dry = (size_t)got < n;
		return (size_t)got;
	}
	c->dry = true;
	if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
		const char *why = got ? strerror(errno) : "the peer has closed the connection";

		c->broken = true;
		net_fail(c, "%s", why);
	}
	return 0;
}

/* How much of it the kernel took. */
static size_t send_some(struct net_conn *c, struct bytes b)
{
	ssize_t n;

	if (c->broken) {
		c->lost += b.len;
		return b.len;
	}
	do {
		n = send(c->fd, b.at, b.len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	c->broken = true;
	net_fail(c, "sending: %s", strerror(errno));
	c->lost += b.len;
	return b.len;
}

static void keep(struct net_conn *c, struct bytes b)
{
	if (c->broken) {
		c->lost += b.len;
		return;
	}
	if (!b.len)
		return;
	if (c->out_from >= COMPACT_FROM && c->out_from >= c->out.len / 2) {
		buf_consume(&c->out, c->out_from);
		c->out_from = 0;
	}
	buf_put(&c->out, b);
	if (c->out.failed) {
		c->broken = true;
		c->lost += b.len;
		net_fail(c, "the peer does not read what it is sent");
	}
}

/* What lies in the loop's buffer goes out now. */
static void flush_scratch(struct net_conn *c)
{
	struct net_loop *l = c->loop;
	struct bytes b = bytes_of(l->out, l->out_len);

	l->out_len = 0;
	if (!b.len)
		return;
	if (!net_waiting(c))
		b = bytes_from(b, send_some(c, b));
	keep(c, b);
}

void net_send(struct net_conn *c, struct bytes b)
{
	if (!c->corked && c->out_from == c->out.len)
		b = bytes_from(b, send_some(c, b));
	keep(c, b);
}

void net_flush(struct net_conn *c)
{
	flush_scratch(c);
	if (c->corked)
		return;
	/* While the event is awaited the kernel is known to be full. */
	if (c->out_from < c->out.len && !c->writing)
		c->out_from += send_some(c, bytes_from(buf_bytes(&c->out), c->out_from));
	if (c->broken || c->out_from == c->out.len) {
		c->lost += c->out.len - c->out_from;
		buf_fini(&c->out);
		c->out_from = 0;
	}
	net_watch_write(c, c->out.len != 0);
}

void net_flush_waiting(struct net_conn *c)
{
	if (c->out_from < c->out.len)
		c->out_from += send_some(c, bytes_from(buf_bytes(&c->out), c->out_from));
	net_flush(c);
}

void net_tune(int fd)
{
	static const int on = 1, idle_s = 120, every_s = 15, probes = 4;

	/* A socket that is no TCP has none of these, and needs none. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

bool net_has_ciphertext(const struct net_conn *c)
{
	return c->in_from < c->in.len || c->loop->in_from < c->loop->in_len;
}

void net_spill(struct net_conn *c)
{
	struct net_loop *l = c->loop;

	if (c->in_from == c->in.len) {
		buf_fini(&c->in);
		c->in_from = 0;
	}
	if (l->in_from < l->in_len)
		buf_put(&c->in, bytes_of(l->in + l->in_from, l->in_len - l->in_from));
	l->in_from = l->in_len = 0;
}

static size_t take(const uint8_t *at, size_t *from, size_t len, char *to, size_t n)
{
	size_t left = len - *from;

	n = n < left ? n : left;
	memcpy(to, at + *from, n);
	*from += n;
	return n;
}

static int bio_read(BIO *bio, char *to, size_t n, size_t *got)
{
	struct net_conn *c = BIO_get_data(bio);
	struct net_loop *l = c->loop;

	BIO_clear_retry_flags(bio);
	*got = 0;
	if (c->in_from < c->in.len) {
		*got = take(c->in.at, &c->in_from, c->in.len, to, n);
		return 1;
	}
	if (l->in_from == l->in_len) {
		l->in_from = 0;
		l->in_len = net_receive(c, l->in, sizeof(l->in));
	}
	if (l->in_len) {
		*got = take(l->in, &l->in_from, l->in_len, to, n);
		return 1;
	}
	if (!c->broken)
		BIO_set_retry_read(bio);
	return 0;
}

static int bio_write(BIO *bio, const char *from, size_t n, size_t *taken)
{
	struct net_conn *c = BIO_get_data(bio);
	struct net_loop *l = c->loop;
	struct bytes b = bytes_of(from, n);

	BIO_clear_retry_flags(bio);
	*taken = n;
	/* Behind what waits already. */
	if (c->corked || c->out_from < c->out.len) {
		flush_scratch(c);
		keep(c, b);
		return 1;
	}
	while (b.len) {
		size_t room = sizeof(l->out) - l->out_len;
		struct bytes head = bytes_head(b, room);

		memcpy(l->out + l->out_len, head.at, head.len);
		l->out_len += head.len;
		b = bytes_from(b, head.len);
		if (l->out_len == sizeof(l->out))
			flush_scratch(c);
	}
	return 1;
}

static long bio_ctrl(BIO *bio, int command, long n, void *p)
{
	(void)bio;
	(void)n;
	(void)p;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");

	if (m && BIO_meth_set_read_ex(m, bio_read) && BIO_meth_set_write_ex(m, bio_write) &&
		BIO_meth_set_ctrl(m, bio_ctrl))
		method = m;
}

BIO *net_bio_new(struct net_conn *c)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	pthread_once(&once, make_method);
	bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	return bio;
}
