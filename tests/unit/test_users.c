#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/users_file.h"
#include "util/file.h"
#include "util/memory.h"
#include "util/yaml.h"

#define SALT       "W22ZaJ0SNY7soEsUEjb6gQ=="
#define KEY        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
#define KEYS       KEY ":" KEY
#define HINT       " (set the password anew: mongoward user passwd)\n"
#define NO_SALT    "scram-sha-256: the salt is not base64 of 1 to 64 bytes" HINT
#define NO_COUNT   "scram-sha-256: the iterations are not a number from 4096 to 1000000" HINT
#define STORED     "scram-sha-256: the StoredKey is not base64 of 32 bytes" HINT
#define SERVER     "scram-sha-256: the ServerKey is not base64 of 32 bytes" HINT
#define KNOWN      " (known are roles, attributes, purpose, x509 and scram-sha-256)\n"
#define USER(rest) "users: {a: {roles: [r], " rest "}}"
#define SCRAM(v)   USER("scram-sha-256: \"" v "\"")

static struct users *parse(const char *text, struct complaints *complaints)
{
	complaints_init(complaints);
	return users_parse("u.yaml", bytes_str(text), complaints);
}

static void test_all_of_a_user(void **state)
{
	struct complaints complaints;
	struct users *users =
		parse("users:\n"
		      "  dr.martin: {roles: [doctor, é], attributes: {hospital: H-NORD, "
		      "ward: 007}, scram-sha-256: \"15000:" SALT ":" KEYS "\"}\n"
		      "  app:\n"
		      "    roles: [billing]\n"
		      "    purpose: payment\n"
		      "    x509: \"CN=billing,OU=apps,O=hospital\"\n",
			&complaints);
	const struct user *martin, *app;

	(void)state;
	assert_non_null(users);
	assert_int_equal(users_count(users), 2);
	martin = users_find(users, bytes_str("dr.martin"));
	assert_ptr_equal(martin, users_at(users, 0));
	assert_int_equal(martin->nroles, 2);
	assert_true(bytes_equal_str(martin->roles[1], "é"));
	assert_int_equal(martin->nattributes, 2);
	assert_true(bytes_equal_str(martin->attributes[1].name, "ward"));
	assert_true(bytes_equal_str(martin->attributes[1].value, "007"));
	assert_int_equal(martin->scram.iterations, 15000);
	assert_int_equal(martin->scram.salt.len, 16);
	assert_int_equal(martin->scram.stored_key[0], 0x58);
	assert_int_equal(martin->at.line, 2);
	assert_int_equal(martin->at.column, 3);
	assert_string_equal(martin->at.file, "u.yaml");
	assert_int_equal(martin->purpose.len, 0);
	app = users_find_x509(users, bytes_str("CN=billing,OU=apps,O=hospital"));
	assert_ptr_equal(app, users_at(users, 1));
	assert_true(bytes_equal_str(app->purpose, "payment"));
	assert_int_equal(app->scram.iterations, 0);
	assert_null(users_find(users, bytes_str("dr.marti")));
	assert_null(users_find_x509(users, bytes_str("")));
	assert_null(users_find_x509(users, bytes_str("CN=billing")));
	assert_ptr_equal(users_ref(users), users);
	users_unref(users);
	users_unref(users);
	complaints_fini(&complaints);
}

static const struct {
	const char *name, *text;
	const char *complaint; /* behind "u.yaml:"; NULL: it is read */
} cases[] = {
	{"no users", "users:\n", NULL},
	{"an empty map", "users: {}\n", NULL},
	{"an empty file", "", "1:1: the file has no users (begin with `users:`)\n"},
	{"a list", "users: [a]",
		"1:8: users is not a map of at most 100000 users (users: {name: {roles: "
		"[doctor]}})\n"},
	{"another key", "users: {}\nfoo: 1\n", "2:1: the file has no 'foo' (known is users)\n"},
	{"oidc", "users: {}\noidc: []\n",
		"2:1: oidc is not supported by this version (leave it out)\n"},
	{"a user twice", "users:\n  a: {roles: [r]}\n  a: {roles: [r]}\n",
		"3:3: the key 'a' stands here and at line 2 (keep one of them)\n"},
	{"an alias", "users: {a: &x {roles: [r]}, b: *x}\n",
		"1:12: anchors are not allowed (write the value out)\n"},
	{"no map", "users: {a: 1}", "1:12: a user is not a map ({roles: [doctor]})\n"},
	{"no roles", "users: {a: {purpose: x}}", "1:9: user a has no roles (roles: [doctor])\n"},
	{"empty roles", "users: {a: {roles: []}}",
		"1:20: roles is not a list of 1 to 64 names (roles: [doctor])\n"},
	{"a role that is none", "users: {a: {roles: [[x]]}}",
		"1:21: the role is not a text (write a text)\n"},
	{"an empty role", "users: {a: {roles: [\"\"]}}", "1:21: the role is empty\n"},
	{"a role twice", "users: {a: {roles: [x, x]}}",
		"1:24: the role x stands twice (keep one of them)\n"},
	{"a control character", "users: {a: {roles: [\"x\\n\"]}}",
		"1:21: the role holds a control character\n"},
	{"a control character of C1", "users: {a: {roles: [\"\\x85\"]}}",
		"1:21: the role holds a control character\n"},
	{"a control character in a name", "users: {\"a\\tb\": {roles: [x]}}",
		"1:9: the user's name holds a control character\n"},
	{"an unknown key", USER("role: x"), "1:25: a user has no 'role'" KNOWN},
	{"attributes", USER("attributes: [x]"),
		"1:37: attributes is not a map of at most 64 texts (attributes: {hospital: "
		"H-NORD})\n"},
	{"an empty attribute", USER("attributes: {k: \"\"}"), "1:41: the attribute is empty\n"},
	{"no attribute", USER("attributes: {k: }"),
		"1:38: the attribute is not a text (write a text)\n"},
	{"an empty purpose", USER("purpose: \"\""), "1:34: the purpose is empty\n"},
	{"a certificate twice",
		"users:\n  a: {roles: [r], x509: CN=a}\n"
		"  b: {roles: [r], x509: CN=a}\n",
		"3:25: user a at line 2 has the same certificate (a certificate speaks for one "
		"user)\n"},
	{"least iterations", SCRAM("4096:" SALT ":" KEYS), NULL},
	{"most iterations", SCRAM("1000000:" SALT ":" KEYS), NULL},
	{"too few iterations", SCRAM("4095:" SALT ":" KEYS), "1:40: " NO_COUNT},
	{"too many iterations", SCRAM("1000001:" SALT ":" KEYS), "1:40: " NO_COUNT},
	{"far too many iterations", SCRAM("4294971392:" SALT ":" KEYS), "1:40: " NO_COUNT},
	{"a sign", SCRAM("+15000:" SALT ":" KEYS), "1:40: " NO_COUNT},
	{"a leading zero", SCRAM("015000:" SALT ":" KEYS), "1:40: " NO_COUNT},
	{"no iterations", SCRAM(""), "1:40: " NO_COUNT},
	{"no salt", SCRAM("15000::" KEYS), "1:40: " NO_SALT},
	{"no base64", SCRAM("15000:W22Z*J0SNY7soEsUEjb6gQ==:" KEYS), "1:40: " NO_SALT},
	{"no padding", SCRAM("15000:W22ZaJ0SNY7soEsUEjb6gQ:" KEYS), "1:40: " NO_SALT},
	{"stray bits", SCRAM("15000:W22ZaJ0SNY7soEsUEjb6gR==:" KEYS), "1:40: " NO_SALT},
	{"a short key", SCRAM("15000:" SALT ":" SALT ":" KEY), "1:40: " STORED},
	{"one key", SCRAM("15000:" SALT ":" KEY), "1:40: " SERVER},
	{"five fields", SCRAM("15000:" SALT ":" KEYS ":x"), "1:40: " SERVER},
	{"no text", USER("scram-sha-256: {}"), "1:40: scram-sha-256 is not a text" HINT},
	{"all at once", "users:\n  a: {role: [x], roles: [r]}\n  b: 1\noidc: 1\n",
		"2:7: a user has no 'role'" KNOWN
		"u.yaml:3:6: a user is not a map ({roles: [doctor]})\n"
		"u.yaml:4:1: oidc is not supported by this version (leave it out)\n"},
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct complaints complaints;
		struct users *users = parse(cases[i].text, &complaints);
		char *said = memory_text(buf_bytes(&complaints.lines));
		char *expected = cases[i].complaint ? memory_format("u.yaml:%s", cases[i].complaint)
						    : memory_text(bytes_of("", 0));

		if (strcmp(said, expected) != 0)
			print_error("%s: %s\n", cases[i].name, said);
		assert_string_equal(said, expected);
		assert_int_equal(users != NULL, cases[i].complaint == NULL);
		users_unref(users);
		free(said);
		free(expected);
		complaints_fini(&complaints);
	}
}

/* A user with `roles` roles, a name of `name` bytes, `attributes` attributes. */
static bool is_read(size_t name, size_t roles, size_t attributes)
{
	struct complaints complaints;
	struct users *users;
	struct buf text;

	buf_init(&text, 1 << 16);
	buf_put_str(&text, "users: {? ");
	for (size_t i = 0; i < name; i++)
		buf_put_str(&text, "n");
	buf_put_str(&text, " : {roles: [");
	for (size_t i = 0; i < roles; i++)
		buf_put_format(&text, "r%zu,", i);
	buf_put_str(&text, "], attributes: {");
	for (size_t i = 0; i < attributes; i++)
		buf_put_format(&text, "k%zu: v,", i);
	buf_put_str(&text, "}}}");
	complaints_init(&complaints);
	users = users_parse("u.yaml", buf_bytes(&text), &complaints);
	buf_fini(&text);
	complaints_fini(&complaints);
	users_unref(users);
	return users != NULL;
}

static void test_limits(void **state)
{
	(void)state;
	assert_true(is_read(USER_NAME_MAX, 64, 64));
	assert_false(is_read(USER_NAME_MAX + 1, 64, 64));
	assert_false(is_read(USER_NAME_MAX, 65, 64));
	assert_false(is_read(USER_NAME_MAX, 64, 65));
}

static void test_many_users(void **state)
{
	static const size_t counts[] = {20000, USERS_MAX, USERS_MAX + 1};

	(void)state;
	for (size_t k = 0; k < COUNT_OF(counts); k++) {
		struct complaints complaints;
		struct users *users;
		struct buf text;

		buf_init(&text, YAML_FILE_MAX);
		buf_put_str(&text, "users:\n");
		for (size_t i = 0; i < counts[k]; i++)
			buf_put_format(&text, "  user%zu: {roles: [r]}\n", i);
		complaints_init(&complaints);
		users = users_parse("u.yaml", buf_bytes(&text), &complaints);
		assert_int_equal(users != NULL, counts[k] <= USERS_MAX);
		assert_true(!users || users_count(users) == counts[k]);
		assert_true(!users || users_find(users, bytes_str("user19999")));
		users_unref(users);
		complaints_fini(&complaints);
		buf_fini(&text);
	}
}

static void expect_load(const char *file, bool good, const char *complaint)
{
	struct complaints complaints;
	struct users *users;

	complaints_init(&complaints);
	users = users_load(file, &complaints);
	assert_int_equal(users != NULL, good);
	buf_put_u8(&complaints.lines, 0);
	assert_non_null(strstr((const char *)complaints.lines.at, complaint));
	complaints_fini(&complaints);
	users_unref(users);
}

static void test_files(void **state)
{
	char folder[] = "/tmp/test_users.XXXXXX", *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	file = memory_format("%s/users.yaml", folder);
	expect_load(file, false, "cannot be read");
	expect_load(folder, false, "is not a file");
	assert_true(file_create(file, bytes_str("users:\n"), 0600));
	expect_load(file, true, "");
	chmod(file, 0644);
	expect_load(file, true, "");
	chmod(file, 0620);
	expect_load(file, false, "others than its owner may write the file (chmod go-w it)");
	chmod(file, 0602);
	expect_load(file, false, "others than its owner");
	unlink(file);
	rmdir(folder);
	free(file);
}

static void test_hash_follows_every_byte(void **state)
{
	struct complaints complaints;
	struct users *a = parse("users:\n", &complaints), *b = parse("users: \n", &complaints),
		     *c = parse("users:\n", &complaints);

	(void)state;
	assert_memory_not_equal(users_hash(a), users_hash(b), 32);
	assert_memory_equal(users_hash(a), users_hash(c), 32);
	users_unref(a);
	users_unref(b);
	users_unref(c);
	complaints_fini(&complaints);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_a_user),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many_users),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_hash_follows_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
