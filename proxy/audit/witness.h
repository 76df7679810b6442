/* witness.h - copies of the checkpoints, out of the log's reach.
 *
 * A thread of its own writes them, which nobody waits for but start and stop: a witness that
 * is stuck must not stop the log.
 */
#ifndef PROXY_AUDIT_WITNESS_H
#define PROXY_AUDIT_WITNESS_H

#include "audit/audit.h"
#include "audit/line.h"

/* Without any witness up to date for as long, access stops. */
#define WITNESS_GRACE_US    (UINT64_C(3600) * 1000 * 1000)
/* What may wait for one witness; of more, only the newest line is kept: any checkpoint
 * proves all that is before it. */
#define WITNESS_WAITING_MAX (1024u * 1024)

struct witnesses;

/* A line of a witness file, as start needs it. */
struct witnessed_line {
	uint64_t seq;
	uint8_t hash[LINE_HASH_LEN];
};

/* Opens and locks the files (made if they are not there) and reads where they end.  NULL
 * and complaints when one cannot be had. */
struct witnesses *witnesses_open(const struct audit_config *config, struct complaints *complaints);
/* Ends the thread. */
void witnesses_close(struct witnesses *w);

size_t witnesses_count_files(const struct witnesses *w);
/* The newest line of file `i`; false when it has none. */
bool witnesses_newest(const struct witnesses *w, size_t i, struct witnessed_line *out);
/* What stands behind the last LF of file `i`. */
struct bytes witnesses_half(const struct witnesses *w, size_t i);
const char *witnesses_path(const struct witnesses *w, size_t i);
/* Cuts half lines off and starts the thread. */
bool witnesses_start(struct witnesses *w, struct complaints *complaints);
/* Whole lines, durable in the log. */
void witnesses_give(struct witnesses *w, struct bytes lines);
/* Until each witness took all that was given, or failed at it once. */
void witnesses_wait(struct witnesses *w);

/* Whether all are up to date; else `why` says what is wrong.  Any thread. */
bool witnesses_are_current(struct witnesses *w, char *why, size_t size);
/* Whether none has been up to date for WITNESS_GRACE_US. */
bool witnesses_are_gone(struct witnesses *w, uint64_t now_us);

#endif
