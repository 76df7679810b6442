#include "session/inside.h"

#include <stdio.h>

#include <sodium.h>

#include "util/clock.h"
#include "util/utf8.h"

/* Wire version 21 is MongoDB 7.0; 25 would bring the command bulkWrite, which is not
 * carried out here. */
#define WIRE_VERSION_MAX 21

static void end_and_send(struct exchange *x, struct reply *r)
{
	/* Locally made answers tell the newest time, as those of the upstream do. */
	if (x->session->logged_in)
		upstream_put_times(x->worker->server->parts.upstream, &x->reply, true);
	doc_put_double(&x->reply, NAME("ok"), 1);
	reply_end(r);
	if (x->logged_in_now)
		login_finish_speculative(x);
	else
		exchange_send_reply(x);
}

static void keep_name(struct bytes doc, const char *path, char out[METADATA_MAX + 1])
{
	struct element e;

	if (doc_find_path(doc, path, &e) && e.type == TYPE_STRING)
		utf8_printable(element_string(&e), out, METADATA_MAX + 1);
}

/* client: {application: {name}, driver: {name, version}, …}; what it says first, counts. */
static void note_client(struct exchange *x)
{
	const struct element *client = command_field(&x->command, "client");
	struct session *s = x->session;
	char name[METADATA_MAX + 1] = "", version[METADATA_MAX + 1] = "";

	if (!client || client->type != TYPE_DOCUMENT || s->driver[0])
		return;
	keep_name(client->value, "application.name", s->app);
	keep_name(client->value, "driver.name", name);
	keep_name(client->value, "driver.version", version);
	snprintf(s->driver, sizeof(s->driver), "%.63s %.63s", name, version);
	session_forget_today(s);
}

static void put_limits(struct exchange *x, struct buf *out)
{
	struct upstream_facts f;
	int32_t max = (int32_t)x->worker->server->config.message_max;

	upstream_facts(x->worker->server->parts.upstream, &f);
	doc_put_int32(out, NAME("maxBsonObjectSize"),
		f.max_bson_size ? f.max_bson_size : (int32_t)DOC_MAX_LEN);
	doc_put_int32(out, NAME("maxMessageSizeBytes"),
		f.max_message_size && f.max_message_size < max ? f.max_message_size : max);
	doc_put_int32(
		out, NAME("maxWriteBatchSize"), f.max_write_batch ? f.max_write_batch : 100000);
	doc_put_date(out, NAME("localTime"), clock_realtime_us() / 1000);
	doc_put_int32(out, NAME("logicalSessionTimeoutMinutes"), 30);
	doc_put_int32(out, NAME("connectionId"), (int32_t)(x->session->id & INT32_MAX));
	doc_put_int32(out, NAME("minWireVersion"), f.min_wire_version);
	doc_put_int32(out, NAME("maxWireVersion"),
		f.known && f.max_wire_version < WIRE_VERSION_MAX ? f.max_wire_version
								 : WIRE_VERSION_MAX);
	doc_put_bool(out, NAME("readOnly"), false);
}

/* The same for every name, so that none can be probed. */
static void put_mechanisms(struct buf *out)
{
	size_t begun = doc_put_array(out, NAME("saslSupportedMechs"));

	doc_put_string(out, NAME("0"), NAME("SCRAM-SHA-256"));
	doc_end(out, begun);
}

static void answer_hello(struct exchange *x)
{
	bool modern = bytes_equal_str(x->command.name, "hello");
	const struct element *balanced = command_field(&x->command, "loadBalanced");
	const struct element *hello_ok = command_field(&x->command, "helloOk");
	struct session *s = x->session;
	struct reply r = exchange_begin_reply(x);

	note_client(x);
	doc_put_bool(&x->reply, modern ? NAME("isWritablePrimary") : NAME("ismaster"), true);
	doc_put_string(&x->reply, NAME("msg"), NAME("isdbgrid"));
	if (hello_ok && element_truth(hello_ok))
		doc_put_bool(&x->reply, NAME("helloOk"), true);
	put_limits(x, &x->reply);
	if (balanced && element_truth(balanced))
		doc_put_value(&x->reply, TYPE_OBJECT_ID, NAME("serviceId"),
			bytes_of(x->worker->server->service_id, OBJECT_ID_LEN));
	if (command_field(&x->command, "saslSupportedMechs"))
		put_mechanisms(&x->reply);
	if (!s->logged_in)
		login_speculative(x);
	s->said_hello = true;
	end_and_send(x, &r);
}

static void answer_build_info(struct exchange *x)
{
	struct reply r = exchange_begin_reply(x);
	struct upstream_facts f;
	unsigned part[4] = {0};
	char index[DOC_INDEX_MAX];
	size_t begun;

	upstream_facts(x->worker->server->parts.upstream, &f);
	doc_put_string(&x->reply, NAME("version"), bytes_str(f.version));
	begun = doc_put_array(&x->reply, NAME("versionArray"));
	(void)sscanf(f.version, "%3u.%3u.%3u", &part[0], &part[1], &part[2]);
	for (size_t i = 0; i < COUNT_OF(part); i++)
		doc_put_int32(&x->reply, doc_index_name(i, index), (int32_t)part[i]);
	doc_end(&x->reply, begun);
	begun = doc_put_array(&x->reply, NAME("modules"));
	doc_end(&x->reply, begun);
	doc_put_int32(&x->reply, NAME("maxBsonObjectSize"),
		f.max_bson_size ? f.max_bson_size : (int32_t)DOC_MAX_LEN);
	end_and_send(x, &r);
}

static void answer_whats_my_uri(struct exchange *x)
{
	struct reply r = exchange_begin_reply(x);

	doc_put_string(&x->reply, NAME("you"), bytes_str(x->session->client));
	end_and_send(x, &r);
}

/* Who the proxy takes the client for; never the upstream's user. */
static void answer_connection_status(struct exchange *x)
{
	const struct user *user = x->facts.user;
	const struct element *privileges = command_field(&x->command, "showPrivileges");
	struct reply r = exchange_begin_reply(x);
	size_t info = doc_put_document(&x->reply, NAME("authInfo")), list, entry;
	char index[DOC_INDEX_MAX];

	list = doc_put_array(&x->reply, NAME("authenticatedUsers"));
	entry = doc_put_document(&x->reply, NAME("0"));
	doc_put_string(&x->reply, NAME("user"), user->name);
	doc_put_string(&x->reply, NAME("db"), NAME("admin"));
	doc_end(&x->reply, entry);
	doc_end(&x->reply, list);
	list = doc_put_array(&x->reply, NAME("authenticatedUserRoles"));
	for (size_t i = 0; i < user->nroles; i++) {
		entry = doc_put_document(&x->reply, doc_index_name(i, index));
		doc_put_string(&x->reply, NAME("role"), user->roles[i]);
		doc_put_string(&x->reply, NAME("db"), NAME("admin"));
		doc_end(&x->reply, entry);
	}
	doc_end(&x->reply, list);
	if (privileges && element_truth(privileges)) {
		list = doc_put_array(&x->reply, NAME("authenticatedUserPrivileges"));
		doc_end(&x->reply, list);
	}
	doc_end(&x->reply, info);
	end_and_send(x, &r);
}

static void refuse(struct exchange *x, enum fault_code code, struct bytes what)
{
	struct fault why;

	fault_name(&why, code, what);
	exchange_refuse(x, &why, 0);
}

/* Only what tools choose their syntax by. */
static void answer_get_parameter(struct exchange *x)
{
	struct upstream_facts f;
	struct reply r;
	size_t begun;

	if (!command_field(&x->command, "featureCompatibilityVersion")) {
		refuse(x, FAULT_REFUSED_COMMAND, x->command.name);
		return;
	}
	upstream_facts(x->worker->server->parts.upstream, &f);
	r = exchange_begin_reply(x);
	begun = doc_put_document(&x->reply, NAME("featureCompatibilityVersion"));
	/* "7.0" of "7.0.12" */
	doc_put_string(&x->reply, NAME("version"),
		bytes_head(bytes_str(f.version), strcspn(f.version, ".") + 2));
	doc_end(&x->reply, begun);
	end_and_send(x, &r);
}

static void answer_get_log(struct exchange *x)
{
	struct reply r;
	size_t begun;

	if (x->command.first.type != TYPE_STRING ||
		!bytes_equal_str(element_string(&x->command.first), "startupWarnings")) {
		refuse(x, FAULT_REFUSED_COMMAND, x->command.name);
		return;
	}
	r = exchange_begin_reply(x);
	doc_put_int32(&x->reply, NAME("totalLinesWritten"), 0);
	begun = doc_put_array(&x->reply, NAME("log"));
	doc_end(&x->reply, begun);
	end_and_send(x, &r);
}

/* A forwarded one would come back with an id that the next request would change again. */
static void answer_start_session(struct exchange *x)
{
	struct reply r = exchange_begin_reply(x);
	uint8_t id[LSID_LEN];
	size_t begun;

	randombytes_buf(id, sizeof(id));
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 4122, version 4 */
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	begun = doc_put_document(&x->reply, NAME("id"));
	doc_put_binary(&x->reply, NAME("id"), 4, bytes_of(id, sizeof(id)));
	doc_end(&x->reply, begun);
	doc_put_int32(&x->reply, NAME("timeoutMinutes"), 30);
	end_and_send(x, &r);
}

static void answer_logout(struct exchange *x)
{
	struct reply r;

	logout(x);
	r = exchange_begin_reply(x);
	end_and_send(x, &r);
}

void answer_locally(struct exchange *x)
{
	static void (*const answers[COMMAND_COUNT_OF_IDS])(struct exchange *) = {
		[COMMAND_HELLO] = answer_hello,
		[COMMAND_IS_MASTER] = answer_hello,
		[COMMAND_BUILD_INFO] = answer_build_info,
		[COMMAND_WHATS_MY_URI] = answer_whats_my_uri,
		[COMMAND_CONNECTION_STATUS] = answer_connection_status,
		[COMMAND_GET_PARAMETER] = answer_get_parameter,
		[COMMAND_GET_LOG] = answer_get_log,
		[COMMAND_START_SESSION] = answer_start_session,
		[COMMAND_SASL_START] = login_sasl_start,
		[COMMAND_SASL_CONTINUE] = login_sasl_continue,
		[COMMAND_AUTHENTICATE] = login_x509,
		[COMMAND_LOGOUT] = answer_logout,
	};

	answers[x->plan.row->id](x);
}
