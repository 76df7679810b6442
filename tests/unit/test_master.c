#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <sodium.h>

#include "keys/aes.h"
#include "keys/locked.h"
#include "keys/master.h"
#include "util/file.h"

/* The address sanitizer's mlock does nothing. */
#if defined(__SANITIZE_ADDRESS__)
#define MLOCK_IS_PRETENDED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MLOCK_IS_PRETENDED
#endif
#endif

/* 0, 1, 2 … 95. */
static void count_up(uint8_t bytes[MASTER_LEN])
{
	for (size_t i = 0; i < MASTER_LEN; i++)
		bytes[i] = (uint8_t)i;
}

static struct master *counted_master(void)
{
	uint8_t bytes[MASTER_LEN];
	struct fault why;
	struct master *m;

	count_up(bytes);
	m = master_new(bytes, false, &why);
	assert_non_null(m);
	return m;
}

static void assert_hex(const uint8_t *at, size_t len, const char *hex)
{
	char text[2 * 64 + 1];

	sodium_bin2hex(text, sizeof(text), at, len);
	assert_string_equal(text, hex);
}

/* Made with Python's hashlib, from the header's words. */
static void test_tokens(void **state)
{
	static const struct {
		enum token_kind kind;
		const char *hex;
	} cases[] = {
		{TOKEN_AUDIT_SUBJECT, "0eca867c63e4280e4957ba378020aa38"},
		{TOKEN_AUDIT_SEARCHED, "c9ddea0b08eb47ee21eecb86a9a1ab58"},
		{TOKEN_SUBJECT, "5c3b903c83363f8b596ab0cfdc9c0ce6"},
		{TOKEN_NOISE, "cc2ebabf85743885459116bf4b6973c6"},
		{TOKEN_PSEUDONYM, "06a0feb590981a507713a0470acc4ecc"},
		{TOKEN_STATISTICS, "797508e27b9ae7ada3241559fdde4ada"},
		{TOKEN_FAKE_SALT, "b01842b59ac55785d5d6124cdf01b567"},
	};
	const struct bytes parts[] = {bytes_str("al"), bytes_str("pha"), bytes_of("\0", 1),
		bytes_str(""), bytes_str("beta")};
	struct master *m = counted_master();

	(void)state;
	assert_int_equal(COUNT_OF(cases), TOKEN_KIND_COUNT);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct token token;

		master_token(m, cases[i].kind, parts, COUNT_OF(parts), &token);
		assert_hex(token.bytes, sizeof(token.bytes), cases[i].hex);
	}
	master_free(m);
}

static void test_sessions(void **state)
{
	struct master *m = counted_master();
	struct session_cipher *martin = session_cipher_new(m, bytes_str("dr.martin"));
	struct session_cipher *martine = session_cipher_new(m, bytes_str("dr.martine"));
	uint8_t id[16], other[16];

	(void)state;
	for (size_t i = 0; i < sizeof(id); i++)
		other[i] = id[i] = (uint8_t)i;
	session_cipher_apply(martin, false, id);
	assert_hex(id, sizeof(id), "40818ae5d579b485e9b6b195c8069c9e");
	session_cipher_apply(martine, false, other);
	assert_memory_not_equal(id, other, sizeof(id));
	master_free(m); /* nothing of it is needed any more */
	session_cipher_apply(martin, true, id);
	session_cipher_apply(martine, true, other);
	assert_hex(id, sizeof(id), "000102030405060708090a0b0c0d0e0f");
	assert_memory_equal(id, other, sizeof(id));
	session_cipher_free(martin);
	session_cipher_free(martine);
	session_cipher_free(NULL);
}

#define BASE64                                                                         \
	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4" \
	"OTo7PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5f"
#define RAW                                                                                \
	"\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17" \
	"\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLM"  \
	"NOPQRSTUVWXYZ[\\]^_"

/* Writes a file of its own and loads it; NULL when that was refused. */
static struct master *load(const char *content, size_t len, mode_t mode)
{
	char path[] = "/tmp/test_master.XXXXXX";
	int fd = mkstemp(path);
	struct fault why = {.code = FAULT_NONE};
	struct master *m;

	assert_true(fd >= 0);
	assert_true(file_write_all(fd, bytes_of(content, len)));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	m = master_load(path, false, &why);
	unlink(path);
	assert_int_equal(why.code, m ? FAULT_NONE : FAULT_KEYS);
	return m;
}

static void test_files(void **state)
{
	static const struct {
		const char *name;
		const char *content;
		size_t len;
		mode_t mode;
		bool accepted;
	} cases[] = {
/* All of the content but its last bytes. */
#define CUT(name, content, last, mode, accepted) \
	{name, content, sizeof(content) - 1 - last, mode, accepted}
#define CASE(name, content, mode, accepted) CUT(name, content, 0, mode, accepted)
		CASE("raw", RAW, 0600, true),
		CASE("raw, read only", RAW, 0400, true),
		CASE("raw and a byte", RAW "\n", 0600, false),
		CUT("95 bytes", RAW, 1, 0600, false),
		CASE("base64", BASE64, 0600, true),
		CASE("base64 line", BASE64 "\n", 0600, true),
		CASE("base64 line of Windows", BASE64 "\r\n", 0600, true),
		CASE("two line ends", BASE64 "\n\n", 0600, false),
		CASE("base64 of 99 bytes", BASE64 "AAAA", 0600, false),
		CUT("base64 of 93 bytes", BASE64, 4, 0600, false),
		CUT("base64 of 95 bytes and a half", BASE64, 1, 0600, false),
		CASE("a space in it", " " BASE64, 0600, false),
		CASE("nothing", "", 0600, false),
		CASE("much", BASE64 BASE64 BASE64, 0600, false),
		CASE("readable by the group", RAW, 0640, false),
		CASE("readable by all", RAW, 0604, false),
		CASE("writable by the group", RAW, 0620, false),
#undef CASE
#undef CUT
	};
	struct master *counted = counted_master();
	struct token expected, token;

	(void)state;
	master_token(counted, TOKEN_SUBJECT, NULL, 0, &expected);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct master *m = load(cases[i].content, cases[i].len, cases[i].mode);

		if (!m != !cases[i].accepted)
			fail_msg("%s: %s", cases[i].name, m ? "accepted" : "refused");
		if (!m)
			continue;
		master_token(m, TOKEN_SUBJECT, NULL, 0, &token);
		assert_memory_equal(token.bytes, expected.bytes, TOKEN_LEN);
		master_free(m);
	}
	master_free(counted);
}

/* Each byte of it: libsodium would read some that are no base64 as '/'. */
static void test_damaged_base64(void **state)
{
	char text[] = BASE64;

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		char right = text[i];

		text[i] = '\xff';
		assert_null(load(text, sizeof(text) - 1, 0600));
		text[i] = '-';
		assert_null(load(text, sizeof(text) - 1, 0600));
		text[i] = right;
	}
}

static void test_no_file(void **state)
{
	struct fault why;

	(void)state;
	assert_null(master_load("/nonexistent/master.key", false, &why));
	assert_int_equal(why.code, FAULT_KEYS);
	assert_null(master_load("/tmp", false, &why));
	assert_int_equal(why.code, FAULT_KEYS);
	master_free(NULL);
}

/* Whether the pages of `at` carry that flag in /proc/self/smaps. */
static bool has_page_flag(const void *at, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	bool inside = false, found = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)at >= from && (uintptr_t)at < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(f);
	return found;
}

static void test_locked_memory(void **state)
{
	struct fault why;
	bool locked;
	uint8_t *at = locked_array(3, 100, false, &locked, &why);

	(void)state;
	assert_non_null(at);
	assert_int_equal((uintptr_t)at % 64, 0);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(at[i], 0);
	assert_true(has_page_flag(at, " dd"));
#ifndef MLOCK_IS_PRETENDED
	assert_int_equal(locked, has_page_flag(at, " lo"));
#endif
	locked_free(at);
	locked_free(NULL);
	assert_null(locked_array(SIZE_MAX / 2, 3, false, &locked, &why));
	assert_null(locked_array(SIZE_MAX - 1, 1, false, &locked, &why));
}

/* OpenSSL says where the IV is; the expanded key lies in the same allocation. */
static void test_expanded_keys(void **state)
{
	uint8_t key[AES_KEY_LEN] = {1};
	EVP_CIPHER_CTX *ctx;
	void *iv = NULL;
	OSSL_PARAM wanted[] = {
		OSSL_PARAM_construct_octet_ptr(OSSL_CIPHER_PARAM_IV, &iv, 0),
		OSSL_PARAM_construct_end(),
	};
	struct fault why;

	(void)state;
	assert_true(aes_available(&why));
	ctx = aes_new(AES_CBC, true, key);
	assert_int_equal(EVP_CIPHER_CTX_get_params(ctx, wanted), 1);
	assert_true(has_page_flag(iv, " dd"));
	EVP_CIPHER_CTX_free(ctx);
}

/* In a process that may lock nothing; its exit status says what was not as it should be. */
static int without_permission(void)
{
	const struct rlimit none = {0, 0};
	uint8_t bytes[MASTER_LEN] = {0};
	struct fault why = {.code = FAULT_NONE};
	struct master *m;

	if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (geteuid() == 0 && seteuid(65534) < 0))
		return 1;
	if (master_new(bytes, true, &why) || why.code != FAULT_KEYS)
		return 2;
	m = master_new(bytes, false, &why);
	if (!m || master_is_locked(m))
		return 3;
	master_free(m);
	return 0;
}

static void test_lock_refused(void **state)
{
	int status;
	pid_t child;

	(void)state;
#ifdef MLOCK_IS_PRETENDED
	skip();
#endif
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(without_permission());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_damaged_base64),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_locked_memory),
		cmocka_unit_test(test_expanded_keys),
		cmocka_unit_test(test_lock_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
