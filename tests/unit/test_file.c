#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <dirent.h>
#include <unistd.h>

#include "util/file.h"
#include "util/memory.h"

static char folder[] = "/tmp/test_file.XXXXXX";

static int enter_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
	(void)state;
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void expect_content(const char *path, const char *content)
{
	struct buf out;

	buf_init(&out, 1000);
	assert_true(file_read(path, &out));
	assert_true(bytes_equal_str(buf_bytes(&out), content));
	buf_fini(&out);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode;
}

static size_t count_files(void)
{
	DIR *d = opendir(".");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void test_read(void **state)
{
	uint8_t *content = memory_new(100000);
	struct buf out;

	(void)state;
	memset(content, 'x', 100000);
	assert_true(file_create("large", bytes_of(content, 100000), 0600));
	buf_init(&out, 100003);
	buf_put_str(&out, "abc");
	assert_true(file_read("large", &out));
	assert_int_equal(out.len, 100003);
	assert_memory_equal(out.at, "abc", 3);
	assert_memory_equal(out.at + 3, content, 100000);
	buf_fini(&out);
	buf_init(&out, 99999);
	assert_false(file_read("large", &out));
	assert_true(out.failed);
	buf_fini(&out);
	buf_init(&out, 10);
	assert_false(file_read("absent", &out));
	assert_int_equal(errno, ENOENT);
	assert_false(file_read(".", &out));
	assert_int_equal(errno, EISDIR);
	assert_false(out.failed);
	buf_fini(&out);
	unlink("large");
	free(content);
}

static void test_read_secret(void **state)
{
	static const struct {
		mode_t mode;
		bool allowed;
	} modes[] = {
		{0600, true},
		{0400, true},
		{0700, true},
		{0640, false},
		{0604, false},
		{0620, false},
		{0602, false},
		{0610, false},
		{0601, false},
		{0666, false},
	};
	const char *why;
	struct buf out;

	(void)state;
	buf_init(&out, 6);
	assert_true(file_create("secret", bytes_str("secret"), 0600));
	assert_int_equal(symlink("secret", "link"), 0);
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		assert_int_equal(chmod("secret", modes[i].mode), 0);
		buf_clear(&out);
		assert_int_equal(file_read_secret("secret", &out, &why), modes[i].allowed);
		assert_int_equal(out.len, modes[i].allowed ? 6 : 0);
		assert_int_equal(why == NULL, modes[i].allowed);
		/* A link is as good or bad as what it points to. */
		buf_clear(&out);
		assert_int_equal(file_read_secret("link", &out, &why), modes[i].allowed);
	}
	assert_int_equal(chmod("secret", 0600), 0);
	assert_true(file_replace("secret", bytes_str("secrets"), 0600));
	buf_clear(&out);
	assert_false(file_read_secret("secret", &out, &why));
	assert_string_equal(why, "it is too large");
	buf_clear(&out);
	assert_false(file_read_secret("absent", &out, &why));
	assert_string_equal(why, "No such file or directory");
	assert_false(file_read_secret(".", &out, &why));
	assert_string_equal(why, "it is not a file");
	assert_false(file_read_secret("/dev/null", &out, &why));
	assert_string_equal(why, "it is not a file");
	if (geteuid() == 0) {
		assert_int_equal(chown("secret", 12345, 12345), 0);
		assert_false(file_read_secret("secret", &out, &why));
		assert_string_equal(why, "it belongs to another user");
	}
	unlink("link");
	unlink("secret");
	buf_wipe(&out);
}

static void test_create(void **state)
{
	mode_t before = umask(0077);

	(void)state;
	assert_true(file_create("new", bytes_str("one"), 0640));
	assert_int_equal(mode_of("new") & 07777, 0640);
	assert_false(file_create("new", bytes_str("two"), 0640));
	assert_int_equal(errno, EEXIST);
	expect_content("new", "one");
	assert_int_equal(symlink("elsewhere", "dangling"), 0);
	assert_false(file_create("dangling", bytes_str("two"), 0640));
	assert_int_equal(access("elsewhere", F_OK), -1);
	assert_false(file_create("no/folder", bytes_str("two"), 0640));
	assert_int_equal(errno, ENOENT);
	umask(before);
	unlink("new");
	unlink("dangling");
}

static void test_replace(void **state)
{
	(void)state;
	assert_true(file_replace("f", bytes_str("one"), 0600));
	assert_int_equal(mode_of("f") & 07777, 0600);
	assert_true(file_replace("f", bytes_str("two"), 0644));
	assert_int_equal(mode_of("f") & 07777, 0644);
	expect_content("f", "two");
	assert_int_equal(symlink("f", "link"), 0);
	assert_true(file_replace("link", bytes_str("three"), 0600));
	assert_true(S_ISREG(mode_of("link")));
	expect_content("link", "three");
	expect_content("f", "two");
	assert_true(file_replace("f", bytes_of(NULL, 0), 0600));
	expect_content("f", "");
	assert_int_equal(count_files(), 2);
	unlink("link");
	unlink("f");
}

/* Whoever has the old file open goes on reading the old one, whole. */
static void test_replace_is_atomic(void **state)
{
	char text[4] = "";
	int fd;

	(void)state;
	assert_true(file_replace("f", bytes_str("old"), 0600));
	fd = open("f", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(file_replace("f", bytes_str("new"), 0600));
	assert_int_equal(read(fd, text, 3), 3);
	assert_string_equal(text, "old");
	close(fd);
	unlink("f");
}

static void test_replace_that_fails(void **state)
{
	(void)state;
	assert_int_equal(mkdir("folder", 0700), 0);
	assert_int_equal(close(creat("folder/kept", 0600)), 0);
	assert_false(file_replace("folder", bytes_str("x"), 0600));
	assert_true(S_ISDIR(mode_of("folder")));
	assert_int_equal(count_files(), 1);
	assert_false(file_replace("absent/f", bytes_str("x"), 0600));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(unlink("folder/kept"), 0);
	assert_int_equal(rmdir("folder"), 0);
}

static void test_write_all(void **state)
{
	(void)state;
	assert_false(file_write_all(-1, bytes_str("x")));
	assert_int_equal(errno, EBADF);
	assert_true(file_write_all(-1, bytes_of(NULL, 0)));
	assert_true(file_sync_folder_of("x"));
	assert_false(file_sync_folder_of("absent/x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_secret),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_replace_is_atomic),
		cmocka_unit_test(test_replace_that_fails),
		cmocka_unit_test(test_write_all),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
