/* reserve.h - room on the log's disk that is kept for records of roles with care.
 *
 * A file beside the log to which blocks are allocated, but no bytes: when the disk is full, it
 * becomes the log's next file, and what is written to it has its place already.
 */
#ifndef PROXY_AUDIT_RESERVE_H
#define PROXY_AUDIT_RESERVE_H

#include "audit/log_file.h"

struct reserve {
	char *path;
	uint64_t size; /* 0: none is wanted */
	bool there;
	char why[LOG_FILE_WHY_MAX];
};

void reserve_init(struct reserve *r, const char *folder, const char *instance, uint64_t size);
void reserve_fini(struct reserve *r);

enum reserve_result {
	RESERVE_KEPT, /* or none is wanted */
	RESERVE_NO_ROOM,
	RESERVE_IMPOSSIBLE, /* this file system cannot, or something is in the way */
};
/* Sets the room aside, if it is not yet. */
enum reserve_result reserve_keep(struct reserve *r);
/* Makes it the log's next file, of that path. */
bool reserve_use(struct reserve *r, struct log_file *f, const char *path) MUST_CHECK;

#endif
