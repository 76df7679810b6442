#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/users.h"
#include "cli/args.h"
#include "cli/field_keys.h"
#include "cli/init_files.h"
#include "cli/password.h"
#include "util/memory.h"

#define LISTEN      "0.0.0.0:27017"
#define ADMIN       "admin"
#define WAIT_US     (5ull * 1000 * 1000)
#define SECRET_LEN  18 /* bytes of randomness; 24 characters */
#define SECRET_TEXT 25

static void make_password(char out[SECRET_TEXT])
{
	uint8_t random[SECRET_LEN];

	randombytes_buf(random, sizeof(random));
	sodium_bin2base64(
		out, SECRET_TEXT, random, sizeof(random), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
}

static bool add_admin(
	const struct init_request *r, const char password[SECRET_TEXT], struct complaints *c)
{
	const struct bytes role = bytes_str("admin");
	const struct user_change change = {.name = bytes_str(ADMIN),
		.roles = &role,
		.nroles = 1,
		.password = bytes_str(password)};
	char *file = init_path(r, "users.yaml");
	bool added = users_add(file, &change, c);

	free(file);
	return added;
}

static void say_nothing(const struct encrypted_field *f)
{
	(void)f;
}

/* Data keys, if the deployment is there already; how many, or -1. */
static int make_keys(const struct init_request *r)
{
	char *file = init_path(r, "mongoward.yaml");
	struct complaints complaints;
	struct field_keys k;
	int code, made = -1;

	complaints_init(&complaints);
	if (field_keys_open(&k, file, WAIT_US, &complaints, &code)) {
		made = (int)field_keys_missing(&k);
		if (!field_keys_create(&k, say_nothing, &complaints, &code))
			made = -1;
	}
	if (made < 0)
		cli_complain(&complaints);
	field_keys_close(&k);
	complaints_fini(&complaints);
	free(file);
	return made;
}

/* What a URI has in place of an address that means all of them. */
static const char *port_of(const char *listen)
{
	const char *colon = strrchr(listen, ':');

	return colon ? colon + 1 : "27017";
}

static void say_next(const struct init_request *r, const char *password, int keys)
{
	bool v6 = strchr(r->hostname, ':') != NULL;
	char *full = realpath(r->folder, NULL);
	const char *folder = full ? full : r->folder;

	printf("%s is ready.\n\n", folder);
	printf("  administrator   %s\n  password        %s   (shown only now)\n", ADMIN, password);
	printf("  URI             mongodb://%s@%s%s%s:%s/?tls=true&tlsCAFile=%s/tls/ca.pem\n",
		ADMIN, v6 ? "[" : "", r->hostname, v6 ? "]" : "", port_of(r->listen), folder);
	printf("                  (as it is: a replicaSet in it would break every driver)\n");
	printf("  auditors keep   %s/keys/audit.key.pub\n\n", folder);
	if (keys < 0)
		printf("The key vault could not be reached.  When it can:\n"
		       "  mongoward key create --missing --config %s/mongoward.yaml\n",
			folder);
	else
		printf("%d data keys were made in the key vault.\n", keys);
	printf("Next:\n  mongoward serve --config %s/mongoward.yaml\n", folder);
	free(full);
}

static int init(const struct init_request *r)
{
	struct complaints complaints;
	char password[SECRET_TEXT];
	int keys = 0;
	bool made;

	make_password(password);
	complaints_init(&complaints);
	made = init_write_files(r, &complaints) && add_admin(r, password, &complaints);
	if (!made)
		cli_complain(&complaints);
	complaints_fini(&complaints);
	if (made) {
		keys = make_keys(r);
		say_next(r, password, keys);
	}
	sodium_memzero(password, sizeof(password));
	if (!made)
		return CLI_BAD;
	return keys < 0 ? CLI_UNREACHABLE : CLI_OK;
}

/* Before anything is written: the URI must be one that `serve` would take. */
static bool check_uri(const struct init_request *r)
{
	/* A password that comes later from the environment cannot be looked at here. */
	const char *later = init_names_user(r->upstream_uri) ? "later" : NULL;
	const struct upstream_config config = {.uri = r->upstream_uri,
		.password = r->password.len ? (const char *)r->password.at : later,
		.insecure = r->insecure_upstream,
		.pool_max = 1,
		.awaiting_max = 1};
	struct fault why;
	struct upstream *u = upstream_new(&config, &why);

	if (!u)
		cli_fail(CLI_BAD, "init", "--upstream: %s", why.detail);
	upstream_free(u);
	return u != NULL;
}

int cli_init(int argc, char **argv)
{
	struct init_request r = {0};
	char hostname[256] = "localhost";
	bool password_stdin = false;
	const struct arg args[] = {
		{.name = "DIR", .value = &r.folder},
		{.name = "--upstream", .value = &r.upstream_uri},
		{.name = "--hostname", .value = &r.hostname},
		{.name = "--listen", .value = &r.listen},
		{.name = "--insecure-upstream", .flag = &r.insecure_upstream},
		{.name = "--password-stdin", .flag = &password_stdin},
	};
	enum args_end end = args_parse("init", argc, argv, args, COUNT_OF(args));
	struct buf password;
	int code = CLI_BAD;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	if (!r.upstream_uri)
		return cli_usage("init", "--upstream is missing");
	if (!r.hostname) {
		(void)gethostname(hostname, sizeof(hostname) - 1);
		r.hostname = hostname;
	}
	r.listen = r.listen ? r.listen : LISTEN;
	buf_init(&password, CLI_PASSWORD_MAX + 2);
	if (!password_stdin || password_read("init", "", true, false, &password)) {
		r.password = buf_bytes(&password);
		code = check_uri(&r) ? init(&r) : CLI_BAD;
	}
	buf_wipe(&password);
	return code;
}
