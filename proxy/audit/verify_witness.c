#include "audit/verify_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "util/memory.h"

/* The last line of an instance in the witness. */
struct seen {
	char instance[VERIFY_INSTANCE_SIZE];
	uint64_t seq;
	uint8_t hash[LINE_HASH_LEN];
	bool begun;
};

static int by_instance(const void *a, const void *b)
{
	return strcmp(a, ((const struct seen *)b)->instance);
}

/* One for each chain that was given; the files are sorted by instance. */
static struct seen *list_chains(const struct verify *v, size_t *n)
{
	struct seen *list = memory_array(v->nfiles + 1, sizeof(*list));

	*n = 0;
	for (size_t i = 0; i < v->nfiles; i++) {
		const struct verify_file *f = &v->files[i];

		if (f->of_keys || (*n && strcmp(list[*n - 1].instance, f->instance) == 0))
			continue;
		memcpy(list[(*n)++].instance, f->instance, sizeof(f->instance));
	}
	return list;
}

static bool check_line(
	struct verify *v, const struct line *l, struct verify_place at, struct seen *list, size_t n)
{
	char instance[VERIFY_INSTANCE_SIZE] = "";
	struct seen *seen;

	if (l->event != LINE_CHECKPOINT)
		return verify_fault(v, at, "no checkpoint");
	memcpy(instance, l->instance.at, l->instance.len);
	seen = bsearch(instance, list, n, sizeof(*list), by_instance);
	if (!seen)
		return verify_fault(v, at, "the log of %s was not given, or is gone", instance);
	if (seen->begun &&
		(l->seq < seen->seq || (l->seq == seen->seq && memcmp(l->hash, seen->hash,
								       sizeof(seen->hash)) != 0)))
		return verify_fault(v, at, "seq does not rise");
	seen->begun = true;
	seen->seq = l->seq;
	memcpy(seen->hash, l->hash, sizeof(seen->hash));
	return true;
}

static bool check_lines(struct verify *v, struct line_file *in)
{
	size_t n;
	struct seen *list = list_chains(v, &n);
	bool ok = true;

	while (ok) {
		struct verify_place at;
		struct line line;
		struct bytes text;
		enum line_read how = line_file_next(in, &text);

		at = (struct verify_place){in->path, in->line};
		if (how == LINE_READ_END)
			break;
		if (how != LINE_READ_ONE)
			ok = verify_read_fault(v, in, how);
		else if (!line_parse(&v->parser, text, &line))
			ok = verify_fault(v, at, "%s", v->parser.why);
		else
			ok = check_line(v, &line, at, list, n);
	}
	free(list);
	return ok;
}

bool verify_check_witness(struct verify *v)
{
	const char *path = v->options->witness;
	struct line_file in;
	struct stat st;
	bool ok;

	if (!path)
		return true;
	if (!line_file_open(&in, path))
		return verify_bad(v, "%s: %s", path, strerror(errno));
	if (fstat(in.fd, &st) != 0) {
		line_file_close(&in);
		return verify_bad(v, "%s: %s", path, strerror(errno));
	}
	/* What is added meanwhile may be of lines that were not in the log yet. */
	in.limit = v->witness_size = (uint64_t)st.st_size;
	ok = check_lines(v, &in);
	line_file_close(&in);
	return ok;
}
