#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bson/bson.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "cli/args.h"
#include "cli/config.h"
#include "util/memory.h"

#define TIMEOUT_S 5

struct asking {
	struct event_base *base;
	char *body; /* NULL: nothing answers */
	int status; /* of HTTP */
};

static void on_answer(struct evhttp_request *request, void *context)
{
	struct asking *a = context;

	/* libevent has a request without a code for a connection that failed. */
	if (request && evhttp_request_get_response_code(request)) {
		struct evbuffer *in = evhttp_request_get_input_buffer(request);
		size_t len = evbuffer_get_length(in);

		a->status = evhttp_request_get_response_code(request);
		a->body = len ? memory_text(bytes_of(evbuffer_pullup(in, -1), len))
			      : memory_text(bytes_str(""));
	}
	event_base_loopbreak(a->base);
}

/* "[::1]:9090" or "127.0.0.1:9090", taken apart in place. */
static bool split(char *address, const char **host, uint16_t *port)
{
	char *colon = strrchr(address, ':'), *end;
	unsigned long number;

	if (!colon)
		return false;
	*colon = '\0';
	number = strtoul(colon + 1, &end, 10);
	*port = *end || number > UINT16_MAX ? 0 : (uint16_t)number;
	*host = address;
	if (address[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		*host = address + 1;
	}
	return *port != 0;
}

/* The answer's body, to be freed; NULL when there is none. */
static char *ask(const char *address, int *status)
{
	char *copy = memory_text(bytes_str(address));
	struct asking a = {.base = event_base_new()};
	struct evhttp_connection *connection = NULL;
	struct evhttp_request *request;
	const char *host;
	uint16_t port;

	if (a.base && split(copy, &host, &port))
		connection = evhttp_connection_base_new(a.base, NULL, host, port);
	if (connection) {
		evhttp_connection_set_timeout(connection, TIMEOUT_S);
		request = evhttp_request_new(on_answer, &a);
		evhttp_add_header(evhttp_request_get_output_headers(request), "Host", host);
		if (evhttp_make_request(connection, request, EVHTTP_REQ_GET, "/status") == 0)
			event_base_dispatch(a.base);
		evhttp_connection_free(connection);
	}
	if (a.base)
		event_base_free(a.base);
	free(copy);
	*status = a.status;
	return a.body;
}

static const char *text_of(const bson_t *doc, const char *path, char out[64])
{
	bson_iter_t it, at;

	snprintf(out, 64, "-");
	if (!bson_iter_init(&it, doc) || !bson_iter_find_descendant(&it, path, &at))
		return out;
	if (BSON_ITER_HOLDS_UTF8(&at))
		return bson_iter_utf8(&at, NULL);
	if (BSON_ITER_HOLDS_BOOL(&at))
		return bson_iter_bool(&at) ? "yes" : "no";
	snprintf(out, 64, "%lld", (long long)bson_iter_as_int64(&at));
	return out;
}

static const struct {
	const char *label, *path;
} lines[] = {
	{"instance", "instance"},
	{"version", "version"},
	{"ready", "ready"},
	{"started", "started"},
	{"last reload", "reloaded"},
	{"refused reload", "reload_refused"},
	{"policy", "policy"},
	{"users", "users"},
	{"data keys", "data_keys"},
	{"keys locked", "keys_locked"},
	{"database", "upstream.version"},
	{"servers up", "upstream.servers_up"},
	{"takes writes", "upstream.writable"},
	{"audit, next seq", "audit.next_seq"},
	{"audit stopped", "audit.stopped"},
	{"audit witnessed", "audit.witnessed"},
	{"audit says", "audit.why"},
	{"clients", "metrics.mongoward_client_connections"},
	{"commands", "metrics.mongoward_commands_total"},
	{"refused", "metrics.mongoward_commands_refused_total"},
	{"in flight", "metrics.mongoward_commands_in_flight"},
};

static int not_understood(const char *address)
{
	return cli_fail(CLI_UNREACHABLE, "status", "the answer of %s is not understood", address);
}

static int print_table(const char *address, const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	char out[64];

	if (!doc)
		return not_understood(address);
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		const char *text = text_of(doc, lines[i].path, out);

		if (strcmp(text, "-") != 0)
			printf("%-16s %.62s\n", lines[i].label, text);
	}
	bson_destroy(doc);
	return CLI_OK;
}

int cli_status(int argc, char **argv)
{
	const char *file = NULL, *given = NULL;
	bool json = false;
	const struct arg args[] = {
		{.name = "--config", .value = &file},
		{.name = "--address", .value = &given},
		{.name = "--json", .flag = &json},
	};
	enum args_end end = args_parse("status", argc, argv, args, COUNT_OF(args));
	struct complaints complaints;
	char *address, *body;
	int code = CLI_OK, status;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	complaints_init(&complaints);
	address = given ? memory_text(bytes_str(given))
			: config_read_one(config_file(file), "admin.address", &complaints);
	if (!address) {
		code = cli_complain(&complaints);
		complaints_fini(&complaints);
		return code;
	}
	body = ask(address, &status);
	if (!body)
		code = cli_fail(CLI_UNREACHABLE, "status", "nothing answers at %s", address);
	else if (status != HTTP_OK)
		code = not_understood(address);
	else if (json)
		fputs(body, stdout);
	else
		code = print_table(address, body);
	free(body);
	free(address);
	complaints_fini(&complaints);
	return code;
}
