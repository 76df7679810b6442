/* listener.h - listening sockets; one acceptor thread for all of them.
 *
 * The acceptor gives each connection to whoever the owner's callback names: it does
 * nothing else, so that workers can be chosen by their number of connections.
 */
#ifndef PROXY_NET_LISTENER_H
#define PROXY_NET_LISTENER_H

#include "util/fault.h"

struct net_listener;

/* Takes the accepted socket (non-blocking, close-on-exec, TCP_NODELAY, keepalive); runs on
 * the acceptor's thread. */
typedef void net_accepted_fn(void *context, int fd);

/* Binds "address:port" ("[::]:27017", "0.0.0.0:0", …; port 0: any free one), or takes the
 * socket that systemd passes (LISTEN_FDS).  NULL and a fault when that fails. */
struct net_listener *net_listener_new(
	const char *address, net_accepted_fn *accepted, void *context, struct fault *why);
/* The address that it is bound to, with the real port. */
const char *net_listener_address(const struct net_listener *l);
/* Starts the acceptor's thread.  Out of descriptors it pauses, and says so in the log. */
bool net_listener_start(struct net_listener *l, struct fault *why) MUST_CHECK;
/* No further connection is accepted; returns when the thread has ended.  May be called twice. */
void net_listener_stop(struct net_listener *l);
void net_listener_free(struct net_listener *l);

#endif
