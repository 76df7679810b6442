/* system.h - what the log asks of the system, in one table so that a test can let it fail. */
#ifndef PROXY_AUDIT_SYSTEM_H
#define PROXY_AUDIT_SYSTEM_H

#include <stdint.h>
#include <sys/types.h>

struct audit_system {
	ssize_t (*write_at)(int fd, const void *at, size_t len, off_t offset);
	int (*sync)(int fd);
	int (*set_aside)(int fd, off_t len); /* blocks behind the file's end; -1 and errno */
	int64_t (*now_us)(void);             /* CLOCK_REALTIME */
};

/* Changed, if ever, while no log is open. */
extern struct audit_system audit_system;

#endif
