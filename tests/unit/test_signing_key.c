#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keys/signing_key.h"
#include "util/file.h"
#include "util/hex.h"
#include "util/memory.h"

/* RFC 8032, section 7.1, TEST 2. */
#define SEED   "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
#define PUBLIC "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
#define SIGNATURE                                                          \
	"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" \
	"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"

static char folder[] = "/tmp/test_signing_key.XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static struct signing_key *load(struct bytes content, mode_t mode, struct fault *why)
{
	char *file = memory_format("%s/key", folder);
	struct signing_key *k;

	assert_true(file_create(file, content, mode));
	k = signing_key_load(file, why);
	unlink(file);
	free(file);
	return k;
}

static void expect_key(struct bytes content)
{
	uint8_t public_key[SIGNING_PUBLIC_LEN], signature[SIGNATURE_LEN], wanted[SIGNATURE_LEN];
	const uint8_t message = 0x72;
	struct fault why;
	struct signing_key *k = load(content, 0600, &why);

	if (!k)
		fail_msg("%s", why.detail);
	assert_true(hex_read(bytes_str(PUBLIC), public_key, sizeof(public_key)));
	assert_true(hex_read(bytes_str(SIGNATURE), wanted, sizeof(wanted)));
	assert_memory_equal(k->public_key, public_key, sizeof(public_key));
	signing_key_sign(k, bytes_of(&message, 1), signature);
	assert_memory_equal(signature, wanted, sizeof(wanted));
	assert_true(signature_is_valid(public_key, bytes_of(&message, 1), signature));
	assert_false(signature_is_valid(public_key, bytes_of("s", 1), signature));
	signature[63] ^= 1;
	assert_false(signature_is_valid(public_key, bytes_of(&message, 1), signature));
	signature[63] ^= 1;
	public_key[0] ^= 1;
	assert_false(signature_is_valid(public_key, bytes_of(&message, 1), signature));
	signing_key_free(k);
}

static void test_forms(void **state)
{
	uint8_t raw[SIGNING_SEED_LEN];

	(void)state;
	expect_key(bytes_str(SEED));
	expect_key(bytes_str(SEED "\n"));
	expect_key(bytes_str(SEED "\r\n"));
	assert_true(hex_read(bytes_str(SEED), raw, sizeof(raw)));
	expect_key(bytes_of(raw, sizeof(raw)));
}

static const struct {
	const char *content;
	size_t len;
	mode_t mode;
	const char *said;
} wrong[] = {
	{LITERAL(""), 0600, "is no signing key"},
	{LITERAL(SEED "0"), 0600, "is no signing key"},
	{LITERAL("0123456789012345678901234567890"), 0600, "is no signing key"},
	{LITERAL(SEED SEED), 0600, "is no signing key"},
	{LITERAL("4CCD089B28FF96DA9DB6C346EC114E0F5B8A319F35ABA624DA8CF6ED4FB8A6FB"), 0600,
		"is no signing key"},
	{LITERAL(SEED), 0640, "others than its owner may read or write it"},
	{LITERAL(SEED), 0602, "others than its owner may read or write it"},
};

static void test_wrong(void **state)
{
	struct fault why;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		assert_null(load(bytes_of(wrong[i].content, wrong[i].len), wrong[i].mode, &why));
		assert_non_null(strstr(why.detail, wrong[i].said));
	}
	assert_null(signing_key_load("/nowhere/at/all", &why));
	assert_string_equal(why.detail, "No such file or directory");
	assert_null(signing_key_load("/tmp", &why));
}

static void test_create(void **state)
{
	char *file = memory_format("%s/key", folder), *public_file = memory_format("%s.pub", file);
	char line[2 * SIGNING_PUBLIC_LEN + 2];
	struct signing_key *k;
	struct fault why;
	struct buf text;
	struct stat st;

	(void)state;
	assert_true(signing_key_create(file, &why));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	k = signing_key_load(file, &why);
	assert_non_null(k);
	buf_init(&text, 1024);
	assert_true(file_read(public_file, &text));
	hex_write(k->public_key, SIGNING_PUBLIC_LEN, line);
	line[2 * SIGNING_PUBLIC_LEN] = '\n';
	assert_int_equal(text.len, 2 * SIGNING_PUBLIC_LEN + 1);
	assert_memory_equal(text.at, line, text.len);
	buf_fini(&text);
	signing_key_free(k);
	/* Never over another; nor a key without its public one. */
	assert_false(signing_key_create(file, &why));
	assert_non_null(strstr(why.detail, "File exists"));
	unlink(file);
	assert_false(signing_key_create(file, &why));
	assert_int_equal(access(file, F_OK), -1);
	unlink(public_file);
	free(public_file);
	free(file);
}

static void test_hex(void **state)
{
	uint8_t raw[2];
	char text[5];

	(void)state;
	assert_true(hex_read(bytes_str("0af9"), raw, 2));
	hex_write(raw, 2, text);
	assert_string_equal(text, "0af9");
	assert_false(hex_read(bytes_str("0aF9"), raw, 2));
	assert_false(hex_read(bytes_str("0af"), raw, 2));
	assert_false(hex_read(bytes_str("0af91"), raw, 2));
	assert_false(hex_read(bytes_str("0ag9"), raw, 2));
	assert_true(hex_read(bytes_str(""), raw, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
