/* load - sends one kind of operation over several connections, each waiting for its answer.
 *
 *   BENCH_PASSWORD=… load --port N [--ca PEM] --user NAME --operation NAME --collection NAME
 *       [--connections N] [--warmup N] [--operations N] [--dump FILE]
 *
 * Logs in, warms up, prints "warm" and waits for a line on standard input; then measures,
 * prints one line of JSON and waits for the end of standard input, so that neither logins
 * nor goodbyes are in what is measured between the two.  Every answer is checked.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"
#include "login.h"
#include "operation.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/memory.h"

#define DB      "healthcare_db"
#define HOST    "localhost"
#define EVENTS  64
#define WAIT_MS 30000

struct options {
	uint16_t port;
	const char *ca, *user, *collection, *dump;
	const struct operation *operation;
	uint32_t connections, warmup, operations;
};

struct connection {
	struct link link;
	uint32_t number, sent; /* which one it is; its requests so far */
	uint64_t started_us;
};

struct load {
	struct options o;
	struct request request;
	struct connection *connections;
	int epoll;
	uint32_t *latencies_us;
	uint32_t to_start, done; /* operations of the current run */
	uint64_t answered_bytes;
};

static NORETURN void die(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(3);
}

static int dial(uint16_t port)
{
	const struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		die("cannot connect");
	return fd;
}

static void open_connections(struct load *l, SSL_CTX *tls, const char *password)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->connections = memory_array(l->o.connections, sizeof(*l->connections));
	for (uint32_t i = 0; i < l->o.connections; i++) {
		struct connection *c = &l->connections[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

		c->number = i;
		link_connect(&c->link, dial(l->o.port), tls, HOST);
		if (!login(&c->link, l->o.user, password) ||
			epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->link.fd, &event) < 0)
			die("no connection");
	}
}

static void start(struct load *l, struct connection *c)
{
	if (!l->to_start)
		return;
	l->to_start--;
	c->started_us = clock_monotonic_us();
	if (!link_write(&c->link, request_of(&l->request, c->number, ++c->sent)))
		die("the connection broke while writing");
}

static void finish(struct load *l, struct connection *c, struct bytes message)
{
	struct bytes first;

	if (!request_is_answered(&l->request, message, c->sent, &first))
		die("an answer is not what was asked for");
	l->latencies_us[l->done++] = (uint32_t)(clock_monotonic_us() - c->started_us);
	l->answered_bytes += message.len;
	if (l->o.dump) {
		if (!file_replace(l->o.dump, first, 0600))
			die(l->o.dump);
		l->o.dump = NULL;
	}
}

static void receive(struct load *l, struct connection *c)
{
	struct bytes message;
	bool taken;

	do {
		if (!link_read(&c->link))
			die("the connection broke");
		taken = link_take(&c->link, &message);
		if (taken) {
			finish(l, c, message);
			start(l, c);
		}
	} while (taken && link_has_more(&c->link));
}

/* Runs `operations` to their last answer; how long that took. */
static uint64_t run_us(struct load *l, uint32_t operations)
{
	struct epoll_event events[EVENTS];
	uint64_t start_us = clock_monotonic_us();

	l->to_start = operations;
	l->done = 0;
	l->answered_bytes = 0;
	for (uint32_t i = 0; i < l->o.connections; i++)
		start(l, &l->connections[i]);
	while (l->done < operations) {
		int n = epoll_wait(l->epoll, events, EVENTS, WAIT_MS);

		if (n <= 0)
			die("no answer in 30 s");
		for (int i = 0; i < n; i++)
			receive(l, events[i].data.ptr);
	}
	return clock_monotonic_us() - start_us;
}

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint32_t percentile(const struct load *l, uint32_t per_mille)
{
	return l->latencies_us[(uint64_t)(l->done - 1) * per_mille / 1000];
}

static void report(struct load *l, uint64_t took_us)
{
	qsort(l->latencies_us, l->done, sizeof(*l->latencies_us), compare);
	printf("{\"operations\": %u, \"seconds\": %.6f, \"per_second\": %.1f, "
	       "\"reply_bytes\": %.0f, \"us\": {\"p50\": %u, \"p90\": %u, \"p99\": %u, "
	       "\"p999\": %u, \"max\": %u}}\n",
		l->done, (double)took_us / 1e6, l->done * 1e6 / (double)took_us,
		(double)l->answered_bytes / l->done, percentile(l, 500), percentile(l, 900),
		percentile(l, 990), percentile(l, 999), percentile(l, 1000));
	fflush(stdout);
}

static uint32_t number(const char *text, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || n < min || n > max)
		die("a number is out of range");
	return (uint32_t)n;
}

static struct options read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{"port", required_argument, NULL, 'p'},
		{"ca", required_argument, NULL, 'a'},
		{"user", required_argument, NULL, 'u'},
		{"operation", required_argument, NULL, 'o'},
		{"collection", required_argument, NULL, 'c'},
		{"connections", required_argument, NULL, 'n'},
		{"warmup", required_argument, NULL, 'w'},
		{"operations", required_argument, NULL, 'm'},
		{"dump", required_argument, NULL, 'd'},
		{0},
	};
	struct options o = {.connections = 16, .warmup = 1000, .operations = 10000};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'p')
			o.port = (uint16_t)number(optarg, 1, UINT16_MAX);
		else if (option == 'a')
			o.ca = optarg;
		else if (option == 'u')
			o.user = optarg;
		else if (option == 'o')
			o.operation = operation_find(optarg);
		else if (option == 'c')
			o.collection = optarg;
		else if (option == 'n')
			o.connections = number(optarg, 1, 10000);
		else if (option == 'w')
			o.warmup = number(optarg, 1, 100000000);
		else if (option == 'm')
			o.operations = number(optarg, 1, 100000000);
		else if (option == 'd')
			o.dump = optarg;
		else
			die("an option is not known");
	}
	if (!o.port || !o.user || !o.operation || !o.collection)
		die("--port, --user, --operation and --collection are needed");
	return o;
}

/* The conversation with whoever measures: false at the end of standard input. */
static bool wait_for_line(void)
{
	int c;

	while ((c = getchar()) != EOF && c != '\n')
		;
	return c != EOF;
}

int main(int argc, char **argv)
{
	struct load l = {.o = read_options(argc, argv)};
	const char *password = getenv("BENCH_PASSWORD");
	SSL_CTX *tls = l.o.ca ? link_client_tls(l.o.ca) : NULL;

	if (!password)
		die("BENCH_PASSWORD is not set");
	signal(SIGPIPE, SIG_IGN);
	l.latencies_us = memory_array(
		l.o.warmup > l.o.operations ? l.o.warmup : l.o.operations, sizeof(uint32_t));
	request_init(&l.request, l.o.operation, DB, l.o.collection);
	open_connections(&l, tls, password);
	(void)run_us(&l, l.o.warmup);
	puts("warm");
	fflush(stdout);
	if (wait_for_line()) {
		report(&l, run_us(&l, l.o.operations));
		(void)wait_for_line();
	}
	for (uint32_t i = 0; i < l.o.connections; i++)
		link_close(&l.connections[i].link);
	free(l.connections);
	free(l.latencies_us);
	request_fini(&l.request);
	SSL_CTX_free(tls);
	return 0;
}
