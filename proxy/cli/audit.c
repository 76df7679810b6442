#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/query_row.h"
#include "audit/verify.h"
#include "cli/args.h"
#include "cli/audit_files.h"
#include "cli/config.h"
#include "cli/review.h"
#include "transform/transform.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/utf8.h"

#define OUT_MAX    (1u << 20)
#define TOKENS_MAX 1024u
#define TOKEN_SIZE 34u /* `~`, 32 digits, NUL */
#define PARTS_MAX  64u
#define PART_TYPES 4u /* of one value: text, number, ObjectId, date */
#define MB         1000000u

static void print(struct buf *out, FILE *where)
{
	if (out->len)
		fwrite(out->at, 1, out->len, where);
	buf_clear(out);
}

static void print_why(const char *why)
{
	char clean[4096];

	utf8_printable(bytes_str(why), clean, sizeof(clean));
	fprintf(stderr, "%s\n", clean);
}

static void show_progress(void *context, uint64_t done, uint64_t all)
{
	(void)context;
	fprintf(stderr, "\rverified %llu of %llu MB\x1b[K", (unsigned long long)(done / MB),
		(unsigned long long)(all / MB));
	fflush(stderr);
}

static void put_json_chain(struct buf *out, const struct verify_chain *c)
{
	static const char *const proofs[] = {
		[VERIFY_PROVEN] = "proven",
		[VERIFY_NO_WITNESS] = "no witness given",
		[VERIFY_UNCOVERED] = "not covered by a checkpoint yet",
		[VERIFY_NO_WITNESS_LINE] = "no witness line",
	};

	buf_put_str(out, "{\"instance\":");
	json_put_string(out, bytes_str(c->instance));
	buf_put_format(out, ",\"proven\":%s,\"proof\":\"%s\",\"seq\":%lld,\"lines\":%llu",
		c->proof == VERIFY_PROVEN ? "true" : "false", proofs[c->proof], (long long)c->seq,
		(unsigned long long)c->lines);
	if (c->witness_ts[0])
		buf_put_format(out, ",\"witness_ts\":\"%s\"", c->witness_ts);
	buf_put_format(out,
		",\"unknown_outcomes\":%llu,\"clock_steps\":%llu,\"gaps\":%llu,"
		"\"late_signed\":%llu,\"unfinished\":%llu}\n",
		(unsigned long long)c->unknown_outcomes, (unsigned long long)c->clock_steps,
		(unsigned long long)c->gaps, (unsigned long long)c->late_signed,
		(unsigned long long)c->unfinished);
}

/* One line a chain; with --json the end of all stands on a line of its own, the last. */
static void tell(const struct verify_options *o, const struct verify_result *r, enum verify_end end,
	bool json)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	if (!json && o->key_of_machine && end != VERIFY_BAD)
		buf_put_str(&out, "key taken from this machine\n");
	for (size_t i = 0; i < r->nchains; i++) {
		if (json) {
			put_json_chain(&out, &r->chains[i]);
		} else {
			verify_put_chain(&out, &r->chains[i]);
			buf_put_u8(&out, '\n');
		}
		print(&out, stdout);
	}
	if (json) {
		buf_put_format(&out, "{\"end\":%d,\"key_of_machine\":%s,\"why\":", (int)end,
			o->key_of_machine ? "true" : "false");
		if (r->why)
			json_put_string(&out, bytes_str(r->why));
		else
			buf_put_str(&out, "null");
		buf_put_str(&out, "}\n");
	}
	print(&out, stdout);
	buf_fini(&out);
}

/* The public key that `init` wrote beside the signing key; NULL without one. */
static char *key_of_machine(const char *config)
{
	struct complaints complaints;
	char *signing, *key = NULL;

	complaints_init(&complaints);
	signing = config_read_one(config_file(config), "audit.signing_key", &complaints);
	if (signing)
		key = memory_format("%s.pub", signing);
	free(signing);
	complaints_fini(&complaints);
	return key;
}

static int verify(int argc, char **argv)
{
	struct verify_options o = {0};
	struct args_list paths = {0};
	const char *config = NULL;
	bool json = false;
	const struct arg args[] = {
		{.name = "--witness", .value = &o.witness},
		{.name = "--public-key", .value = &o.public_key},
		{.name = "--strict", .flag = &o.strict},
		{.name = "--config", .value = &config},
		{.name = "--json", .flag = &json},
		{.name = "FILE or FOLDER", .list = &paths},
	};
	enum args_end parsed = args_parse("audit", argc, argv, args, COUNT_OF(args));
	struct verify_result result;
	enum verify_end end;
	char *key = NULL;

	if (parsed != ARGS_GO_ON)
		return args_exit(parsed);
	o.paths = paths.at;
	o.npaths = paths.count;
	if (!o.public_key) {
		o.public_key = key = key_of_machine(config);
		o.key_of_machine = key != NULL;
	}
	if (isatty(STDERR_FILENO))
		o.progress = show_progress;
	end = verify_run(&o, &result);
	if (o.progress)
		fputs("\r\x1b[K", stderr);
	if (result.why)
		print_why(result.why);
	tell(&o, &result, end, json);
	verify_result_fini(&result);
	free(key);
	args_list_fini(&paths);
	return (int)end;
}

struct asked {
	struct args_list subjects, patients, users, roles, purposes, namespaces, events, classes;
	struct args_list apps, paths;
	const char *since, *until, *config;
	bool json;
	struct query_filter filter;
	char (*tokens)[TOKEN_SIZE];
	const char **words; /* subjects, given and computed */
	struct buf out;
	uint64_t printed;
};

static struct query_words words(const struct args_list *list)
{
	return (struct query_words){list->at, list->count};
}

static void asked_fini(struct asked *a)
{
	struct args_list *lists[] = {&a->subjects, &a->patients, &a->users, &a->roles, &a->purposes,
		&a->namespaces, &a->events, &a->classes, &a->apps, &a->paths};

	for (size_t i = 0; i < COUNT_OF(lists); i++)
		args_list_fini(lists[i]);
	free(a->tokens);
	free(a->words);
	buf_fini(&a->out);
}

static bool on_hit(void *context, const struct query_hit *hit)
{
	struct asked *a = context;

	if (a->json) {
		buf_put(&a->out, hit->line->text);
		buf_put_u8(&a->out, '\n');
	} else {
		if (!a->printed)
			query_put_heading(&a->out);
		query_put_row(&a->out, hit);
	}
	a->printed++;
	print(&a->out, stdout);
	return !ferror(stdout);
}

static void put_known(struct buf *text, struct known_part *part, uint8_t type, struct bytes value)
{
	*part = (struct known_part){.path = part->path,
		.type = type,
		.value = bytes_of(text->at + text->len, value.len)};
	buf_put(text, value);
}

/* A value as each type that it may have been stored as. */
static size_t types_of(
	struct buf *text, struct bytes path, const char *value, struct known_part parts[PART_TYPES])
{
	size_t n = 0, len = strlen(value);
	uint8_t raw[12];
	int64_t number;
	char *end;
	uint8_t *string = buf_reserve(text, len + 5);

	for (size_t i = 0; i < PART_TYPES; i++)
		parts[i].path = path;
	store_u32(string, (uint32_t)len + 1);
	memcpy(string + 4, value, len + 1);
	parts[n++] = (struct known_part){path, TYPE_STRING, bytes_of(string, len + 5)};
	buf_commit(text, len + 5);
	errno = 0;
	number = strtoll(value, &end, 10);
	if (len && !*end && !errno) {
		store_u64(raw, (uint64_t)number);
		put_known(text, &parts[n++], TYPE_INT64, bytes_of(raw, 8));
	}
	if (line_unhex(bytes_str(value), raw, sizeof(raw)))
		put_known(text, &parts[n++], TYPE_OBJECT_ID, bytes_of(raw, sizeof(raw)));
	if (query_parse_time(value, &number)) {
		store_u64(raw, (uint64_t)(number / 1000));
		put_known(text, &parts[n++], TYPE_DATE, bytes_of(raw, 8));
	}
	return n;
}

static size_t compute(struct asked *a, const struct policy *p, const struct master *m,
	struct subject_token *tokens)
{
	struct known_part parts[PARTS_MAX];
	struct bytes ns = {0};
	struct buf text;
	size_t n = 0, room = 0, found;

	for (size_t i = 0; i < a->patients.count; i++)
		room += strlen(a->patients.at[i]) + 64;
	buf_init(&text, room);
	/* All of it at once: parts point into it. */
	(void)buf_reserve(&text, room);
	for (size_t i = 0; i < a->patients.count && n + PART_TYPES <= PARTS_MAX; i++) {
		const char *equals = strchr(a->patients.at[i], '=');
		struct bytes path =
			bytes_of(a->patients.at[i], (size_t)(equals - a->patients.at[i]));

		n += types_of(&text, path, equals + 1, parts + n);
	}
	if (a->namespaces.count == 1)
		ns = bytes_str(a->namespaces.at[0]);
	found = transform_patient_tokens(p, m, ns, parts, n, tokens, TOKENS_MAX);
	buf_wipe(&text);
	return found;
}

static void keep_tokens(struct asked *a, const struct subject_token *tokens, size_t n)
{
	a->tokens = memory_array(n, sizeof(*a->tokens));
	a->words = memory_array(n + a->subjects.count, sizeof(*a->words));
	for (size_t i = 0; i < a->subjects.count; i++)
		a->words[i] = a->subjects.at[i];
	for (size_t i = 0; i < n; i++) {
		char *at = a->tokens[i];

		a->words[a->subjects.count + i] = at;
		if (tokens[i].of_id)
			*at++ = '~';
		for (size_t k = 0; k < TOKEN_LEN; k++, at += 2)
			snprintf(at, 3, "%02x", tokens[i].token.bytes[k]);
	}
	a->filter.subjects = (struct query_words){a->words, n + a->subjects.count};
}

static int find_tokens(struct asked *a)
{
	struct subject_token *tokens;
	struct complaints complaints;
	struct config *config;
	struct policy *policy = NULL;
	struct master *master = NULL;
	struct fault why;
	size_t n = 0;
	int code = CLI_OK;

	complaints_init(&complaints);
	config = config_load(config_file(a->config), &complaints);
	if (config)
		policy = policy_load(config->policy, &complaints);
	if (policy) {
		master = master_load(config->keys.file, config->keys.require_mlock, &why);
		if (!master)
			complain(&complaints, (struct place){.file = config->keys.file}, NULL, "%s",
				why.detail);
	}
	tokens = memory_array(TOKENS_MAX, sizeof(*tokens));
	if (master)
		n = compute(a, policy, master, tokens);
	if (!master)
		code = cli_complain(&complaints);
	else if (!n)
		code = cli_usage("audit", "no subject of the policy is made of these paths");
	else if (n > TOKENS_MAX)
		code = cli_usage("audit", "these could be more than %u patients", TOKENS_MAX);
	else
		keep_tokens(a, tokens, n);
	free(tokens);
	master_free(master);
	policy_unref(policy);
	config_free(config);
	complaints_fini(&complaints);
	return code;
}

static int check_asked(struct asked *a)
{
	a->filter = (struct query_filter){
		.subjects = words(&a->subjects),
		.users = words(&a->users),
		.roles = words(&a->roles),
		.purposes = words(&a->purposes),
		.namespaces = words(&a->namespaces),
		.events = words(&a->events),
		.classes = words(&a->classes),
		.apps = words(&a->apps),
		.since_us = INT64_MIN,
		.until_us = INT64_MAX,
	};
	if (a->since && !query_parse_time(a->since, &a->filter.since_us))
		return cli_usage("audit", "--since is no time like 2026-11-23T09:12Z");
	if (a->until && !query_parse_time(a->until, &a->filter.until_us))
		return cli_usage("audit", "--until is no time like 2026-11-23T09:12Z");
	for (size_t i = 0; i < a->subjects.count; i++)
		if (!query_is_subject(a->subjects.at[i]))
			return cli_usage("audit", "a --subject is 32 digits, or '~' before them");
	for (size_t i = 0; i < a->events.count; i++)
		if (!query_is_event(a->events.at[i]))
			return cli_usage("audit", "no such event: '%s'", a->events.at[i]);
	for (size_t i = 0; i < a->patients.count; i++)
		if (!strchr(a->patients.at[i], '='))
			return cli_usage("audit", "a --patient is PATH=VALUE");
	if (a->patients.count > PARTS_MAX / PART_TYPES)
		return cli_usage("audit", "more than %u --patient", PARTS_MAX / PART_TYPES);
	return a->patients.count ? find_tokens(a) : CLI_OK;
}

static bool query_one(void *context, const char *path)
{
	struct query *q = context;

	if (query_file(q, path))
		return true;
	if (errno && !ferror(stdout))
		cli_fail(CLI_BAD, "audit", "%s: %s", path, strerror(errno));
	return false;
}

static int run_query(struct asked *a)
{
	struct query *q = query_new(&a->filter, on_hit, a);
	struct complaints complaints;
	char *folder = NULL;
	int code = CLI_OK;
	bool ok = true;

	complaints_init(&complaints);
	for (size_t i = 0; ok && i < a->paths.count; i++)
		ok = audit_files_each("audit", a->paths.at[i], query_one, q);
	if (!a->paths.count) {
		folder = config_read_one(config_file(a->config), "audit.directory", &complaints);
		if (folder)
			ok = audit_files_each("audit", folder, query_one, q);
		else
			code = cli_complain(&complaints);
	}
	if (!ok)
		code = CLI_BAD;
	else if (query_unreadable(q))
		code = cli_fail(CLI_NO, "audit",
			"%llu lines are no records: `mongoward audit verify` tells more",
			(unsigned long long)query_unreadable(q));
	free(folder);
	query_free(q);
	complaints_fini(&complaints);
	return code;
}

static int query(int argc, char **argv)
{
	struct asked a = {0};
	const struct arg args[] = {
		{.name = "--subject", .list = &a.subjects},
		{.name = "--patient", .list = &a.patients},
		{.name = "--user", .list = &a.users},
		{.name = "--role", .list = &a.roles},
		{.name = "--purpose", .list = &a.purposes},
		{.name = "--namespace", .list = &a.namespaces},
		{.name = "--event", .list = &a.events},
		{.name = "--class", .list = &a.classes},
		{.name = "--app", .list = &a.apps},
		{.name = "--since", .value = &a.since},
		{.name = "--until", .value = &a.until},
		{.name = "--config", .value = &a.config},
		{.name = "--json", .flag = &a.json},
		{.name = "FILE or FOLDER", .list = &a.paths, .optional = true},
	};
	enum args_end parsed = args_parse("audit", argc, argv, args, COUNT_OF(args));
	int code;

	if (parsed != ARGS_GO_ON)
		return args_exit(parsed);
	buf_init(&a.out, OUT_MAX);
	code = check_asked(&a);
	if (code == CLI_OK)
		code = run_query(&a);
	asked_fini(&a);
	return code;
}

int cli_audit(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "verify") == 0)
		return verify(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "query") == 0)
		return query(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "review") == 0)
		return audit_review(argc - 1, argv + 1);
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return cli_help("audit");
	return cli_usage("audit", "say `verify`, `query` or `review`");
}
