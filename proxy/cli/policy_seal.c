#include "cli/policy_seal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/users.h"
#include "cli/args.h"
#include "cli/sealed.h"
#include "util/file.h"
#include "util/hex.h"
#include "util/json.h"
#include "util/memory.h"

#define COMMAND "policy"
#define HEX_MAX (2 * SIGNATURE_LEN + 1)
#define OUT_MAX (1u << 20)

struct asked {
	const char *folder, *key, *new_key, *version, *output, *config;
	bool verify, json;
	uint64_t number; /* of --version; 0: not given */
};

struct sealing {
	const struct asked *asked;
	struct config *config; /* users, signers and audit settings */
	struct users *users;
	struct signing_key *key;
	char *path;          /* of the seal that is written */
	struct seal *before; /* that stands there, or beside the policy; or NULL */
	struct seal *seal;
	struct complaints *complaints;
};

static struct place whole(const char *file)
{
	return (struct place){.file = file};
}

/* ---------------------------------------------------------------------- output */

static void put_signers(struct buf *out, const struct seal *s, bool json)
{
	char hex[HEX_MAX];

	for (size_t i = 0; i < seal_signatures(s); i++) {
		hex_write(seal_signer(s, i), SIGNING_PUBLIC_LEN, hex);
		buf_put_format(out, json ? "%s\"%s\"" : "%s  %s\n", json && i ? "," : "", hex);
	}
}

static void tell(const struct sealing *s, const char *done)
{
	uint8_t hash[SEAL_HASH_LEN];
	char hex[HEX_MAX];
	struct buf out;

	seal_hash(s->seal, hash);
	hex_write(hash, sizeof(hash), hex);
	buf_init(&out, OUT_MAX);
	if (s->asked->json) {
		buf_put_format(&out, "{\"version\":%llu,\"hash\":\"%s\",\"files\":%zu,\"seal\":",
			(unsigned long long)seal_version(s->seal), hex, seal_files(s->seal));
		json_put_string(&out, bytes_str(s->path));
		buf_put_str(&out, ",\"signers\":[");
		put_signers(&out, s->seal, true);
		buf_put_str(&out, "]}\n");
	} else {
		buf_put_format(&out,
			"%s: version %llu of %zu files, users and audit settings, by\n", done,
			(unsigned long long)seal_version(s->seal), seal_files(s->seal));
		put_signers(&out, s->seal, false);
	}
	fwrite(out.at, 1, out.len, stdout);
	buf_fini(&out);
}

/* -------------------------------------------------------------------- what it is */

static bool load_users(struct sealing *s)
{
	s->config = config_load_sealed(config_file(s->asked->config), s->complaints);
	s->users = s->config ? users_load(s->config->users, s->complaints) : NULL;
	return s->users != NULL;
}

/* The facts of what is there now, under a version. */
static struct seal_facts facts_of(const struct sealing *s, uint64_t version)
{
	struct seal_facts facts = {.version = version};

	memcpy(facts.users, users_hash(s->users), SEAL_HASH_LEN);
	memcpy(facts.audit, s->config->audit_print, SEAL_HASH_LEN);
	return facts;
}

/* What the folder holds, loaded and tested as it is sealed: nobody puts their name under a
 * policy that no proxy would take. */
static bool make(struct sealing *s, uint64_t version)
{
	const struct seal_facts facts = facts_of(s, version);
	struct policy *p;
	bool fine;

	seal_free(s->seal);
	s->seal = seal_new(s->asked->folder, &facts, s->complaints);
	p = s->seal ? policy_load_sealed(s->asked->folder, s->seal, s->complaints) : NULL;
	fine = p && policy_test_offline(p, s->complaints) == 0 &&
	       policy_check_exclusive(p, s->users, s->complaints);
	policy_unref(p);
	return fine;
}

/* Signatures of others stay only if they are of what is there. */
static bool check_before(const struct sealing *s, const char *path)
{
	for (size_t i = 0; i < seal_signatures(s->before); i++)
		if (!seal_signature_is_valid(s->before, i))
			return complain(s->complaints, whole(path), "take the file away",
				"holds a signature that is not of its content");
	return true;
}

/* The seal that stands in the place of the new one, else beside the policy. */
static bool load_before(struct sealing *s)
{
	char *beside = memory_format("%s/" SEAL_NAME, s->asked->folder);
	const char *path = access(s->path, F_OK) == 0 ? s->path : beside;
	bool fine = true;

	if (access(path, F_OK) == 0) {
		s->before = seal_load(path, s->complaints);
		fine = s->before && check_before(s, path);
	}
	free(beside);
	return fine;
}

/* Of the same content it is one more signature; else the next version begins. */
static int choose_version(struct sealing *s, uint64_t *version, bool *adds)
{
	uint64_t before = s->before ? seal_version(s->before) : 0, asked = s->asked->number;

	*adds = s->before && seal_is_alike(s->before, s->seal) && (!asked || asked == before);
	*version = *adds ? before : asked ? asked : before + 1;
	if (!*adds && *version <= before)
		return cli_usage(COMMAND, "version %llu was sealed already: --version %llu or more",
			(unsigned long long)before, (unsigned long long)before + 1);
	if (*version > SEAL_VERSION_MAX)
		return cli_usage(
			COMMAND, "versions end at %llu", (unsigned long long)SEAL_VERSION_MAX);
	return CLI_OK;
}

/* ------------------------------------------------------------------------ writing */

static int write_seal(struct sealing *s)
{
	struct seal *again;
	struct buf out;
	int code = CLI_OK;

	buf_init(&out, SEAL_FILE_MAX);
	seal_put(s->seal, &out);
	/* As it will be read. */
	again = out.failed ? NULL : seal_parse(s->path, buf_bytes(&out), s->complaints);
	if (!again || !seal_is_alike(again, s->seal))
		code = cli_fail(CLI_BAD, COMMAND, "the policy has too many files, or odd names");
	else if (!file_replace(s->path, buf_bytes(&out), 0644))
		code = cli_fail(CLI_BAD, COMMAND, "%s: %s", s->path, strerror(errno));
	seal_free(again);
	buf_fini(&out);
	return code;
}

static int sign_and_write(struct sealing *s)
{
	uint64_t version;
	bool adds;
	int code = choose_version(s, &version, &adds);

	if (code != CLI_OK)
		return code;
	if (!make(s, version))
		return cli_complain(s->complaints);
	if (adds)
		seal_take_signatures(s->seal, s->before);
	if (!seal_sign(s->seal, s->key))
		return cli_fail(
			CLI_BAD, COMMAND, "%u have signed it: no more can", SEAL_SIGNATURES_MAX);
	code = write_seal(s);
	if (code == CLI_OK)
		tell(s, "sealed");
	return code;
}

static int seal(struct sealing *s)
{
	struct fault why;

	s->key = signing_key_load(s->asked->key, &why);
	if (!s->key) {
		complain(s->complaints, whole(s->asked->key),
			"mongoward policy seal --new-key FILE", "%s", why.detail);
		return cli_complain(s->complaints);
	}
	/* Under some version for now: what there is decides which. */
	if (!load_users(s) || !make(s, 1) || !load_before(s))
		return cli_complain(s->complaints);
	return sign_and_write(s);
}

/* ---------------------------------------------------------------------- verifying */

/* As a start or a reload would: all but the version, which only a proxy knows. */
static int verify(struct sealing *s)
{
	struct policy *p;
	bool fine;

	if (!load_users(s))
		return cli_complain(s->complaints);
	if (!s->config->trust.nsigners)
		return cli_usage(COMMAND, "the configuration names no policy.signers");
	s->config->policy = s->asked->folder;
	s->seal = sealed_open(s->config, s->complaints);
	p = s->seal ? policy_load_sealed(s->asked->folder, s->seal, s->complaints) : NULL;
	fine = s->seal && sealed_users(s->seal, s->config->users, s->users, s->complaints) && p;
	policy_unref(p);
	if (!fine) {
		cli_complain(s->complaints);
		return CLI_NO;
	}
	tell(s, "in order");
	return CLI_OK;
}

static int new_key(const struct asked *a)
{
	struct fault why;

	if (!signing_key_create(a->new_key, &why))
		return cli_fail(CLI_BAD, COMMAND, "%s", why.detail);
	printf("%s: keep it to yourself\n%s.pub: for policy.signers of mongoward.yaml\n",
		a->new_key, a->new_key);
	return CLI_OK;
}

/* ---------------------------------------------------------------------- arguments */

static int check_asked(struct asked *a)
{
	char *end;

	if (a->new_key)
		return a->folder || a->key || a->version || a->output || a->verify || a->config
			       ? cli_usage(COMMAND, "--new-key goes alone")
			       : CLI_OK;
	if (!a->folder)
		return cli_usage(COMMAND, "DIR is missing");
	if (a->verify ? a->key || a->version || a->output : !a->key)
		return cli_usage(COMMAND, a->verify ? "--verify writes nothing: leave the rest out"
						    : "--key is missing");
	if (!a->version)
		return CLI_OK;
	errno = 0;
	a->number = strtoull(a->version, &end, 10);
	if (*end || errno || a->version[0] < '1' || a->version[0] > '9' ||
		a->number > SEAL_VERSION_MAX)
		return cli_usage(COMMAND, "--version needs a number from 1 to %llu",
			(unsigned long long)SEAL_VERSION_MAX);
	return CLI_OK;
}

static int run(const struct asked *a)
{
	struct complaints complaints;
	struct sealing s = {.asked = a, .complaints = &complaints};
	int code;

	complaints_init(&complaints);
	s.path = a->output ? memory_text(bytes_str(a->output))
			   : memory_format("%s/" SEAL_NAME, a->folder);
	code = a->verify ? verify(&s) : seal(&s);
	seal_free(s.seal);
	seal_free(s.before);
	signing_key_free(s.key);
	users_unref(s.users);
	config_free(s.config);
	free(s.path);
	complaints_fini(&complaints);
	return code;
}

int cli_policy_seal(int argc, char **argv)
{
	struct asked a = {0};
	const struct arg args[] = {
		{.name = "DIR", .value = &a.folder, .optional = true},
		{.name = "--key", .value = &a.key},
		{.name = "--new-key", .value = &a.new_key},
		{.name = "--version", .value = &a.version},
		{.name = "--output", .value = &a.output},
		{.name = "--verify", .flag = &a.verify},
		{.name = "--config", .value = &a.config},
		{.name = "--json", .flag = &a.json},
	};
	enum args_end end = args_parse(COMMAND, argc, argv, args, COUNT_OF(args));
	int code;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	code = check_asked(&a);
	if (code != CLI_OK)
		return code;
	return a.new_key ? new_key(&a) : run(&a);
}
