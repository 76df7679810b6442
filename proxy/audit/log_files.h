/* log_files.h - the files of a log's folder, in order; not those with its keys. */
#ifndef PROXY_AUDIT_LOG_FILES_H
#define PROXY_AUDIT_LOG_FILES_H

#include <stdbool.h>

/* False: stop. */
typedef bool log_files_fn(void *context, const char *path);

enum log_files_end {
	LOG_FILES_ALL,
	LOG_FILES_STOPPED,
	LOG_FILES_FAILED, /* the folder cannot be read: errno */
};
enum log_files_end log_files_each(const char *folder, log_files_fn *visit, void *context);

#endif
