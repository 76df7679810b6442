/* transform.h - carries plans out: seals and edits requests, opens and masks replies.
 *
 * One walk over the BSON each way.  Nothing is decided here.  A transform belongs to one
 * thread and to one policy and keyring; it reads no clock and no socket.
 */
#ifndef PROXY_TRANSFORM_TRANSFORM_H
#define PROXY_TRANSFORM_TRANSFORM_H

#include "keys/cipher.h"
#include "policy/policy.h"

struct transform;

/* Holds references to policy and keyring. */
struct transform *transform_new(struct policy *p, struct keyring *k, const struct master *m);
void transform_free(struct transform *t);
const struct policy *transform_policy(const struct transform *t);
const struct keyring *transform_keyring(const struct transform *t);

/* Refuses a request that holds ciphertext under one of our keys: it would come back
 * opened.  Other Binary 6 is somebody else's and passes. */
bool transform_check_literals(
	const struct keyring *k, const struct command *c, struct fault *why) MUST_CHECK;

/* What a request wrote, for its record; valid until the next call on the transform. */
struct written {
	const struct subject_token *subjects; /* of documents that are stored whole */
	size_t nsubjects;
};
/* Appends the OP_MSG that goes upstream: the command with the plan's edits.  `now_s` goes
 * into the ObjectIds of documents that come without an _id. */
bool transform_request(struct transform *t, const struct plan *plan, const struct command *c,
	uint32_t now_s, struct buf *out, struct written *written, struct fault *why) MUST_CHECK;

/* Tokens of what the filter looks for; into the arena. */
size_t transform_searched(
	struct transform *t, const struct plan *plan, struct arena *arena, struct token **tokens);

/* What a reply told, for its record; valid until the next call on the transform. */
struct disclosure {
	class_set plaintext, masked, ciphertext; /* of the classes that left, and how */
	const struct subject_token *subjects;    /* may repeat */
	size_t nsubjects;
	int64_t docs;                  /* documents, or values of distinct, or n; -1: none */
	int32_t code;                  /* of the answer; 0: ok */
	bool state_error;              /* the upstream said that it is no longer what it was */
	bool asked;                    /* a question for statistics was answered, … */
	struct token question, answer; /* … this one, out of these data */
};

/* What a question for statistics counts as, before it is answered. */
void statistics_question(
	const struct master *m, const struct statistics *asked, struct token *question);

struct reply_context {
	const struct reply_rules *rules;
	struct bytes ns;           /* as the client names it, for cursor.ns */
	int64_t cursor_id;         /* ours; 0: none, or exhausted */
	const struct facts *facts; /* for listings */
	struct bytes db, filter;   /* likewise; the filter is the client's, or empty */
	unsigned labels;           /* to be added to an error */
};
/* Appends the fields of the client's reply, from the upstream's.  False: the reply breaks
 * the protocol, or a value does not open; nothing of `out` may be used. */
bool transform_reply(struct transform *t, const struct reply_context *context, struct bytes reply,
	struct buf *out, struct disclosure *disclosure, struct fault *why) MUST_CHECK;

/* What somebody knows of a patient: a value under a path, as BSON has it.  The same path may
 * come with several types of the value. */
struct known_part {
	struct bytes path;
	uint8_t type;
	struct bytes value;
};
/* The tokens under which audit records name that patient: for each collection (of `ns`, or
 * of any when that is empty) and each of its subject lines whose paths are all known, one
 * for each choice of types; and with `_id`, that of a document without another subject.
 * Returns how many there are; those beyond `max` are not written. */
size_t transform_patient_tokens(const struct policy *p, const struct master *m, struct bytes ns,
	const struct known_part *parts, size_t nparts, struct subject_token *out, size_t max);

/* Whether an error's code speaks of the upstream's own state (91, 189, 10107, …). */
bool transform_is_state_code(int32_t code);

/* The secure view of one document, for `policy test`. */
bool transform_show(struct transform *t, const struct reply_rules *rules, struct bytes doc,
	struct buf *out, struct fault *why) MUST_CHECK;

#endif
