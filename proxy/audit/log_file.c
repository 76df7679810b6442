#include "audit/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/system.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/memory.h"

static int allocate_behind(int fd, off_t len)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, len);
}

struct audit_system audit_system = {
	.write_at = pwrite,
	.sync = fdatasync,
	.set_aside = allocate_behind,
	.now_us = clock_realtime_us,
};

static bool say(struct log_file *f, const char *what)
{
	snprintf(f->why, sizeof(f->why), "%s: %s", what, strerror(errno));
	return false;
}

void log_file_init(struct log_file *f)
{
	*f = (struct log_file){.fd = -1};
}

void log_file_fini(struct log_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	log_file_init(f);
}

/* A new file, or one that is as it should be. */
static bool is_usable(struct log_file *f, int fd, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return say(f, "fstat");
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size) {
		errno = EEXIST;
		return say(f, "the next file is there already");
	}
	if (size == 0 && fsync(fd) < 0)
		return say(f, "fsync");
	return true;
}

bool log_file_open(struct log_file *f, const char *path, uint64_t size)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (size ? 0 : O_CREAT);
	const int fd = open(path, flags, 0600);

	if (fd < 0)
		return say(f, "open");
	if (!is_usable(f, fd, size) ||
		(!file_sync_folder_of(path) && !say(f, "sync of the folder"))) {
		close(fd);
		return false;
	}
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	f->path = memory_text(bytes_str(path));
	f->fd = fd;
	f->size = size;
	f->opened_us = clock_monotonic_us();
	return true;
}

/* Takes back what a failed batch may have left behind the end. */
static enum log_file_result cut_back(struct log_file *f)
{
	char why[LOG_FILE_WHY_MAX];

	if (ftruncate(f->fd, (off_t)f->size) == 0 && audit_system.sync(f->fd) == 0)
		return LOG_FILE_CUT;
	memcpy(why, f->why, sizeof(why));
	snprintf(f->why, sizeof(f->why), "cannot be cut back after: %.100s", why);
	return LOG_FILE_BROKEN;
}

bool log_file_is_in_place(struct log_file *f)
{
	struct stat mine, there;

	if (fstat(f->fd, &mine) < 0 || lstat(f->path, &there) < 0)
		return say(f, "the log's path");
	if (mine.st_dev != there.st_dev || mine.st_ino != there.st_ino) {
		snprintf(f->why, sizeof(f->why), "the log's path leads to another file");
		return false;
	}
	if ((uint64_t)mine.st_size != f->size) {
		snprintf(f->why, sizeof(f->why), "somebody else changed the size of the log");
		return false;
	}
	return true;
}

static ssize_t write_once(struct log_file *f, struct bytes lines, uint64_t at)
{
	ssize_t n;

	do
		n = audit_system.write_at(f->fd, lines.at, lines.len, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n;
}

static bool write_all(struct log_file *f, struct bytes lines)
{
	ssize_t n = write_once(f, lines, f->size);

	if (n >= 0 && (size_t)n == lines.len)
		return true;
	/* Why a write was short, only the next one tells. */
	if (n >= 0) {
		lines = bytes_from(lines, (size_t)n);
		n = write_once(f, lines, f->size + (uint64_t)n);
		if (n >= 0)
			errno = ENOSPC;
	}
	f->full = errno == ENOSPC || errno == EDQUOT;
	return say(f, "write");
}

enum log_file_result log_file_append(struct log_file *f, struct bytes lines, bool sync)
{
	f->full = false;
	if (!write_all(f, lines))
		return cut_back(f);
	f->size += lines.len;
	if (!sync)
		return LOG_FILE_FINE;
	if (audit_system.sync(f->fd) < 0) {
		(void)say(f, "fdatasync");
		return LOG_FILE_BROKEN;
	}
	if (log_file_is_in_place(f))
		return LOG_FILE_FINE;
	f->size -= lines.len;
	return cut_back(f);
}

bool log_file_sync(const struct log_file *f)
{
	return audit_system.sync(f->fd) == 0;
}

int log_folder_lock(const char *folder, char why[LOG_FILE_WHY_MAX])
{
	char *path = memory_format("%s/lock", folder);
	int fd;

	if (mkdir(folder, 0700) == 0 && !file_sync_folder_of(folder)) {
		snprintf(why, LOG_FILE_WHY_MAX, "the folder above: %s", strerror(errno));
		free(path);
		return -1;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(path);
	if (fd < 0) {
		snprintf(why, LOG_FILE_WHY_MAX, "the lock: %s", strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	snprintf(why, LOG_FILE_WHY_MAX, "another process writes to this folder");
	close(fd);
	return -1;
}
