#include "net/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Of what the peer still sends; a tick reads no more. */
#define DISCARD_MAX 4

static void destroy(void *context)
{
	struct net_conn *c = context;

	SSL_free(c->ssl);
	c->loop->nbuffered -= c->buffered;
	net_tls_unref(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	buf_wipe(&c->early);
	free(c->subject);
	free(c);
}

static void finish(struct net_conn *c)
{
	net_watch_read(c, false);
	net_watch_write(c, false);
	net_loop_defer(c->loop, destroy, c);
	/* Nothing may find it again meanwhile. */
	c->broken = true;
	if (c->before) {
		evtimer_del(&c->linger);
		*c->before = c->next;
		if (c->next)
			c->next->before = c->before;
		c->before = NULL;
	}
}

static void on_linger_end(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	finish(context);
}

/* Empties the kernel's buffer: closing a socket with bytes in it resets the connection,
 * and takes from the peer what we sent last.  True: something was there. */
static bool discard(struct net_conn *c, bool *ended)
{
	bool some = false;
	ssize_t n = 0;

	for (int i = 0; i < DISCARD_MAX; i++) {
		n = recv(c->fd, c->loop->in, sizeof(c->loop->in), 0);
		if (n <= 0)
			break;
		some = true;
	}
	*ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
	return some;
}

void net_linger_on(struct net_conn *c)
{
	bool ended, some;

	if (c->broken) {
		finish(c);
		return;
	}
	if (net_waiting(c))
		return;
	some = discard(c, &ended);
	if (ended || (!some && !c->half_closed)) {
		finish(c);
		return;
	}
	/* It is still sending: let it see the end, and wait for its own. */
	if (!c->half_closed)
		shutdown(c->fd, SHUT_WR);
	c->half_closed = true;
	net_watch_read(c, true);
}

void net_linger(struct net_conn *c, uint64_t linger_us)
{
	struct timeval after = {.tv_sec = (time_t)(linger_us / 1000000),
		.tv_usec = (suseconds_t)(linger_us % 1000000)};

	if (!linger_us || c->broken) {
		finish(c);
		return;
	}
	c->before = &c->loop->lingering;
	c->next = *c->before;
	if (c->next)
		c->next->before = &c->next;
	*c->before = c;
	evtimer_assign(&c->linger, c->loop->base, on_linger_end, c);
	evtimer_add(&c->linger, &after);
	net_linger_on(c);
}

void net_drop_lingering(struct net_loop *l)
{
	while (l->lingering)
		finish(l->lingering);
}
