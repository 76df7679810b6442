#include "cli/audit_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "util/memory.h"

static int is_log(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 6 && strcmp(entry->d_name + len - 6, ".jsonl") == 0 &&
	       !strstr(entry->d_name, "-keys.jsonl");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

bool audit_files_each(const char *command, const char *path, audit_file_fn *visit, void *context)
{
	struct dirent **list;
	struct stat st;
	bool ok = true;
	int n;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return visit(context, path);
	n = scandir(path, &list, is_log, by_bytes);
	if (n < 0) {
		cli_fail(CLI_BAD, command, "%s: %s", path, strerror(errno));
		return false;
	}
	for (int i = 0; i < n; i++) {
		char *file = memory_format("%s/%s", path, list[i]->d_name);

		ok = ok && visit(context, file);
		free(file);
		free(list[i]);
	}
	free(list);
	return ok;
}
