#include "admin/admin.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "admin/pages.h"
#include "net/address.h"
#include "util/clock.h"
#include "util/memory.h"

#define HEADERS_MAX 8192
#define BODY_MAX    0
#define TIMEOUT_S   10

struct admin {
	struct admin_parts parts;
	struct event_base *base;
	struct event *stop;
	int stop_fd; /* libevent's own wake-ups would need its locks in every loop */
	struct evhttp *http;
	pthread_t thread;
	bool running;
	char address[NET_ADDRESS_MAX];
	atomic_bool draining;
	atomic_llong reloaded_us, refused_us;
	atomic_ullong reloads, reloads_refused;
	int64_t started_us;
};

static void send_page(
	struct evhttp_request *request, int code, const char *type, const struct buf *page)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	struct evbuffer *body = evbuffer_new();

	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	if (body && evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
		evbuffer_add(body, page->at, page->len);
	evhttp_send_reply(request, code, NULL, body);
	if (body)
		evbuffer_free(body);
}

static struct page_facts facts_of(struct admin *a)
{
	return (struct page_facts){
		.parts = &a->parts,
		.draining = atomic_load(&a->draining),
		.started_us = a->started_us,
		.reloaded_us = atomic_load(&a->reloaded_us),
		.refused_us = atomic_load(&a->refused_us),
		.reloads = atomic_load(&a->reloads),
		.reloads_refused = atomic_load(&a->reloads_refused),
	};
}

static void on_health(struct evhttp_request *request, void *context)
{
	struct buf page;

	(void)context;
	buf_init(&page, 64);
	buf_put_str(&page, "ok\n");
	send_page(request, HTTP_OK, "text/plain; charset=utf-8", &page);
	buf_fini(&page);
}

static void on_ready(struct evhttp_request *request, void *context)
{
	const struct page_facts facts = facts_of(context);
	struct buf page;
	bool ready;

	buf_init(&page, PAGE_MAX);
	ready = page_ready(&facts, &page);
	send_page(request, ready ? HTTP_OK : HTTP_SERVUNAVAIL, "text/plain; charset=utf-8", &page);
	buf_fini(&page);
}

static void on_metrics(struct evhttp_request *request, void *context)
{
	const struct page_facts facts = facts_of(context);
	struct buf page;

	buf_init(&page, PAGE_MAX);
	page_metrics(&facts, &page);
	send_page(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &page);
	buf_fini(&page);
}

static void on_status(struct evhttp_request *request, void *context)
{
	const struct page_facts facts = facts_of(context);
	struct buf page;

	buf_init(&page, PAGE_MAX);
	page_status(&facts, &page);
	send_page(request, HTTP_OK, "application/json", &page);
	buf_fini(&page);
}

static void on_other(struct evhttp_request *request, void *context)
{
	(void)context;
	evhttp_send_error(request, HTTP_NOTFOUND, NULL);
}

static bool split_address(const char *address, char host[64], uint16_t *port)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;
	unsigned long n;
	char *end;

	if (!colon || len >= 64)
		return false;
	/* "[::1]:9090" */
	if (len > 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	memcpy(host, address, len);
	host[len] = '\0';
	n = strtoul(colon + 1, &end, 10);
	*port = (uint16_t)n;
	return !*end && end != colon + 1 && n <= 65535;
}

static bool listen_on(struct admin *a, const char *address, struct fault *why)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	char host[64];
	uint16_t port;

	if (!split_address(address, host, &port))
		return fault_set(why, FAULT_INTERNAL, "%s is not ADDRESS:PORT", address);
	bound = evhttp_bind_socket_with_handle(a->http, host, port);
	if (!bound)
		return fault_set(why, FAULT_INTERNAL, "cannot listen on %s", address);
	if (getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&own, &len) < 0)
		return fault_set(why, FAULT_INTERNAL, "the admin listener has no address");
	net_address_text((struct sockaddr *)&own, a->address);
	return true;
}

static void on_stop(evutil_socket_t fd, short what, void *context)
{
	struct admin *a = context;

	(void)fd;
	(void)what;
	event_base_loopbreak(a->base);
}

static void *run(void *context)
{
	struct admin *a = context;

	event_base_loop(a->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

static bool start(struct admin *a, const char *address, struct fault *why)
{
	a->base = event_base_new();
	a->http = a->base ? evhttp_new(a->base) : NULL;
	a->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->stop = a->base && a->stop_fd >= 0 ? event_new(a->base, a->stop_fd, EV_READ, on_stop, a)
					     : NULL;
	if (!a->http || !a->stop || event_add(a->stop, NULL) < 0)
		return fault_set(why, FAULT_INTERNAL, "the admin listener cannot start");
	evhttp_set_allowed_methods(a->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(a->http, HEADERS_MAX);
	evhttp_set_max_body_size(a->http, BODY_MAX);
	evhttp_set_timeout(a->http, TIMEOUT_S);
	evhttp_set_cb(a->http, "/healthz", on_health, a);
	evhttp_set_cb(a->http, "/readyz", on_ready, a);
	evhttp_set_cb(a->http, "/metrics", on_metrics, a);
	evhttp_set_cb(a->http, "/status", on_status, a);
	evhttp_set_gencb(a->http, on_other, a);
	if (!listen_on(a, address, why))
		return false;
	a->running = pthread_create(&a->thread, NULL, run, a) == 0;
	return a->running || fault_set(why, FAULT_INTERNAL, "the admin thread cannot start");
}

struct admin *admin_new(const char *address, const struct admin_parts *parts, struct fault *why)
{
	struct admin *a = memory_new(sizeof(*a));

	a->stop_fd = -1;
	a->parts = *parts;
	a->started_us = clock_realtime_us();
	if (start(a, address, why))
		return a;
	admin_free(a);
	return NULL;
}

const char *admin_address(const struct admin *a)
{
	return a->address;
}

void admin_set_draining(struct admin *a)
{
	atomic_store(&a->draining, true);
}

void admin_note_reload(struct admin *a, bool done)
{
	atomic_store(done ? &a->reloaded_us : &a->refused_us, clock_realtime_us());
	atomic_fetch_add(done ? &a->reloads : &a->reloads_refused, 1);
}

void admin_free(struct admin *a)
{
	if (!a)
		return;
	if (a->running) {
		(void)eventfd_write(a->stop_fd, 1);
		pthread_join(a->thread, NULL);
	}
	if (a->http)
		evhttp_free(a->http);
	if (a->stop)
		event_free(a->stop);
	if (a->base)
		event_base_free(a->base);
	if (a->stop_fd >= 0)
		close(a->stop_fd);
	free(a);
}
