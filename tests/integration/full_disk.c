/* A disk that is full as long as a file is there: preloaded into the proxy by test_care.py.
 * What has its place already can be written, and nothing else can. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_full(void)
{
	const char *flag = getenv("FULL_DISK");

	return flag && access(flag, F_OK) == 0;
}

static ssize_t write_if_room(int fd, const void *at, size_t len, off_t offset)
{
	struct stat st;

	if (is_full() && fstat(fd, &st) == 0 && offset + (off_t)len > (off_t)st.st_blocks * 512) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, at, len, offset);
}

ssize_t pwrite(int fd, const void *at, size_t len, off_t offset)
{
	return write_if_room(fd, at, len, offset);
}

ssize_t pwrite64(int fd, const void *at, size_t len, off_t offset)
{
	return write_if_room(fd, at, len, offset);
}

static int allocate_if_room(int fd, int mode, off_t offset, off_t len)
{
	if (is_full()) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	return allocate_if_room(fd, mode, offset, len);
}

int fallocate64(int fd, int mode, off_t offset, off_t len)
{
	return allocate_if_room(fd, mode, offset, len);
}
