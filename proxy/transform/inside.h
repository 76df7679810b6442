/* inside.h - what the parts of transform/ share. */
#ifndef PROXY_TRANSFORM_INSIDE_H
#define PROXY_TRANSFORM_INSIDE_H

#include "transform/transform.h"

#define RANDOM_POOL 4096u

struct transform {
	struct policy *policy;
	struct keyring *keyring;
	const struct master *master;
	struct cipher *cipher;
	int *key_of_field;     /* by number of the encrypted field; KEY_NONE where missing */
	int16_t *field_of_key; /* by key; NO_FIELD where the policy has none */
	struct subject_token *subjects;
	size_t nsubjects, subjects_capacity;
	uint8_t random[RANDOM_POOL]; /* for order numbers: not secret, but not to be guessed */
	size_t random_left;
	uint8_t object_id[5];
	uint32_t object_count;
	struct buf scratch;
};

uint64_t random_number(struct transform *t);
void note_subject(struct transform *t, const struct subject_token *token);

/* A value: of the document, or opened. */
struct value {
	uint8_t type; /* 0: not there */
	struct bytes bytes;
};

/* The first subject line whose parts are all there, or NULL. */
const struct subject_line *subject_line_of(
	const struct collection *c, const struct value parts[ID_PART + 1]);
/* The token of the first subject line whose parts are all there; else of the _id, which is
 * parts[ID_PART].  False when there is not even that. */
bool subject_of(struct transform *t, enum token_kind kind, const struct collection *c,
	const struct value parts[ID_PART + 1], struct subject_token *out);

/* The token of one subject line, or of the _id when `line` is NULL; `input` is scratch. */
bool subject_line_token(const struct master *m, enum token_kind kind, const struct collection *c,
	const struct subject_line *line, const struct value parts[ID_PART + 1], struct buf *input,
	struct subject_token *out);

/* The token of one literal that a filter looks for under an identifying path. */
void searched_token(struct transform *t, struct bytes path, bool normalized,
	const struct element *literal, struct token *out);

/* NFKD, case folded, marks stripped, white space collapsed; appended. */
void normalize_text(struct bytes text, struct buf *out);

/* Appends `name` with the masked value. */
void put_masked(struct transform *t, const struct mask *mask, struct bytes name,
	const struct value *value, struct buf *out);
/* A token as the digits that a reader sees. */
void put_hex(struct bytes name, const struct token *token, struct buf *out);
/* The pseudonym of a subject within a scope. */
void pseudonym_of_subject(struct transform *t, const struct mask *mask,
	const struct subject_token *subject, struct token *out);

/* Stores a document as one of `c`: sealed; with_id and __mw where they belong. */
bool put_stored(struct transform *t, const struct collection *c, struct bytes doc, bool with_id,
	uint32_t now_s, struct buf *out, struct fault *why) MUST_CHECK;
/* Stores a value as what stands at `node`. */
bool put_stored_value(struct transform *t, const struct view_node *node, const struct element *e,
	struct bytes name, struct buf *out, struct fault *why) MUST_CHECK;
bool put_sealed(struct transform *t, int16_t field, struct bytes name, uint8_t type,
	struct bytes value, struct buf *out, struct fault *why) MUST_CHECK;
/* __mw.s, __mw.rk, __mw.p of a subject, under these names with `prefix` before them.  The
 * noise key rk is an int64 of 32 bits: those of 2^31 subjects add up to an int64. */
void put_own_subject(struct transform *t, const struct collection *c,
	const struct value parts[ID_PART + 1], const char *prefix, struct buf *out);

/* One document of a reply, as the rules let it be seen. */
struct walk {
	struct transform *t;
	const struct reply_rules *rules;
	struct disclosure *disclosure;
	struct value parts[ID_PART + 1];
	/* Parts that were sealed: opened one after the other, since the cipher lends a value
	 * only until its next; until the document ends, len of such a part is its offset. */
	struct buf opened;
	unsigned sealed_parts;
	size_t sealed_len[ID_PART + 1];
	struct bytes run; /* of the document, unchanged, still to be put */
	class_set accountable_classes;
	bool accountable; /* an accountable value left */
	struct fault *why;
};
void walk_init(struct walk *w, struct transform *t, const struct reply_rules *rules,
	struct disclosure *disclosure, struct fault *why);
void walk_fini(struct walk *w);
/* The document's own bytes, without a name. */
bool walk_document(struct walk *w, struct bytes doc, struct buf *out) MUST_CHECK;
/* A value under the rules' tree itself. */
bool walk_value(struct walk *w, const struct element *e, struct buf *out) MUST_CHECK;
/* Fills in the parts of a stored document, opened. */
bool walk_find_parts(struct walk *w, struct bytes doc) MUST_CHECK;
/* A row of a virtual view, made of a stored document. */
bool walk_row(struct walk *w, struct bytes doc, struct buf *out) MUST_CHECK;
/* Keeps the parts of a subject, each under its path, and under the last the _id. */
bool find_parts_at(struct walk *w, const struct collection *c, struct bytes doc,
	const struct bytes paths[ID_PART + 1]) MUST_CHECK;
/* Whether a value is ciphertext; *content is then what its Binary holds. */
bool is_sealed(const struct value *value, struct bytes *content);
/* Opens a value that is sealed under one of our keys; others stay as they are. */
bool open_value(struct walk *w, struct value *value) MUST_CHECK;

/* Answers that speak of names. */
bool put_collections(struct transform *t, const struct reply_context *x, struct bytes batch,
	struct bytes name, struct buf *out, int64_t *docs);
bool put_databases(struct transform *t, const struct reply_context *x, struct bytes list,
	struct bytes name, struct buf *out, int64_t *docs);
bool put_indexes(struct transform *t, const struct reply_context *x, struct bytes batch,
	struct bytes name, struct buf *out, int64_t *docs);

/* One field of an answer to explain, if it is one that may be shown. */
void put_explained(const struct reply_context *x, const struct element *e, struct buf *out);

/* An error's fields as the client may see them: a document with code, errmsg, …. */
void put_error_fields(const struct reply_context *x, struct bytes error, struct buf *out);
int32_t error_code(struct bytes error);

#endif
