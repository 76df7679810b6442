/* A mongoward.yaml: read or complained about, never both; what is read keeps its promises. */
#include <assert.h>

#include "cli/config_values.h"

/* libfyaml 0.7 loses 2 kB where a long quoted scalar does not end as it should. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so";
}

static void expect_whole(const struct config *c)
{
	assert(config_is_name(c->instance));
	assert(c->listen.insecure || (c->listen.tls.certificate && c->listen.tls.key));
	assert(c->upstream.uri && c->policy && c->users && c->keys.file);
	assert(c->upstream.pool_min <= c->upstream.pool_max && c->upstream.pool_max);
	assert(c->audit.directory && c->audit.signing_key && c->audit.nwitness_files);
	assert(c->audit.checkpoint_records >= 1 && c->audit.checkpoint_records <= 1000);
	assert(c->limits.message <= c->limits.memory && c->limits.message <= 48000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct complaints complaints;
	struct config *c;

	complaints_init(&complaints);
	c = config_parse("dir/f.yaml", bytes_of(data, size), &complaints);
	assert((c == NULL) == (complaints.count > 0));
	if (c) {
		expect_whole(c);
		assert(config_can_replace(c, c, &complaints));
	}
	config_free(c);
	complaints_fini(&complaints);
	return 0;
}
