/* address.h - socket addresses as people write them. */
#ifndef PROXY_NET_ADDRESS_H
#define PROXY_NET_ADDRESS_H

#include <sys/socket.h>

#include "util/bytes.h"

#define NET_ADDRESS_MAX 56 /* bytes of the longest text, its NUL included */

/* "10.0.3.7:51544" (an IPv4 address that is mapped into IPv6, too), "[::1]:443" or
 * "unix"; returns `out`. */
const char *net_address_text(const struct sockaddr *address, char out[NET_ADDRESS_MAX]);

/* Reads the same forms but "unix": a literal address, and a port from 0 to 65535.
 * False: it is none. */
bool net_address_parse(const char *text, struct sockaddr_storage *out, socklen_t *len) MUST_CHECK;

/* Whether it is a literal IPv4 or IPv6 address, without port and brackets. */
bool net_address_is_literal(const char *host);

#endif
