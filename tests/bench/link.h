/* link.h - a socket, with TLS 1.3 or without, as the benchmark's two ends use it.
 *
 * Reading never waits.  Writing waits until all is written: each end has one message in
 * flight a connection, so that the other side always comes to read.
 */
#ifndef TESTS_BENCH_LINK_H
#define TESTS_BENCH_LINK_H

#include <openssl/ssl.h>

#include "util/buf.h"

struct link {
	int fd;
	SSL *ssl;       /* NULL: plain TCP */
	struct buf in;  /* a message that is not whole yet, or whole ones */
	size_t skipped; /* bytes at the front of `in` that were taken */
};

/* One cipher for all, so that every peer does the same work.  Each ends the process, with
 * a line on standard error, when a file is not as it should be. */
SSL_CTX *link_server_tls(const char *certificate, const char *key);
SSL_CTX *link_client_tls(const char *ca);

/* Both take the socket over; `ctx` NULL: plain TCP.  `host` is the name to verify. */
void link_accept(struct link *l, int fd, SSL_CTX *ctx);
void link_connect(struct link *l, int fd, SSL_CTX *ctx, const char *host);
void link_close(struct link *l);

/* Reads what there is until a message is whole; false when the connection is gone. */
bool link_read(struct link *l);
/* The next whole message, borrowed until the next link_read; false when there is none. */
bool link_take(struct link *l, struct bytes *message);
/* True when a read may give something although the socket is not readable. */
bool link_has_more(const struct link *l);
/* False when the connection is gone, or after 30 s. */
bool link_write(struct link *l, struct bytes b);

#endif
