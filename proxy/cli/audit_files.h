/* audit_files.h - the audit logs that a command line names. */
#ifndef PROXY_CLI_AUDIT_FILES_H
#define PROXY_CLI_AUDIT_FILES_H

#include "audit/log_files.h"

/* Visits a file, or the logs of a folder in order.  False: `visit` stopped, and has said why, or the folder
 * cannot be read, which is said as `command`'s. */
bool audit_files_each(const char *command, const char *path, log_files_fn *visit, void *context);

#endif
