#include "audit/witness_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/system.h"
#include "util/file.h"
#include "util/log.h"

#define WINDOW_FIRST (UINT64_C(1) << 20)

static bool say(struct witness_file *f, const char *what)
{
	snprintf(f->why, sizeof(f->why), "%.80s: %s: %s", f->path ? f->path : "standard output",
		what, strerror(errno));
	return false;
}

/* True for a checkpoint of the instance; `*foreign` for one of another. */
static bool read_line(struct line_parser *p, struct bytes text, const char *instance,
	struct witnessed_line *out, bool *foreign)
{
	struct line line;

	if (!line_parse(p, text, &line) || line.event != LINE_CHECKPOINT)
		return false;
	if (!bytes_equal_str(line.instance, instance)) {
		*foreign = true;
		return false;
	}
	out->seq = line.seq;
	memcpy(out->hash, line.hash, sizeof(out->hash));
	return true;
}

/* The lines of a window over the end of the file. */
static bool look_at(struct witness_file *f, struct bytes window, bool whole, const char *instance)
{
	struct line_parser parser;
	bool foreign = false;
	const uint8_t *lf;

	line_parser_init(&parser);
	while (window.len && (lf = memchr(window.at, '\n', window.len))) {
		const struct bytes text = bytes_head(window, (size_t)(lf - window.at));
		struct witnessed_line read;

		/* What begins before the window is no line. */
		if (whole && read_line(&parser, text, instance, &read, &foreign) &&
			(!f->has_line || read.seq >= f->newest.seq)) {
			f->newest = read;
			f->has_line = true;
		}
		whole = true;
		window = bytes_from(window, text.len + 1);
	}
	buf_clear(&f->half);
	buf_put(&f->half, window);
	line_parser_fini(&parser);
	return !foreign;
}

static bool read_window(struct witness_file *f, uint64_t from, uint64_t len, struct buf *out)
{
	while (out->len < len) {
		uint8_t *room = buf_reserve(out, len - out->len);
		const ssize_t n =
			room ? pread(f->fd, room, len - out->len, (off_t)(from + out->len)) : -1;

		if (n <= 0) {
			errno = n ? errno : EIO;
			return false;
		}
		buf_commit(out, (size_t)n);
	}
	return true;
}

static bool read_end(struct witness_file *f, uint64_t size, const char *instance)
{
	uint64_t len = 0;
	bool fine = true;
	struct buf window;

	buf_init(&window, SIZE_MAX / 2);
	do {
		len = len ? len * 8 : WINDOW_FIRST;
		len = len < size ? len : size;
		buf_clear(&window);
		fine = read_window(f, size - len, len, &window);
		if (fine && !look_at(f, buf_bytes(&window), len == size, instance)) {
			errno = EEXIST;
			fine = false;
		}
	} while (fine && !f->has_line && len < size);
	buf_fini(&window);
	f->size = size - f->half.len;
	return fine;
}

bool witness_file_open(struct witness_file *f, const char *path, const char *instance,
	struct complaints *complaints)
{
	const struct place place = {.file = path};
	struct stat st;

	*f = (struct witness_file){.path = path};
	buf_init(&f->half, SIZE_MAX / 2);
	buf_init(&f->waiting, WITNESS_WAITING_MAX);
	f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->fd < 0 || fstat(f->fd, &st) < 0 || !file_sync_folder_of(path))
		return complain(complaints, place, NULL, "the witness cannot be opened: %s",
			strerror(errno));
	if (!S_ISREG(st.st_mode))
		return complain(complaints, place, NULL, "the witness is no regular file");
	if (flock(f->fd, LOCK_EX | LOCK_NB) < 0)
		return complain(complaints, place, "give each instance a witness of its own",
			"another process writes to this witness");
	if (read_end(f, (uint64_t)st.st_size, instance))
		return true;
	if (errno == EEXIST)
		return complain(complaints, place, "give each instance a witness of its own",
			"the witness holds lines of another instance");
	return complain(complaints, place, NULL, "the witness cannot be read: %s", strerror(errno));
}

void witness_file_close(struct witness_file *f)
{
	if (f->path && f->fd >= 0)
		close(f->fd);
	buf_fini(&f->half);
	buf_fini(&f->waiting);
}

bool witness_file_cut_half(struct witness_file *f)
{
	if (!f->half.len)
		return true;
	if (ftruncate(f->fd, (off_t)f->size) < 0 || audit_system.sync(f->fd) < 0)
		return false;
	buf_clear(&f->half);
	return true;
}

void witness_file_add(struct witness_file *f, struct bytes lines)
{
	const uint8_t *lf = lines.len > 1 ? memrchr(lines.at, '\n', lines.len - 1) : NULL;

	if (lines.len <= WITNESS_WAITING_MAX - f->waiting.len) {
		buf_put(&f->waiting, lines);
		return;
	}
	log_warning("audit", "witness %s: only the newest of the checkpoints that wait is kept",
		f->path ? f->path : "standard output");
	buf_clear(&f->waiting);
	buf_put(&f->waiting, lf ? bytes_from(lines, (size_t)(lf + 1 - lines.at)) : lines);
}

static bool is_in_place(struct witness_file *f)
{
	struct stat mine, there;

	if (fstat(f->fd, &mine) < 0 || stat(f->path, &there) < 0)
		return say(f, "the path");
	errno = ENOENT;
	if (mine.st_dev != there.st_dev || mine.st_ino != there.st_ino)
		return say(f, "the path leads to another file");
	return true;
}

/* A line, whole and synced, or nothing of it. */
static bool write_line(struct witness_file *f, struct bytes line)
{
	ssize_t n = audit_system.write_at(f->fd, line.at, line.len, (off_t)f->size);

	errno = n >= 0 && (size_t)n < line.len ? ENOSPC : errno;
	if (n < 0 || (size_t)n < line.len || audit_system.sync(f->fd) < 0) {
		(void)say(f, "write");
		if (ftruncate(f->fd, (off_t)f->size) < 0)
			(void)say(f, "cutting half a line off");
		return false;
	}
	f->size += line.len;
	return is_in_place(f);
}

/* A line is shorter than what a pipe takes at once, so that this never waits. */
static bool write_to_stdout(struct witness_file *f, struct bytes line)
{
	struct pollfd p = {.fd = f->fd, .events = POLLOUT};

	errno = EAGAIN;
	if (poll(&p, 1, 0) < 1 || !(p.revents & POLLOUT))
		return say(f, "nobody reads");
	if (write(f->fd, line.at, line.len) != (ssize_t)line.len)
		return say(f, "write");
	return true;
}

void witness_file_write(struct witness_file *f)
{
	size_t written = 0;
	const bool failed_before = f->failing;

	f->failing = false;
	while (written < f->waiting.len && !f->failing) {
		const struct bytes rest = bytes_from(buf_bytes(&f->waiting), written);
		const uint8_t *lf = memchr(rest.at, '\n', rest.len);
		const struct bytes line = bytes_head(rest, (size_t)(lf - rest.at) + 1);

		if (f->path ? write_line(f, line) : write_to_stdout(f, line))
			written += line.len;
		else
			f->failing = true;
	}
	buf_consume(&f->waiting, written);
	if (f->failing && !failed_before)
		log_error("audit", "a witness cannot be written: %s", f->why);
	else if (!f->failing && failed_before)
		log_info("audit", "witness %s is up to date again",
			f->path ? f->path : "standard output");
}
