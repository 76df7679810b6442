#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "net/address.h"

static void test_there_and_back(void **state)
{
	static const struct {
		const char *text, *back;
	} cases[] = {
		{"127.0.0.1:0", "127.0.0.1:0"},
		{"0.0.0.0:65535", "0.0.0.0:65535"},
		{"[::]:27017", "[::]:27017"},
		{"[::1]:443", "[::1]:443"},
		{"[::ffff:10.0.3.7]:51544", "10.0.3.7:51544"},
		{"[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
			"[1111:2222:3333:4444:5555:6666:7777:8888]:65535"},
	};
	char out[NET_ADDRESS_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct sockaddr_storage a;
		socklen_t len;

		assert_true(net_address_parse(cases[i].text, &a, &len));
		assert_int_equal(len, a.ss_family == AF_INET ? sizeof(struct sockaddr_in)
							     : sizeof(struct sockaddr_in6));
		assert_string_equal(net_address_text((struct sockaddr *)&a, out), cases[i].back);
	}
}

static void test_refused(void **state)
{
	static const char *const cases[] = {"", ":", ":1", "127.0.0.1", "127.0.0.1:", "[::1]",
		"::1", "[::1:80", "::1]:80", "[]:80", "127.0.0.1:65536", "127.0.0.1:100000",
		"127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:1 ", "127.0.0.1:0x10",
		"localhost:80", "256.0.0.1:80", "1.2.3:80", "[127.0.0.1]:80", "127.0.0.1:1:2",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222]:80"};
	struct sockaddr_storage a;
	socklen_t len;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (net_address_parse(cases[i], &a, &len))
			fail_msg("'%s' was taken", cases[i]);
}

static void test_unix(void **state)
{
	struct sockaddr a = {.sa_family = AF_UNIX};
	char out[NET_ADDRESS_MAX];

	(void)state;
	assert_string_equal(net_address_text(&a, out), "unix");
}

static void test_literal(void **state)
{
	(void)state;
	assert_true(net_address_is_literal("127.0.0.1"));
	assert_true(net_address_is_literal("::1"));
	assert_false(net_address_is_literal("[::1]"));
	assert_false(net_address_is_literal("proxy.test"));
	assert_false(net_address_is_literal("127.0.0.1:80"));
	assert_false(net_address_is_literal(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_unix),
		cmocka_unit_test(test_literal)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
