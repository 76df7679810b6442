#include "login.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <gsasl.h>
#include <openssl/evp.h>

#include "wire/doc.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define WAIT_MS 30000

struct credentials {
	const char *user, *password;
};

/* Hex digits, as libgsasl has it; of the process's one user. */
static char salted_password[65];

static size_t begin(struct buf *out, size_t *doc)
{
	size_t frame = frame_begin(out, 1, 0, OPCODE_MSG);

	buf_put_u32(out, 0);
	buf_put_u8(out, 0);
	*doc = doc_begin(out);
	return frame;
}

static void end(struct buf *out, size_t frame, size_t doc)
{
	doc_put_string(out, NAME("$db"), bytes_str("admin"));
	doc_end(out, doc);
	frame_end(out, frame);
}

bool login_document(struct bytes message, struct bytes *document)
{
	struct wire_msg m;
	struct fault why;
	struct element ok;

	if (!wire_msg_parse(&m, message, &why))
		return false;
	*document = m.body;
	return doc_find(m.body, "ok", &ok) && element_truth(&ok);
}

bool login_call(struct link *l, struct bytes request, struct bytes *document)
{
	struct bytes message;

	if (!link_write(l, request))
		return false;
	while (link_read(l)) {
		struct pollfd p = {.fd = l->fd, .events = POLLIN};

		if (link_take(l, &message))
			return login_document(message, document);
		if (poll(&p, 1, WAIT_MS) <= 0)
			return false;
	}
	return false;
}

static void put_hello(struct buf *out)
{
	size_t doc, frame = begin(out, &doc), client, part;

	doc_put_int32(out, NAME("hello"), 1);
	client = doc_put_document(out, NAME("client"));
	part = doc_put_document(out, NAME("application"));
	doc_put_string(out, NAME("name"), bytes_str("bench"));
	doc_end(out, part);
	part = doc_put_document(out, NAME("driver"));
	doc_put_string(out, NAME("name"), bytes_str("load"));
	doc_put_string(out, NAME("version"), bytes_str("1"));
	doc_end(out, part);
	part = doc_put_document(out, NAME("os"));
	doc_put_string(out, NAME("type"), bytes_str("Linux"));
	doc_end(out, part);
	doc_end(out, client);
	end(out, frame, doc);
}

static void put_sasl(struct buf *out, bool first, struct bytes payload)
{
	size_t doc, frame = begin(out, &doc), options;

	doc_put_int32(out, first ? NAME("saslStart") : NAME("saslContinue"), 1);
	if (first)
		doc_put_string(out, NAME("mechanism"), bytes_str("SCRAM-SHA-256"));
	else
		doc_put_int32(out, NAME("conversationId"), 1);
	doc_put_binary(out, NAME("payload"), 0, payload);
	if (first) {
		options = doc_put_document(out, NAME("options"));
		doc_put_bool(out, NAME("skipEmptyExchange"), true);
		doc_end(out, options);
	}
	end(out, frame, doc);
}

static int give_property(Gsasl *sasl, Gsasl_session *s, Gsasl_property property)
{
	const struct credentials *c = gsasl_callback_hook_get(sasl);

	switch ((int)property) {
	case GSASL_AUTHID:
		return gsasl_property_set(s, property, c->user);
	case GSASL_SCRAM_SALTED_PASSWORD:
		if (!salted_password[0])
			return GSASL_NO_CALLBACK;
		return gsasl_property_set(s, property, salted_password);
	case GSASL_PASSWORD:
		return gsasl_property_set(s, property, c->password);
	default:
		return GSASL_NO_CALLBACK;
	}
}

static bool converse(struct link *l, Gsasl_session *s, struct buf *out)
{
	struct bytes in = bytes_of(NULL, 0), document;
	struct element payload;
	uint8_t subtype;

	for (bool first = true;; first = false) {
		char *text = NULL;
		size_t len = 0;
		int rc = gsasl_step(s, (const char *)in.at, in.len, &text, &len);

		buf_clear(out);
		put_sasl(out, first, bytes_of(text, len));
		gsasl_free(text);
		if (rc != GSASL_NEEDS_MORE)
			return rc == GSASL_OK;
		if (!login_call(l, buf_bytes(out), &document) ||
			!doc_find(document, "payload", &payload) || payload.type != TYPE_BINARY)
			return false;
		in = element_binary(&payload, &subtype);
	}
}

/* Spares all logins but the first the 15,000 rounds of PBKDF2. */
static void keep_salted_password(Gsasl_session *s)
{
	const char *salted = gsasl_property_fast(s, GSASL_SCRAM_SALTED_PASSWORD);

	if (salted)
		snprintf(salted_password, sizeof(salted_password), "%s", salted);
}

bool login(struct link *l, const char *user, const char *password)
{
	struct credentials c = {user, password};
	struct bytes document;
	struct buf out;
	Gsasl *sasl;
	Gsasl_session *s;
	bool done;

	if (gsasl_init(&sasl) != GSASL_OK)
		abort();
	gsasl_callback_set(sasl, give_property);
	gsasl_callback_hook_set(sasl, &c);
	if (gsasl_client_start(sasl, "SCRAM-SHA-256", &s) != GSASL_OK)
		abort();
	buf_init(&out, 8192);
	put_hello(&out);
	done = login_call(l, buf_bytes(&out), &document) && converse(l, s, &out);
	if (done)
		keep_salted_password(s);
	buf_fini(&out);
	gsasl_finish(s);
	gsasl_done(sasl);
	if (!done)
		fprintf(stderr, "load: %s cannot log in\n", user);
	return done;
}
