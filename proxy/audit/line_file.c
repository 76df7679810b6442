#include "audit/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/line.h"
#include "util/memory.h"

#define BUFFER_SIZE (4 * (size_t)LINE_MAX_LEN)

bool line_file_open(struct line_file *f, const char *path)
{
	struct stat st;
	int saved;

	*f = (struct line_file){.path = path, .limit = UINT64_MAX};
	/* Not to wait for whoever might write into a pipe of that name. */
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0)
		return false;
	if (fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		f->device = st.st_dev;
		f->inode = st.st_ino;
		f->buffer = memory_new(BUFFER_SIZE);
		return true;
	}
	saved = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	close(f->fd);
	f->fd = -1;
	errno = saved;
	return false;
}

void line_file_close(struct line_file *f)
{
	if (f->buffer && f->fd >= 0)
		close(f->fd);
	free(f->buffer);
	f->buffer = NULL;
	f->fd = -1;
}

/* 1: more is there; 0: the end; -1: errno. */
static int fill(struct line_file *f)
{
	uint64_t left = f->limit - f->taken;
	size_t room;
	ssize_t n;

	if (f->at) {
		memmove(f->buffer, f->buffer + f->at, f->end - f->at);
		f->end -= f->at;
		f->at = 0;
	}
	room = BUFFER_SIZE - f->end;
	if (room > left)
		room = (size_t)left;
	if (!room)
		return 0;
	do
		n = read(f->fd, f->buffer + f->end, room);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -1 : 0;
	f->end += (size_t)n;
	f->taken += (uint64_t)n;
	return 1;
}

enum line_read line_file_next(struct line_file *f, struct bytes *text)
{
	size_t looked = 0;

	for (;;) {
		const uint8_t *from = f->buffer + f->at;
		size_t len = f->end - f->at;
		const uint8_t *lf = len > looked ? memchr(from + looked, '\n', len - looked) : NULL;
		int more;

		if (lf) {
			*text = bytes_of(from, (size_t)(lf - from));
			f->at += text->len + 1;
			f->line++;
			return text->len > LINE_MAX_LEN ? LINE_READ_LONG : LINE_READ_ONE;
		}
		if (len > LINE_MAX_LEN) {
			f->line++;
			return LINE_READ_LONG;
		}
		looked = len;
		more = fill(f);
		if (more < 0)
			return LINE_READ_FAILED;
		if (!more) {
			*text = bytes_of(f->buffer + f->at, f->end - f->at);
			return text->len ? LINE_READ_HALF : LINE_READ_END;
		}
	}
}
