#include "unit.h"

#include "net/tls.h"
#include "net_fixture.h"

static const struct net_tls_server_files good = {"server.pem", "server.key", NULL, false};

static void expect_no_server(struct net_tls_server_files files, const char *named)
{
	struct fault why = {0};

	assert_null(net_tls_server_new(&files, &why));
	assert_int_equal(why.code, FAULT_INTERNAL);
	if (!strstr(why.detail, named))
		fail_msg("'%s' does not say '%s'", why.detail, named);
}

static void test_server(void **state)
{
	struct net_tls_server_files files = good;
	struct fault why;
	struct net_tls *t = net_tls_server_new(&good, &why);

	(void)state;
	assert_non_null(t);
	assert_true(bytes_equal_str(net_tls_subject(t), "CN=proxy,O=Hospital"));
	assert_ptr_equal(net_tls_ref(t), t);
	net_tls_unref(t);
	net_tls_unref(t);
	net_tls_unref(NULL);
	files.client_ca = "ca.pem";
	t = net_tls_server_new(&files, &why);
	assert_non_null(t);
	net_tls_unref(t);
}

static void test_server_refused(void **state)
{
	struct net_tls_server_files files = good;

	(void)state;
	files.certificate = "missing.pem";
	expect_no_server(files, "missing.pem: cannot be read");
	files.certificate = "server.key";
	expect_no_server(files, "server.key: not a certificate");
	files = good;
	files.key = "missing.key";
	expect_no_server(files, "missing.key: No such file");
	files.key = "open.key";
	expect_no_server(files, "open.key: others than its owner");
	files.key = "client.pem";
	expect_no_server(files, "client.pem: not the private key");
	files.key = "locked.pem";
	expect_no_server(files, "locked.pem: not the private key");
	files = good;
	files.client_ca = "server.key";
	expect_no_server(files, "server.key: no certificates of authorities");
}

static bool can_client(struct net_tls_client_files files, const char *subject, const char *named)
{
	struct fault why = {0};
	struct net_tls *t = net_tls_client_new(&files, &why);

	if (!t) {
		if (!strstr(why.detail, named))
			fail_msg("'%s' does not say '%s'", why.detail, named);
		return false;
	}
	assert_true(bytes_equal_str(net_tls_subject(t), subject));
	net_tls_unref(t);
	return true;
}

static void test_client(void **state)
{
	static const char subject[] = "CN=billing,OU=apps,O=Hôpital\\, Nord";

	(void)state;
	assert_true(can_client((struct net_tls_client_files){0}, "", ""));
	assert_true(can_client((struct net_tls_client_files){.ca = "ca.pem"}, "", ""));
	assert_true(can_client(
		(struct net_tls_client_files){.ca = "ca.pem", .certificate_key = "client.pem"},
		subject, ""));
	assert_true(can_client((struct net_tls_client_files){.certificate_key = "locked.pem",
				       .key_password = "open"},
		subject, ""));
	assert_false(can_client((struct net_tls_client_files){.certificate_key = "locked.pem",
					.key_password = "wrong"},
		"", "locked.pem: not the private key"));
	assert_false(can_client((struct net_tls_client_files){.certificate_key = "locked.pem"}, "",
		"its password is wrong"));
	assert_false(can_client((struct net_tls_client_files){.ca = "missing.pem"}, "",
		"missing.pem: no certificates"));
	assert_false(can_client((struct net_tls_client_files){.certificate_key = "server.pem"}, "",
		"others than its owner"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_server),
		cmocka_unit_test(test_server_refused), cmocka_unit_test(test_client)};

	return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
