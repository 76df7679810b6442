#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/config_values.h"
#include "util/file.h"
#include "util/memory.h"

/* A file in which nothing is wrong; cases put lines in front of it or replace parts. */
#define LISTEN   "listen: {tls: {certificate: c.pem, key: c.key}}\n"
#define UPSTREAM "upstream: {uri: \"mongodb://db.example/\"}\n"
#define PARTS    "policy: p\nusers: u.yaml\n"
#define KEYS     "keys: {provider: {type: local, file: m.key}}\n"
#define AUDIT    "audit: {directory: a, signing_key: s.key, witness: [\"file:w\"]}\n"
#define REST     PARTS KEYS AUDIT
#define WHOLE    LISTEN UPSTREAM REST
#define LISTEN_EXTRA(more) \
	"listen: {tls: {certificate: c.pem, key: c.key}, " more "}\n" UPSTREAM REST
#define ADA          "f34bb21d06c9e492f3036e85744408f8773eb4e9160380bfcbeaea9f6da8624e"
#define BOB          "9df26c96793238a2bc514ed500e7fc404ab12cf2021ae31b503c8f616b749e1b"
#define POLICY(more) LISTEN UPSTREAM KEYS AUDIT "users: u\npolicy: {directory: d, " more "}\n"
#define AUDIT_OF(more) \
	"audit: {directory: a, signing_key: s.key, witness: [\"file:w\"], " more "}\n"

static struct config *parse(const char *text, struct complaints *complaints)
{
	complaints_init(complaints);
	return config_parse("dir/f.yaml", bytes_str(text), complaints);
}

/* What is complained about, all of it, behind "dir/f.yaml"; NULL: nothing. */
static const struct {
	const char *name;
	const char *text;
	const char *said;
} cases[] = {
	{"a whole file", WHOLE, NULL},
	{"several mistakes at once",
		"a: 1\nworkers: many\nlimits: {idle: 3}\nlog: {level: loud}\n" WHOLE,
		":1:1: unknown key 'a' (see mongoward.yaml(5))\n"
		":3:16: 'limits.idle' needs a time (500ms, 2s, 10m, 24h)\n"
		":2:10: 'workers' needs a whole number\n"
		":4:14: 'log.level' cannot be 'loud' in this version (error warning info debug)\n"},
	{"a key that stands twice", "users: a\n" WHOLE,
		":5:1: the key 'users' stands here and at line 1 (keep one of them)\n"},
	{"no mapping", "[1]\n", ":1:1: options are expected (write it as `key: value`)\n"},
	{"an unknown key within", "limits: {message: 48MB, speed: 3}\n" WHOLE,
		":1:25: unknown key 'limits.speed' (see mongoward.yaml(5))\n"},
	{"a section without options", "limits: 3\n" WHOLE,
		":1:9: 'limits' holds options (write it as `key: value`)\n"},
	{"an empty value", "instance:\n" WHOLE, ":1:1: 'instance' needs a single value\n"},
	{"a list instead of a value", "instance: [a]\n" WHOLE,
		":1:11: 'instance' needs a single value\n"},
	{"a proxy protocol", LISTEN_EXTRA("proxy_protocol: true"),
		":1:49: 'listen.proxy_protocol' is not supported by this version "
		"(leave it out)\n"},
	{"buckets",
		LISTEN UPSTREAM PARTS AUDIT
		"keys: {provider: {type: local, file: m.key}, buckets: b}\n",
		":6:46: 'keys.buckets' is not supported by this version (leave it "
		"out)\n"},
	{"another provider of keys",
		LISTEN UPSTREAM PARTS AUDIT "keys: {provider: {type: aws-kms, file: f}}\n",
		":6:25: 'keys.provider.type' cannot be 'aws-kms' in this version (local)\n"},
	{"users as a mapping", LISTEN UPSTREAM KEYS AUDIT "policy: d\nusers: {file: u}\n",
		":6:1: 'users' in this form is not supported by this version (give it a single "
		"value)\n"},
	{"a policy with signers", POLICY("signers: [" ADA ", " BOB "], threshold: 2"), NULL},
	{"signers without a threshold", POLICY("signers: [" ADA "]"),
		":6:33: 'policy.threshold' is missing (threshold: 2)\n"},
	{"a threshold without signers", POLICY("threshold: 1"),
		":6:35: 'policy.signers' is missing (signers: [keys/ada.pub])\n"},
	{"a threshold above the signers", POLICY("threshold: 3, signers: [" ADA ", " BOB "]"),
		":6:35: policy.threshold is above the number of signers (lower it)\n"},
	{"no threshold at all", POLICY("threshold: 0, signers: [" ADA "]"),
		":6:35: 'policy.threshold' is 0; 1 to 64 are allowed\n"
		":6:47: 'policy.threshold' is missing (threshold: 2)\n"},
	{"no signers at all", POLICY("threshold: 1, signers: []"),
		":6:47: no signer is named (leave it out if nothing needs a seal)\n"},
	{"the same signer twice", POLICY("threshold: 2, signers: [" ADA ", " ADA "]"),
		":6:47: the signer " ADA " stands twice (keep one of them)\n"},
	{"a signer that is not there", POLICY("threshold: 1, signers: [a.pub]"),
		":6:47: the signer dir/a.pub: No such file or directory (64 hex digits, or a file "
		"that holds them)\n"},
	{"a signer whose file holds something else",
		POLICY("threshold: 1, signers: [/proc/self/comm]"),
		":6:47: the signer /proc/self/comm holds no public key of 64 hex digits (mongoward "
		"policy seal --new-key FILE)\n"},
	{"a policy in both forms",
		LISTEN UPSTREAM KEYS AUDIT "users: u\npolicy: {directory: d, folder: e}\n",
		":6:24: unknown key 'policy.folder' (see mongoward.yaml(5))\n"},
	{"a policy without a folder",
		LISTEN UPSTREAM KEYS AUDIT "users: u\npolicy: {signers: [" ADA "], threshold: 1}\n",
		": 'policy' is missing (policy: policies/hospital)\n"},
	{"another sink", LISTEN UPSTREAM PARTS KEYS AUDIT_OF("collection: db.c"),
		":6:64: 'audit.collection' is not supported by this version (leave it "
		"out)\n"},
	{"a reserve", LISTEN UPSTREAM PARTS KEYS AUDIT_OF("reserve: 1GB"), NULL},
	{"no reserve", LISTEN UPSTREAM PARTS KEYS AUDIT_OF("reserve: 0"), NULL},
	{"a reserve that is too large", LISTEN UPSTREAM PARTS KEYS AUDIT_OF("reserve: 1001MB"),
		":6:73: 'audit.reserve' is 1001MB; 0 to 1GB are allowed\n"},
	{"a syslog, a reader's key",
		LISTEN UPSTREAM PARTS KEYS AUDIT_OF("reserve: 1, syslog: 2, reader_key: 3"),
		":6:76: 'audit.syslog' is not supported by this version (leave it "
		"out)\n"
		":6:87: 'audit.reader_key' is not supported by this version (leave it "
		"out)\n"},
	{"no certificate", UPSTREAM REST,
		": 'listen.tls.certificate' is missing (or say listen.insecure: true for plain "
		"TCP)\n"
		": 'listen.tls.key' is missing\n"},
	{"plain TCP on request", "listen: {insecure: true}\n" UPSTREAM REST, NULL},
	{"plain TCP and TLS", LISTEN_EXTRA("insecure: true"),
		":1:59: listen.insecure and listen.tls exclude each other (leave out one of the "
		"two)\n"},
	{"an old version of TLS",
		"listen: {tls: {certificate: c, key: k, min_version: 1.1}}\n" UPSTREAM REST,
		":1:53: 'listen.tls.min_version' cannot be '1.1' in this version (1.3 1.2)\n"},
	{"no address", LISTEN_EXTRA("address: here"),
		":1:58: 'here' is no ADDRESS:PORT (0.0.0.0:27017)\n"},
	{"a port too high", "admin: {address: \"127.0.0.1:65536\"}\n" WHOLE,
		":1:18: '127.0.0.1:65536' is no ADDRESS:PORT (127.0.0.1:9090)\n"},
	{"no upstream", LISTEN REST,
		": 'upstream.uri' is missing (upstream: {uri: mongodb+srv://…})\n"},
	{"two upstreams", LISTEN REST "upstream: {uri: \"mongodb://a/\", uri_env: X}\n",
		":6:17: uri, uri_env and uri_file exclude each other (upstream: {uri: "
		"mongodb+srv://…})\n"},
	{"a password in the URI", LISTEN REST "upstream: {uri: \"mongodb://u:geheim@a/\"}\n",
		":6:17: a password stands in the URI (take it out, and name password_file or "
		"password_env)\n"},
	{"an empty password in the URI", LISTEN REST "upstream: {uri: \"mongodb+srv://u:@a\"}\n",
		":6:17: a password stands in the URI (take it out, and name password_file or "
		"password_env)\n"},
	{"a user and ports in the URI",
		LISTEN REST "upstream: {uri: \"mongodb://u@a:1,b:2/?x=@:\"}\n", NULL},
	{"two passwords",
		LISTEN REST
		"upstream: {uri: \"mongodb://u@a/\", password_env: A, password_file: b}\n",
		":6:49: password_env and password_file exclude each other (keep one of them)\n"},
	{"a variable that is not set",
		LISTEN REST "upstream: {uri: \"mongodb://u@a/\", password_env: NOT_SET_AT_ALL}\n",
		":6:49: the variable 'NOT_SET_AT_ALL' is not set, or too long\n"},
	{"a file that is not there",
		LISTEN REST "upstream: {uri: \"mongodb://u@a/\", password_file: /nowhere/at}\n",
		":6:50: /nowhere/at: No such file or directory\n"},
	{"a pool upside down",
		LISTEN REST "upstream: {uri: \"mongodb://a/\", pool: {min: 2, max: 1}}\n",
		":6:45: upstream.pool.min is above upstream.pool.max (lower it)\n"},
	{"a budget for no message", "limits: {memory: 17MB}\n" WHOLE,
		":1:18: limits.memory is below limits.message: the largest message never fits "
		"(raise it)\n"},
	{"no vault", LISTEN UPSTREAM PARTS AUDIT "keys: {provider: {file: m.key}, vault: keys}\n",
		":6:40: 'keys' is not DATABASE.COLLECTION (encryption.__keyVault)\n"},
	{"no keys", LISTEN UPSTREAM PARTS AUDIT,
		": 'keys.provider.file' is missing (mongoward init makes one)\n"},
	{"strict with standard output only",
		LISTEN UPSTREAM PARTS KEYS
		"audit: {stdout: true, signing_key: s, witness: [stdout, \"file:w\"]}\n",
		": the audit log needs a folder; standard output alone keeps nothing "
		"(audit.directory: audit/)\n"},
	{"a witness that cannot be read back",
		LISTEN UPSTREAM PARTS KEYS
		"audit: {directory: a, signing_key: s, witness: [stdout]}\n",
		":6:48: a witness is missing that a start can read back (audit.witness: "
		"[\"file:PATH\"])\n"},
	{"no witness", LISTEN UPSTREAM PARTS KEYS "audit: {directory: a, signing_key: s}\n",
		": a witness is missing that a start can read back (audit.witness: "
		"[\"file:PATH\"])\n"},
	{"another witness",
		LISTEN UPSTREAM PARTS KEYS
		"audit: {directory: a, signing_key: s, witness: [\"file:w\", \"s3:b\"]}\n",
		":6:48: 's3:b' is no witness that this version writes to (stdout or file:PATH)\n"},
	{"no signing key",
		LISTEN UPSTREAM PARTS KEYS "audit: {directory: a, witness: [\"file:w\"]}\n",
		": 'audit.signing_key' is missing (mongoward init makes one)\n"},
	{"a name that is none", "instance: \"a b\"\n" WHOLE,
		":1:11: 'a b' cannot name an audit chain (letters, digits, dots, dashes and "
		"underscores, at most 63)\n"},
	{"yes is no truth", LISTEN_EXTRA("insecure: yes"),
		":1:59: 'listen.insecure' is true or false\n"},
	{"a list with a comma in it",
		LISTEN UPSTREAM PARTS KEYS
		"audit: {directory: a, signing_key: s, witness: [\"file:a,b\", \"file:w\"]}\n",
		":6:49: a text without a comma is expected\n"},
};

static void check_case(size_t i)
{
	struct complaints complaints;
	struct config *c = parse(cases[i].text, &complaints);
	struct buf expected;
	const char *line = cases[i].said, *end;

	buf_init(&expected, 65536);
	for (; line && *line; line = end + 1) {
		end = strchr(line, '\n');
		buf_put_str(&expected, "dir/f.yaml");
		buf_put(&expected, bytes_of(line, (size_t)(end - line) + 1));
	}
	buf_put_u8(&expected, 0);
	buf_put_u8(&complaints.lines, 0);
	assert_string_equal((const char *)complaints.lines.at, (const char *)expected.at);
	assert_int_equal(c == NULL, cases[i].said != NULL);
	config_free(c);
	buf_fini(&expected);
	complaints_fini(&complaints);
}

static void test_complaints(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		print_message("%s\n", cases[i].name);
		check_case(i);
	}
}

static void test_defaults(void **state)
{
	struct complaints complaints;
	struct config *c = parse(WHOLE, &complaints);

	(void)state;
	assert_non_null(c);
	assert_true(config_is_name(c->instance));
	assert_ptr_equal(c->instance, c->audit.instance);
	assert_string_equal(c->listen.address, "0.0.0.0:27017");
	assert_string_equal(c->listen.tls.certificate, "dir/c.pem");
	assert_null(c->listen.tls.client_ca);
	assert_false(c->listen.tls.allow_tls12);
	assert_false(c->listen.insecure);
	assert_string_equal(c->upstream.uri, "mongodb://db.example/");
	assert_null(c->upstream.password);
	assert_int_equal(c->upstream.pool_max, 100);
	assert_int_equal(c->upstream.pool_min, 0);
	assert_int_equal(c->upstream.pool_wait_us, 2000000);
	assert_int_equal(c->upstream.pool_idle_us, 600000000);
	assert_string_equal(c->policy, "dir/p");
	assert_string_equal(c->keys.vault, "encryption.__keyVault");
	assert_false(c->keys.require_mlock);
	assert_int_equal(c->audit.durability, AUDIT_STRICT);
	assert_int_equal(c->audit.rotate_size, 256000000);
	assert_int_equal(c->audit.rotate_age_us, 86400000000);
	assert_int_equal(c->audit.checkpoint_records, 1000);
	assert_int_equal(c->audit.checkpoint_every_us, 2000000);
	assert_int_equal(c->audit.nwitness_files, 1);
	assert_string_equal(c->audit.witness_files[0], "dir/w");
	assert_false(c->audit.witness_stdout);
	assert_null(c->admin_address);
	assert_int_equal(c->limits.connections, 10000);
	assert_int_equal(c->limits.message, 48000000);
	assert_int_equal(c->limits.memory, 192000000);
	assert_int_equal(c->limits.idle_us, 1800000000);
	assert_int_equal(c->workers, 0);
	assert_int_equal(c->log.level, LOG_INFO);
	assert_int_equal(c->log.format, LOG_TEXT);
	config_free(c);
	complaints_fini(&complaints);
}

static void test_values(void **state)
{
	struct complaints complaints;
	struct config *c =
		parse("instance: mw-7\nworkers: 3\n"
		      "admin: {address: \"[::1]:0\"}\n"
		      "log: {level: debug, format: json}\n"
		      "listen: {address: \"127.0.0.1:1\", tls: {certificate: /c, key: k, "
		      "client_ca: a, min_version: \"1.2\"}}\n" UPSTREAM PARTS KEYS
		      "audit: {directory: /a, signing_key: s, durability: flush, stdout: true, "
		      "witness: [stdout, \"file:/w\", \"file:v\"], rotate: {size: 10kB, age: "
		      "0s}}\n",
			&complaints);

	(void)state;
	assert_non_null(c);
	assert_string_equal(c->instance, "mw-7");
	assert_int_equal(c->workers, 3);
	assert_string_equal(c->admin_address, "[::1]:0");
	assert_int_equal(c->log.level, LOG_DEBUG);
	assert_int_equal(c->log.format, LOG_JSON);
	assert_string_equal(c->listen.tls.certificate, "/c");
	assert_string_equal(c->listen.tls.client_ca, "dir/a");
	assert_true(c->listen.tls.allow_tls12);
	assert_string_equal(c->audit.directory, "/a");
	assert_int_equal(c->audit.durability, AUDIT_FLUSH);
	assert_true(c->audit.to_stdout);
	assert_true(c->audit.witness_stdout);
	assert_int_equal(c->audit.nwitness_files, 2);
	assert_string_equal(c->audit.witness_files[0], "/w");
	assert_string_equal(c->audit.witness_files[1], "dir/v");
	assert_int_equal(c->audit.rotate_size, 10000);
	assert_int_equal(c->audit.rotate_age_us, 0);
	config_free(c);
	complaints_fini(&complaints);
}

/* Both bounds of every number in config.def, by the environment, and the values beyond. */
static void put_number(char out[40], const struct config_row *row, uint64_t value)
{
	const char *unit = row->kind == CONFIG_DURATION ? "ms" : "";

	snprintf(out, 40, "%llu%s", (unsigned long long)value, unit);
}

static void variable_of(const struct config_row *row, char out[128])
{
	snprintf(out, 128, "MONGOWARD_%s", row->path);
	for (char *p = out + strlen("MONGOWARD_"); *p; p++)
		*p = *p == '.' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
}

/* Only the row's own complaint counts: two numbers can forbid each other. */
static bool takes(const struct config_row *row, const char *text)
{
	struct complaints complaints;
	char wanted[160], name[128];
	bool taken;

	variable_of(row, name);
	setenv(name, text, 1);
	config_free(parse(WHOLE, &complaints));
	unsetenv(name);
	buf_put_u8(&complaints.lines, 0);
	snprintf(wanted, sizeof(wanted), "environment: %s: '%s' is %s;", name, row->path, text);
	taken = strstr((const char *)complaints.lines.at, wanted) == NULL;
	complaints_fini(&complaints);
	return taken;
}

static void test_bounds(void **state)
{
	char text[40];
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < config_nrows; i++) {
		const struct config_row *row = &config_rows[i];
		uint64_t step = row->kind == CONFIG_DURATION ? 1000 : 1;

		if (row->kind != CONFIG_COUNT && row->kind != CONFIG_SIZE &&
			row->kind != CONFIG_DURATION)
			continue;
		seen++;
		put_number(text, row, row->low / step);
		assert_true(takes(row, text));
		put_number(text, row, row->high / step);
		assert_true(takes(row, text));
		put_number(text, row, row->high / step + 1);
		assert_false(takes(row, text));
		if (row->low) {
			put_number(text, row, row->low / step - 1);
			assert_false(takes(row, text));
		}
	}
	assert_true(seen > 15);
}

static void test_units(void **state)
{
	uint64_t v;

	(void)state;
	assert_true(config_parse_size("0", &v) && v == 0);
	assert_true(config_parse_size("12B", &v) && v == 12);
	assert_true(config_parse_size("3kB", &v) && v == 3000);
	assert_true(config_parse_size("256MB", &v) && v == 256000000);
	assert_true(config_parse_size("2GB", &v) && v == 2000000000);
	assert_true(config_parse_size("18446744073709551615", &v) && v == UINT64_MAX);
	assert_false(config_parse_size("18446744073709551616", &v));
	assert_false(config_parse_size("18446744073709552kB", &v));
	assert_true(config_parse_size("18446744073709551kB", &v));
	assert_true(config_parse_duration("500ms", &v) && v == 500000);
	assert_true(config_parse_duration("2s", &v) && v == 2000000);
	assert_true(config_parse_duration("10m", &v) && v == 600000000);
	assert_true(config_parse_duration("24h", &v) && v == 86400000000);
	assert_false(config_parse_duration("5124095577h", &v));
	static const char *const bad[] = {
		"", "s", "-1s", "+1s", " 1s", "1 s", "1.5s", "1S", "1sec", "0x10", "1", "1KB"};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_false(config_parse_duration(bad[i], &v));
		assert_false(strcmp(bad[i], "1") != 0 && config_parse_size(bad[i], &v));
	}
}

static void expect(const char *text, const char *said)
{
	struct complaints complaints;
	struct config *c = parse(text, &complaints);

	buf_put_u8(&complaints.lines, 0);
	assert_string_equal((const char *)complaints.lines.at, said);
	assert_int_equal(c == NULL, *said != 0);
	config_free(c);
	complaints_fini(&complaints);
}

static void test_environment(void **state)
{
	struct complaints complaints;
	struct config *c;

	(void)state;
	setenv("MONGOWARD_LISTEN_ADDRESS", "127.0.0.1:5", 1);
	setenv("MONGOWARD_AUDIT_WITNESS", "stdout,file:x", 1);
	c = parse(WHOLE, &complaints);
	assert_non_null(c);
	assert_string_equal(c->listen.address, "127.0.0.1:5");
	assert_true(c->audit.witness_stdout);
	assert_string_equal(c->audit.witness_files[0], "dir/x");
	config_free(c);
	complaints_fini(&complaints);
	setenv("MONGOWARD_LISTEN_ADDRESS", "nowhere", 1);
	expect(WHOLE, "environment: MONGOWARD_LISTEN_ADDRESS: 'nowhere' is no ADDRESS:PORT "
		      "(0.0.0.0:27017)\n");
	unsetenv("MONGOWARD_LISTEN_ADDRESS");
	unsetenv("MONGOWARD_AUDIT_WITNESS");
	setenv("MONGOWARD_LISTEN_ADRESS", "127.0.0.1:5", 1);
	expect(WHOLE, "environment: unknown variable 'MONGOWARD_LISTEN_ADRESS' (see "
		      "mongoward.yaml(5))\n");
	unsetenv("MONGOWARD_LISTEN_ADRESS");
}

/* All from the environment, without a file; paths are then relative to where it runs. */
static void test_no_file(void **state)
{
	static const char *const set[][2] = {
		{"MONGOWARD_LISTEN_INSECURE", "true"},
		{"MONGOWARD_UPSTREAM_URI", "mongodb://a/"},
		{"MONGOWARD_POLICY", "p"},
		{"MONGOWARD_USERS", "u.yaml"},
		{"MONGOWARD_KEYS_PROVIDER_FILE", "m.key"},
		{"MONGOWARD_AUDIT_DIRECTORY", "/a"},
		{"MONGOWARD_AUDIT_SIGNING_KEY", "s"},
		{"MONGOWARD_AUDIT_WITNESS", "file:w"},
	};
	struct complaints complaints;
	struct config *c;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(set); i++)
		setenv(set[i][0], set[i][1], 1);
	complaints_init(&complaints);
	c = config_load(NULL, &complaints);
	assert_non_null(c);
	assert_string_equal(c->policy, "p");
	assert_string_equal(c->audit.witness_files[0], "w");
	config_free(c);
	complaints_fini(&complaints);
	for (size_t i = 0; i < COUNT_OF(set); i++)
		unsetenv(set[i][0]);
}

static void test_password_from_the_environment(void **state)
{
	static const char text[] = LISTEN REST
		"upstream: {uri: \"mongodb://u@a/\", password_env: MONGOWARD_UPSTREAM_PASSWORD}\n";
	struct complaints complaints;
	const char *where;

	(void)state;
	setenv("MONGOWARD_UPSTREAM_PASSWORD", "geheim", 1);
	where = getenv("MONGOWARD_UPSTREAM_PASSWORD");
	/* The second time is a reload: the variable is gone by then. */
	for (int i = 0; i < 2; i++) {
		struct config *c = parse(text, &complaints);

		assert_non_null(c);
		assert_string_equal(c->upstream.password, "geheim");
		assert_null(getenv("MONGOWARD_UPSTREAM_PASSWORD"));
		assert_int_equal(where[0], 0); /* wiped where it stood */
		config_free(c);
		complaints_fini(&complaints);
	}
}

static void test_password_file(void **state)
{
	char name[] = "/tmp/mongoward-test-XXXXXX", text[512], said[512];
	int fd = mkstemp(name);
	struct complaints complaints;
	struct config *c;

	(void)state;
	assert_true(fd >= 0);
	assert_true(file_write_all(fd, bytes_str("geheim\r\nmore\n")));
	snprintf(text, sizeof(text), "%supstream: {uri: \"mongodb://u@a/\", password_file: %s}\n",
		LISTEN REST, name);
	c = parse(text, &complaints);
	assert_non_null(c);
	assert_string_equal(c->upstream.password, "geheim");
	config_free(c);
	complaints_fini(&complaints);
	assert_int_equal(fchmod(fd, 0640), 0);
	snprintf(said, sizeof(said),
		"dir/f.yaml:6:50: %s: others than its owner may read or write it; chmod 600 it\n",
		name);
	expect(text, said);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	snprintf(said, sizeof(said), "dir/f.yaml:6:50: %s: holds no text\n", name);
	expect(text, said);
	close(fd);
	unlink(name);
}

static void test_reload(void **state)
{
	struct complaints complaints;
	struct config *now = parse(WHOLE, &complaints);
	struct config *same = parse("log: {level: debug}\n" WHOLE, &complaints);
	struct config *other = parse("workers: 9\n" WHOLE, &complaints);

	(void)state;
	assert_true(config_can_replace(now, same, &complaints));
	assert_int_equal(complaints.count, 0);
	assert_false(config_can_replace(now, other, &complaints));
	buf_put_u8(&complaints.lines, 0);
	assert_string_equal((const char *)complaints.lines.at,
		"reload: 'workers' cannot change while it runs (restart the proxy)\n");
	config_free(now);
	config_free(same);
	config_free(other);
	complaints_fini(&complaints);
}

static void expect_refused_reload(const char *text, const char *fresh, const char *said)
{
	struct complaints complaints;
	struct config *a = parse(text, &complaints), *b = parse(fresh, &complaints);

	assert_true(a && b);
	assert_false(config_can_replace(a, b, &complaints));
	buf_put_u8(&complaints.lines, 0);
	assert_string_equal((const char *)complaints.lines.at, said);
	config_free(a);
	config_free(b);
	complaints_fini(&complaints);
}

#define RESTART " cannot change while it runs (restart the proxy)\n"

/* Who may seal does not change by a reload, in whatever way. */
static void test_signers_stay(void **state)
{
	char name[] = "/tmp/mongoward-test-XXXXXX", text[1024];
	int fd = mkstemp(name);
	struct complaints complaints;
	struct config *a, *b;

	(void)state;
	expect_refused_reload(POLICY("signers: [" ADA "], threshold: 1"), WHOLE,
		"reload: the keys of 'policy.signers'" RESTART "reload: 'policy.signers'" RESTART
		"reload: 'policy.threshold'" RESTART);
	expect_refused_reload(WHOLE, POLICY("signers: [" ADA "], threshold: 1"),
		"reload: the keys of 'policy.signers'" RESTART "reload: 'policy.signers'" RESTART
		"reload: 'policy.threshold'" RESTART);
	expect_refused_reload(POLICY("signers: [" ADA ", " BOB "], threshold: 2"),
		POLICY("signers: [" ADA ", " BOB "], threshold: 1"),
		"reload: 'policy.threshold'" RESTART);
	assert_true(fd >= 0);
	snprintf(text, sizeof(text),
		LISTEN UPSTREAM KEYS AUDIT
		"users: u\npolicy: {directory: d, signers: [%s], threshold: 1}\n",
		name);
	assert_true(file_write_all(fd, bytes_str(ADA "\n")));
	a = parse(text, &complaints);
	assert_non_null(a);
	assert_int_equal(a->trust.nsigners, 1);
	assert_int_equal(a->trust.signers[0][0], 0xf3);
	assert_int_equal(a->trust.threshold, 1);
	assert_int_equal(pwrite(fd, BOB, strlen(BOB), 0), (int)strlen(BOB));
	b = parse(text, &complaints);
	assert_non_null(b);
	assert_false(config_can_replace(a, b, &complaints));
	assert_true(config_can_replace(b, b, &complaints));
	config_free(a);
	config_free(b);
	complaints_fini(&complaints);
	close(fd);
	unlink(name);
}

static void audit_print(const char *text, uint8_t print[SEAL_HASH_LEN])
{
	struct complaints complaints;
	struct config *c = parse(text, &complaints);

	if (!c)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	memcpy(print, c->audit_print, SEAL_HASH_LEN);
	config_free(c);
	complaints_fini(&complaints);
}

/* What a seal says of the audit settings. */
static void test_audit_print(void **state)
{
	static const struct {
		const char *text;
		bool same;
	} others[] = {
		{LISTEN UPSTREAM PARTS KEYS AUDIT_OF("durability: strict"), true},
		{"instance: other\n" WHOLE, true},
		{"log: {level: debug}\n" WHOLE, true},
		{LISTEN UPSTREAM PARTS KEYS AUDIT_OF("durability: none"), false},
		{LISTEN UPSTREAM PARTS KEYS AUDIT_OF("rotate: {size: 1GB}"), false},
		{LISTEN UPSTREAM PARTS KEYS "audit: {directory: b, signing_key: s.key, witness: "
					    "[\"file:w\"]}\n",
			false},
		{LISTEN UPSTREAM PARTS KEYS "audit: {directory: a, signing_key: s.key, witness: "
					    "[stdout, \"file:w\"]}\n",
			false},
	};
	uint8_t print[SEAL_HASH_LEN], other[SEAL_HASH_LEN];
	char name[] = "/tmp/mongoward-test-XXXXXX";
	int fd = mkstemp(name);
	struct complaints complaints;
	struct config *c;

	(void)state;
	audit_print(WHOLE, print);
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		audit_print(others[i].text, other);
		assert_int_equal(memcmp(print, other, sizeof(print)) == 0, others[i].same);
	}
	setenv("MONGOWARD_AUDIT_DURABILITY", "none", 1);
	audit_print(WHOLE, other);
	assert_memory_not_equal(print, other, sizeof(print));
	unsetenv("MONGOWARD_AUDIT_DURABILITY");
	/* The same without what only a proxy has; wherever the file lies. */
	assert_true(file_write_all(fd, bytes_str(PARTS AUDIT "workers: many\n")));
	complaints_init(&complaints);
	c = config_load_sealed(name, &complaints);
	assert_non_null(c);
	assert_memory_equal(print, c->audit_print, sizeof(print));
	assert_string_equal(c->users, "/tmp/u.yaml");
	assert_int_equal(c->trust.nsigners, 0);
	config_free(c);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_null(config_load_sealed(name, &complaints));
	assert_int_equal(complaints.count, 2); /* policy and users */
	complaints_fini(&complaints);
	close(fd);
	unlink(name);
}

static void test_one_option(void **state)
{
	char name[] = "/tmp/mongoward-test-XXXXXX";
	int fd = mkstemp(name);
	struct complaints complaints;
	char *text;

	(void)state;
	assert_true(fd >= 0);
	/* What is wrong elsewhere does not matter. */
	assert_true(file_write_all(fd, bytes_str("users: u.yaml\nworkers: many\n")));
	complaints_init(&complaints);
	text = config_read_one(name, "users", &complaints);
	assert_non_null(text);
	assert_string_equal(text, "/tmp/u.yaml");
	free(text);
	assert_null(config_read_one(name, "admin.address", &complaints));
	assert_int_equal(complaints.count, 1);
	complaints_fini(&complaints);
	close(fd);
	unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_password_from_the_environment),
		cmocka_unit_test(test_password_file),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_signers_stay),
		cmocka_unit_test(test_audit_print),
		cmocka_unit_test(test_one_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
