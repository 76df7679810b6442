#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/inside.h"
#include "util/log.h"
#include "util/memory.h"

#define BACKLOG        4096
#define PAUSE_MS       100
#define FIRST_GIVEN_FD 3 /* sd_listen_fds(3) */

struct net_listener {
	int fd;
	int stop_fd; /* an eventfd */
	net_accepted_fn *accepted;
	void *context;
	pthread_t thread;
	bool running;
	bool short_of_descriptors;
	char address[NET_ADDRESS_MAX];
};

static bool listens(int fd)
{
	int yes = 0, type = 0;
	socklen_t len = sizeof(yes);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) < 0)
		return false;
	len = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && yes && type == SOCK_STREAM;
}

static unsigned long env_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	unsigned long n = text && *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

	return n && !*end ? n : 0;
}

/* A listening socket that systemd passes to this process, each once; -1: none. */
static int take_given(void)
{
	static atomic_ulong taken;
	unsigned long given = env_number("LISTEN_FDS");

	if (env_number("LISTEN_PID") != (unsigned long)getpid())
		return -1;
	given = given < 1024 ? given : 1024;
	while (atomic_load(&taken) < given) {
		int fd = FIRST_GIVEN_FD + (int)atomic_fetch_add(&taken, 1);
		int flags = fcntl(fd, F_GETFL);

		if (flags >= 0 && listens(fd) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
			fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
			return fd;
	}
	return -1;
}

static int listen_on(const struct sockaddr_storage *address, socklen_t len)
{
	static const int on = 1, off = 0;
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int saved;

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* "[::]" is both, whatever the system's default says. */
	if (address->ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (const struct sockaddr *)address, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int open_socket(const char *address, struct fault *why)
{
	struct sockaddr_storage to;
	socklen_t len;
	int fd = take_given();

	if (fd >= 0)
		return fd;
	if (!net_address_parse(address, &to, &len)) {
		fault_set(why, FAULT_INTERNAL, "%s is not ADDRESS:PORT", address);
		return -1;
	}
	fd = listen_on(&to, len);
	if (fd < 0)
		fault_set(why, FAULT_INTERNAL, "cannot listen on %s: %s", address, strerror(errno));
	return fd;
}

struct net_listener *net_listener_new(
	const char *address, net_accepted_fn *accepted, void *context, struct fault *why)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	struct net_listener *l;
	int fd = open_socket(address, why);

	if (fd < 0)
		return NULL;
	l = memory_new(sizeof(*l));
	l->fd = fd;
	l->accepted = accepted;
	l->context = context;
	l->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->stop_fd >= 0 && getsockname(fd, (struct sockaddr *)&own, &len) == 0) {
		net_address_text((struct sockaddr *)&own, l->address);
		return l;
	}
	fault_set(why, FAULT_INTERNAL, "cannot listen on %s: %s", address, strerror(errno));
	net_listener_free(l);
	return NULL;
}

const char *net_listener_address(const struct net_listener *l)
{
	return l->address;
}

static bool is_shortage(int e)
{
	return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

/* Takes all that wait; false when there is no descriptor for the next. */
static bool accept_all(struct net_listener *l)
{
	for (;;) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			net_tune(fd);
			l->accepted(l->context, fd);
		} else if (is_shortage(errno)) {
			return false;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINVAL) {
			return true;
		}
		/* Others are errors of the one connection: it is gone. */
	}
}

static void note_shortage(struct net_listener *l, bool is_short)
{
	if (is_short && !l->short_of_descriptors)
		log_warning("net", "no connection can be accepted on %s: %s", l->address,
			strerror(errno));
	else if (!is_short && l->short_of_descriptors)
		log_info("net", "connections are accepted on %s again", l->address);
	l->short_of_descriptors = is_short;
}

static void *run(void *context)
{
	struct net_listener *l = context;
	struct pollfd fds[2] = {
		{.fd = l->stop_fd, .events = POLLIN}, {.fd = l->fd, .events = POLLIN}};

	for (;;) {
		/* While it pauses only the stop is looked for, else poll() would spin. */
		bool pausing = l->short_of_descriptors;
		int n = poll(fds, pausing ? 1 : 2, pausing ? PAUSE_MS : -1);

		if (n < 0 && errno != EINTR)
			log_error("net", "poll: %s", strerror(errno));
		if (fds[0].revents)
			return NULL;
		if (pausing || (n > 0 && fds[1].revents))
			note_shortage(l, !accept_all(l));
	}
}

bool net_listener_start(struct net_listener *l, struct fault *why)
{
	int e = pthread_create(&l->thread, NULL, run, l);

	if (e)
		return fault_set(
			why, FAULT_INTERNAL, "the acceptor's thread cannot start: %s", strerror(e));
	l->running = true;
	return true;
}

void net_listener_stop(struct net_listener *l)
{
	uint64_t one = 1;

	if (l->running && write(l->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(l->thread, NULL);
	l->running = false;
	/* What waits in the kernel's queue is refused, so that clients go elsewhere at once. */
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void net_listener_free(struct net_listener *l)
{
	if (!l)
		return;
	net_listener_stop(l);
	if (l->stop_fd >= 0)
		close(l->stop_fd);
	free(l);
}
