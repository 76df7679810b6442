/* verify.h - whether logs are whole, unaltered and signed (docs/audit-format.md, "Verify").
 *
 * The log is read once, in bounded memory: what grows with its input are the list of files
 * and, for each, its first seq.  Whatever the files hold, the end is one of the three.
 */
#ifndef PROXY_AUDIT_VERIFY_H
#define PROXY_AUDIT_VERIFY_H

#include "audit/line.h"

#define VERIFY_INSTANCE_SIZE 64u /* with its NUL */

enum verify_end {
	VERIFY_WHOLE = 0,
	VERIFY_FAULT = 1, /* `why` is "file:line: what" */
	VERIFY_BAD = 2,   /* a file that cannot be read, no public key */
};

enum verify_proof {
	VERIFY_PROVEN,
	VERIFY_NO_WITNESS,      /* none was given */
	VERIFY_UNCOVERED,       /* lines that no checkpoint covers yet */
	VERIFY_NO_WITNESS_LINE, /* the one given has no line of this chain */
};

/* What is told of a chain. */
struct verify_chain {
	char instance[VERIFY_INSTANCE_SIZE];
	enum verify_proof proof;
	int64_t seq;         /* of the newest witness line when proven, else of the last
	                      * checkpoint; -1: there is none */
	char witness_ts[32]; /* of the newest witness line */
	uint64_t lines, unknown_outcomes, clock_steps, gaps, late_signed, unfinished;
};

struct verify_options {
	const char *const *paths; /* files, and folders of *.jsonl */
	size_t npaths;
	const char *witness; /* NULL: none */
	const char *public_key;
	bool strict;
	bool key_of_machine; /* no auditor's copy; strict says no to it */
	/* Called now and then with the bytes done and all there are; NULL: not. */
	void (*progress)(void *context, uint64_t done, uint64_t all);
	void *progress_context;
};

struct verify_result {
	struct verify_chain *chains; /* by instance; also filled when strict alone says no */
	size_t nchains;
	char *why; /* NULL when whole */
};

enum verify_end verify_run(const struct verify_options *options, struct verify_result *result);
void verify_result_fini(struct verify_result *result);
/* "INSTANCE: proven up to seq …", without LF. */
void verify_put_chain(struct buf *out, const struct verify_chain *chain);

#endif
