/* inside.h - what the parts of net/ share. */
#ifndef PROXY_NET_INSIDE_H
#define PROXY_NET_INSIDE_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "net/address.h"
#include "net/conn.h"
#include "util/buf.h"

/* Received at once, and sealed records sent at once: several records, and still in the
 * processor's second cache. */
#define NET_SCRATCH_LEN (128u * 1024)
/* What may wait for a peer that does not read; owners look at net_conn_unsent long before. */
#define NET_UNSENT_MAX  (256u * 1024 * 1024)
#define NET_HOOKS_MAX   4u

struct net_task {
	net_fn *fn;
	void *context;
};

struct net_tasks {
	struct net_task *at;
	size_t n, capacity;
};

struct net_loop {
	struct event_base *base;
	struct event wake;
	int wake_fd; /* an eventfd */
	atomic_bool stopping;
	pthread_mutex_t lock;
	struct net_tasks posted; /* under the lock */
	struct net_tasks deferred;
	struct net_task hooks[NET_HOOKS_MAX];
	size_t nhooks;
	uint64_t *now_us;           /* of this tick; 0: not read yet */
	struct net_conn *lingering; /* closed by their owners, not yet by us */
	/* Ciphertext; each holds something only during one call of one connection. */
	uint8_t in[NET_SCRATCH_LEN];
	uint8_t out[NET_SCRATCH_LEN];
	size_t in_from, in_len, out_len;
	size_t nbuffered; /* connections that keep OpenSSL's buffers */
};

enum net_state { NET_CONNECTING, NET_SHAKING, NET_OPEN, NET_FAILED };

struct net_conn {
	struct net_loop *loop;
	int fd;
	enum net_state state;
	SSL *ssl;            /* NULL: plain TCP */
	struct net_tls *tls; /* a reference */
	const struct net_conn_events *events;
	void *owner;
	struct event read, write;
	bool paused;
	bool buffered;         /* one of the loop's that keep OpenSSL's buffers */
	bool reading, writing; /* their event is added */
	bool dry;              /* the kernel has been emptied since the last event */
	bool broken;           /* nothing can be sent or received any more */
	bool corked;           /* more is written in this tick */
	bool flush_queued, again_queued;
	bool closed; /* by its owner */
	bool half_closed;
	struct buf in; /* received, not yet taken by OpenSSL */
	size_t in_from;
	struct buf out; /* to be sent */
	size_t out_from;
	struct buf early;                /* plain, written before the connection was open */
	size_t lost;                     /* that was to be sent when nothing could be any more */
	struct net_conn *next, **before; /* while lingering */
	struct event linger;
	uint8_t *subject;
	size_t subject_len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	char peer[NET_ADDRESS_MAX];
	char tls_text[64];
	char why[160];
};

/* transfer.c: bytes between the kernel, the loop's buffers and the connection's own. */

/* Received bytes; 0 for none now, or when the end has come (`broken`). */
size_t net_receive(struct net_conn *c, void *to, size_t n);
/* Sends or keeps all of it. */
void net_send(struct net_conn *c, struct bytes b);
/* What waits to be sent. */
static inline size_t net_waiting(const struct net_conn *c)
{
	return c->out.len - c->out_from + c->early.len;
}
/* Sends what waits, as far as the kernel takes it. */
void net_flush(struct net_conn *c);
/* As above when the kernel has said that it takes some again. */
void net_flush_waiting(struct net_conn *c);
/* No delay of small segments, and dead peers are noticed. */
void net_tune(int fd);
/* Ciphertext that OpenSSL has not taken: keeps it for the connection's next call. */
void net_spill(struct net_conn *c);
bool net_has_ciphertext(const struct net_conn *c);
/* The BIO over these. */
BIO *net_bio_new(struct net_conn *c);

/* conn.c */

/* Ends it; its owner is told at the end of the tick. */
void net_fail(struct net_conn *c, const char *format, ...) PRINTF_LIKE(2, 3);
void net_watch_write(struct net_conn *c, bool on);
void net_watch_read(struct net_conn *c, bool on);

/* handshake.c */

/* False: it cannot be begun. */
bool net_handshake_begin(
	struct net_conn *c, struct net_tls *tls, bool server, const char *name) MUST_CHECK;
/* Goes on with it; true when it is done.  It may have failed, too. */
bool net_handshake_step(struct net_conn *c) MUST_CHECK;
/* Fails the connection for OpenSSL's reason. */
void net_fail_tls(struct net_conn *c, const char *during);

/* linger.c */

/* What remains to be done when the owner has closed. */
void net_linger(struct net_conn *c, uint64_t linger_us);
/* An event of a connection that lingers. */
void net_linger_on(struct net_conn *c);
/* At the end of a loop, for those that still linger: frees them with what is deferred. */
void net_drop_lingering(struct net_loop *l);

/* tls.c */
SSL *net_tls_ssl(const struct net_tls *t);
bool net_tls_is_server(const struct net_tls *t);
/* Whether the peer's certificate must show the name that was connected to. */
bool net_tls_wants_name(const struct net_tls *t);
/* RFC 2253, UTF-8 as it is; NULL: too long. */
uint8_t *net_subject_text(const X509 *certificate, size_t *len);

#endif
