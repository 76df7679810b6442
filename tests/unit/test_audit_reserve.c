/* A disk that fills: what is set aside goes to records with care, and the log stays one. */
#include "audit_log_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "audit/system.h"
#include "util/file.h"

#define RESERVE (64u * 1024)

static char reserve[128];
static struct audit_system real;
/* Full: what has its place already can be written, and nothing else. */
static atomic_bool disk_is_full, cannot_set_aside;

static bool has_place(int fd, size_t len, off_t offset)
{
	struct stat st;

	return fstat(fd, &st) == 0 && offset + (off_t)len <= (off_t)st.st_blocks * 512;
}

static ssize_t write_if_room(int fd, const void *at, size_t len, off_t offset)
{
	if (!atomic_load(&disk_is_full) || has_place(fd, len, offset))
		return pwrite(fd, at, len, offset);
	errno = ENOSPC;
	return -1;
}

static int set_aside_if_room(int fd, off_t len)
{
	if (atomic_load(&cannot_set_aside))
		errno = EOPNOTSUPP;
	else if (atomic_load(&disk_is_full) && !has_place(fd, (size_t)len, 0))
		errno = ENOSPC;
	else
		return real.set_aside(fd, len);
	return -1;
}

static int begin(void **state)
{
	(void)set_up(state);
	snprintf(reserve, sizeof(reserve), "%s/mw-1.reserve", folder);
	real = audit_system;
	audit_system.write_at = write_if_room;
	audit_system.set_aside = set_aside_if_room;
	atomic_store(&disk_is_full, false);
	atomic_store(&cannot_set_aside, false);
	return 0;
}

static int end(void **state)
{
	audit_system = real;
	return tear_down(state);
}

static struct audit_config config_with(uint64_t size, enum audit_durability durability)
{
	struct audit_config config = config_of(durability);

	config.reserve = size;
	return config;
}

static struct audit *open_with(uint64_t size, enum audit_durability durability)
{
	const struct audit_config config = config_with(size, durability);

	return open_fine(&config);
}

/* Whether one record becomes durable. */
static bool write_one(struct audit_ring *r, bool care)
{
	const struct audit_record record = {
		.event = AUDIT_ACCESS,
		.care = care,
		.conn = 7,
		.user = bytes_str("u"),
		.request = bytes_str("00112233445566778899aabbccddeeff"),
		.command = bytes_str("find"),
		.decision = AUDIT_ALLOW,
		.has_code = true,
	};
	struct outcome o = {0};

	submit_as_it_is(r, &o, &record);
	settle(r, &o, 1);
	return atomic_load(&o.durable) != 0;
}

/* Until there is no place left in the file that is written to. */
static void fill_up(struct audit_ring *r, bool care)
{
	atomic_store(&disk_is_full, true);
	for (int i = 0; write_one(r, care); i++)
		assert_true(i < 10000);
}

static void wait_for(struct audit *a, bool stopped)
{
	while (audit_is_stopped(a) != stopped)
		usleep(1000);
}

static bool is_kept(void)
{
	struct stat st;

	return stat(reserve, &st) == 0 && st.st_size == 0 && st.st_blocks * 512 >= (off_t)RESERVE &&
	       (st.st_mode & 077) == 0;
}

static void test_care_goes_on(void **state)
{
	(void)state;
	for (int mode = AUDIT_STRICT; mode <= AUDIT_FLUSH; mode++) {
		struct audit *a = open_with(RESERVE, (enum audit_durability)mode);
		struct audit_ring *r = audit_ring_new(a, NULL, NULL);
		struct audit_numbers n;
		int written = 0;

		assert_true(is_kept());
		assert_true(write_one(r, false));
		fill_up(r, false);
		assert_true(audit_is_stopped(a));
		assert_false(audit_is_stopped_for_all(a));
		audit_numbers(a, &n);
		assert_true(n.stopped && n.reserved && n.why[0]);
		assert_false(is_kept());
		/* Others get nothing of it. */
		assert_false(write_one(r, false));
		while (write_one(r, true))
			written++;
		assert_true(written > 100);
		assert_true(audit_is_stopped_for_all(a));
		assert_false(write_one(r, true));
		/* Room again: all go on, and as much is kept as before. */
		atomic_store(&disk_is_full, false);
		wait_for(a, false);
		assert_true(is_kept());
		assert_true(write_one(r, false));
		audit_ring_free(r);
		audit_close(a);
		expect_verified(0);
	}
}

/* Before the reserve is used up there is room again. */
static void test_room_in_time(void **state)
{
	struct audit *a = open_with(RESERVE, AUDIT_STRICT);
	struct audit_ring *r = audit_ring_new(a, NULL, NULL);

	(void)state;
	for (int i = 0; i < 3; i++) {
		fill_up(r, false);
		assert_true(write_one(r, true));
		assert_false(write_one(r, false));
		atomic_store(&disk_is_full, false);
		wait_for(a, false);
		assert_true(is_kept());
		assert_true(write_one(r, false));
	}
	audit_ring_free(r);
	audit_close(a);
	expect_verified(0);
}

/* A start finds it as the last one left it; on a full disk it has none. */
static void test_starts(void **state)
{
	struct audit *a = open_with(RESERVE, AUDIT_STRICT);
	struct audit_ring *r = audit_ring_new(a, NULL, NULL);

	(void)state;
	fill_up(r, false);
	assert_true(write_one(r, true));
	audit_ring_free(r);
	audit_close(a);
	a = open_with(RESERVE, AUDIT_STRICT);
	r = audit_ring_new(a, NULL, NULL);
	assert_true(audit_is_stopped(a));
	assert_false(audit_is_stopped_for_all(a));
	assert_false(write_one(r, false));
	assert_true(write_one(r, true));
	atomic_store(&disk_is_full, false);
	wait_for(a, false);
	audit_ring_free(r);
	audit_close(a);
	a = open_with(RESERVE, AUDIT_STRICT);
	assert_true(is_kept());
	audit_close(a);
	expect_verified(0);
}

static void test_none(void **state)
{
	struct audit *a = open_with(0, AUDIT_STRICT);
	struct audit_ring *r = audit_ring_new(a, NULL, NULL);

	(void)state;
	assert_int_equal(access(reserve, F_OK), -1);
	fill_up(r, true);
	assert_true(audit_is_stopped_for_all(a));
	atomic_store(&disk_is_full, false);
	wait_for(a, false);
	audit_ring_free(r);
	audit_close(a);
	expect_verified(0);
}

static void test_impossible(void **state)
{
	const struct audit_config config = config_with(RESERVE, AUDIT_STRICT);
	char why[512];
	struct audit *a;

	(void)state;
	atomic_store(&cannot_set_aside, true);
	a = open_log(&config, why);
	assert_null(a);
	assert_non_null(strstr(why, "mw-1.reserve"));
	assert_non_null(strstr(why, "audit.reserve: 0"));
	atomic_store(&cannot_set_aside, false);
	assert_int_equal(unlink(reserve), 0);
	assert_true(file_create(reserve, bytes_str("mine"), 0600));
	a = open_log(&config, why);
	assert_null(a);
	assert_non_null(strstr(why, "exists"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_care_goes_on, begin, end),
		cmocka_unit_test_setup_teardown(test_room_in_time, begin, end),
		cmocka_unit_test_setup_teardown(test_starts, begin, end),
		cmocka_unit_test_setup_teardown(test_none, begin, end),
		cmocka_unit_test_setup_teardown(test_impossible, begin, end),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
