#include "wire/command.h"

#include "util/reader.h"
#include "util/utf8.h"

#define QUERY_SUFFIX ".$cmd"

static bool check_document(struct bytes doc, struct doc_facts *facts, struct fault *why)
{
	if (doc.len > DOC_SLACK_LEN)
		return fault_set(why, FAULT_DOCUMENT_TOO_LARGE, "a document of %zu bytes", doc.len);
	return doc_check(doc, facts, why);
}

static bool check_documents(struct command *c, struct fault *why)
{
	struct doc_facts facts = {0};

	if (!check_document(c->body, &facts, why))
		return false;
	for (size_t i = 0; i < c->nseq; i++) {
		struct bytes left = c->seq[i].docs;

		while (left.len) {
			struct bytes doc = doc_at_front(left);

			if (!doc.len)
				return fault_set(why, FAULT_INVALID_BSON, "a sequence is torn");
			if (!check_document(doc, &facts, why))
				return false;
			left = bytes_from(left, doc.len);
		}
	}
	c->encrypted = facts.encrypted;
	return true;
}

static bool list_fields(struct command *c, struct fault *why)
{
	struct doc_iter it = doc_iter_of(c->body);
	struct element e;

	c->nfields = 0;
	c->names = 0;
	while (doc_next(&it, &e)) {
		if (c->nfields == COMMAND_FIELDS_MAX)
			return fault_set(why, FAULT_TOO_MANY_FIELDS, "a command of over %d fields",
				COMMAND_FIELDS_MAX);
		if (command_field_named(c, e.name))
			return fault_name(why, FAULT_FIELD_TWICE, e.name);
		for (size_t i = 0; i < c->nseq; i++)
			if (bytes_equal(c->seq[i].name, e.name))
				return fault_name(why, FAULT_FIELD_TWICE, e.name);
		c->fields[c->nfields++] = e;
		c->names |= command_name_bit(e.name);
	}
	if (!c->nfields)
		return fault_set(why, FAULT_EMPTY_COMMAND, "a command without fields");
	c->first = c->fields[0];
	c->name = c->first.name;
	return true;
}

/* Names of databases as a server takes them (limits: "Naming Restrictions"). */
static bool check_db(struct bytes db, struct fault *why)
{
	static const bool refused[256] = {['/'] = true,
		['\\'] = true,
		['.'] = true,
		[' '] = true,
		['"'] = true,
		['$'] = true,
		[0] = true};

	if (!db.len || db.len > COMMAND_DB_MAX || !utf8_valid(db))
		return fault_name(why, FAULT_INVALID_DB, db);
	for (size_t i = 0; i < db.len; i++)
		if (refused[db.at[i]] && !bytes_equal_str(db, "$external"))
			return fault_name(why, FAULT_INVALID_DB, db);
	return true;
}

static bool find_db(struct command *c, struct fault *why)
{
	const struct element *db = command_field(c, "$db");

	if (!db)
		return fault_set(why, FAULT_NO_DB, "OP_MSG without $db");
	if (db->type != TYPE_STRING)
		return fault_name(why, FAULT_WRONG_TYPE, bytes_str("$db"));
	c->db = element_string(db);
	return check_db(c->db, why);
}

static bool parse_msg(struct command *c, struct bytes message, struct fault *why)
{
	struct wire_msg m;

	if (!wire_msg_parse(&m, message, why))
		return false;
	c->flags = m.flags;
	c->body = m.body;
	memcpy(c->seq, m.seq, sizeof(m.seq));
	c->nseq = m.nseq;
	return check_documents(c, why) && list_fields(c, why) && find_db(c, why);
}

/* {$query: {...}, $readPreference: ...} holds the command one level down. */
static bool unwrap_query(struct command *c, struct fault *why)
{
	if (c->first.type != TYPE_DOCUMENT ||
		!(element_named(&c->first, "$query") || element_named(&c->first, "query")))
		return true;
	c->body = c->first.value;
	return list_fields(c, why);
}

static bool parse_query(struct command *c, struct bytes message, struct fault *why)
{
	struct reader r = reader_of(bytes_from(message, FRAME_HEADER_LEN));
	struct bytes ns, suffix = bytes_str(QUERY_SUFFIX);

	(void)reader_u32(&r); /* flags: slaveOk and its like mean nothing for a command */
	ns = reader_name(&r);
	(void)reader_u32(&r); /* numberToSkip */
	(void)reader_u32(&r); /* numberToReturn: -1 or 1 */
	c->body = reader_take(&r, reader_peek_u32(&r));
	if (r.failed || r.left.len)
		return fault_set(why, FAULT_MALFORMED, "OP_QUERY's lengths do not add up");
	if (ns.len <= suffix.len || !bytes_equal(bytes_from(ns, ns.len - suffix.len), suffix))
		return fault_set(why, FAULT_OP_QUERY, "OP_QUERY on a collection");
	c->db = bytes_head(ns, ns.len - suffix.len);
	return check_documents(c, why) && list_fields(c, why) && unwrap_query(c, why) &&
	       check_db(c->db, why);
}

bool command_parse(struct command *c, struct bytes message, struct fault *why)
{
	struct frame_header h;
	bool bounded;

	memset(c, 0, offsetof(struct command, fields));
	c->opcode = OPCODE_MSG;
	if (message.len < FRAME_HEADER_LEN)
		return fault_set(why, FAULT_MALFORMED, "a message without a header");
	bounded = frame_header_read(&h, message.at, FRAME_MESSAGE_MAX, why);
	c->request_id = h.request_id;
	if (h.opcode == OPCODE_QUERY)
		c->opcode = OPCODE_QUERY;
	if (!bounded)
		return false;
	if (h.length != message.len)
		return fault_set(why, FAULT_MALFORMED, "a message's length is a lie");
	if (h.opcode == OPCODE_MSG)
		return parse_msg(c, message, why);
	if (h.opcode == OPCODE_QUERY)
		return parse_query(c, message, why);
	return fault_set(why, FAULT_OPCODE, "opcode %d", (int)h.opcode);
}

bool command_of_document(
	struct command *c, const struct command *outer, struct bytes doc, struct fault *why)
{
	const struct element *db;

	*c = (struct command){.request_id = outer->request_id,
		.opcode = outer->opcode,
		.db = outer->db,
		.body = doc,
		.encrypted = outer->encrypted};
	if (!list_fields(c, why))
		return false;
	db = command_field(c, "$db");
	return !db || (db->type == TYPE_STRING && bytes_equal(element_string(db), c->db)) ||
	       fault_name(why, FAULT_BAD_VALUE, bytes_str("$db"));
}

const struct element *command_find_field(const struct command *c, struct bytes name)
{
	for (size_t i = 0; i < c->nfields; i++)
		if (bytes_equal(c->fields[i].name, name))
			return &c->fields[i];
	return NULL;
}

const struct wire_seq *command_seq(const struct command *c, const char *name)
{
	for (size_t i = 0; i < c->nseq; i++)
		if (bytes_equal_str(c->seq[i].name, name))
			return &c->seq[i];
	return NULL;
}

bool command_is_unacknowledged(const struct command *c)
{
	return c->flags & WIRE_MSG_MORE_TO_COME;
}

bool command_docs(const struct command *c, const char *name, struct command_docs *docs)
{
	const struct wire_seq *seq = command_seq(c, name);
	const struct element *field = command_field(c, name);

	*docs = (struct command_docs){0};
	if (seq) {
		docs->left = seq->docs;
		return true;
	}
	if (!field || field->type != TYPE_ARRAY)
		return false;
	docs->in_array = true;
	docs->it = doc_iter_of(field->value);
	return true;
}

bool command_docs_next(struct command_docs *docs, struct bytes *doc, bool *bad)
{
	struct element e;

	if (docs->in_array) {
		if (!doc_next(&docs->it, &e))
			return false;
		*bad |= e.type != TYPE_DOCUMENT;
		*doc = e.value;
		return e.type == TYPE_DOCUMENT;
	}
	if (!docs->left.len)
		return false;
	*doc = doc_at_front(docs->left);
	docs->left = bytes_from(docs->left, doc->len);
	return doc->len != 0;
}
