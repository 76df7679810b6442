/* verify_inside.h - what the parts of the verifier share. */
#ifndef PROXY_AUDIT_VERIFY_INSIDE_H
#define PROXY_AUDIT_VERIFY_INSIDE_H

#include "audit/line_file.h"
#include "audit/merkle.h"
#include "audit/verify.h"
#include "util/map.h"

#define VERIFY_KEY_LEN       32u
#define VERIFY_KEYS_MAX      1024u
#define VERIFY_OPEN_MAX      65536u /* intents that wait for their outcome */
#define VERIFY_REQUEST       16u
#define VERIFY_SECOND_LOOK_S 1
#define VERIFY_LOOKS_MAX     10

struct verify_place {
	const char *file;
	uint64_t line;
};

/* A file of checkpoints that must stand in the chain: a witness, or INSTANCE-keys.jsonl. */
struct verify_cursor {
	bool on; /* there is such a file, and it is not at its end */
	struct line_file file;
	struct line line; /* the one at hand; its text lies in the file's buffer */
	uint64_t last_seq;
	uint8_t last_hash[LINE_HASH_LEN];
	bool begun;
};

struct verify_file {
	char *path;
	char instance[VERIFY_INSTANCE_SIZE];
	uint64_t seq; /* of its first line */
	uint64_t size;
	dev_t device;
	ino_t inode;
	bool of_keys; /* INSTANCE-keys.jsonl */
	bool used;
	size_t order; /* in which it was given */
};

struct verify {
	const struct verify_options *options;
	struct line_parser parser;
	enum verify_end end;
	char *why;
	uint8_t (*keys)[VERIFY_KEY_LEN];
	size_t nkeys;
	struct verify_file *files;
	size_t nfiles, files_capacity;
	uint64_t done, all;
	uint64_t witness_size;
	struct verify_result *result;
};

/* Intents without their outcome: the newest VERIFY_OPEN_MAX. */
struct verify_open {
	uint8_t (*requests)[VERIFY_REQUEST]; /* a ring; NULL before the first */
	size_t next;
	struct map places; /* from a request to its place in the ring */
};

struct chain {
	struct verify *v;
	struct verify_chain told;
	const struct verify_file *file; /* the one that is read */
	struct verify_place at;         /* the line at hand */
	struct verify_place first;
	bool begun, has_key, stopped;
	uint64_t first_seq, seq, from; /* from: of the next checkpoint */
	uint8_t first_prev[LINE_HASH_LEN], hash[LINE_HASH_LEN];
	int64_t time_us;
	uint8_t key[VERIFY_KEY_LEN];
	struct merkle tree;
	uint64_t uncovered;         /* records since the last checkpoint */
	uint64_t trailing;          /* of them, clock and gap at the end */
	bool gap_uncovered;         /* since the last checkpoint */
	struct verify_place gap_at; /* of the first of them */
	bool needs_expired, expired_seen, expired_covered;
	bool part_open, part_broken; /* broken: a clock or gap came behind it */
	uint64_t part;
	uint8_t part_request[VERIFY_REQUEST];
	enum line_event part_event;
	const struct verify_file *part_file;
	struct verify_open open;
	struct verify_cursor witness, rolls;
	bool has_rolls_file, rolls_lack; /* lack: a roll of the log was not there */
	bool witnessed;
	int64_t witness_time_us;
	uint64_t witness_seq;
};

/* Sets the end and `why`, unless one is set already, and returns false. */
bool verify_fault(struct verify *v, struct verify_place at, const char *format, ...)
	PRINTF_LIKE(3, 4);
bool verify_bad(struct verify *v, const char *format, ...) PRINTF_LIKE(2, 3);
/* For how a line was read: false and the fault for all but ONE and END. */
bool verify_read_fault(struct verify *v, const struct line_file *f, enum line_read how);
/* The next line of a log, with another look when one is half written.  False at the end,
 * and then v->end tells whether all is well. */
bool verify_next(struct verify *v, struct line_file *f, struct line *l) MUST_CHECK;

/* Reads v->options->public_key. */
bool verify_load_keys(struct verify *v) MUST_CHECK;
bool verify_list_files(struct verify *v) MUST_CHECK;
/* Once over the witness: all lines read as checkpoints, rise, and have their chain. */
bool verify_check_witness(struct verify *v) MUST_CHECK;

/* `rolls`: the INSTANCE-keys.jsonl of the chain, or NULL. */
bool chain_open(struct chain *c, struct verify *v, const char *instance,
	const struct verify_file *rolls) MUST_CHECK;
void chain_close(struct chain *c);
bool chain_line(struct chain *c, const struct line *l) MUST_CHECK;
bool chain_end(struct chain *c) MUST_CHECK;

/* Parts and outcomes. */
bool chain_parts(struct chain *c, const struct line *l) MUST_CHECK;
void chain_outcomes(struct chain *c, const struct line *l);
void open_fini(struct verify_open *o);
void chain_open_lost(struct chain *c); /* what is open now gets no outcome any more */

/* Checkpoints, keys, and the two files beside the log. */
bool chain_first_key(struct chain *c, const struct line *l) MUST_CHECK;
bool chain_checkpoint(struct chain *c, const struct line *l) MUST_CHECK;
/* Compares the witness and the keys file with a line of the chain. */
bool chain_cursors(struct chain *c, const struct line *l) MUST_CHECK;
bool chain_cursors_open(struct chain *c, const struct verify_file *rolls) MUST_CHECK;
/* Passes over lines of both up to `seq`, which the log need not hold. */
bool chain_cursors_excuse(struct chain *c, uint64_t seq) MUST_CHECK;
bool chain_cursors_end(struct chain *c) MUST_CHECK;
void chain_cursors_close(struct chain *c);

#endif
