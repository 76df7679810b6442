#include "audit/verify_inside.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "util/file.h"
#include "util/memory.h"

static const char keys_end[] = "-keys.jsonl";
static const char log_end[] = ".jsonl";

static bool ends_in(struct bytes name, const char *end)
{
	size_t len = strlen(end);

	return name.len > len && bytes_equal_str(bytes_from(name, name.len - len), end);
}

static void add_file(struct verify *v, char *path)
{
	memory_grow(&v->files, v->nfiles, &v->files_capacity, sizeof(*v->files));
	v->files[v->nfiles] = (struct verify_file){.path = path, .order = v->nfiles};
	v->nfiles++;
}

static bool add_folder(struct verify *v, const char *path)
{
	DIR *folder = opendir(path);
	const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
	struct dirent *entry;
	int why;

	if (!folder)
		return verify_bad(v, "%s: %s", path, strerror(errno));
	while ((errno = 0, entry = readdir(folder)))
		if (ends_in(bytes_str(entry->d_name), log_end))
			add_file(v, memory_format("%s%s%s", path, slash, entry->d_name));
	why = errno;
	closedir(folder);
	return !why || verify_bad(v, "%s: %s", path, strerror(why));
}

static bool add_path(struct verify *v, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return verify_bad(v, "%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return add_folder(v, path);
	add_file(v, memory_text(bytes_str(path)));
	return true;
}

static void drop_file(struct verify_file *f)
{
	free(f->path);
	f->path = NULL;
}

static bool name_of_keys(struct verify_file *f)
{
	const char *slash = strrchr(f->path, '/');
	struct bytes name = bytes_str(slash ? slash + 1 : f->path), instance;

	if (!ends_in(name, keys_end))
		return false;
	instance = bytes_head(name, name.len - strlen(keys_end));
	if (!line_is_instance(instance))
		return false;
	memcpy(f->instance, instance.at, instance.len);
	return true;
}

/* Whose it is, by its first line; an empty file is dropped. */
static bool look_into(struct verify *v, struct verify_file *f)
{
	struct line_file in;
	struct line line;
	struct stat st;

	if (!line_file_open(&in, f->path))
		return verify_bad(v, "%s: %s", f->path, strerror(errno));
	if (fstat(in.fd, &st) != 0) {
		line_file_close(&in);
		return verify_bad(v, "%s: %s", f->path, strerror(errno));
	}
	f->device = in.device;
	f->inode = in.inode;
	f->size = (uint64_t)st.st_size;
	f->of_keys = name_of_keys(f);
	if (!f->size) {
		drop_file(f);
	} else if (!f->of_keys) {
		if (verify_next(v, &in, &line)) {
			memcpy(f->instance, line.instance.at, line.instance.len);
			f->seq = line.seq;
		} else {
			drop_file(f);
		}
	}
	line_file_close(&in);
	return v->end == VERIFY_WHOLE;
}

static int by_inode(const void *a, const void *b)
{
	const struct verify_file *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int by_chain(const void *a, const void *b)
{
	const struct verify_file *x = a, *y = b;
	int order = strcmp(x->instance, y->instance);

	if (order)
		return order;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct verify_file *)a)->path, ((const struct verify_file *)b)->path);
}

static void forget_dropped(struct verify *v)
{
	size_t kept = 0;

	for (size_t i = 0; i < v->nfiles; i++)
		if (v->files[i].path)
			v->files[kept++] = v->files[i];
	v->nfiles = kept;
}

bool verify_list_files(struct verify *v)
{
	if (!v->options->npaths)
		return verify_bad(v, "nothing to verify: name files or folders");
	for (size_t i = 0; i < v->options->npaths; i++)
		if (!add_path(v, v->options->paths[i]))
			return false;
	/* For the same first fault however the folder is ordered. */
	if (v->nfiles)
		qsort(v->files, v->nfiles, sizeof(*v->files), by_path);
	for (size_t i = 0; i < v->nfiles; i++) {
		if (!look_into(v, &v->files[i]))
			return false;
		v->all += v->files[i].size;
	}
	forget_dropped(v);
	if (v->nfiles)
		qsort(v->files, v->nfiles, sizeof(*v->files), by_inode);
	for (size_t i = 1, last = 0; i < v->nfiles; i++) {
		if (v->files[i].device != v->files[last].device ||
			v->files[i].inode != v->files[last].inode) {
			last = i;
			continue;
		}
		v->all -= v->files[i].size;
		drop_file(&v->files[i]);
	}
	forget_dropped(v);
	if (v->nfiles)
		qsort(v->files, v->nfiles, sizeof(*v->files), by_chain);
	return true;
}

bool verify_load_keys(struct verify *v)
{
	const char *path = v->options->public_key;
	struct buf text;
	struct bytes left;

	if (!path)
		return verify_bad(v, "no public key: name one with --public-key");
	buf_init(&text, (size_t)VERIFY_KEYS_MAX * (2 * VERIFY_KEY_LEN + 1));
	if (!file_read(path, &text)) {
		verify_bad(v, "%s: %s", path, text.failed ? "too long" : strerror(errno));
		buf_fini(&text);
		return false;
	}
	v->keys = memory_array(VERIFY_KEYS_MAX, sizeof(*v->keys));
	for (left = buf_bytes(&text); left.len && v->nkeys < VERIFY_KEYS_MAX;) {
		const uint8_t *lf = memchr(left.at, '\n', left.len);
		size_t len = lf ? (size_t)(lf - left.at) : left.len;

		if (!line_unhex(bytes_head(left, len), v->keys[v->nkeys], VERIFY_KEY_LEN))
			break;
		v->nkeys++;
		left = bytes_from(left, len + 1);
	}
	buf_fini(&text);
	if (left.len || !v->nkeys)
		return verify_bad(
			v, "%s: not lines of 64 hex digits, one for each public key", path);
	return true;
}
