/* log_file.h - the file that lines go to.
 *
 * Only whole batches are ever in it: one that fails is cut off again.
 */
#ifndef PROXY_AUDIT_LOG_FILE_H
#define PROXY_AUDIT_LOG_FILE_H

#include <sys/types.h>

#include "util/bytes.h"

#define LOG_FILE_WHY_MAX 160u

enum log_file_result {
	LOG_FILE_FINE,
	LOG_FILE_CUT,    /* failed, and nothing of it remains: may be tried again */
	LOG_FILE_BROKEN, /* nobody knows what is on the disk: no more until a restart */
};

struct log_file {
	char *path;
	int fd; /* -1: none */
	uint64_t size;
	uint64_t opened_us; /* monotonic */
	bool full;          /* it failed because the disk is */
	char why[LOG_FILE_WHY_MAX];
};

void log_file_init(struct log_file *f);
void log_file_fini(struct log_file *f);

/* Opens a file for more; creates it (0600, itself and its folder synced) if it is not there.
 * `size` is what it must hold already.  Then it takes the place of the one that was open;
 * false: that one stays, and f->why says why. */
bool log_file_open(struct log_file *f, const char *path, uint64_t size) MUST_CHECK;

/* Writes all of `lines` at the end; `sync`: and makes it durable and sees that the path still
 * leads to it. */
enum log_file_result log_file_append(struct log_file *f, struct bytes lines, bool sync) MUST_CHECK;
/* Makes all that was written durable.  May run beside log_file_append of another thread. */
bool log_file_sync(const struct log_file *f) MUST_CHECK;
/* Whether the path still leads to the open file, and it is as long as it should be. */
bool log_file_is_in_place(struct log_file *f) MUST_CHECK;

/* The folder of the log, for one process at a time.  Makes it (0700) if need be.  Returns
 * the lock, to be closed, or -1 with a text in `why`. */
int log_folder_lock(const char *folder, char why[LOG_FILE_WHY_MAX]);

#endif
