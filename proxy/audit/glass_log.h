/* glass_log.h - what the log says of break-glass: who used it, what was reviewed, and where
 * lines are missing that could say more.
 *
 * It believes the log: whether it is whole is verify.h's.  Lines are read once, those that
 * say nothing of it are not even parsed.
 */
#ifndef PROXY_AUDIT_GLASS_LOG_H
#define PROXY_AUDIT_GLASS_LOG_H

#include "util/buf.h"
#include "util/fault.h"

/* What a review of a use is called in the record of it. */
#define GLASS_REVIEW     "break-glass review"
/* What stands in place of a request for the lines before a `gap` record of that seq. */
#define GLASS_GAP_PREFIX "gap:"
#define GLASS_ID_MAX     40 /* bytes of a request, or of "gap:SEQ" */

enum glass_kind { GLASS_USED, GLASS_MISSING, GLASS_REVIEWED };

/* Texts are valid during the call. */
struct glass_line {
	enum glass_kind kind;
	struct bytes id;   /* the request, or "gap:SEQ" */
	struct bytes user; /* who used, or reviewed it */
	int64_t time_us;
	/* of a use */
	struct bytes purpose, ns, rule;
};
typedef void glass_line_fn(void *context, const struct glass_line *line);

/* Visits every such line of the logs in a folder, reviews last.  False when a file cannot be
 * read, or a line that says something of it not understood. */
bool glass_log_read(
	const char *folder, glass_line_fn *each, void *context, struct fault *why) MUST_CHECK;

#endif
