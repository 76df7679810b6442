/* file.h - whole small files: read, and written so that a crash leaves the old or the new one. */
#ifndef PROXY_UTIL_FILE_H
#define PROXY_UTIL_FILE_H

#include <sys/types.h>

#include "util/buf.h"

/* Appends the file's content.  False: errno, or `out->failed` when it is longer than
 * `out` may grow. */
bool file_read(const char *path, struct buf *out) MUST_CHECK;

/* As above for a secret: false, with a text in `*why`, also when the file can be read
 * or written by anybody but its owner (root may own it, too). */
bool file_read_secret(const char *path, struct buf *out, const char **why) MUST_CHECK;

/* Writes a temporary file beside `path`, syncs it, renames it over `path` (over a
 * symbolic link, not over what it points to) and syncs the folder.  False: errno, and
 * the old file stands, or, if only that last step failed, the new one. */
bool file_replace(const char *path, struct bytes content, mode_t mode) MUST_CHECK;

/* Writes a file that must not exist yet, and syncs it.  False: errno. */
bool file_create(const char *path, struct bytes content, mode_t mode) MUST_CHECK;

/* Makes renames and new files in the folder of `path` durable. */
bool file_sync_folder_of(const char *path) MUST_CHECK;

/* Writes all of it, going on after short writes and EINTR. */
bool file_write_all(int fd, struct bytes content) MUST_CHECK;

#endif
