#include "cli/policy_risk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/field_keys.h"
#include "query/path.h"
#include "util/clock.h"
#include "util/memory.h"
#include "util/utf8.h"

#define WAIT_US      (15ull * 1000 * 1000)
#define LOOK_US      100000u /* how often progress is shown */
#define BAR_WIDTH    20u
#define ATTRS_MAX    64u
#define OUT_MAX      (1u << 20)
#define MIN_K_MAX    1000000000u
#define COMMAND      "policy"
#define UPSTREAM     "upstream"
#define STOPPED_TEXT "stopped before everything was read: no numbers"

/* Set by SIGINT and SIGTERM; a second one ends the process as usual. */
static volatile sig_atomic_t stopped;

struct asked {
	const char *folder, *config, *view, *as, *ns, *role, *min_k;
	struct args_list quasi, sensitive, attributes;
	bool json;
	uint64_t k;
};

struct risking {
	const struct asked *asked;
	struct field_keys keys;
	const struct collection *collection;
	const struct virtual_view *view; /* NULL: what is stored */
	struct risk_paths quasi, sensitive, found;
	struct buf rows;
	struct arena arena;
	struct risk *risk;
	struct fault why;
	bool failed;
	const char *doing; /* for the bar */
	uint64_t done, all, shown_us;
};

/* ------------------------------------------------------------------- progress */

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

static void take_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void put_bar(const struct risking *r)
{
	uint64_t all = r->all > r->done ? r->all : r->done;
	unsigned full = all ? (unsigned)(r->done * BAR_WIDTH / all) : 0;
	char bar[BAR_WIDTH + 1];

	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', full);
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r%s [%s] %llu of %llu\x1b[K", r->doing, bar, (unsigned long long)r->done,
		(unsigned long long)all);
	fflush(stderr);
}

/* False: it is to stop. */
static bool tick(void *context, uint64_t done, uint64_t all)
{
	struct risking *r = context;
	uint64_t now = clock_monotonic_us();

	r->done = done;
	r->all = all;
	if (isatty(STDERR_FILENO) && now - r->shown_us >= LOOK_US) {
		r->shown_us = now;
		put_bar(r);
	}
	return !stopped;
}

static void end_bar(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\x1b[K", stderr);
}

/* -------------------------------------------------------------------- choosing */

static int64_t number_of(const struct risk_paths *list, struct bytes path)
{
	for (size_t i = 0; i < list->count; i++)
		if (bytes_equal(list->at[i], path))
			return (int64_t)i;
	return -1;
}

static bool is_view_field(const struct virtual_view *v, struct bytes path)
{
	struct bytes name;

	if (!path_next(&path, &name))
		return false;
	for (size_t i = 0; i < v->nfields; i++)
		if (bytes_equal(v->fields[i].name, name))
			return policy_view_shows(v, &v->fields[i]);
	return false;
}

/* Paths as they were given; each once. */
static int take_paths(const struct risking *r, const struct args_list *given, const char *option,
	size_t max, struct risk_paths *out)
{
	out->count = 0;
	out->more = false;
	for (size_t i = 0; i < given->count; i++) {
		struct bytes path = bytes_str(given->at[i]);

		if (r->view && !is_view_field(r->view, path))
			return cli_usage(COMMAND, "the view has no field '%s'", given->at[i]);
		if (number_of(out, path) >= 0)
			return cli_usage(COMMAND, "given twice: %s %s", option, given->at[i]);
		if (out->count == max)
			return cli_usage(COMMAND, "over %zu %s", max, option);
		out->at[out->count++] = path;
	}
	return CLI_OK;
}

static void leave_out(struct risk_paths *list, const struct risk_paths *those)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++)
		if (number_of(those, list->at[i]) < 0)
			list->at[kept++] = list->at[i];
	list->count = kept;
}

/* What was given on the command line, else what the policy makes of the fields. */
static int choose_fields(struct risking *r)
{
	const struct asked *a = r->asked;
	struct risk_paths *quasi = &r->quasi, *sensitive = &r->sensitive;
	int code = CLI_OK;

	if (r->view)
		risk_view_fields(r->view, quasi, sensitive);
	else
		risk_stored_fields(r->collection, &r->found, quasi, sensitive);
	if (a->sensitive.count) {
		for (size_t i = 0; i < sensitive->count && quasi->count < RISK_PATHS_MAX; i++)
			quasi->at[quasi->count++] = sensitive->at[i];
		code = take_paths(r, &a->sensitive, "--sensitive", RISK_SENSITIVE_MAX, sensitive);
		leave_out(quasi, sensitive);
	}
	if (code == CLI_OK && a->quasi.count) {
		code = take_paths(r, &a->quasi, "--quasi", RISK_QUASI_MAX, quasi);
		for (size_t i = 0; a->sensitive.count && i < quasi->count; i++)
			if (number_of(sensitive, quasi->at[i]) >= 0)
				return cli_usage(COMMAND,
					"'%.*s' is given as --quasi and as "
					"--sensitive",
					BYTES_ARG(quasi->at[i]));
		leave_out(sensitive, quasi);
	}
	if (code != CLI_OK)
		return code;
	if (!quasi->count)
		return cli_usage(
			COMMAND, "there is no field to tell people apart by: give --quasi");
	if (quasi->count > RISK_QUASI_MAX || quasi->more)
		return cli_usage(COMMAND, "over %d fields: name those that count with --quasi",
			RISK_QUASI_MAX);
	if (sensitive->count > RISK_SENSITIVE_MAX)
		return cli_usage(COMMAND,
			"over %d sensitive fields: name those that count with "
			"--sensitive",
			RISK_SENSITIVE_MAX);
	return CLI_OK;
}

/* The only collection, or the only one that has subjects; NULL when it is not clear. */
static const struct collection *only_of_patients(const struct policy *p)
{
	const struct collection *only = NULL;

	if (p->ncollections == 1)
		return &p->collections[0];
	for (size_t i = 0; i < p->ncollections; i++) {
		if (!p->collections[i].nsubjects)
			continue;
		if (only)
			return NULL;
		only = &p->collections[i];
	}
	return only;
}

static int choose_collection(struct risking *r)
{
	const struct policy *p = r->keys.policy;
	const struct asked *a = r->asked;

	if (a->view) {
		r->view = policy_view(p, bytes_str(a->view));
		if (!r->view)
			return cli_usage(COMMAND, "the policy has no view '%s'", a->view);
		r->collection = r->view->from;
		return CLI_OK;
	}
	if (a->ns) {
		r->collection = policy_collection(p, bytes_str(a->ns));
		return r->collection
			       ? CLI_OK
			       : cli_usage(COMMAND, "the policy has no collection '%s'", a->ns);
	}
	r->collection = only_of_patients(p);
	return r->collection
		       ? CLI_OK
		       : cli_usage(COMMAND, "the policy has %zu collections: give --collection",
				 p->ncollections);
}

static int fill_rows(struct risking *r)
{
	const struct args_list *given = &r->asked->attributes;
	struct attribute list[ATTRS_MAX];
	struct bytes missing;

	if (given->count > ATTRS_MAX)
		return cli_usage(COMMAND, "over %u --attr", ATTRS_MAX);
	for (size_t i = 0; i < given->count; i++) {
		const char *sign = strchr(given->at[i], '=');

		if (!sign || sign == given->at[i] || !sign[1])
			return cli_usage(
				COMMAND, "'%s' is not of the form ATTRIBUTE=VALUE", given->at[i]);
		list[i].name = bytes_of(given->at[i], (size_t)(sign - given->at[i]));
		list[i].value = bytes_str(sign + 1);
	}
	if (r->view && !policy_fill_rows(r->view->rows, list, given->count, &r->rows, &missing))
		return cli_usage(COMMAND, "the view's rows need %.*s: %s", BYTES_ARG(missing),
			bytes_start_with(missing, bytes_str("${user."))
				? "give --attr"
				: "they are another set for each user");
	return CLI_OK;
}

/* Protected rows are not there for who reads the view. */
static int leave_protected_out(struct risking *r)
{
	const char *role = r->asked->role;
	struct bytes hidden;
	struct buf both;
	size_t begun, list;

	if (!r->view)
		return CLI_OK;
	if (!policy_view_hidden(r->keys.policy, r->view, bytes_str(role ? role : ""), &hidden))
		return role ? cli_usage(COMMAND, "the policy has no role '%s'", role)
			    : cli_usage(COMMAND, "roles that read the view do not see the same "
						 "rows of it: give --role");
	if (!hidden.len)
		return CLI_OK;
	buf_init(&both, DOC_SLACK_LEN);
	begun = doc_begin(&both);
	list = doc_put_array(&both, NAME("$and"));
	doc_put_value(&both, TYPE_DOCUMENT, NAME("0"), hidden);
	if (r->rows.len)
		doc_put_value(&both, TYPE_DOCUMENT, NAME("1"), buf_bytes(&r->rows));
	doc_end(&both, list);
	doc_end(&both, begun);
	buf_fini(&r->rows);
	r->rows = both;
	return CLI_OK;
}

/* Without its key a value would count as what it is not. */
static bool check_keys(const struct risking *r, struct complaints *complaints)
{
	const struct policy *p = r->keys.policy;
	bool complete = true;

	for (size_t i = 0; i < r->collection->nfields; i++) {
		const struct field *f = &r->collection->fields[i];

		if (f->encrypted != NO_FIELD &&
			keyring_find(r->keys.keyring, p->encrypted[f->encrypted].ns, f->path) ==
				KEY_NONE)
			complete =
				complain(complaints, f->at, "run `mongoward key create --missing`",
					"'%.*s' has no data key", BYTES_ARG(f->path));
	}
	return complete;
}

/* --------------------------------------------------------------------- reading */

static bool take_sample(void *context, struct bytes document)
{
	struct risking *r = context;

	risk_find_paths(document, &r->arena, &r->found);
	return !stopped;
}

static bool take_kind(void *context, struct bytes document)
{
	struct risking *r = context;

	r->failed = !risk_add_kind(r->risk, document, &r->why);
	return !r->failed && tick(r, r->done + 1, r->all);
}

static bool take_document(void *context, struct bytes document)
{
	struct risking *r = context;

	r->failed = !risk_add(r->risk, document, &r->why);
	return !r->failed && tick(r, r->done + 1, r->all);
}

static int unreachable(const struct risking *r)
{
	return cli_fail(CLI_UNREACHABLE, COMMAND, "%.*s could not be read: %s",
		BYTES_ARG(r->collection->ns), r->why.detail);
}

static int read_sample(struct risking *r, const char *ns)
{
	static const uint8_t all[] = {5, 0, 0, 0, 0};

	/* Which fields there are only matters where some were not named. */
	if (r->view || (r->asked->quasi.count && r->asked->sensitive.count))
		return CLI_OK;
	return upstream_scan(r->keys.upstream, ns, bytes_of(all, sizeof(all)), RISK_SAMPLE,
		       take_sample, r, &r->why)
		       ? CLI_OK
		       : unreachable(r);
}

static int scan(struct risking *r, const char *ns, upstream_document_fn *each, const char *doing)
{
	struct buf projection;
	bool read;

	buf_init(&projection, DOC_MAX_LEN);
	risk_put_projection(r->risk, &projection);
	r->done = 0;
	r->all = upstream_estimate(r->keys.upstream, ns);
	r->doing = doing;
	read = upstream_scan(r->keys.upstream, ns, buf_bytes(&projection), 0, each, r, &r->why);
	buf_fini(&projection);
	end_bar();
	if (!read)
		return unreachable(r);
	if (r->failed)
		return cli_fail(
			CLI_BAD, COMMAND, "%.*s: %s", BYTES_ARG(r->collection->ns), r->why.detail);
	return stopped ? cli_fail(CLI_UNREACHABLE, COMMAND, STOPPED_TEXT) : CLI_OK;
}

static int read_all(struct risking *r, const char *ns, struct risk_result *result)
{
	int code = CLI_OK;
	bool compared;

	if (risk_wants_kinds(r->risk))
		code = scan(r, ns, take_kind, "counting rows that are alike");
	if (code == CLI_OK)
		code = scan(r, ns, take_document, "reading documents");
	if (code != CLI_OK)
		return code;
	r->doing = "comparing combinations";
	compared = risk_finish(r->risk, tick, r, result);
	end_bar();
	return compared ? CLI_OK : cli_fail(CLI_UNREACHABLE, COMMAND, STOPPED_TEXT);
}

/* A path that no document has was mistyped. */
static int check_found(const struct risking *r, const struct risk_result *result)
{
	for (size_t i = 0; result->rows && r->asked->quasi.count && i < r->quasi.count; i++)
		if (!result->quasi_rows[i])
			return cli_usage(COMMAND, "no document has a field '%.*s'",
				BYTES_ARG(r->quasi.at[i]));
	return CLI_OK;
}

static int tell(const struct risking *r, const struct risk_result *result)
{
	const struct asked *a = r->asked;
	const struct risk_report report = {
		.of = r->view ? r->view->ns : r->collection->ns,
		.stored = !r->view,
		.quasi = &r->quasi,
		.sensitive = &r->sensitive,
		.result = result,
		.min_k = a->k,
		/* Of an empty table nothing is known. */
		.met = !a->k || (result->nsmallest && result->smallest[0].size >= a->k),
	};
	struct buf out;

	buf_init(&out, OUT_MAX);
	(a->json ? risk_put_json : risk_put_text)(&out, &report);
	fwrite(out.at, 1, out.len, stdout);
	buf_fini(&out);
	return report.met ? CLI_OK : CLI_NO;
}

static int measure(struct risking *r, const char *ns)
{
	struct risk_result *result = memory_new(sizeof(*result));
	const struct risk_options options = {
		.collection = r->collection,
		.view = r->view,
		.rows = buf_bytes(&r->rows),
		.quasi = r->quasi.at,
		.nquasi = r->quasi.count,
		.sensitive = r->sensitive.at,
		.nsensitive = r->sensitive.count,
		.limit = RISK_LIMIT,
	};
	int code;

	r->risk = risk_new(r->keys.policy, r->keys.keyring, r->keys.master, &options);
	code = read_all(r, ns, result);
	if (code == CLI_OK)
		code = check_found(r, result);
	if (code == CLI_OK)
		code = tell(r, result);
	risk_free(r->risk);
	free(result);
	return code;
}

static int run(struct risking *r, struct complaints *complaints)
{
	char *ns;
	int code = choose_collection(r);

	if (code == CLI_OK)
		code = fill_rows(r);
	if (code == CLI_OK)
		code = leave_protected_out(r);
	if (code == CLI_OK && !check_keys(r, complaints))
		code = cli_complain(complaints);
	if (code != CLI_OK)
		return code;
	ns = memory_text(r->collection->ns);
	code = read_sample(r, ns);
	if (code == CLI_OK && stopped)
		code = cli_fail(CLI_UNREACHABLE, COMMAND, STOPPED_TEXT);
	if (code == CLI_OK)
		code = choose_fields(r);
	if (code == CLI_OK)
		code = measure(r, ns);
	free(ns);
	return code;
}

static int open_and_run(const struct asked *a)
{
	struct risking *r = memory_new(sizeof(*r));
	struct complaints complaints;
	int code = CLI_BAD;

	r->asked = a;
	arena_init(&r->arena);
	buf_init(&r->rows, DOC_MAX_LEN);
	complaints_init(&complaints);
	take_signals();
	if (field_keys_open_policy(
		    &r->keys, config_file(a->config), a->folder, WAIT_US, &complaints, &code))
		code = run(r, &complaints);
	else
		cli_complain(&complaints);
	field_keys_close(&r->keys);
	complaints_fini(&complaints);
	buf_fini(&r->rows);
	arena_fini(&r->arena);
	free(r);
	return code;
}

/* ------------------------------------------------------------------- arguments */

static int check_asked(struct asked *a)
{
	char *end;

	if ((a->view != NULL) == (a->as != NULL))
		return cli_usage(COMMAND, "give either --view NAMESPACE or --as " UPSTREAM);
	if (a->as && strcmp(a->as, UPSTREAM) != 0)
		return cli_usage(COMMAND, "--as %s is not known: --as " UPSTREAM, a->as);
	if (a->view && a->ns)
		return cli_usage(COMMAND, "--collection goes with --as " UPSTREAM);
	if (a->as && (a->attributes.count || a->role))
		return cli_usage(COMMAND, "--attr and --role go with --view");
	if (!a->min_k)
		return CLI_OK;
	errno = 0;
	a->k = strtoull(a->min_k, &end, 10);
	if (*end || errno || a->min_k[0] < '1' || a->min_k[0] > '9' || a->k > MIN_K_MAX)
		return cli_usage(COMMAND, "--min-k needs a number from 1 to %u", MIN_K_MAX);
	return CLI_OK;
}

int cli_policy_risk(int argc, char **argv)
{
	struct asked a = {0};
	const struct arg args[] = {
		{.name = "DIR", .value = &a.folder},
		{.name = "--view", .value = &a.view},
		{.name = "--as", .value = &a.as},
		{.name = "--collection", .value = &a.ns},
		{.name = "--quasi", .list = &a.quasi},
		{.name = "--sensitive", .list = &a.sensitive},
		{.name = "--attr", .list = &a.attributes},
		{.name = "--role", .value = &a.role},
		{.name = "--min-k", .value = &a.min_k},
		{.name = "--config", .value = &a.config},
		{.name = "--json", .flag = &a.json},
	};
	enum args_end end = args_parse(COMMAND, argc, argv, args, COUNT_OF(args));
	int code;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	code = check_asked(&a);
	if (code == CLI_OK)
		code = open_and_run(&a);
	args_list_fini(&a.quasi);
	args_list_fini(&a.sensitive);
	args_list_fini(&a.attributes);
	return code;
}
