/* pool_login.c - what is said on a new connection before it serves: isMaster with the first
 * half of the login in it, and the rest of the login (MongoDB's handshake and
 * authentication specifications). */
#include <stdlib.h>

#include <config.h>
#include <sodium.h>

#include "upstream/pool_inside.h"
#include "upstream/scram_client.h"
#include "util/log.h"
#include "util/memory.h"
#include "wire/doc.h"
#include "wire/frame.h"

#define WIRE_VERSION_MIN 6      /* OP_MSG, MongoDB 3.6 */
#define COMMAND_MAX      16384u /* of a login */

enum stage {
	STAGE_HELLO,
	STAGE_START,  /* saslStart, or authenticate */
	STAGE_PROOF,  /* saslContinue: the server's signature comes back */
	STAGE_FINISH, /* an empty saslContinue, for servers that want one */
};

struct login {
	enum stage stage;
	struct scram_client *scram; /* NULL but for SCRAM */
	struct bytes salt;          /* of the challenge; within `scram` */
	uint32_t iterations;
	int32_t conversation;
	struct buf first, command;
};

void pool_login_free(struct login *l)
{
	if (!l)
		return;
	scram_client_free(l->scram);
	buf_wipe(&l->first);
	buf_wipe(&l->command);
	free(l);
}

/* ----------------------------------------------------------------- commands */

static size_t begin(struct login *l, size_t *frame)
{
	buf_clear(&l->command);
	*frame = frame_begin(&l->command, 0, 0, OPCODE_MSG);
	buf_put_u32(&l->command, 0);
	buf_put_u8(&l->command, 0);
	return doc_begin(&l->command);
}

static bool send_command(struct pool_conn *c, size_t frame, size_t doc, const char *db)
{
	struct buf *out = &c->login->command;

	doc_put_string(out, NAME("$db"), bytes_str(db));
	doc_end(out, doc);
	frame_end(out, frame);
	if (out->failed)
		return false;
	pool_conn_write(c, out->at, out->len);
	return true;
}

static const char *source_of(const struct pool_conn *c)
{
	if (c->pool->upstream->target.mechanism == MECHANISM_X509)
		return "$external";
	return c->pool->topology->auth_source;
}

static void put_start(const struct pool_conn *c, struct buf *out)
{
	const struct target *t = &c->pool->upstream->target;
	size_t options;

	if (t->mechanism == MECHANISM_X509) {
		doc_put_int32(out, NAME("authenticate"), 1);
		doc_put_string(out, NAME("mechanism"), NAME("MONGODB-X509"));
		return;
	}
	doc_put_int32(out, NAME("saslStart"), 1);
	doc_put_string(out, NAME("mechanism"),
		t->mechanism == MECHANISM_SCRAM_SHA_1 ? NAME("SCRAM-SHA-1")
						      : NAME("SCRAM-SHA-256"));
	doc_put_binary(out, NAME("payload"), 0, buf_bytes(&c->login->first));
	options = doc_put_document(out, NAME("options"));
	doc_put_bool(out, NAME("skipEmptyExchange"), true);
	doc_end(out, options);
}

static void put_client(struct buf *out)
{
	size_t client = doc_put_document(out, NAME("client")), part;

	part = doc_put_document(out, NAME("application"));
	doc_put_string(out, NAME("name"), NAME(PACKAGE_NAME));
	doc_end(out, part);
	part = doc_put_document(out, NAME("driver"));
	doc_put_string(out, NAME("name"), NAME(PACKAGE_NAME));
	doc_put_string(out, NAME("version"), NAME(PACKAGE_VERSION));
	doc_end(out, part);
	part = doc_put_document(out, NAME("os"));
	doc_put_string(out, NAME("type"), NAME("Linux"));
	doc_end(out, part);
	doc_end(out, client);
}

static bool send_hello(struct pool_conn *c)
{
	struct login *l = c->login;
	size_t frame, doc = begin(l, &frame), part;

	/* isMaster: "hello" is not known to all that speak OP_MSG. */
	doc_put_int32(&l->command, NAME("isMaster"), 1);
	doc_put_bool(&l->command, NAME("helloOk"), true);
	put_client(&l->command);
	if (c->pool->upstream->target.mechanism != MECHANISM_NONE) {
		part = doc_put_document(&l->command, NAME("speculativeAuthenticate"));
		put_start(c, &l->command);
		doc_put_string(&l->command, NAME("db"), bytes_str(source_of(c)));
		doc_end(&l->command, part);
	}
	l->stage = STAGE_HELLO;
	return send_command(c, frame, doc, "admin");
}

static bool send_start(struct pool_conn *c)
{
	size_t frame, doc = begin(c->login, &frame);

	put_start(c, &c->login->command);
	c->login->stage = STAGE_START;
	return send_command(c, frame, doc, source_of(c));
}

static bool send_continue(struct pool_conn *c, struct bytes payload, enum stage stage)
{
	struct login *l = c->login;
	size_t frame, doc = begin(l, &frame);

	doc_put_int32(&l->command, NAME("saslContinue"), 1);
	doc_put_int32(&l->command, NAME("conversationId"), l->conversation);
	doc_put_binary(&l->command, NAME("payload"), 0, payload);
	l->stage = stage;
	return send_command(c, frame, doc, source_of(c));
}

/* ------------------------------------------------------------------ answers */

static bool read_payload(struct bytes document, struct bytes *payload)
{
	struct element e;
	uint8_t subtype;

	if (!doc_find(document, "payload", &e))
		return false;
	if (e.type == TYPE_BINARY)
		*payload = element_binary(&e, &subtype);
	else if (e.type == TYPE_STRING)
		*payload = element_string(&e);
	else
		return false;
	return true;
}

static bool is_done(struct bytes document)
{
	struct element e;

	return doc_find(document, "done", &e) && element_truth(&e);
}

/* Goes on when the salted password is there; else the pool calls again. */
static bool prove(struct pool_conn *c, struct fault *why)
{
	struct login *l = c->login;
	char salted[2 * SALTED_MAX + 1];
	struct buf proof;
	bool fine;

	switch (salts_get(c->pool->upstream->salts, l->salt, l->iterations, salted)) {
	case SALTS_WAIT:
		c->state = CONN_SALTING;
		return true;
	case SALTS_REFUSED:
		return fault_set(why, FAULT_UPSTREAM_GARBAGE, "the password cannot be salted");
	case SALTS_HAVE:
		break;
	}
	c->state = CONN_LOGIN;
	buf_init(&proof, SCRAM_MESSAGE_MAX);
	fine = scram_client_proof(l->scram, salted, &proof, why) &&
	       (send_continue(c, buf_bytes(&proof), STAGE_PROOF) ||
		       fault_set(why, FAULT_INTERNAL, "a proof is too long"));
	sodium_memzero(salted, sizeof(salted));
	buf_wipe(&proof);
	return fine;
}

static bool take_challenge(struct pool_conn *c, struct bytes document, struct fault *why)
{
	struct login *l = c->login;
	struct bytes payload;
	struct element e;
	int64_t id;

	if (!doc_find(document, "conversationId", &e) || !element_int(&e, &id) || id < INT32_MIN ||
		id > INT32_MAX || !read_payload(document, &payload))
		return fault_set(why, FAULT_UPSTREAM_GARBAGE, "a SCRAM answer lacks its parts");
	l->conversation = (int32_t)id;
	return scram_client_challenge(l->scram, payload, &l->salt, &l->iterations, why) &&
	       prove(c, why);
}

/* Anything but MONGODB-X509 and no login at all is SCRAM. */
static bool take_hello(struct pool_conn *c, struct bytes document, struct fault *why)
{
	struct login *l = c->login;
	struct element e, speculative;
	int64_t wire;

	if (!doc_find(document, "maxWireVersion", &e) || !element_int(&e, &wire) ||
		wire < WIRE_VERSION_MIN)
		return fault_set(why, FAULT_UPSTREAM_GARBAGE,
			"the server is older than MongoDB 3.6, or none");
	if (c->pool->upstream->target.mechanism == MECHANISM_NONE) {
		pool_conn_ready(c);
		return true;
	}
	if (!doc_find(document, "speculativeAuthenticate", &speculative) ||
		speculative.type != TYPE_DOCUMENT)
		return send_start(c) || fault_set(why, FAULT_INTERNAL, "a login is too long");
	if (l->scram)
		return take_challenge(c, speculative.value, why);
	pool_conn_ready(c);
	return true;
}

static bool take_signature(struct pool_conn *c, struct bytes document, struct fault *why)
{
	struct bytes payload;

	if (!read_payload(document, &payload))
		return fault_set(why, FAULT_UPSTREAM_GARBAGE, "a SCRAM answer lacks its payload");
	if (!scram_client_verify(c->login->scram, payload, why))
		return false;
	if (!is_done(document))
		return send_continue(c, bytes_of("", 0), STAGE_FINISH);
	pool_conn_ready(c);
	return true;
}

static bool take_finish(struct pool_conn *c, struct bytes document, struct fault *why)
{
	if (!is_done(document))
		return fault_set(why, FAULT_UPSTREAM_GARBAGE, "SCRAM does not end");
	pool_conn_ready(c);
	return true;
}

static bool go_on(struct pool_conn *c, struct bytes document, struct fault *why)
{
	struct login *l = c->login;
	struct element ok, text;

	if (!doc_find(document, "ok", &ok) || !element_truth(&ok)) {
		struct bytes said = bytes_str("");

		if (doc_find(document, "errmsg", &text) && text.type == TYPE_STRING)
			said = bytes_head(element_string(&text), 150);
		return fault_set(
			why, FAULT_UPSTREAM, "the login is refused: %.*s", BYTES_ARG(said));
	}
	switch (l->stage) {
	case STAGE_HELLO:
		return take_hello(c, document, why);
	case STAGE_START:
		if (l->scram)
			return take_challenge(c, document, why);
		pool_conn_ready(c);
		return true;
	case STAGE_PROOF:
		return take_signature(c, document, why);
	case STAGE_FINISH:
		return take_finish(c, document, why);
	}
	return false;
}

static void fail(struct pool_conn *c, const char *why)
{
	struct upstream_pool *p = c->pool;
	struct pool_slot *slot = c->slot;

	pool_conn_close(c, UPSTREAM_GARBAGE, NULL);
	log_error("upstream", "no connection: %s", why);
	pool_server_failed(p, slot);
	pool_open_more(p);
}

bool pool_login_begin(struct pool_conn *c)
{
	const struct target *t = &c->pool->upstream->target;
	struct login *l = memory_new(sizeof(*l));

	c->login = l;
	buf_init(&l->first, SCRAM_MESSAGE_MAX);
	buf_init(&l->command, COMMAND_MAX);
	if (t->mechanism == MECHANISM_SCRAM_SHA_256 || t->mechanism == MECHANISM_SCRAM_SHA_1) {
		l->scram = scram_client_new(t->mechanism == MECHANISM_SCRAM_SHA_1, t->user);
		if (!l->scram || !scram_client_first(l->scram, &l->first))
			return false;
	}
	return send_hello(c);
}

void pool_login_reply(struct pool_conn *c, struct bytes document)
{
	struct fault why = {.detail = "a command of the login is too long"};

	if (!go_on(c, document, &why))
		fail(c, why.detail);
}

void pool_login_go_on(struct pool_conn *c)
{
	struct fault why;

	if (!prove(c, &why))
		fail(c, why.detail);
}
