/* The log as it is written: in every mode, by several threads, over restarts, cut at every
 * byte, replaced, on a disk that is full; and what it holds through the verifier. */
#include "audit_log_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "audit/system.h"
#include "audit/verify.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/memory.h"

static void test_modes(void **state)
{
	(void)state;
	for (int mode = AUDIT_STRICT; mode <= AUDIT_NONE; mode++) {
		struct audit_config config = config_of((enum audit_durability)mode);

		write_some(&config, 120);
		expect_verified(0);
	}
}

struct client {
	struct audit *audit;
	struct outcome outcome;
};

static void *run_client(void *context)
{
	struct client *c = context;
	struct audit_ring *r = audit_ring_new(c->audit, NULL, NULL);

	for (unsigned i = 0; i < 40; i++) {
		for (unsigned k = 0; k < 10; k++)
			submit(r, &c->outcome, AUDIT_ACCESS, 0);
		settle(r, &c->outcome, (i + 1) * 10);
	}
	audit_ring_free(r);
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	for (int mode = AUDIT_STRICT; mode <= AUDIT_FLUSH; mode++) {
		struct audit_config config = config_of((enum audit_durability)mode);
		struct client clients[4] = {0};
		pthread_t threads[4];
		struct audit *a;

		config.rotate_size = 50000; /* now and then, while all write */
		a = open_fine(&config);
		for (size_t i = 0; i < 4; i++) {
			clients[i].audit = a;
			assert_int_equal(
				pthread_create(&threads[i], NULL, run_client, &clients[i]), 0);
		}
		for (size_t i = 0; i < 4; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(atomic_load(&clients[i].outcome.durable), 400);
		}
		audit_close(a);
		expect_verified(0);
	}
}

static size_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (size_t)st.st_size;
}

/* Killed at any byte of what stands behind the newest witness line: it starts again, tells
 * what it cut, and the log verifies.  Killed before that: the log is older than a witness. */
static void test_cut_anywhere(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	char log[128], saved[128], saved_witness[128];
	size_t whole, first;
	struct outcome o = {0};
	struct audit_ring *r;
	struct audit *a;

	(void)state;
	config.checkpoint_every_us = 3600000000;
	a = open_fine(&config);
	r = audit_ring_new(a, NULL, NULL);
	snprintf(log, sizeof(log), "%s/mw-1-000000000000.jsonl", folder);
	snprintf(saved, sizeof(saved), "%s/saved", root);
	snprintf(saved_witness, sizeof(saved_witness), "%s/saved.witness", root);
	first = size_of(log);
	submit(r, &o, AUDIT_ACCESS, 0);
	submit(r, &o, AUDIT_ACCESS, 0);
	settle(r, &o, 2);
	/* As a kill would leave it. */
	copy_file(log, saved, SIZE_MAX);
	copy_file(witness, saved_witness, SIZE_MAX);
	audit_ring_free(r);
	audit_close(a);
	whole = size_of(saved);
	for (size_t len = first - 300; len <= whole; len++) {
		remove_tree(folder);
		assert_int_equal(mkdir(folder, 0700), 0);
		copy_file(saved, log, len);
		copy_file(saved_witness, witness, SIZE_MAX);
		if (len < first) {
			expect_refused(&config, "has seen seq 1");
			continue;
		}
		a = open_fine(&config);
		audit_close(a);
		expect_verified(0);
	}
}

static void test_older_copies(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	char log[128], saved[128];

	(void)state;
	snprintf(log, sizeof(log), "%s/mw-1-000000000000.jsonl", folder);
	snprintf(saved, sizeof(saved), "%s/saved", root);
	write_some(&config, 3);
	copy_file(log, saved, SIZE_MAX);
	write_some(&config, 60);
	/* an older copy */
	copy_file(saved, log, SIZE_MAX);
	expect_refused(&config, "but the witness");
	/* an emptied folder */
	(void)unlink(log);
	expect_refused(&config, "the log ends at seq -1");
	config.accept_gap = "the volume was lost";
	audit_close(open_fine(&config));
	expect_verified(1);
	config.accept_gap = NULL;
	write_some(&config, 3);
	expect_verified(1);
}

static void test_lost_witness(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);

	(void)state;
	write_some(&config, 3);
	(void)unlink(witness);
	expect_refused(&config, "no witness knows any of them");
	config.accept_gap = "the witness was lost";
	audit_close(open_fine(&config));
	expect_verified(1);
}

static void test_altered(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	struct buf content;
	char log[128];

	(void)state;
	snprintf(log, sizeof(log), "%s/mw-1-000000000000.jsonl", folder);
	write_some(&config, 3);
	buf_init(&content, 1024 * 1024);
	assert_true(file_read(log, &content));
	/* In the last line, the checkpoint of the stop. */
	content.at[content.len - 300] ^= 1;
	assert_true(file_replace(log, buf_bytes(&content), 0600));
	buf_fini(&content);
	expect_refused(&config, "mw-1-000000000000.jsonl:");
	config.accept_gap = "somebody wrote into it";
	audit_close(open_fine(&config));
	expect_verified(1);
}

static void test_other_key(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	uint8_t seed[32] = {8};

	(void)state;
	write_some(&config, 3);
	(void)unlink(key_file);
	assert_true(file_create(key_file, bytes_of(seed, sizeof(seed)), 0600));
	expect_refused(&config, "not signed with the signing key");
}

static void test_half_witness(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	size_t len;

	(void)state;
	write_some(&config, 3);
	len = size_of(witness);
	assert_int_equal(truncate(witness, (off_t)len - 40), 0);
	write_some(&config, 3);
	expect_verified(0);
}

static void test_two_at_once(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	struct audit *a = open_fine(&config);

	(void)state;
	expect_refused(&config, "another process writes to this folder");
	audit_close(a);
}

/* ------------------------------------------------------------------ a disk that fails */

static atomic_bool disk_is_full, sync_fails;

static ssize_t write_if_room(int fd, const void *at, size_t len, off_t offset)
{
	if (!atomic_load(&disk_is_full))
		return pwrite(fd, at, len, offset);
	/* Some of it still fits. */
	if (len > 10)
		return pwrite(fd, at, 10, offset);
	errno = ENOSPC;
	return -1;
}

static int sync_if_it_works(int fd)
{
	if (!atomic_load(&sync_fails))
		return fdatasync(fd);
	errno = EIO;
	return -1;
}

static void wait_until(struct audit *a, bool stopped)
{
	while (audit_is_stopped(a) != stopped)
		usleep(1000);
}

static void test_full_disk(void **state)
{
	(void)state;
	audit_system.write_at = write_if_room;
	for (int mode = AUDIT_STRICT; mode <= AUDIT_FLUSH; mode++) {
		struct audit_config config = config_of((enum audit_durability)mode);
		struct audit *a = open_fine(&config);
		struct audit_ring *r = audit_ring_new(a, NULL, NULL);
		struct audit_numbers numbers;
		struct outcome o = {0};

		submit(r, &o, AUDIT_ACCESS, 0);
		settle(r, &o, 1);
		atomic_store(&disk_is_full, true);
		submit(r, &o, AUDIT_ACCESS, 0);
		submit(r, NULL, AUDIT_LOGOUT, 0); /* nobody waits: it is kept */
		settle(r, &o, 2);
		assert_int_equal(atomic_load(&o.failed), 1);
		assert_true(audit_is_stopped(a));
		audit_numbers(a, &numbers);
		assert_true(numbers.stopped && numbers.why[0]);
		submit(r, &o, AUDIT_ACCESS, 0);
		settle(r, &o, 3);
		assert_int_equal(atomic_load(&o.failed), 2);
		atomic_store(&disk_is_full, false);
		wait_until(a, false);
		submit(r, &o, AUDIT_ACCESS, 0);
		settle(r, &o, 4);
		assert_int_equal(atomic_load(&o.durable), 2);
		audit_ring_free(r);
		audit_close(a);
		expect_verified(0);
	}
}

static void test_failed_sync(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	struct audit *a = open_fine(&config);
	struct audit_ring *r = audit_ring_new(a, NULL, NULL);
	struct outcome o = {0};

	(void)state;
	audit_system.sync = sync_if_it_works;
	atomic_store(&sync_fails, true);
	submit(r, &o, AUDIT_ACCESS, 0);
	settle(r, &o, 1);
	atomic_store(&sync_fails, false);
	assert_int_equal(atomic_load(&o.failed), 1);
	submit(r, &o, AUDIT_ACCESS, 0);
	settle(r, &o, 2);
	assert_int_equal(atomic_load(&o.failed), 2); /* until a restart */
	audit_ring_free(r);
	audit_close(a);
	write_some(&config, 3);
	expect_verified(0);
}

static void test_path_gone(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	struct audit *a = open_fine(&config);
	struct audit_ring *r = audit_ring_new(a, NULL, NULL);
	struct outcome o = {0};
	char log[128], away[128];

	(void)state;
	snprintf(log, sizeof(log), "%s/mw-1-000000000000.jsonl", folder);
	snprintf(away, sizeof(away), "%s/away", root);
	assert_int_equal(rename(log, away), 0);
	submit(r, &o, AUDIT_ACCESS, 0);
	settle(r, &o, 1);
	assert_int_equal(atomic_load(&o.failed), 1);
	assert_int_equal(rename(away, log), 0);
	wait_until(a, false);
	submit(r, &o, AUDIT_ACCESS, 0);
	settle(r, &o, 2);
	assert_int_equal(atomic_load(&o.durable), 1);
	audit_ring_free(r);
	audit_close(a);
	expect_verified(0);
}

static int64_t shifted_us;

static int64_t shifted_clock(void)
{
	return clock_realtime_us() + shifted_us;
}

static void test_clock_back(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	const char *paths[] = {folder};
	const struct verify_options options = {
		.paths = paths, .npaths = 1, .witness = witness, .public_key = public_key};
	struct verify_result result;

	(void)state;
	shifted_us = 0;
	audit_system.now_us = shifted_clock;
	write_some(&config, 3);
	shifted_us = -5000000;
	write_some(&config, 3);
	assert_int_equal(verify_run(&options, &result), VERIFY_WHOLE);
	assert_int_equal(result.chains[0].clock_steps, 1);
	verify_result_fini(&result);
}

static unsigned count_of(const char *part)
{
	char log[128];
	struct buf content;
	unsigned n = 0;
	const char *at;

	snprintf(log, sizeof(log), "%s/mw-1-000000000000.jsonl", folder);
	buf_init(&content, 16u * 1024 * 1024);
	assert_true(file_read(log, &content));
	buf_put_u8(&content, 0);
	for (at = (const char *)content.at; (at = strstr(at, part)); at++)
		n++;
	buf_fini(&content);
	return n;
}

/* A hundred are written one by one, the rest of the minute as one record. */
static void test_flood(void **state)
{
	struct audit_config config = config_of(AUDIT_STRICT);
	struct audit *a = open_fine(&config);
	struct audit_ring *r = audit_ring_new(a, NULL, NULL);
	struct outcome o = {0};

	(void)state;
	for (unsigned i = 0; i < 150; i++)
		submit(r, &o, AUDIT_REFUSAL, 13);
	submit(r, &o, AUDIT_REFUSAL, 59); /* another code counts by itself */
	settle(r, &o, 151);
	assert_int_equal(atomic_load(&o.durable), 151);
	audit_ring_free(r);
	audit_close(a);
	assert_int_equal(count_of("\"event\":\"refusal\""), 102);
	assert_int_equal(count_of("\"count\":50"), 1);
	expect_verified(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_modes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut_anywhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_older_copies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost_witness, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_altered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_half_witness, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_sync, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_path_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clock_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flood, set_up, tear_down),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
