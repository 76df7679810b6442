/* A log, its witness and a file of keys, apart by a line that is only "%": any of them ends in
 * one of the three ends, and a fault says where. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/query.h"
#include "audit/verify.h"
#include "util/file.h"

static char folder[] = "/tmp/fuzz-audit-XXXXXX";
static const char *const names[] = {"log.jsonl", "witness", "mw-1-keys.jsonl"};
static char paths[3][64];
static char public_key[64];

static void clean_up(void)
{
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		unlink(paths[i]);
	unlink(public_key);
	rmdir(folder);
}

static void make_folder(void)
{
	static const char key[] =
		"49df26cada74838e1ceab88542d08fb363d3408827a9a23b6fc3e06894ce3829\n";

	if (paths[0][0])
		return;
	if (!mkdtemp(folder))
		abort();
	for (size_t i = 0; i < COUNT_OF(names); i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, names[i]);
	snprintf(public_key, sizeof(public_key), "%s/key", folder);
	if (!file_create(public_key, bytes_str(key), 0600))
		abort();
	atexit(clean_up);
}

static void write_file(const char *path, struct bytes content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || !file_write_all(fd, content))
		abort();
	close(fd);
}

static bool on_hit(void *context, const struct query_hit *hit)
{
	*(uint64_t *)context += hit->number;
	return true;
}

/* Returns how many files there are. */
static size_t spread(struct bytes data)
{
	static const char apart[] = "%\n";
	size_t n = 0;

	for (; n + 1 < COUNT_OF(paths); n++) {
		const uint8_t *at = data.len ? memmem(data.at, data.len, apart, 2) : NULL;

		if (!at)
			break;
		write_file(paths[n], bytes_head(data, (size_t)(at - data.at)));
		data = bytes_from(data, (size_t)(at - data.at) + 2);
	}
	/* Half a line would cost a second: the second look at a log that may be written. */
	if (data.len && data.at[data.len - 1] != '\n')
		data.len = 0;
	write_file(paths[n], data);
	return n + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct query_filter all = {.since_us = INT64_MIN, .until_us = INT64_MAX};
	const char *given[] = {paths[0], paths[2]};
	struct verify_options options = {.paths = given, .npaths = 1, .public_key = public_key};
	struct verify_result result;
	struct query *q;
	uint64_t lines = 0;
	enum verify_end end;
	size_t n;

	make_folder();
	n = spread(bytes_of(data, size));
	options.witness = n > 1 ? paths[1] : NULL;
	options.npaths = n > 2 ? 2 : 1;
	end = verify_run(&options, &result);
	assert((end == VERIFY_WHOLE) == !result.why);
	assert(end != VERIFY_WHOLE || result.nchains);
	assert(end != VERIFY_BAD);
	verify_result_fini(&result);
	q = query_new(&all, on_hit, &lines);
	assert(query_file(q, paths[0]));
	query_free(q);
	return 0;
}
