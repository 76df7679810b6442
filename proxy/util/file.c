#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "util/memory.h"

#define CHUNK 16384u

static bool read_all(int fd, struct buf *out)
{
	uint8_t chunk[CHUNK];
	ssize_t n;

	do {
		n = read(fd, chunk, sizeof(chunk));
		if (n > 0)
			buf_put(out, bytes_of(chunk, (size_t)n));
	} while (!out->failed && (n > 0 || (n < 0 && errno == EINTR)));
	sodium_memzero(chunk, sizeof(chunk));
	return n == 0;
}

static bool read_open(int fd, struct buf *out)
{
	bool done = fd >= 0 && read_all(fd, out);
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return done;
}

bool file_read(const char *path, struct buf *out)
{
	return read_open(open(path, O_RDONLY | O_CLOEXEC), out);
}

/* Room at once: growing would leave copies of a secret on the heap. */
static void reserve_for(const struct stat *st, struct buf *out)
{
	size_t wanted = S_ISREG(st->st_mode) ? (size_t)st->st_size : CHUNK;
	size_t allowed = out->max - out->len;

	(void)buf_reserve(out, wanted < allowed ? wanted : allowed);
}

bool file_read_secret(const char *path, struct buf *out, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	*why = NULL;
	if (fd < 0 || fstat(fd, &st) < 0)
		*why = strerror(errno);
	else if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		*why = "it is not a file";
	else if (st.st_mode & 077)
		*why = "others than its owner may read or write it; chmod 600 it";
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		*why = "it belongs to another user";
	if (*why) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	reserve_for(&st, out);
	if (read_open(fd, out))
		return true;
	*why = out->failed ? "it is too large" : strerror(errno);
	return false;
}

bool file_write_all(int fd, struct bytes content)
{
	while (content.len) {
		ssize_t n = write(fd, content.at, content.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n ? errno : EIO;
			return false;
		}
		content = bytes_from(content, (size_t)n);
	}
	return true;
}

bool file_sync_folder_of(const char *path)
{
	char *copy = memory_text(bytes_str(path));
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done = fd >= 0 && fsync(fd) == 0;
	int saved = errno;

	if (fd >= 0)
		close(fd);
	free(copy);
	errno = saved;
	return done;
}

static bool write_new(const char *path, struct bytes content, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	bool done;
	int saved;

	if (fd < 0)
		return false;
	done = fchmod(fd, mode) == 0 && file_write_all(fd, content) && fsync(fd) == 0;
	saved = errno;
	if (close(fd) < 0 && done) {
		done = false;
		saved = errno;
	}
	if (!done)
		unlink(path);
	errno = saved;
	return done;
}

bool file_create(const char *path, struct bytes content, mode_t mode)
{
	return write_new(path, content, mode) && file_sync_folder_of(path);
}

bool file_replace(const char *path, struct bytes content, mode_t mode)
{
	/* Of this thread: two that replace the same file at once do not meet before the rename. */
	char *fresh = memory_format("%s.new.%d", path, (int)gettid());
	bool done;
	int saved;

	(void)unlink(fresh);
	done = write_new(fresh, content, mode) && rename(fresh, path) == 0;
	saved = errno;
	if (!done)
		unlink(fresh);
	free(fresh);
	errno = saved;
	return done && file_sync_folder_of(path);
}
