#include "net/inside.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "util/file.h"
#include "util/memory.h"

#define PEM_MAX        (1024u * 1024)
#define SUBJECT_MAX    4096u
#define TICKET_SECONDS 3600
#define SECURITY_LEVEL 2 /* 112 bits */
#define TLS12_CIPHERS                                                \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"

struct net_tls {
	SSL_CTX *ctx;
	atomic_uint references;
	bool server, wants_name;
	uint8_t *subject;
	size_t subject_len;
};

/* The reason of the error that OpenSSL met first. */
static const char *reason(void)
{
	unsigned long e = ERR_peek_error();
	const char *text = e ? ERR_reason_error_string(e) : NULL;

	return text ? text : "it is not understood";
}

uint8_t *net_subject_text(const X509 *certificate, size_t *len)
{
	BIO *out = BIO_new(BIO_s_mem());
	uint8_t *text = NULL;
	char *at;
	long n;

	/* Without ESC_MSB: UTF-8 stays UTF-8, as in MongoDB's own names of X.509 users. */
	if (out && X509_NAME_print_ex(out, X509_get_subject_name(certificate), 0,
			   XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0) {
		n = BIO_get_mem_data(out, &at);
		*len = n > 0 ? (size_t)n : 0;
		if (*len <= SUBJECT_MAX) {
			text = memory_new(*len + 1);
			memcpy(text, at, *len);
		}
	}
	BIO_free(out);
	return text;
}

/* Also where there is no password: OpenSSL would ask for one at the terminal. */
static int give_password(char *out, int size, int for_writing, void *password)
{
	size_t len = password ? strlen(password) : 0;

	(void)for_writing;
	if (!len || len > (size_t)size)
		return -1;
	memcpy(out, password, len);
	return (int)len;
}

static bool set_common(SSL_CTX *ctx, bool allow_tls12)
{
	/* No constant: the macro casts a const away. */
	char groups[] = "X25519:P-256:P-384";

	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return SSL_CTX_set_min_proto_version(ctx, allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) &&
	       SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) &&
	       SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) && SSL_CTX_set1_groups_list(ctx, groups);
}

static struct net_tls *tls_new(bool server, bool allow_tls12)
{
	struct net_tls *t = memory_new(sizeof(*t));

	atomic_store(&t->references, 1);
	t->server = server;
	ERR_clear_error();
	t->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (t->ctx && set_common(t->ctx, allow_tls12))
		return t;
	net_tls_unref(t);
	return NULL;
}

/* The leaf and what it was signed by. */
static bool use_certificates(
	struct net_tls *t, struct bytes pem, const char *path, struct fault *why)
{
	BIO *in = BIO_new_mem_buf(pem.at, (int)pem.len);
	X509 *leaf = in ? PEM_read_bio_X509(in, NULL, give_password, NULL) : NULL;
	X509 *next;
	bool ok = leaf && SSL_CTX_use_certificate(t->ctx, leaf) == 1;

	if (ok)
		t->subject = net_subject_text(leaf, &t->subject_len);
	while (ok && (next = PEM_read_bio_X509(in, NULL, give_password, NULL))) {
		ok = SSL_CTX_add0_chain_cert(t->ctx, next) == 1;
		if (!ok)
			X509_free(next);
	}
	/* The end of the file is an error, too, but not ours. */
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		ok = false;
	if (!ok)
		fault_set(why, FAULT_INTERNAL, "%s: not a certificate that can be used: %s", path,
			reason());
	X509_free(leaf);
	BIO_free(in);
	ERR_clear_error();
	return ok &&
	       (t->subject || fault_set(why, FAULT_INTERNAL, "%s: the subject is too long", path));
}

static bool use_key(struct net_tls *t, struct bytes pem, const char *path, const char *password,
	struct fault *why)
{
	BIO *in = BIO_new_mem_buf(pem.at, (int)pem.len);
	EVP_PKEY *key;
	char *copy = password ? memory_text(bytes_str(password)) : NULL;
	bool ok;

	key = in ? PEM_read_bio_PrivateKey(in, NULL, give_password, copy) : NULL;
	if (copy) {
		OPENSSL_cleanse(copy, strlen(copy));
		free(copy);
	}
	ok = key && SSL_CTX_use_PrivateKey(t->ctx, key) == 1 &&
	     SSL_CTX_check_private_key(t->ctx) == 1;
	if (!ok)
		fault_set(why, FAULT_INTERNAL,
			"%s: not the private key of the certificate, or its password is wrong: %s",
			path, reason());
	EVP_PKEY_free(key);
	BIO_free(in);
	ERR_clear_error();
	return ok;
}

static bool load_certificates(struct net_tls *t, const char *path, struct fault *why)
{
	struct buf pem;
	bool ok;

	buf_init(&pem, PEM_MAX);
	ok = file_read(path, &pem) || fault_set(why, FAULT_INTERNAL, "%s: cannot be read", path);
	ok = ok && use_certificates(t, buf_bytes(&pem), path, why);
	buf_fini(&pem);
	return ok;
}

/* A file with a private key, and with `certificates` those too. */
static bool load_key(struct net_tls *t, const char *path, const char *password, bool certificates,
	struct fault *why)
{
	const char *text;
	struct buf pem;
	bool ok;

	buf_init(&pem, PEM_MAX);
	ok = file_read_secret(path, &pem, &text) ||
	     fault_set(why, FAULT_INTERNAL, "%s: %s", path, text);
	ok = ok && (!certificates || use_certificates(t, buf_bytes(&pem), path, why)) &&
	     use_key(t, buf_bytes(&pem), path, password, why);
	buf_wipe(&pem);
	return ok;
}

/* Clients may show a certificate of these; who must is the login's business. */
static bool use_client_ca(struct net_tls *t, const char *path, struct fault *why)
{
	STACK_OF(X509_NAME) * names;

	if (!path)
		return true;
	names = SSL_load_client_CA_file(path);
	if (!names || SSL_CTX_load_verify_file(t->ctx, path) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return fault_set(why, FAULT_INTERNAL, "%s: no certificates of authorities: %s",
			path, reason());
	}
	SSL_CTX_set_client_CA_list(t->ctx, names);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	return true;
}

static bool use_tickets(struct net_tls *t, struct fault *why)
{
	static const unsigned char context[] = "mongoward";

	SSL_CTX_set_timeout(t->ctx, TICKET_SECONDS);
	SSL_CTX_set_max_early_data(t->ctx, 0);
	if (SSL_CTX_set_num_tickets(t->ctx, 1) == 1 &&
		SSL_CTX_set_session_id_context(t->ctx, context, sizeof(context) - 1) == 1)
		return true;
	return fault_set(why, FAULT_INTERNAL, "TLS cannot be set up: %s", reason());
}

struct net_tls *net_tls_server_new(const struct net_tls_server_files *files, struct fault *why)
{
	struct net_tls *t = tls_new(true, files->allow_tls12);

	if (!t) {
		fault_set(why, FAULT_INTERNAL, "TLS cannot be set up: %s", reason());
		return NULL;
	}
	if (load_certificates(t, files->certificate, why) &&
		load_key(t, files->key, NULL, false, why) &&
		use_client_ca(t, files->client_ca, why) && use_tickets(t, why))
		return t;
	net_tls_unref(t);
	return NULL;
}

static bool use_authorities(struct net_tls *t, const char *path, struct fault *why)
{
	if (!path && SSL_CTX_set_default_verify_paths(t->ctx) != 1)
		return fault_set(why, FAULT_INTERNAL, "the system has no certificates");
	if (path && SSL_CTX_load_verify_file(t->ctx, path) != 1)
		return fault_set(why, FAULT_INTERNAL, "%s: no certificates of authorities: %s",
			path, reason());
	return true;
}

struct net_tls *net_tls_client_new(const struct net_tls_client_files *files, struct fault *why)
{
	struct net_tls *t = tls_new(false, true);
	X509_VERIFY_PARAM *param;

	if (!t) {
		fault_set(why, FAULT_INTERNAL, "TLS cannot be set up: %s", reason());
		return NULL;
	}
	t->wants_name = !files->any_hostname && !files->any_certificate;
	SSL_CTX_set_verify(
		t->ctx, files->any_certificate ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	param = SSL_CTX_get0_param(t->ctx);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (use_authorities(t, files->ca, why) &&
		(!files->certificate_key ||
			load_key(t, files->certificate_key, files->key_password, true, why)))
		return t;
	net_tls_unref(t);
	return NULL;
}

struct net_tls *net_tls_ref(struct net_tls *t)
{
	atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
	return t;
}

void net_tls_unref(struct net_tls *t)
{
	if (!t || atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(t->ctx);
	free(t->subject);
	free(t);
}

struct bytes net_tls_subject(const struct net_tls *t)
{
	return bytes_of(t->subject, t->subject_len);
}

SSL *net_tls_ssl(const struct net_tls *t)
{
	return SSL_new(t->ctx);
}

bool net_tls_is_server(const struct net_tls *t)
{
	return t->server;
}

bool net_tls_wants_name(const struct net_tls *t)
{
	return t->wants_name;
}
