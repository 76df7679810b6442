/* A seal that somebody wrote: refused with a place, or one that is the same once written and
 * read again, and that nobody has signed who has not. */
#include <assert.h>

#include "policy/seal.h"
#include "util/utf8.h"

/* libfyaml 0.7 loses 2 kB where a long quoted scalar does not end as it should. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so";
}

/* Whose key is none of those in the corpus. */
static const uint8_t stranger[1][SIGNING_PUBLIC_LEN] = {{0x3d, 0x40, 0x17, 0xc3}};

static void check(const struct seal *s, struct complaints *complaints)
{
	const struct seal_trust trust = {stranger, 1, 1};
	uint8_t hash[SEAL_HASH_LEN], again_hash[SEAL_HASH_LEN];
	struct seal *again;
	struct buf out;

	assert(seal_version(s) >= 1 && seal_version(s) <= SEAL_VERSION_MAX);
	assert(seal_files(s) && seal_signatures(s) && seal_signatures(s) <= SEAL_SIGNATURES_MAX);
	buf_init(&out, SEAL_FILE_MAX * 4);
	seal_put(s, &out);
	again = seal_parse("f.seal", buf_bytes(&out), complaints);
	assert(again && complaints->count == 0);
	assert(seal_is_alike(s, again) && seal_version(s) == seal_version(again));
	seal_hash(s, hash);
	seal_hash(again, again_hash);
	assert(memcmp(hash, again_hash, sizeof(hash)) == 0);
	assert(seal_signatures(s) == seal_signatures(again));
	for (size_t i = 0; i < seal_signatures(s); i++)
		assert(seal_signature_is_valid(s, i) == seal_signature_is_valid(again, i));
	assert(!seal_is_trusted(s, &trust, "f.seal", complaints));
	seal_free(again);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct complaints complaints;
	struct seal *s;

	complaints_init(&complaints);
	s = seal_parse("f.seal", bytes_of(data, size), &complaints);
	if (s) {
		check(s, &complaints);
	} else {
		struct bytes lines = buf_bytes(&complaints.lines);

		assert(complaints.count > 0 && utf8_valid(lines));
		assert(bytes_start_with(lines, bytes_str("f.seal")));
	}
	seal_free(s);
	complaints_fini(&complaints);
	return 0;
}
