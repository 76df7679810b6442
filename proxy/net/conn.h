/* conn.h - one connection, with TLS or without: bytes in, bytes out.
 *
 * The owner pulls what it reads, and is told when there is something to pull.  OpenSSL
 * works over a BIO of ours: ciphertext is received into, and sent from, buffers of the
 * worker; a connection owns only what is left over, and an idle one owns no buffer, but for
 * the NET_BUFFERED_MAX of a loop that keep OpenSSL's (34 kB each) instead of asking for them
 * with every message.
 * Callbacks come from the loop; none comes after net_conn_close, and none from within a
 * call of the owner.
 */
#ifndef PROXY_NET_CONN_H
#define PROXY_NET_CONN_H

#include <sys/socket.h>

#include "net/loop.h"
#include "net/tls.h"

struct net_conn;

#define NET_BUFFERED_MAX 256u

struct net_conn_events {
	void (*opened)(void *owner); /* connected, and the TLS handshake is done */
	/* net_conn_read may have something, or the end; again while anything is left. */
	void (*readable)(void *owner);
	/* Or NULL: net_conn_unsent was more than 0, and is 0 now. */
	void (*drained)(void *owner);
	/* By the peer or by an error; once.  net_conn_close is still to be called. */
	void (*closed)(void *owner, const char *why);
};

/* Takes over a connected, non-blocking socket.  `tls` NULL: plain TCP.  NULL: the peer has
 * gone already, and the socket is still the caller's. */
struct net_conn *net_conn_accept(struct net_loop *l, int fd, struct net_tls *tls,
	const struct net_conn_events *events, void *owner);
/* Connects; `name` is verified against the certificate and sent as SNI (but for a
 * literal address, which is only verified).  Never NULL: what fails is told by `closed`. */
struct net_conn *net_conn_connect(struct net_loop *l, const struct sockaddr *to, socklen_t len,
	struct net_tls *tls, const char *name, const struct net_conn_events *events, void *owner);

/* Up to `n` plain bytes; 0 when there are none now.  May be called at any time. */
size_t net_conn_read(struct net_conn *c, void *to, size_t n);
/* While paused `readable` is not called and the socket is not read, so that the peer is
 * slowed down; what is already decrypted waits. */
void net_conn_pause(struct net_conn *c, bool paused);
/* Sends at once what the kernel takes and keeps the rest.  `more`: further bytes follow
 * in this tick, so do not send yet.  What is written before `opened` waits for it (up to
 * 1 MiB).  A peer that leaves 256 MiB unread is given up. */
void net_conn_write(struct net_conn *c, struct bytes b, bool more);
/* Bytes that the kernel has not taken, or never will since the connection has failed. */
size_t net_conn_unsent(const struct net_conn *c);
/* Lets what is unsent go out (for at most `linger_us`; 0: drop it), then closes; with TLS
 * says close_notify.  A peer that is still sending is read from meanwhile, so that it is
 * not reset before it has read.  The pointer is dead for the owner from here on. */
void net_conn_close(struct net_conn *c, uint64_t linger_us);

/* "10.0.3.7:51544", "[::1]:443" or "unix". */
const char *net_conn_peer(const struct net_conn *c);
const struct sockaddr *net_conn_peer_address(const struct net_conn *c);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty without TLS. */
const char *net_conn_tls_text(const struct net_conn *c);
/* RFC 2253 subject of the verified client certificate; empty when there is none. */
struct bytes net_conn_peer_subject(const struct net_conn *c);
struct net_loop *net_conn_loop(const struct net_conn *c);

#endif
