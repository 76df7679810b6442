#include "audit/log_files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

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

enum log_files_end log_files_each(const char *folder, log_files_fn *visit, void *context)
{
	struct dirent **list;
	bool on = true;
	int n = scandir(folder, &list, is_log, by_bytes);

	if (n < 0)
		return LOG_FILES_FAILED;
	for (int i = 0; i < n; i++) {
		char *path = memory_format("%s/%s", folder, list[i]->d_name);

		on = on && visit(context, path);
		free(path);
		free(list[i]);
	}
	free(list);
	return on ? LOG_FILES_ALL : LOG_FILES_STOPPED;
}
