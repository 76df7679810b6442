#include "policy/folder.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>

#include "util/file.h"
#include "util/memory.h"
#include "util/yaml.h"

struct reading {
	const char *folder;
	bool links;
	policy_file_fn *each;
	void *context;
	struct complaints *complaints;
	size_t files;
};

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_policy_name(const FTSENT *entry)
{
	size_t len = entry->fts_namelen;

	return entry->fts_name[0] != '.' && len > 5 &&
	       strcmp(entry->fts_name + len - 5, ".yaml") == 0;
}

static void refuse(struct reading *r, const FTSENT *entry, const char *hint, const char *what)
{
	complain(r->complaints, (struct place){.file = entry->fts_path}, hint, "%s", what);
}

static void read_one(struct reading *r, const FTSENT *entry)
{
	const char *name = entry->fts_path + strlen(r->folder);
	struct buf text;

	while (*name == '/')
		name++;
	buf_init(&text, YAML_FILE_MAX);
	if (file_read(entry->fts_path, &text))
		r->each(r->context, entry->fts_path, bytes_str(name), buf_bytes(&text));
	else
		refuse(r, entry, NULL, text.failed ? "is too large" : "cannot be read");
	buf_fini(&text);
}

/* False: enough was seen. */
static bool look_at(struct reading *r, const FTSENT *entry)
{
	bool hidden = entry->fts_name[0] == '.' && entry->fts_level > 0;

	switch (entry->fts_info) {
	case FTS_F:
		if (!is_policy_name(entry))
			return true;
		if (++r->files > POLICY_FILES_MAX)
			return complain(r->complaints, (struct place){.file = r->folder}, NULL,
				"over %u policy files", POLICY_FILES_MAX);
		read_one(r, entry);
		return true;
	case FTS_SL:
	case FTS_SLNONE:
		if (!r->links && !hidden)
			refuse(r, entry, "put the file itself there",
				"a sealed policy holds no symbolic link");
		else if (is_policy_name(entry))
			refuse(r, entry, NULL, "is a link to nothing");
		return true;
	case FTS_DC:
		refuse(r, entry, "take the link out", "a folder holds itself");
		return true;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		if (entry->fts_level > 0)
			refuse(r, entry, NULL, strerror(entry->fts_errno));
		return true;
	default:
		return true;
	}
}

size_t policy_folder_read(const char *folder, bool links, policy_file_fn *each, void *context,
	struct complaints *complaints)
{
	struct reading r = {
		.folder = folder,
		.links = links,
		.each = each,
		.context = context,
		.complaints = complaints,
	};
	/* The folder itself may be reached through a link. */
	int options = FTS_NOCHDIR | (links ? FTS_LOGICAL : FTS_PHYSICAL | FTS_COMFOLLOW);
	char *copy = memory_text(bytes_str(folder));
	char *const paths[] = {copy, NULL};
	FTS *tree = fts_open(paths, options, by_name);
	FTSENT *entry;

	while (tree && (entry = fts_read(tree)) && look_at(&r, entry))
		;
	if (tree)
		fts_close(tree);
	free(copy);
	return r.files;
}
