/* audit_files.h - the audit logs that a command line names. */
#ifndef PROXY_CLI_AUDIT_FILES_H
#define PROXY_CLI_AUDIT_FILES_H

#include <stdbool.h>

/* False: stop; it has said why. */
typedef bool audit_file_fn(void *context, const char *path);

/* Visits a file, or the logs of a folder in order.  False: `visit` stopped, or the folder
 * cannot be read, which is said as `command`'s. */
bool audit_files_each(const char *command, const char *path, audit_file_fn *visit, void *context);

#endif
