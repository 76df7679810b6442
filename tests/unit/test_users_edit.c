#include "keys_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <sodium.h>

#include "auth/users_file.h"
#include "util/file.h"
#include "util/memory.h"

#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define KEY  "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
#define OLD  "15000:" SALT ":" KEY ":" KEY

struct made {
	char folder[32];
	char *file;
	struct complaints complaints;
};

static int make(void **state)
{
	struct made *m = memory_new(sizeof(*m));

	strcpy(m->folder, "/tmp/test_edit.XXXXXX");
	assert_non_null(mkdtemp(m->folder));
	m->file = memory_format("%s/users.yaml", m->folder);
	complaints_init(&m->complaints);
	*state = m;
	return 0;
}

static int unmake(void **state)
{
	struct made *m = *state;

	unlink(m->file);
	assert_int_equal(rmdir(m->folder), 0); /* nothing else is left in it */
	complaints_fini(&m->complaints);
	free(m->file);
	free(m);
	return 0;
}

static void write_file(struct made *m, const char *text)
{
	complaints_fini(&m->complaints);
	complaints_init(&m->complaints);
	assert_true(file_replace(m->file, bytes_str(text), 0644));
}

static char *read_file(const struct made *m)
{
	struct buf text;
	char *copy;

	buf_init(&text, 1 << 20);
	assert_true(file_read(m->file, &text));
	copy = memory_text(buf_bytes(&text));
	buf_fini(&text);
	return copy;
}

static void expect_file(const struct made *m, const char *expected)
{
	char *text = read_file(m);

	assert_string_equal(text, expected);
	free(text);
}

static void expect_mode(const struct made *m)
{
	struct stat st;

	assert_int_equal(stat(m->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static bool add(struct made *m, const char *name, const char *role)
{
	struct bytes roles[] = {bytes_str(role)};
	struct user_change change = {.name = bytes_str(name), .roles = roles, .nroles = 1};

	return users_add(m->file, &change, &m->complaints);
}

static const struct {
	const char *name, *before, *after; /* with user "new" of role "r" */
} added[] = {
	{"no users", "users:\n", "users:\n  new: {roles: [r]}\n"},
	{"null", "users: ~ # none\n", "users:  # none\n  new: {roles: [r]}\n"},
	{"an empty map", "# top\nusers: {}\n# end\n",
		"# top\nusers: \n  new: {roles: [r]}\n# end\n"},
	{"no line end", "users:\n  a: {roles: [x]}",
		"users:\n  a: {roles: [x]}\n  new: {roles: [r]}\n"},
	{"comments", "users:\n    # first\n    a: {roles: [x]} # he\n\n# end\n",
		"users:\n    # first\n    a: {roles: [x]} # he\n    new: {roles: [r]}\n\n# end\n"},
	{"a block", "users:\n  a:\n    roles:\n      - x\n",
		"users:\n  a:\n    roles:\n      - x\n  new: {roles: [r]}\n"},
	{"no indent's width", "users:\n a: {roles: [x]}\n",
		"users:\n a: {roles: [x]}\n new: {roles: [r]}\n"},
	{"a document's end", "---\nusers:\n  a: {roles: [x]}\n...\n",
		"---\nusers:\n  a: {roles: [x]}\n  new: {roles: [r]}\n...\n"},
};

static void test_add(void **state)
{
	struct made *m = *state;

	for (size_t i = 0; i < COUNT_OF(added); i++) {
		write_file(m, added[i].before);
		assert_true(add(m, "new", "r"));
		expect_file(m, added[i].after);
		expect_mode(m);
		/* And what was added can be taken away. */
		assert_true(users_remove(m->file, bytes_str("new"), &m->complaints));
	}
}

static void test_add_to_no_file(void **state)
{
	struct made *m = *state;

	assert_true(add(m, "new", "r"));
	expect_file(m, "users:\n  new: {roles: [r]}\n");
	expect_mode(m);
}

static void test_add_all_of_a_user(void **state)
{
	static const char *const names[] = {"plain", "yes", "a: b", "\"q\"\\", "é", "0x1", "-",
		"#x", "{}", " s ", "null", "a,b=c"};
	struct made *m = *state;
	struct users *users;

	write_file(m, "users:\n");
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct bytes text = bytes_str(names[i]), roles[] = {text, bytes_str("other")};
		struct attribute attributes[] = {{text, text}, {bytes_str("n"), bytes_str("007")}};
		char *x509 = memory_format("CN=%s", names[i]);
		struct user_change change = {
			text, roles, 2, attributes, 2, text, bytes_str(x509), bytes_str("pencil")};

		assert_true(users_add(m->file, &change, &m->complaints));
		free(x509);
	}
	users = users_load(m->file, &m->complaints);
	assert_non_null(users);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const struct user *user = users_find(users, bytes_str(names[i]));

		assert_non_null(user);
		assert_true(bytes_equal_str(user->roles[0], names[i]));
		assert_true(bytes_equal_str(user->attributes[0].value, names[i]));
		assert_true(bytes_equal_str(user->attributes[1].value, "007"));
		assert_true(bytes_equal_str(user->purpose, names[i]));
		assert_int_equal(user->scram.iterations, SCRAM_ITERATIONS);
		assert_int_equal(user->scram.salt.len, SCRAM_SALT_LEN);
	}
	users_unref(users);
}

static void test_add_refuses(void **state)
{
	static const struct {
		const char *name, *role;
	} refused[] = {
		{"a", "r"}, {"", "r"}, {"x\n", "r"}, {"x", ""}, {"x", "r\x7f"}, {"\xff", "r"}};
	static const char before[] = "users:\n  a: {roles: [x], x509: CN=a}\n";
	struct made *m = *state;
	char name[USER_NAME_MAX + 2];
	struct bytes roles[] = {bytes_str("r"), bytes_str("r")};
	struct user_change change = {.name = bytes_str("b"), .roles = roles, .nroles = 1};

	write_file(m, before);
	for (size_t i = 0; i < COUNT_OF(refused); i++)
		assert_false(add(m, refused[i].name, refused[i].role));
	change.nroles = 0;
	assert_false(users_add(m->file, &change, &m->complaints));
	change.nroles = 2;
	assert_false(users_add(m->file, &change, &m->complaints));
	change.nroles = 1;
	change.x509 = bytes_str("CN=a");
	assert_false(users_add(m->file, &change, &m->complaints));
	memset(name, 'n', sizeof(name));
	name[USER_NAME_MAX + 1] = 0;
	assert_false(add(m, name, "r"));
	expect_file(m, before);
	assert_int_equal(m->complaints.count, COUNT_OF(refused) + 4);
	name[USER_NAME_MAX] = 0;
	assert_true(add(m, name, "r"));
}

static void test_forms_that_stay(void **state)
{
	static const char *const forms[] = {
		"users: {a: {roles: [x]}, b: {roles: [y]}}\n",
		"users: {\n  a: {roles: [x]},\n  b: {roles: [y]}\n}\n",
		"users:\n  a: {roles: [x]}\n  b: {roles: [y], scram-sha-256: \"\\x31"
		"5000:" SALT ":" KEY ":" KEY "\"}\n",
	};
	struct made *m = *state;

	write_file(m, forms[0]);
	assert_false(add(m, "new", "r"));
	expect_file(m, forms[0]);
	assert_false(users_remove(m->file, bytes_str("a"), &m->complaints));
	expect_file(m, forms[0]);
	write_file(m, forms[1]);
	assert_false(users_remove(m->file, bytes_str("b"), &m->complaints));
	expect_file(m, forms[1]);
	write_file(m, forms[2]);
	assert_false(users_set_password(m->file, bytes_str("b"), bytes_str("pw"), &m->complaints));
	expect_file(m, forms[2]);
}

static void test_remove(void **state)
{
	static const struct {
		const char *before, *after; /* without user "b" */
	} removed[] = {
		{"users:\n  b: {roles: [x]}\n", "users:\n"},
		{"users:\n  b: {roles: [x]}", "users:\n"},
		{"users:\n  # a's\n  a: {roles: [x]}\n  # b's\n  b:\n    roles:\n      # inner\n"
		 "      - x\n\n  # c's\n  c: {roles: [x]} # end\n",
			"users:\n  # a's\n  a: {roles: [x]}\n  # b's\n\n  # c's\n"
			"  c: {roles: [x]} # end\n"},
		{"users:\r\n  b: {roles: [x]}\r\n  é: {roles: [x]}\r\n",
			"users:\r\n  é: {roles: [x]}\r\n"},
		{"users:\n  a: {roles: [x]}\n  b: {roles: [x],\n    purpose: y}\n# end\n",
			"users:\n  a: {roles: [x]}\n# end\n"},
	};
	struct made *m = *state;

	for (size_t i = 0; i < COUNT_OF(removed); i++) {
		write_file(m, removed[i].before);
		assert_true(users_remove(m->file, bytes_str("b"), &m->complaints));
		expect_file(m, removed[i].after);
		expect_mode(m);
		assert_false(users_remove(m->file, bytes_str("b"), &m->complaints));
		expect_file(m, removed[i].after);
	}
	chmod(m->file, 0660);
	assert_false(users_remove(m->file, bytes_str("a"), &m->complaints));
}

static void expect_password(const struct made *m, const char *name, const char *password)
{
	struct complaints complaints;
	struct users *users;
	const struct user *user;
	uint8_t salted[32], key[32], stored[32];

	complaints_init(&complaints);
	users = users_load(m->file, &complaints);
	assert_non_null(users);
	user = users_find(users, bytes_str(name));
	PKCS5_PBKDF2_HMAC(password, (int)strlen(password), user->scram.salt.at,
		(int)user->scram.salt.len, SCRAM_ITERATIONS, EVP_sha256(), sizeof(salted), salted);
	crypto_auth_hmacsha256(key, (const uint8_t *)"Client Key", 10, salted);
	crypto_hash_sha256(stored, key, sizeof(key));
	assert_memory_equal(stored, user->scram.stored_key, sizeof(stored));
	crypto_auth_hmacsha256(key, (const uint8_t *)"Server Key", 10, salted);
	assert_memory_equal(key, user->scram.server_key, sizeof(key));
	users_unref(users);
	complaints_fini(&complaints);
}

static void test_set_password(void **state)
{
	static const struct {
		const char *before;
		const char *head, *tail; /* what stays around the new verifier */
	} changed[] = {
		{"users:\n  b: {roles: [x]} # he\n  c: {roles: [y]}\n",
			"users:\n  b: {scram-sha-256: \"",
			"\", roles: [x]} # he\n  c: {roles: [y]}\n"},
		{"users:\n  b: {roles: [é], scram-sha-256: \"" OLD "\", purpose: p}\n",
			"users:\n  b: {roles: [é], scram-sha-256: \"", "\", purpose: p}\n"},
		{"users:\n  b: {scram-sha-256: '" OLD "', roles: [é]}\n",
			"users:\n  b: {scram-sha-256: \"", "\", roles: [é]}\n"},
		{"users:\n  b:\n    roles: [x]\n    scram-sha-256: " OLD " # old\n",
			"users:\n  b:\n    roles: [x]\n    scram-sha-256: \"", "\" # old\n"},
		{"users:\n  b:\n    # inner\n    roles: [x]\n  c: {roles: [y]}\n",
			"users:\n  b:\n    # inner\n    scram-sha-256: \"",
			"\"\n    roles: [x]\n  c: {roles: [y]}\n"},
	};
	struct made *m = *state;

	for (size_t i = 0; i < COUNT_OF(changed); i++) {
		char *text;

		write_file(m, changed[i].before);
		assert_true(users_set_password(
			m->file, bytes_str("b"), bytes_str("pencil"), &m->complaints));
		text = read_file(m);
		assert_memory_equal(text, changed[i].head, strlen(changed[i].head));
		assert_string_equal(text + strlen(text) - strlen(changed[i].tail), changed[i].tail);
		assert_null(strstr(text, KEY));
		free(text);
		expect_password(m, "b", "pencil");
		expect_mode(m);
	}
	assert_false(users_set_password(m->file, bytes_str("d"), bytes_str("x"), &m->complaints));
}

static void test_passwords_are_prepared(void **state)
{
	struct made *m = *state;
	char password[1026];

	write_file(m, "users:\n  b: {roles: [x]}\n");
	/* RFC 4013: the soft hyphen goes, NBSP becomes a space, compatibility forms fold. */
	assert_true(users_set_password(m->file, bytes_str("b"),
		bytes_str("I\xc2\xadX\xc2\xa0\xe2\x85\xa8"), &m->complaints));
	expect_password(m, "b", "IX IX");
	/* Prohibited: a control character; direction that mixes; nothing that stays. */
	assert_false(
		users_set_password(m->file, bytes_str("b"), bytes_str("\x07"), &m->complaints));
	assert_false(users_set_password(
		m->file, bytes_str("b"), bytes_str("\xd8\xa7\x31"), &m->complaints));
	assert_false(
		users_set_password(m->file, bytes_str("b"), bytes_str("\xc2\xad"), &m->complaints));
	assert_false(
		users_set_password(m->file, bytes_str("b"), bytes_str("\xff"), &m->complaints));
	assert_false(users_set_password(m->file, bytes_str("b"), bytes_str(""), &m->complaints));
	assert_false(
		users_set_password(m->file, bytes_str("b"), bytes_of("a\0b", 3), &m->complaints));
	memset(password, 'p', sizeof(password));
	assert_false(users_set_password(
		m->file, bytes_str("b"), bytes_of(password, 1025), &m->complaints));
	expect_password(m, "b", "IX IX");
	assert_true(users_set_password(
		m->file, bytes_str("b"), bytes_of(password, 1024), &m->complaints));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_add, make, unmake),
		cmocka_unit_test_setup_teardown(test_add_to_no_file, make, unmake),
		cmocka_unit_test_setup_teardown(test_add_all_of_a_user, make, unmake),
		cmocka_unit_test_setup_teardown(test_add_refuses, make, unmake),
		cmocka_unit_test_setup_teardown(test_forms_that_stay, make, unmake),
		cmocka_unit_test_setup_teardown(test_remove, make, unmake),
		cmocka_unit_test_setup_teardown(test_set_password, make, unmake),
		cmocka_unit_test_setup_teardown(test_passwords_are_prepared, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
