/* writer.h - the thread that writes the log (strict), and looks after it (all modes):
 * checkpoints when they are due, counts of floods, another try after a failure. */
#ifndef PROXY_AUDIT_WRITER_H
#define PROXY_AUDIT_WRITER_H

#include "audit/inside.h"

/* Sets the reserve aside, before anybody writes; without room only records with care are. */
bool writer_keep_reserve(struct audit *a, struct complaints *complaints) MUST_CHECK;
bool writer_start(struct audit *a) MUST_CHECK;
/* Writes what is queued, `stop` and its checkpoint, and brings the witnesses up to it. */
void writer_stop(struct audit *a);
/* Hands a parcel to the thread. */
void writer_take(struct audit *a, struct parcel *p);
/* Writes a parcel on this thread. */
void writer_write_now(struct audit *a, struct parcel *p);
/* A record that cannot be written, and that nobody waits for: access stops. */
void writer_lost(struct audit *a, const char *why);

#endif
