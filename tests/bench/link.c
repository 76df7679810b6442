#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "wire/frame.h"

#define CIPHER        "TLS_AES_256_GCM_SHA384"
#define READ_AHEAD    (64 * 1024)
#define CHUNK         (64u * 1024)
#define WRITE_WAIT_MS 30000

static NORETURN void die_of_tls(const char *what)
{
	fprintf(stderr, "%s: ", what);
	ERR_print_errors_fp(stderr);
	exit(3);
}

static SSL_CTX *tls13(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
		!SSL_CTX_set_ciphersuites(ctx, CIPHER))
		die_of_tls("TLS");
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
	SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
	return ctx;
}

SSL_CTX *link_server_tls(const char *certificate, const char *key)
{
	SSL_CTX *ctx = tls13(TLS_server_method());

	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		die_of_tls(certificate);
	return ctx;
}

SSL_CTX *link_client_tls(const char *ca)
{
	SSL_CTX *ctx = tls13(TLS_client_method());

	if (SSL_CTX_load_verify_file(ctx, ca) != 1)
		die_of_tls(ca);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return ctx;
}

static void link_init(struct link *l, int fd, SSL_CTX *ctx)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	*l = (struct link){.fd = fd};
	buf_init(&l->in, 2 * FRAME_MESSAGE_MAX);
	if (!ctx)
		return;
	l->ssl = SSL_new(ctx);
	if (!l->ssl || SSL_set_fd(l->ssl, fd) != 1)
		die_of_tls("SSL_new");
}

void link_accept(struct link *l, int fd, SSL_CTX *ctx)
{
	link_init(l, fd, ctx);
	if (l->ssl)
		SSL_set_accept_state(l->ssl);
}

void link_connect(struct link *l, int fd, SSL_CTX *ctx, const char *host)
{
	char name[256]; /* OpenSSL's macro wants it writable */

	link_init(l, fd, ctx);
	if (!l->ssl)
		return;
	SSL_set_connect_state(l->ssl);
	snprintf(name, sizeof(name), "%s", host);
	if (SSL_set_tlsext_host_name(l->ssl, name) != 1 || SSL_set1_host(l->ssl, host) != 1)
		die_of_tls(host);
}

void link_close(struct link *l)
{
	SSL_free(l->ssl);
	close(l->fd);
	buf_fini(&l->in);
	*l = (struct link){.fd = -1};
}

/* What to wait for after an I/O call that gave `n`; 0: the connection is gone. */
static short wanted(struct link *l, ssize_t n, short plainly)
{
	if (!l->ssl)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? plainly : 0;
	switch (SSL_get_error(l->ssl, (int)n)) {
	case SSL_ERROR_WANT_READ:
		return POLLIN;
	case SSL_ERROR_WANT_WRITE:
		return POLLOUT;
	default:
		ERR_clear_error();
		return 0;
	}
}

/* Bytes of the message at the front that are still to come; a chunk if unknown. */
static size_t bytes_to_come(const struct link *l)
{
	size_t have = l->in.len - l->skipped;
	size_t length = have >= 4 ? load_u32(l->in.at + l->skipped) : 0;

	return length > have + CHUNK ? length - have : CHUNK;
}

/* A length that cannot be is whole at once, so that link_take sees it. */
static bool is_whole(const struct link *l)
{
	size_t have = l->in.len - l->skipped;

	return have >= FRAME_HEADER_LEN && load_u32(l->in.at + l->skipped) <= have;
}

bool link_read(struct link *l)
{
	if (is_whole(l))
		return false; /* link_take did not take it: its length is a lie */
	buf_consume(&l->in, l->skipped);
	l->skipped = 0;
	while (!is_whole(l)) {
		size_t size = bytes_to_come(l);
		uint8_t *room = buf_reserve(&l->in, size);
		ssize_t n;

		if (!room)
			return false;
		n = l->ssl ? SSL_read(l->ssl, room, (int)size) : recv(l->fd, room, size, 0);
		if (n <= 0)
			return wanted(l, n, POLLIN) != 0;
		buf_commit(&l->in, (size_t)n);
	}
	return true;
}

bool link_take(struct link *l, struct bytes *message)
{
	if (!is_whole(l))
		return false;
	*message = bytes_from(buf_bytes(&l->in), l->skipped);
	message->len = load_u32(message->at);
	if (message->len < FRAME_HEADER_LEN)
		return false;
	l->skipped += message->len;
	return true;
}

bool link_has_more(const struct link *l)
{
	return is_whole(l) || (l->ssl && SSL_has_pending(l->ssl));
}

bool link_write(struct link *l, struct bytes b)
{
	while (b.len) {
		ssize_t n = l->ssl ? SSL_write(l->ssl, b.at, (int)b.len)
				   : send(l->fd, b.at, b.len, MSG_NOSIGNAL);
		struct pollfd p = {.fd = l->fd};

		if (n > 0) {
			b = bytes_from(b, (size_t)n);
			continue;
		}
		p.events = wanted(l, n, POLLOUT);
		if (!p.events || poll(&p, 1, WRITE_WAIT_MS) <= 0)
			return false;
	}
	return true;
}
