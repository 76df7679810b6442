/* line_file.h - the lines of a file, one after another, in bounded memory. */
#ifndef PROXY_AUDIT_LINE_FILE_H
#define PROXY_AUDIT_LINE_FILE_H

#include <sys/types.h>

#include "util/bytes.h"

struct line_file {
	const char *path; /* borrowed */
	int fd;           /* -1: closed */
	dev_t device;
	ino_t inode;
	uint64_t line;  /* number of the line read last, from 1 */
	uint64_t taken; /* bytes read from the file */
	uint64_t limit; /* how many are read at most */
	uint8_t *buffer;
	size_t at, end;
};

enum line_read {
	LINE_READ_ONE,
	LINE_READ_END,
	LINE_READ_LONG,   /* over LINE_MAX_LEN */
	LINE_READ_HALF,   /* no LF behind the last one; read again after more was written */
	LINE_READ_FAILED, /* errno */
};

/* Only regular files.  False: errno; nothing is to be closed. */
bool line_file_open(struct line_file *f, const char *path) MUST_CHECK;
void line_file_close(struct line_file *f);
/* `*text`, without LF, is valid until the next call.  What is added while reading is read
 * too, up to `limit`; HALF gives what stands there. */
enum line_read line_file_next(struct line_file *f, struct bytes *text) MUST_CHECK;

#endif
