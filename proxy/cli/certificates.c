#include "cli/certificates.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "util/memory.h"

#define DAY_S          (24l * 3600)
#define AUTHORITY_DAYS 3650
#define SERVER_DAYS    825 /* the most that some clients take */
#define SERIAL_LEN     16

struct authority {
	EVP_PKEY *key;
	X509 *certificate;
};

static bool openssl_fault(struct fault *why, const char *doing)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return fault_set(why, FAULT_INTERNAL, "%s: %s", doing, reason ? reason : "failed");
}

static bool set_random_serial(X509 *x)
{
	uint8_t bytes[SERIAL_LEN];
	BIGNUM *n = NULL;
	bool set;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] &= 0x7f; /* positive */
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	set = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return set;
}

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	added = extension && X509_add_ext(x, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

/* Everything but extensions and signature. */
static X509 *new_certificate(EVP_PKEY *key, const char *common_name, int days)
{
	X509 *x = X509_new();
	X509_NAME *name = x ? X509_get_subject_name(x) : NULL;

	/* An hour ago, for clocks that are a little behind. */
	if (name && X509_set_version(x, X509_VERSION_3) == 1 && set_random_serial(x) &&
		X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
		X509_gmtime_adj(X509_getm_notAfter(x), days * DAY_S) &&
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
			(const unsigned char *)common_name, -1, -1, 0) == 1 &&
		X509_set_pubkey(x, key) == 1)
		return x;
	X509_free(x);
	return NULL;
}

struct authority *authority_new(const char *common_name, struct fault *why)
{
	struct authority *a = memory_new(sizeof(*a));
	X509 *x;

	a->key = EVP_EC_gen("P-256");
	x = a->key ? new_certificate(a->key, common_name, AUTHORITY_DAYS) : NULL;
	a->certificate = x;
	if (x && X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
		add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
		add_extension(x, x, NID_subject_key_identifier, "hash") &&
		X509_sign(x, a->key, EVP_sha256()) != 0)
		return a;
	openssl_fault(why, "making an authority");
	authority_free(a);
	return NULL;
}

void authority_free(struct authority *a)
{
	if (!a)
		return;
	X509_free(a->certificate);
	EVP_PKEY_free(a->key);
	free(a);
}

/* Secure memory of the BIO would need OpenSSL's own heap: the copy is wiped instead. */
static bool write_pem(X509 *x, EVP_PKEY *key, struct buf *certificate, struct buf *private)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;
	bool written = false;

	if (bio && PEM_write_bio_X509(bio, x) == 1 && (n = BIO_get_mem_data(bio, &text)) > 0) {
		buf_put(certificate, bytes_of(text, (size_t)n));
		(void)BIO_reset(bio);
		written = PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
			  (n = BIO_get_mem_data(bio, &text)) > 0;
		if (written) {
			buf_put(private, bytes_of(text, (size_t)n));
			OPENSSL_cleanse(text, (size_t)n);
		}
	}
	BIO_free(bio);
	return written && !certificate->failed && !private->failed;
}

bool authority_write(
	const struct authority *a, struct buf *certificate, struct buf *key, struct fault *why)
{
	return write_pem(a->certificate, a->key, certificate, key) ||
	       openssl_fault(why, "writing an authority");
}

static bool is_address(const char *text)
{
	struct in6_addr address;

	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static bool sign_server(const struct authority *a, const char *hostname, X509 *x)
{
	char *names = memory_format("DNS:localhost,IP:127.0.0.1,IP:::1,%s:%s",
		is_address(hostname) ? "IP" : "DNS", hostname);
	X509 *issuer = a->certificate;
	bool done = X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
		    add_extension(x, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
		    add_extension(x, issuer, NID_key_usage, "critical,digitalSignature") &&
		    add_extension(x, issuer, NID_ext_key_usage, "serverAuth") &&
		    add_extension(x, issuer, NID_subject_key_identifier, "hash") &&
		    add_extension(x, issuer, NID_authority_key_identifier, "keyid:always") &&
		    add_extension(x, issuer, NID_subject_alt_name, names) &&
		    X509_sign(x, a->key, EVP_sha256()) != 0;

	free(names);
	return done;
}

bool authority_sign_server(const struct authority *a, const char *hostname, struct buf *certificate,
	struct buf *key, struct fault *why)
{
	EVP_PKEY *own = EVP_EC_gen("P-256");
	X509 *x = own ? new_certificate(own, hostname, SERVER_DAYS) : NULL;
	bool done = x && sign_server(a, hostname, x) && write_pem(x, own, certificate, key);

	X509_free(x);
	EVP_PKEY_free(own);
	return done || openssl_fault(why, "making a server's certificate");
}
