/* canned_upstream - a MongoDB primary that costs next to nothing, to measure proxies before.
 *
 *   canned_upstream --state FOLDER --certificate PEM --key PEM [--record]
 *
 * Listens on two ports of 127.0.0.1, plain and TLS, and says which in its first line:
 * "ready PLAIN TLS".  Ends on SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "canned.h"
#include "link.h"
#include "util/memory.h"

#define EVENTS  64
#define BACKLOG 512

static volatile sig_atomic_t stopped;

struct listener {
	int fd;
	uint16_t port;
	SSL_CTX *tls; /* NULL: plain */
};

struct client {
	struct link link;
	struct canned_session session;
};

struct server {
	int epoll;
	struct listener listeners[2];
	struct canned *canned;
};

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static NORETURN void die(const char *what)
{
	perror(what);
	exit(3);
}

static void watch(struct server *s, int fd, void *what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void listen_on_any_port(struct server *s, struct listener *l, SSL_CTX *tls)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);

	l->tls = tls;
	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&at, size) < 0 ||
		listen(l->fd, BACKLOG) < 0 || getsockname(l->fd, (struct sockaddr *)&at, &size) < 0)
		die("listen");
	l->port = ntohs(at.sin_port);
	watch(s, l->fd, l);
}

static void welcome(struct server *s, const struct listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	struct client *c;

	if (fd < 0)
		return;
	c = memory_new(sizeof(*c));
	snprintf(c->session.address, sizeof(c->session.address), "localhost:%u", l->port);
	link_accept(&c->link, fd, l->tls);
	watch(s, fd, c);
}

static bool serve(struct server *s, struct client *c)
{
	struct bytes message, answer;
	bool taken;

	do {
		taken = false;
		if (!link_read(&c->link))
			return false;
		while (link_take(&c->link, &message)) {
			taken = true;
			if (!canned_answer(s->canned, &c->session, message, &answer) ||
				!link_write(&c->link, answer))
				return false;
		}
	} while (taken && link_has_more(&c->link));
	return true;
}

static void handle(struct server *s, void *what)
{
	struct client *c = what;

	for (size_t i = 0; i < COUNT_OF(s->listeners); i++) {
		if (what == &s->listeners[i]) {
			welcome(s, what);
			return;
		}
	}
	if (serve(s, c))
		return;
	canned_session_end(&c->session);
	link_close(&c->link);
	free(c);
}

static void run(struct server *s)
{
	struct epoll_event events[EVENTS];

	while (!stopped) {
		int n = epoll_wait(s->epoll, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			handle(s, events[i].data.ptr);
	}
}

static NORETURN void usage(void)
{
	fprintf(stderr,
		"usage: canned_upstream --state FOLDER --certificate PEM --key PEM [--record]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"state", required_argument, NULL, 's'},
		{"certificate", required_argument, NULL, 'c'},
		{"key", required_argument, NULL, 'k'},
		{"record", no_argument, NULL, 'r'},
		{0},
	};
	const char *state = NULL, *certificate = NULL, *key = NULL;
	struct sigaction stopping = {.sa_handler = stop};
	struct server s = {0};
	bool records = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			state = optarg;
		else if (option == 'c')
			certificate = optarg;
		else if (option == 'k')
			key = optarg;
		else if (option == 'r')
			records = true;
		else
			usage();
	}
	if (!state || !certificate || !key)
		usage();
	sigaction(SIGTERM, &stopping, NULL);
	sigaction(SIGINT, &stopping, NULL);
	signal(SIGPIPE, SIG_IGN);
	s.canned = canned_new(state, records);
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	listen_on_any_port(&s, &s.listeners[0], NULL);
	listen_on_any_port(&s, &s.listeners[1], link_server_tls(certificate, key));
	printf("ready %u %u\n", s.listeners[0].port, s.listeners[1].port);
	fflush(stdout);
	run(&s);
	canned_free(s.canned);
	SSL_CTX_free(s.listeners[1].tls);
	return 0;
}
