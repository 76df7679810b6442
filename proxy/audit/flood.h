/* flood.h - counts refusals and failed logins that come by the thousand.
 *
 * After FLOOD_FREE in a minute from one (authenticated user or none, address, code) the rest
 * of that minute is one record with its count (docs/audit-format.md, "Full, failing, gone").
 * Thread-safe.  At most FLOOD_ENTRIES_MAX; beyond, the oldest is written out early.
 */
#ifndef PROXY_AUDIT_FLOOD_H
#define PROXY_AUDIT_FLOOD_H

#include "audit/batch.h"
#include "audit/record.h"

#define FLOOD_FREE        100u
#define FLOOD_MINUTE_US   (UINT64_C(60) * 1000 * 1000)
#define FLOOD_ENTRIES_MAX 10000u

struct flood;

struct flood *flood_new(void);
void flood_free(struct flood *f);
/* True: the record is counted, and is not to be written. */
bool flood_takes(struct flood *f, const struct audit_record *r, uint64_t now_us);
/* Appends a record for each entry whose minute is over (`all`: for every one).  False when
 * `b` is full; the rest stays. */
bool flood_put(struct flood *f, uint64_t now_us, bool all, struct batch *b,
	struct record_scratch *scratch) MUST_CHECK;

#endif
