/* tls.h - what TLS is spoken with: contexts, from files.  Reference-counted, immutable.
 *
 * TLS 1.3, and 1.2 where asked for (as a client always), with forward secrecy and AEAD only (ECDHE with
 * AES-GCM or ChaCha20-Poly1305); no compression, no renegotiation, no ALPN, no early
 * data.  Sessions are resumed by tickets under keys of the context.
 */
#ifndef PROXY_NET_TLS_H
#define PROXY_NET_TLS_H

#include "util/fault.h"

struct net_tls;

struct net_tls_server_files {
	const char *certificate; /* PEM, leaf first */
	const char *key;         /* PEM, private to its owner */
	const char *client_ca;   /* NULL: no client certificate is asked for */
	bool allow_tls12;
};
struct net_tls *net_tls_server_new(const struct net_tls_server_files *files, struct fault *why);

struct net_tls_client_files {
	const char *ca;              /* NULL: the system's */
	const char *certificate_key; /* PEM with both, or NULL */
	const char *key_password;    /* or NULL */
	bool any_hostname;           /* tlsAllowInvalidHostnames */
	bool any_certificate;        /* tlsAllowInvalidCertificates */
};
struct net_tls *net_tls_client_new(const struct net_tls_client_files *files, struct fault *why);
struct net_tls *net_tls_ref(struct net_tls *t);
void net_tls_unref(struct net_tls *t);
/* RFC 2253 subject of the certificate that the context shows; empty when it has none. */
struct bytes net_tls_subject(const struct net_tls *t);

#endif
