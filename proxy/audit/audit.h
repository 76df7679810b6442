/* audit.h - the log of every access: records in, durable lines out.
 *
 * The format is docs/audit-format.md, to the byte.  A worker submits a record and is
 * called back once it is as durable as configured; only then may a reply be released or
 * a write be forwarded.  Lines get their seq, time and hash in one place, under one lock,
 * so that there is one chain however many workers there are.
 *
 *   strict   a writer thread: one writev and one fdatasync for all that waits
 *   flush    the worker writes its own tick's records itself, at the end of the tick
 *   none     as flush, but the answer does not wait
 *
 * A write that fails stops access: audit_is_stopped turns true, all who wait are called
 * back with false, and the log tries again each second (docs/audit-format.md, "Full,
 * failing, gone").  When the disk is full, records with care go on as long as the reserve
 * lasts; whoever waits for another one is called back with false.
 */
#ifndef PROXY_AUDIT_AUDIT_H
#define PROXY_AUDIT_AUDIT_H

#include "keys/master.h"
#include "util/buf.h"
#include "util/complaint.h"

#define AUDIT_LINE_MAX       65536u
#define AUDIT_NAME_MAX       256u
#define AUDIT_REQUEST_LEN    32u /* hex digits */
#define AUDIT_SHAPE_MAX      16384u
#define AUDIT_SHAPE_HASH_LEN 8u

enum audit_durability { AUDIT_STRICT, AUDIT_FLUSH, AUDIT_NONE };

struct audit_config {
	const char *instance;
	const char *directory;
	enum audit_durability durability;
	bool to_stdout;          /* every line also there, after the file */
	const char *signing_key; /* file: 32-byte seed, hex or raw */
	const char *const *witness_files;
	size_t nwitness_files;
	bool witness_stdout;
	uint64_t rotate_size;        /* bytes; 0: never */
	uint64_t rotate_age_us;      /* 0: never */
	uint64_t reserve;            /* bytes kept for records with care; 0: none */
	uint32_t checkpoint_records; /* 1 … 1000 */
	uint64_t checkpoint_every_us;
	const char *accept_gap; /* why, or NULL */
	const char *version;    /* for `start` */
	/* "seconds.increment" of the upstream; false when unknown.  From any thread. */
	bool (*cluster_time)(void *context, char *out, size_t size);
	void *cluster_time_context;
};

struct audit;

/* Reads back, checks, repairs what may be repaired, writes `start` and its checkpoint.
 * NULL and complaints (file:line where one applies) when the log or a witness says no. */
struct audit *audit_open(
	const struct audit_config *config, struct bytes policy_hash, struct complaints *complaints);
/* Writes `stop` and its checkpoint, brings the witnesses up to it. */
void audit_close(struct audit *a);
/* After a fork there is nothing to close; for tests that kill. */
bool audit_is_stopped(const struct audit *a); /* cheap; any thread */
/* Also for records with care: before, these have the reserve. */
bool audit_is_stopped_for_all(const struct audit *a);

struct audit_numbers {
	uint64_t seq; /* of the next record */
	uint64_t records, bytes, batches, syncs, failures;
	bool stopped, witnessed; /* witnessed: every witness took the last checkpoint */
	bool reserved;           /* stopped, but for records with care */
	char why[160];           /* when stopped or not witnessed */
};
void audit_numbers(struct audit *a, struct audit_numbers *n);

/* One ring a worker. */
struct audit_ring;
/* `wake` is called, from any thread, when audit_ring_collect has something to do. */
struct audit_ring *audit_ring_new(struct audit *a, void (*wake)(void *), void *context);
void audit_ring_free(struct audit_ring *r);

enum audit_event {
	AUDIT_ACCESS,
	AUDIT_INTENT,
	AUDIT_OUTCOME,
	AUDIT_REFUSAL,
	AUDIT_LOGIN,
	AUDIT_LOGIN_FAILED,
	AUDIT_LOGOUT,
	AUDIT_DRAIN,
	AUDIT_POLICY,
	AUDIT_KEY,
	AUDIT_ADMIN,
	/* start, stop, checkpoint, clock and gap are written by the log itself. */
};
enum audit_decision { AUDIT_UNDECIDED, AUDIT_ALLOW, AUDIT_REFUSE };

/* What a record says.  Empty bytes, zero and NULL leave a key out, but for those whose
 * event needs them.  Everything is copied on submit. */
struct audit_record {
	enum audit_event event;
	bool care; /* may use the reserve */
	/* who */
	uint64_t conn;
	struct bytes client, tls, app, driver, user;
	const struct bytes *roles;
	size_t nroles;
	struct bytes who; /* all of these, as audit_put_who has it; or empty */
	/* what */
	struct bytes request; /* AUDIT_REQUEST_LEN hex digits */
	struct bytes cursor_of;
	struct bytes on_behalf_of, purpose, ns, command;
	struct bytes shape; /* JSON of AUDIT_SHAPE_MAX bytes at most; its hash is added here */
	const uint8_t *shape_hash; /* of one that is longer, with `shape` empty; or NULL */
	enum audit_decision decision;
	struct bytes rule, policy;
	struct bytes would; /* JSON object: of grants that are only observed */
	size_t reason_len;  /* of a reason that was given; 0: none */
	bool break_glass;
	/* result */
	struct bytes way;
	struct bytes disclosed;               /* JSON object */
	const struct subject_token *subjects; /* repeated ones are written once */
	size_t nsubjects;
	const struct token *searched;
	size_t nsearched;
	bool has_result; /* docs, bytes, ms and code are written */
	int64_t docs;    /* -1: left out */
	uint64_t bytes;
	double ms;
	bool has_code; /* code is written, also without a result */
	int32_t code;
	bool unacknowledged;
	/* policy, key, admin */
	struct bytes act, target, version, hash;
};

/* Appends what a record of an access or an intent says of who, for all of one connection's. */
void audit_put_who(struct buf *out, const struct audit_record *record);
/* What `shape_hash` is to hold. */
void audit_shape_hash(struct bytes shape, uint8_t hash[AUDIT_SHAPE_HASH_LEN]);

typedef void audit_done_fn(void *context, bool durable);

/* Formats the record into the ring; `done` (or NULL: nobody waits) is called by
 * audit_ring_collect on the worker's thread, never from within this call.  Refusals and
 * failed logins beyond 100 a minute from one (user, address, code) are counted into one
 * record instead; `done` is then called as if it had been written. */
void audit_submit(struct audit_ring *r, const struct audit_record *record, audit_done_fn *done,
	void *context);
/* At the end of each tick: hands the ring's records on (strict) or writes them (flush, none). */
void audit_ring_commit(struct audit_ring *r);
/* Calls back those whose records have become durable, or have failed. */
void audit_ring_collect(struct audit_ring *r);
/* Whether nothing was submitted since the last commit. */
bool audit_ring_is_idle(const struct audit_ring *r);

#endif
