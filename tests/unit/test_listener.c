#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/address.h"
#include "net/listener.h"

#define MANY 50

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	int fds[MANY];
	size_t n;
} got = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void on_accepted(void *context, int fd)
{
	assert_ptr_equal(context, &got);
	pthread_mutex_lock(&got.lock);
	assert_true(got.n < MANY);
	got.fds[got.n++] = fd;
	pthread_cond_signal(&got.more);
	pthread_mutex_unlock(&got.lock);
}

static void wait_for(size_t n)
{
	pthread_mutex_lock(&got.lock);
	while (got.n < n)
		pthread_cond_wait(&got.more, &got.lock);
	pthread_mutex_unlock(&got.lock);
}

static void drop_accepted(void)
{
	for (size_t i = 0; i < got.n; i++)
		close(got.fds[i]);
	got.n = 0;
}

static int connect_to(const char *address)
{
	struct sockaddr_storage to;
	socklen_t len;
	int fd;

	assert_true(net_address_parse(address, &to, &len));
	fd = socket(to.ss_family, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&to, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static struct net_listener *start_on(const char *address)
{
	struct fault why;
	struct net_listener *l = net_listener_new(address, on_accepted, &got, &why);

	assert_non_null(l);
	assert_true(net_listener_start(l, &why));
	return l;
}

static int option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void test_accepts(void **state)
{
	struct net_listener *l = start_on("127.0.0.1:0");
	int fds[MANY];

	(void)state;
	assert_string_not_equal(net_listener_address(l), "127.0.0.1:0");
	for (size_t i = 0; i < MANY; i++) {
		fds[i] = connect_to(net_listener_address(l));
		assert_true(fds[i] >= 0);
	}
	wait_for(MANY);
	for (size_t i = 0; i < MANY; i++) {
		assert_true(fcntl(got.fds[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(got.fds[i], F_GETFD) & FD_CLOEXEC);
		assert_true(option(got.fds[i], IPPROTO_TCP, TCP_NODELAY));
		assert_true(option(got.fds[i], SOL_SOCKET, SO_KEEPALIVE));
		close(fds[i]);
	}
	net_listener_free(l);
	drop_accepted();
}

static void test_stop(void **state)
{
	struct net_listener *l = start_on("127.0.0.1:0");
	char address[NET_ADDRESS_MAX];
	struct fault why;

	(void)state;
	snprintf(address, sizeof(address), "%s", net_listener_address(l));
	net_listener_stop(l);
	net_listener_stop(l);
	assert_int_equal(connect_to(address), -1);
	/* Its port is free at once. */
	net_listener_free(net_listener_new(address, on_accepted, &got, &why));
	net_listener_free(l);
	net_listener_free(NULL);
}

static void test_refused(void **state)
{
	struct net_listener *l = start_on("127.0.0.1:0");
	struct fault why;

	(void)state;
	assert_null(net_listener_new(net_listener_address(l), on_accepted, &got, &why));
	assert_non_null(strstr(why.detail, "Address already in use"));
	assert_null(net_listener_new("localhost", on_accepted, &got, &why));
	assert_non_null(strstr(why.detail, "is not ADDRESS:PORT"));
	net_listener_free(l);
}

/* A connection that finds no descriptor waits until there is one. */
static void test_shortage(void **state)
{
	struct net_listener *l = start_on("127.0.0.1:0");
	int fd = socket(AF_INET, SOCK_STREAM, 0), last, to_close;
	struct rlimit before, none;
	struct sockaddr_storage to;
	socklen_t len;
	char byte;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	last = dup(fd);
	to_close = dup(fd);
	none = before;
	none.rlim_cur = (rlim_t)last + 1;
	assert_true(to_close > last);
	close(to_close);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(dup(fd), -1);
	assert_true(net_address_parse(net_listener_address(l), &to, &len));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, len), 0);
	close(last);
	wait_for(1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(write(got.fds[0], "x", 1), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	close(fd);
	net_listener_free(l);
	drop_accepted();
}

/* In a child: what systemd passes begins at descriptor 3. */
static int serve_given(int fd)
{
	char text[32];
	struct fault why;
	struct net_listener *l;
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	char address[NET_ADDRESS_MAX];

	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0 || dup2(fd, 3) != 3)
		return 1;
	net_address_text((struct sockaddr *)&own, address);
	snprintf(text, sizeof(text), "%ld", (long)getpid());
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", "1", 1);
	l = net_listener_new("not looked at", on_accepted, &got, &why);
	if (!l || strcmp(net_listener_address(l), address) != 0)
		return 2;
	/* Each once: the next binds for itself. */
	if (net_listener_new("not an address", on_accepted, &got, &why))
		return 3;
	if (!net_listener_start(l, &why))
		return 4;
	fd = connect_to(address);
	if (fd < 0)
		return 5;
	wait_for(1);
	net_listener_free(l);
	return 0;
}

static void test_given(void **state)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0), status;
	pid_t child;

	(void)state;
	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 5), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(serve_given(fd));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_stop), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_shortage), cmocka_unit_test(test_given)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
