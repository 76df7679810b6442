/* command.h - a request as a command: its name, its database, its fields.
 *
 * A command is the same whether it came as OP_MSG or as the OP_QUERY that opens a
 * driver's handshake, and whether its documents stand in the body or in sequences.
 * Everything in it has passed doc_check, no document is longer than DOC_SLACK_LEN, and
 * no top-level field stands twice, neither in the body nor as body field and sequence.
 * All views point into the message.
 *
 * Source: MongoDB wire protocol, OP_MSG and OP_QUERY.
 */
#ifndef PROXY_WIRE_COMMAND_H
#define PROXY_WIRE_COMMAND_H

#include "wire/doc.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define COMMAND_FIELDS_MAX 64  /* top-level fields of a body */
#define COMMAND_DB_MAX     63  /* bytes of a database's name */
#define COMMAND_NS_MAX     255 /* bytes of "db.collection" */

struct command {
	int32_t request_id;
	int32_t opcode;       /* OPCODE_MSG or OPCODE_QUERY: a reply goes back in kind */
	uint32_t flags;       /* of OP_MSG */
	struct element first; /* the element whose name is the command's */
	struct bytes name;    /* first.name, as the client spelled it */
	struct bytes db;
	struct bytes body;
	struct wire_seq seq[WIRE_MSG_SEQ_MAX];
	size_t nseq;
	size_t encrypted; /* values of Binary subtype 6 anywhere in it */
	size_t nfields;
	uint64_t names; /* a bit for each field's name: see command_name_bit */
	struct element fields[COMMAND_FIELDS_MAX]; /* of the body, in order; the rest is not set */
};

/* Reads a whole message with its header.  On false *c holds at least request_id and
 * opcode, so that the refusal can be sent. */
bool command_parse(struct command *c, struct bytes message, struct fault *why) MUST_CHECK;

/* The command that another one holds as a document, as `explain` does: of the same message
 * and database. */
bool command_of_document(struct command *c, const struct command *outer, struct bytes doc,
	struct fault *why) MUST_CHECK;

/* Some bit that a name has. */
static inline uint64_t command_name_bit(struct bytes name)
{
	return UINT64_C(1) << ((name.len + (name.len ? 5u * name.at[0] : 0)) & 63);
}
/* The body field of that name, or NULL. */
const struct element *command_find_field(const struct command *c, struct bytes name);
static inline const struct element *command_field_named(const struct command *c, struct bytes name)
{
	/* Most that is looked for is not there. */
	return c->names & command_name_bit(name) ? command_find_field(c, name) : NULL;
}
static inline const struct element *command_field(const struct command *c, const char *name)
{
	return command_field_named(c, bytes_str(name));
}
/* The sequence of that name, or NULL. */
const struct wire_seq *command_seq(const struct command *c, const char *name);
/* True when the client wants no answer. */
bool command_is_unacknowledged(const struct command *c);

/* The documents of `name`, whether body array or sequence, one by one. */
struct command_docs {
	struct doc_iter it; /* of the array */
	struct bytes left;  /* of the sequence */
	bool in_array;
};
/* False when there is neither. */
bool command_docs(const struct command *c, const char *name, struct command_docs *docs);
/* The next one; false at the end.  `bad` is set when an array's element is no document. */
bool command_docs_next(struct command_docs *docs, struct bytes *doc, bool *bad);

#endif
