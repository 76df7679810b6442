#include "audit_log_fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "audit/system.h"
#include "audit/verify.h"
#include "util/clock.h"
#include "util/file.h"

char root[64];
char folder[96], witness[96], key_file[96], public_key[96];
static const char *witnesses[] = {witness};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int set_up(void **state)
{
	uint8_t seed[32] = {7}, pk[32], sk[64];
	char hex[66];

	(void)state;
	snprintf(root, sizeof(root), "/tmp/test_audit_log.XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(folder, sizeof(folder), "%s/audit", root);
	snprintf(witness, sizeof(witness), "%s/witness", root);
	snprintf(key_file, sizeof(key_file), "%s/key", root);
	snprintf(public_key, sizeof(public_key), "%s/key.pub", root);
	assert_true(file_create(key_file, bytes_of(seed, sizeof(seed)), 0600));
	crypto_sign_seed_keypair(pk, sk, seed);
	sodium_bin2hex(hex, sizeof(hex), pk, sizeof(pk));
	hex[64] = '\n';
	assert_true(file_create(public_key, bytes_of(hex, 65), 0644));
	return 0;
}

int tear_down(void **state)
{
	(void)state;
	remove_tree(root);
	audit_system.write_at = pwrite;
	audit_system.sync = fdatasync;
	audit_system.now_us = clock_realtime_us;
	return 0;
}

struct audit_config config_of(enum audit_durability durability)
{
	return (struct audit_config){
		.instance = "mw-1",
		.directory = folder,
		.durability = durability,
		.signing_key = key_file,
		.witness_files = witnesses,
		.nwitness_files = 1,
		.checkpoint_records = 50,
		.checkpoint_every_us = 100000,
		.version = "0.1.0",
	};
}

struct audit *open_log(const struct audit_config *config, char why[512])
{
	struct complaints complaints;
	struct audit *a;

	complaints_init(&complaints);
	a = audit_open(config, bytes_str("blake2b:00"), &complaints);
	snprintf(why, 512, "%.*s", (int)complaints.lines.len,
		complaints.lines.len ? (const char *)complaints.lines.at : "");
	assert_true((a != NULL) == (complaints.count == 0));
	complaints_fini(&complaints);
	return a;
}

struct audit *open_fine(const struct audit_config *config)
{
	char why[512];
	struct audit *a = open_log(config, why);

	if (!a)
		fail_msg("%s", why);
	return a;
}

void expect_refused(const struct audit_config *config, const char *part)
{
	char why[512];
	struct audit *a = open_log(config, why);

	if (a)
		audit_close(a);
	assert_null(a);
	if (!strstr(why, part))
		fail_msg("'%s' is not in: %s", part, why);
}

static void on_done(void *context, bool durable)
{
	struct outcome *o = context;

	atomic_fetch_add(durable ? &o->durable : &o->failed, 1);
}

void submit_as_it_is(struct audit_ring *r, struct outcome *o, const struct audit_record *record)
{
	audit_submit(r, record, o ? on_done : NULL, o);
}

void submit(struct audit_ring *r, struct outcome *o, enum audit_event event, int32_t code)
{
	static const struct subject_token subject = {.token = {{1, 2, 3}}};
	const struct audit_record record = {
		.event = event,
		.conn = 7,
		.client = bytes_str("10.0.0.1:1234"),
		.user = bytes_str("dr.martin"),
		.request = bytes_str("00112233445566778899aabbccddeeff"),
		.ns = bytes_str("d.c"),
		.command = bytes_str("find"),
		.shape = bytes_str("{\"find\":\"c\"}"),
		.decision = event == AUDIT_REFUSAL ? AUDIT_REFUSE : AUDIT_ALLOW,
		.subjects = &subject,
		.nsubjects = event == AUDIT_ACCESS,
		.has_result = event == AUDIT_ACCESS,
		.docs = 1,
		.has_code = true,
		.code = code,
	};

	submit_as_it_is(r, o, &record);
}

void settle(struct audit_ring *r, struct outcome *o, unsigned n)
{
	audit_ring_commit(r);
	while (atomic_load(&o->durable) + atomic_load(&o->failed) < n) {
		audit_ring_collect(r);
		usleep(200);
	}
}

void expect_verified(uint64_t gaps)
{
	const char *paths[] = {folder};
	const struct verify_options options = {
		.paths = paths, .npaths = 1, .witness = witness, .public_key = public_key};
	struct verify_result result;
	enum verify_end end = verify_run(&options, &result);

	if (end != VERIFY_WHOLE)
		fail_msg("%s", result.why);
	assert_int_equal(result.nchains, 1);
	assert_int_equal(result.chains[0].proof, VERIFY_PROVEN);
	assert_int_equal(result.chains[0].gaps, gaps);
	verify_result_fini(&result);
}

void write_some(const struct audit_config *config, unsigned n)
{
	struct audit *a = open_fine(config);
	struct audit_ring *r = audit_ring_new(a, NULL, NULL);
	struct outcome o = {0};

	for (unsigned i = 0; i < n; i++)
		submit(r, &o, AUDIT_ACCESS, 0);
	settle(r, &o, n);
	assert_int_equal(atomic_load(&o.durable), n);
	audit_ring_free(r);
	audit_close(a);
}

void copy_file(const char *from, const char *to, size_t len)
{
	struct buf content;

	buf_init(&content, 16u * 1024 * 1024);
	assert_true(file_read(from, &content));
	(void)unlink(to);
	assert_true(file_create(to, bytes_head(buf_bytes(&content), len), 0600));
	buf_fini(&content);
}
