#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "cli/args.h"
#include "transform/policy_test.h"

#define VAULT "encryption.__keyVault"

/* Pseudonyms need some key; for tests any will do. */
static struct master *throwaway_master(struct fault *why)
{
	uint8_t key[MASTER_LEN];
	struct master *m;

	randombytes_buf(key, sizeof(key));
	m = master_new(key, false, why);
	sodium_memzero(key, sizeof(key));
	return m;
}

static size_t run_tests(struct policy *p, struct complaints *complaints)
{
	struct fault why;
	struct master *m = throwaway_master(&why);
	size_t failed;

	if (!m) {
		complain(complaints, (struct place){.file = "policy test"}, NULL, "%s", why.detail);
		return 1;
	}
	failed = policy_run_tests(p, m, bytes_str(VAULT), complaints);
	master_free(m);
	return failed;
}

static void print_summary(const struct policy *p, bool json)
{
	if (json)
		printf("{\"policy\":\"%s\",\"collections\":%zu,\"views\":%zu,\"roles\":%zu,"
		       "\"tests\":%zu}\n",
			p->hash, p->ncollections, p->nviews, p->nroles, p->ntests);
	else
		printf("%s\n%zu collections, %zu views, %zu roles, %zu tests\n", p->hash,
			p->ncollections, p->nviews, p->nroles, p->ntests);
}

static int check(struct policy *p, const char *users_file, bool json, struct complaints *complaints)
{
	struct users *users = NULL;

	if (users_file) {
		users = users_load(users_file, complaints);
		if (users)
			policy_check_users(p, users, complaints);
		users_unref(users);
	}
	if (complaints->count)
		return cli_complain(complaints);
	print_summary(p, json);
	return CLI_OK;
}

static int test(struct policy *p, bool json, struct complaints *complaints)
{
	size_t failed = run_tests(p, complaints);

	if (json)
		printf("{\"policy\":\"%s\",\"tests\":%zu,\"failed\":%zu}\n", p->hash, p->ntests,
			failed);
	else
		printf("%zu of %zu tests passed\n", p->ntests - failed, p->ntests);
	if (!failed)
		return CLI_OK;
	cli_complain(complaints);
	return CLI_NO;
}

int cli_policy(int argc, char **argv)
{
	const char *verb = NULL, *folder = NULL, *users_file = NULL;
	bool json = false;
	const struct arg args[] = {
		{.name = "check or test", .value = &verb},
		{.name = "DIR", .value = &folder},
		{.name = "--users", .value = &users_file},
		{.name = "--json", .flag = &json},
	};
	enum args_end end = args_parse("policy", argc, argv, args, COUNT_OF(args));
	struct complaints complaints;
	struct policy *p;
	int code = CLI_BAD;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	if (strcmp(verb, "check") != 0 && strcmp(verb, "test") != 0)
		return cli_usage("policy", "unknown word '%s'", verb);
	complaints_init(&complaints);
	p = policy_load(folder, &complaints);
	if (!p)
		cli_complain(&complaints);
	else if (strcmp(verb, "check") == 0)
		code = check(p, users_file, json, &complaints);
	else
		code = test(p, json, &complaints);
	policy_unref(p);
	complaints_fini(&complaints);
	return code;
}
