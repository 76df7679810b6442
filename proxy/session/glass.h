/* glass.h - how often each user has broken the glass, and what of it nobody has reviewed.
 *
 * The audit log is what counts: it is read before the first use is allowed, and every use is
 * a record of it before an answer leaves.  What is counted here is the same, in memory; where
 * it cannot be trusted to be the same, nobody may break the glass.  Thread-safe.
 */
#ifndef PROXY_SESSION_GLASS_H
#define PROXY_SESSION_GLASS_H

#include "policy/model.h"
#include "util/fault.h"

struct glass;

struct glass *glass_new(void);
void glass_free(struct glass *g);

/* What the log says.  An id is a request, or names a gap, at most GLASS_ID_MAX bytes. */
void glass_note_use(struct glass *g, struct bytes user, struct bytes id, int64_t time_us);
void glass_note_gap(struct glass *g, struct bytes id);
/* True when nobody had reviewed it before, and `by` is not who did it. */
bool glass_review(struct glass *g, struct bytes id, struct bytes by);
/* Whether the log was read, and new uses are sure to be in it. */
void glass_trust(struct glass *g, bool trusted);

/* One more use.  False: the numbers of uses, or of those not reviewed, are reached, or
 * cannot be trusted. */
bool glass_begin(struct glass *g, const struct break_glass *rules, struct bytes user,
	struct bytes id, int64_t now_us, struct fault *why) MUST_CHECK;
/* Uses that nobody has reviewed yet, and gaps. */
size_t glass_unreviewed(struct glass *g);

#endif
