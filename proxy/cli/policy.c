#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "cli/args.h"
#include "cli/policy_diff.h"
#include "cli/policy_explain.h"
#include "cli/policy_lints.h"
#include "cli/policy_risk.h"
#include "cli/policy_seal.h"
#include "cli/policy_schema.h"
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

size_t policy_test_offline(struct policy *p, struct complaints *complaints)
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

static void print_summary(const struct policy *p, const struct lints *lints, bool json)
{
	if (json) {
		printf("{\"policy\":\"%s\",\"collections\":%zu,\"views\":%zu,\"roles\":%zu,"
		       "\"tests\":%zu,\"warnings\":",
			p->hash, p->ncollections, p->nviews, p->nroles, p->ntests);
		lints_print_json(lints);
		puts("}");
	} else {
		printf("%s\n%zu collections, %zu views, %zu roles, %zu tests\n", p->hash,
			p->ncollections, p->nviews, p->nroles, p->ntests);
	}
}

struct check_options {
	const char *users;
	bool strict, json;
};

static int check(
	struct policy *p, const struct check_options *options, struct complaints *complaints)
{
	struct users *users = NULL;
	struct lints lints;
	int code = CLI_OK;

	lints_init(&lints);
	if (options->users) {
		users = users_load(options->users, complaints);
		if (users)
			policy_check_users(p, users, complaints);
	}
	policy_lint(p, users, &lints);
	if (complaints->count)
		code = cli_complain(complaints);
	lints_print(&lints);
	if (code == CLI_OK) {
		print_summary(p, &lints, options->json);
		code = options->strict && lints.count ? CLI_NO : CLI_OK;
	}
	lints_fini(&lints);
	users_unref(users);
	return code;
}

static int test(struct policy *p, bool json, struct complaints *complaints)
{
	size_t failed = policy_test_offline(p, complaints);

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

static int check_or_test(int argc, char **argv)
{
	const char *verb = NULL, *folder = NULL;
	struct check_options options = {0};
	const struct arg args[] = {
		{.name = "check or test", .value = &verb},
		{.name = "DIR", .value = &folder},
		{.name = "--users", .value = &options.users},
		{.name = "--strict", .flag = &options.strict},
		{.name = "--json", .flag = &options.json},
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
		code = check(p, &options, &complaints);
	else
		code = test(p, options.json, &complaints);
	policy_unref(p);
	complaints_fini(&complaints);
	return code;
}

int cli_policy(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "risk") == 0)
		return cli_policy_risk(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "diff") == 0)
		return cli_policy_diff(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "explain") == 0)
		return cli_policy_explain(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "seal") == 0)
		return cli_policy_seal(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "schema") == 0)
		return cli_policy_schema(argc - 1, argv + 1);
	return check_or_test(argc, argv);
}
