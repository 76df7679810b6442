/* reviews.h - the file of reviews of break-glass: one line each, added by `mongoward audit
 * review` and taken up by the running proxy, which writes them to its log. */
#ifndef PROXY_CLI_REVIEWS_H
#define PROXY_CLI_REVIEWS_H

#include "util/complaint.h"

struct review_entry {
	struct bytes id; /* a request, or a gap's name; valid during the call */
	struct bytes by;
};
typedef void review_fn(void *context, const struct review_entry *entry);

/* Visits all of them; a file that is not there has none.  False and complaints when it is
 * not what it should be, or others than its owner may write it. */
bool reviews_read(
	const char *file, review_fn *each, void *context, struct complaints *complaints) MUST_CHECK;
/* Adds entries, in one step. */
bool reviews_add(const char *file, const char *const *ids, size_t n, const char *by,
	struct complaints *complaints) MUST_CHECK;

#endif
