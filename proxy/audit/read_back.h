/* read_back.h - the files of the log at a start: mapped, read back to the last checkpoint, and
 * searched; private to the log. */
#ifndef PROXY_AUDIT_READ_BACK_H
#define PROXY_AUDIT_READ_BACK_H

#include "audit/inside.h"

/* A file of the log, mapped. */
struct part {
	char *path;
	const uint8_t *at;
	size_t len;
	bool mapped;
};

struct starting {
	struct audit *a;
	struct complaints *complaints;
	struct part *parts; /* by name, which is by seq */
	size_t nparts, capacity;
	size_t from_part, from; /* what follows the last checkpoint */
	enum line_event last;   /* event of the last line that is no checkpoint */
	bool any;               /* there is a line */
	size_t cut;             /* bytes of the tail that was never answered */
	uint8_t cut_hash[LINE_HASH_LEN];
	bool gap;
	int64_t head_seq;
	int64_t witness_seq;
	size_t bad_part, bad; /* from where on the log moves to NAME.bad */
	bool has_bad;
};

/* Complains about a file; false. */
bool start_fail(struct starting *s, const char *file, const char *hint, const char *what);
/* The files of the instance, by name. */
bool list_parts(struct starting *s) MUST_CHECK;
void forget_parts(struct starting *s);
/* Its content, until it is unmapped or forgotten; a second time it is there already. */
bool map_part(struct starting *s, struct part *p) MUST_CHECK;
void unmap_part(struct part *p);

/* Follows the chain from the last checkpoint to the end; notes what is to be cut off. */
bool read_back(struct starting *s) MUST_CHECK;
/* What is wrong from that line on: refused, or with --accept-gap noted as what moves away. */
bool set_aside(struct starting *s, size_t part, size_t offset, const char *what);

/* The seq of a line, by its fixed front. */
bool seq_of(struct bytes text, uint64_t *seq);
/* The line of that seq; false when there is none. */
bool find_line(struct starting *s, uint64_t seq, struct bytes *text, size_t *part);
/* Nothing but first starts and their checkpoints. */
bool is_unused(struct starting *s);

#endif
