#include "audit/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/system.h"
#include "util/file.h"
#include "util/memory.h"

void reserve_init(struct reserve *r, const char *folder, const char *instance, uint64_t size)
{
	*r = (struct reserve){.size = size};
	r->path = memory_format("%s/%s.reserve", folder, instance);
}

void reserve_fini(struct reserve *r)
{
	free(r->path);
	*r = (struct reserve){0};
}

static bool say(struct reserve *r, const char *what)
{
	snprintf(r->why, sizeof(r->why), "%s: %s", what, strerror(errno));
	return false;
}

/* What an earlier start has set aside is as good. */
static bool allocate(struct reserve *r, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return say(r, "fstat");
	if (!S_ISREG(st.st_mode) || st.st_size != 0) {
		errno = EEXIST;
		return say(r, r->path);
	}
	return (audit_system.set_aside(fd, (off_t)r->size) == 0 || say(r, "fallocate")) &&
	       (fsync(fd) == 0 || say(r, "fsync")) &&
	       (file_sync_folder_of(r->path) || say(r, "sync of the folder"));
}

enum reserve_result reserve_keep(struct reserve *r)
{
	int fd, saved;
	bool done;

	if (r->there || !r->size)
		return RESERVE_KEPT;
	fd = open(r->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	done = fd >= 0 ? allocate(r, fd) : say(r, "open");
	saved = errno;
	if (fd >= 0)
		close(fd);
	r->there = done;
	if (done)
		return RESERVE_KEPT;
	if (saved != ENOSPC && saved != EDQUOT)
		return RESERVE_IMPOSSIBLE;
	/* Half of it would only take room from others. */
	(void)unlink(r->path);
	return RESERVE_NO_ROOM;
}

bool reserve_use(struct reserve *r, struct log_file *f, const char *path)
{
	if (!r->there)
		return false;
	r->there = false;
	return rename(r->path, path) == 0 && log_file_open(f, path, 0);
}
