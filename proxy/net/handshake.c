#include "net/inside.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "util/memory.h"

static bool set_sni(struct net_conn *c, const char *name)
{
	/* The macro casts a const away. */
	char *copy = memory_text(bytes_str(name));
	bool done = SSL_set_tlsext_host_name(c->ssl, copy) == 1;

	free(copy);
	return done;
}

/* Whom the certificate must name, and SNI. */
static bool set_name(struct net_conn *c, struct net_tls *tls, const char *name)
{
	bool literal = name && net_address_is_literal(name);

	if (!name || !*name)
		return !net_tls_wants_name(tls);
	if (!literal && !set_sni(c, name))
		return false;
	if (!net_tls_wants_name(tls))
		return true;
	if (literal)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), name) == 1;
	return SSL_set1_host(c->ssl, name) == 1;
}

bool net_handshake_begin(struct net_conn *c, struct net_tls *tls, bool server, const char *name)
{
	BIO *bio;

	ERR_clear_error();
	c->tls = net_tls_ref(tls);
	c->ssl = net_tls_ssl(tls);
	bio = c->ssl ? net_bio_new(c) : NULL;
	if (!bio || net_tls_is_server(tls) != server) {
		BIO_free(bio);
		return false;
	}
	SSL_set_bio(c->ssl, bio, bio);
	if (server)
		SSL_set_accept_state(c->ssl);
	else
		SSL_set_connect_state(c->ssl);
	return server || set_name(c, tls, name);
}

void net_fail_tls(struct net_conn *c, const char *during)
{
	unsigned long e = ERR_peek_error();
	const char *text = e ? ERR_reason_error_string(e) : NULL;
	long verified = SSL_get_verify_result(c->ssl);

	if (verified != X509_V_OK && SSL_get_verify_mode(c->ssl) != SSL_VERIFY_NONE)
		net_fail(c, "%s: %s (%s)", during, text ? text : "failed",
			X509_verify_cert_error_string(verified));
	else
		net_fail(c, "%s: %s", during, text ? text : "failed");
	ERR_clear_error();
}

/* A resumed session shows a certificate that was verified when the ticket was made. */
static bool note_subject(struct net_conn *c)
{
	X509 *certificate = SSL_get1_peer_certificate(c->ssl);
	bool valid;

	if (!certificate)
		return true;
	valid = SSL_get_verify_result(c->ssl) == X509_V_OK &&
		X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
	if (valid)
		c->subject = net_subject_text(certificate, &c->subject_len);
	X509_free(certificate);
	return c->subject != NULL;
}

bool net_handshake_step(struct net_conn *c)
{
	int done;

	ERR_clear_error();
	done = SSL_do_handshake(c->ssl);
	if (done == 1 && SSL_is_server(c->ssl) && !note_subject(c)) {
		net_fail(c, "TLS handshake: the client's certificate is no longer valid");
		done = 0;
	} else if (done != 1 && SSL_get_error(c->ssl, done) != SSL_ERROR_WANT_READ) {
		net_fail_tls(c, "TLS handshake");
	}
	net_spill(c);
	net_flush(c);
	if (done != 1 || c->state == NET_FAILED)
		return false;
	snprintf(c->tls_text, sizeof(c->tls_text), "%s %s", SSL_get_version(c->ssl),
		SSL_get_cipher_name(c->ssl));
	return true;
}
