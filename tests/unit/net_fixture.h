/* net_fixture.h - certificates made on the spot, for tests of TLS. */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct identity_pair {
	X509 *certificate;
	EVP_PKEY *key;
};

static char fixture_folder[] = "/tmp/test_net.XXXXXX";

static void fixture_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* Signed by `by`, or by itself.  `names` is a subjectAltName, NULL for an authority. */
static struct identity_pair fixture_make(const char *const subject[][2], size_t n,
	const char *names, const struct identity_pair *by, long valid_s)
{
	struct identity_pair p = {X509_new(), EVP_EC_gen("P-256")};
	X509_NAME *name = X509_NAME_new();
	static long serial = 1;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(X509_NAME_add_entry_by_txt(name, subject[i][0], MBSTRING_UTF8,
					 (const unsigned char *)subject[i][1], -1, -1, 0),
			1);
	X509_set_version(p.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(p.certificate), serial++);
	X509_gmtime_adj(X509_getm_notBefore(p.certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(p.certificate), valid_s);
	X509_set_subject_name(p.certificate, name);
	X509_set_issuer_name(p.certificate, by ? X509_get_subject_name(by->certificate) : name);
	X509_set_pubkey(p.certificate, p.key);
	if (names)
		fixture_extension(p.certificate, NID_subject_alt_name, names);
	else
		fixture_extension(p.certificate, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(p.certificate, by ? by->key : p.key, EVP_sha256()) > 0);
	X509_NAME_free(name);
	return p;
}

static void fixture_drop(struct identity_pair *p)
{
	X509_free(p->certificate);
	EVP_PKEY_free(p->key);
}

/* Any of both, into one file. */
static void fixture_write(
	const char *path, X509 *certificate, EVP_PKEY *key, const char *password, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), mode), 0);
	if (certificate)
		assert_int_equal(PEM_write_X509(f, certificate), 1);
	if (key)
		assert_int_equal(PEM_write_PrivateKey(f, key, password ? EVP_aes_256_cbc() : NULL,
					 (const unsigned char *)password,
					 password ? (int)strlen(password) : 0, NULL, NULL),
			1);
	assert_int_equal(fclose(f), 0);
}

static const char *const fixture_ca_name[][2] = {{"O", "Test"}, {"CN", "Authority"}};
static const char *const fixture_other_name[][2] = {{"O", "Test"}, {"CN", "Other authority"}};
static const char *const fixture_server_name[][2] = {{"O", "Hospital"}, {"CN", "proxy"}};
static const char *const fixture_client_name[][2] = {
	{"O", "Hôpital, Nord"}, {"OU", "apps"}, {"CN", "billing"}};

/* ca.pem, other.pem (another authority), server.pem, server.key, client.pem (both),
 * locked.pem (both, password "open"), stranger.pem (both, of the other authority) in a new
 * folder, which is entered. */
static int fixture_enter(void **state)
{
	struct identity_pair ca, other, server, client, stranger;

	(void)state;
	if (!mkdtemp(fixture_folder) || chdir(fixture_folder) < 0)
		return -1;
	ca = fixture_make(fixture_ca_name, 2, NULL, NULL, 86400);
	other = fixture_make(fixture_other_name, 2, NULL, NULL, 86400);
	server = fixture_make(fixture_server_name, 2, "DNS:proxy.test,IP:127.0.0.1", &ca, 86400);
	client = fixture_make(fixture_client_name, 3, "DNS:client.test", &ca, 86400);
	stranger = fixture_make(fixture_client_name, 3, "DNS:client.test", &other, 86400);
	fixture_write("ca.pem", ca.certificate, NULL, NULL, 0644);
	fixture_write("other.pem", other.certificate, NULL, NULL, 0644);
	fixture_write("server.pem", server.certificate, NULL, NULL, 0644);
	fixture_write("server.key", NULL, server.key, NULL, 0600);
	fixture_write("open.key", NULL, server.key, NULL, 0644);
	fixture_write("client.pem", client.certificate, client.key, NULL, 0600);
	fixture_write("locked.pem", client.certificate, client.key, "open", 0600);
	fixture_write("stranger.pem", stranger.certificate, stranger.key, NULL, 0600);
	fixture_drop(&ca);
	fixture_drop(&other);
	fixture_drop(&server);
	fixture_drop(&client);
	fixture_drop(&stranger);
	return 0;
}

static int fixture_leave(void **state)
{
	static const char *const files[] = {"ca.pem", "other.pem", "server.pem", "server.key",
		"open.key", "client.pem", "locked.pem", "stranger.pem"};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(files[i]);
	return chdir("/") == 0 && rmdir(fixture_folder) == 0 ? 0 : -1;
}

#endif
