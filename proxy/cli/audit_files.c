#include "cli/audit_files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

bool audit_files_each(const char *command, const char *path, log_files_fn *visit, void *context)
{
	struct stat st;
	enum log_files_end end;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return visit(context, path);
	end = log_files_each(path, visit, context);
	if (end == LOG_FILES_FAILED)
		cli_fail(CLI_BAD, command, "%s: %s", path, strerror(errno));
	return end == LOG_FILES_ALL;
}
