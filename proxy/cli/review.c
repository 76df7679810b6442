#include "cli/review.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "audit/glass_log.h"
#include "auth/users_file.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/reviews.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/utf8.h"

#define TEXT_MAX 300
#define TIME_LEN 20 /* "2026-11-23T09:12:44Z" */

/* A use, or a gap, and whether it waits for its review. */
struct use {
	char id[GLASS_ID_MAX + 1];
	char *user, *purpose, *ns, *rule;
	int64_t time_us;
	bool reviewed;
};

struct reviewing {
	struct use *uses;
	size_t n, capacity;
};

static void take_use(struct reviewing *r, const struct glass_line *line)
{
	struct use *use;

	if (line->id.len > GLASS_ID_MAX)
		return;
	memory_grow(&r->uses, r->n, &r->capacity, sizeof(*r->uses));
	use = &r->uses[r->n++];
	*use = (struct use){.user = memory_text(line->user),
		.purpose = memory_text(line->purpose),
		.ns = memory_text(line->ns),
		.rule = memory_text(line->rule),
		.time_us = line->time_us};
	memcpy(use->id, line->id.at, line->id.len);
}

static struct use *find(struct reviewing *r, struct bytes id)
{
	for (size_t i = 0; i < r->n; i++)
		if (bytes_equal_str(id, r->uses[i].id))
			return &r->uses[i];
	return NULL;
}

/* Nobody reviews what is one's own. */
static void mark(struct reviewing *r, struct bytes id, struct bytes by)
{
	struct use *use = find(r, id);

	if (use && !bytes_equal_str(by, use->user))
		use->reviewed = true;
}

static void take_line(void *context, const struct glass_line *line)
{
	if (line->kind == GLASS_REVIEWED)
		mark(context, line->id, line->user);
	else
		take_use(context, line);
}

static void take_entry(void *context, const struct review_entry *entry)
{
	mark(context, entry->id, entry->by);
}

static void time_text(int64_t time_us, char out[TIME_LEN + 1])
{
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm parts;

	gmtime_r(&seconds, &parts);
	strftime(out, TIME_LEN + 1, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void put_key(struct buf *out, const char *key, const char *value)
{
	buf_put_format(out, "\"%s\":", key);
	json_put_string(out, bytes_str(value));
}

static void print_json(const struct use *use)
{
	char time[TIME_LEN + 1];
	struct buf out;

	time_text(use->time_us, time);
	buf_init(&out, 1u << 16);
	buf_put_u8(&out, '{');
	put_key(&out, "request", use->id);
	buf_put_u8(&out, ',');
	put_key(&out, "ts", time);
	buf_put_u8(&out, ',');
	put_key(&out, "user", use->user);
	buf_put_u8(&out, ',');
	put_key(&out, "purpose", use->purpose);
	buf_put_u8(&out, ',');
	put_key(&out, "ns", use->ns);
	buf_put_u8(&out, ',');
	put_key(&out, "rule", use->rule);
	buf_put_str(&out, "}\n");
	fwrite(out.at, 1, out.len, stdout);
	buf_fini(&out);
}

static void print_line(const struct use *use)
{
	char time[TIME_LEN + 1], user[TEXT_MAX], ns[TEXT_MAX], purpose[TEXT_MAX];

	time_text(use->time_us, time);
	utf8_printable(bytes_str(use->user), user, sizeof(user));
	utf8_printable(bytes_str(use->ns), ns, sizeof(ns));
	utf8_printable(bytes_str(use->purpose), purpose, sizeof(purpose));
	printf("%s  %s  %s  %s  %s\n", time, use->id, user, purpose, ns);
}

static void list(const struct reviewing *r, bool json)
{
	for (size_t i = 0; i < r->n; i++)
		if (!r->uses[i].reviewed)
			(json ? print_json : print_line)(&r->uses[i]);
}

static bool check_one(struct reviewing *r, const char *id, const char *by)
{
	struct use *use = find(r, bytes_str(id));

	if (!use)
		cli_fail(CLI_BAD, "audit", "%s: the log has no such use of break-glass", id);
	else if (use->reviewed)
		cli_fail(CLI_BAD, "audit", "%s: it was reviewed before", id);
	else if (strcmp(use->user, by) == 0)
		cli_fail(CLI_BAD, "audit", "%s: nobody reviews what is one's own", id);
	else
		return use->reviewed = true;
	return false;
}

static int add(struct reviewing *r, const struct args_list *ids, const char *by, const char *file,
	struct complaints *complaints)
{
	if (user_text_wrong(bytes_str(by), USER_NAME_MAX))
		return cli_usage("audit", "--by %s", user_text_wrong(bytes_str(by), USER_NAME_MAX));
	for (size_t i = 0; i < ids->count; i++)
		if (!check_one(r, ids->at[i], by))
			return CLI_BAD;
	return reviews_add(file, ids->at, ids->count, by, complaints) ? CLI_OK
								      : cli_complain(complaints);
}

struct files {
	char *log, *reviews;
};

static int run(const struct args_list *ids, const char *by, const struct files *files, bool json,
	struct complaints *complaints)
{
	struct reviewing r = {0};
	struct fault why;
	int code = CLI_OK;

	if (!glass_log_read(files->log, take_line, &r, &why))
		code = cli_fail(CLI_BAD, "audit", "%s", why.detail);
	else if (!reviews_read(files->reviews, take_entry, &r, complaints))
		code = cli_complain(complaints);
	else if (ids->count)
		code = add(&r, ids, by, files->reviews, complaints);
	else
		list(&r, json);
	for (size_t i = 0; i < r.n; i++) {
		free(r.uses[i].user);
		free(r.uses[i].purpose);
		free(r.uses[i].ns);
		free(r.uses[i].rule);
	}
	free(r.uses);
	return code;
}

int audit_review(int argc, char **argv)
{
	const char *by = NULL, *file = NULL;
	struct args_list ids = {0};
	bool json = false;
	const struct arg args[] = {
		{.name = "--by", .value = &by},
		{.name = "--config", .value = &file},
		{.name = "--json", .flag = &json},
		{.name = "REQUEST", .list = &ids, .optional = true},
	};
	enum args_end parsed = args_parse("audit", argc, argv, args, COUNT_OF(args));
	struct complaints complaints;
	struct files files = {0};
	int code;

	if (parsed != ARGS_GO_ON)
		return args_exit(parsed);
	complaints_init(&complaints);
	files.log = config_read_one(config_file(file), "audit.directory", &complaints);
	files.reviews = config_read_one(config_file(file), "reviews", &complaints);
	if (!files.log || !files.reviews)
		code = cli_complain(&complaints);
	else if ((ids.count != 0) != (by != NULL))
		code = cli_usage("audit", "a review is of requests, and --by somebody");
	else
		code = run(&ids, by, &files, json, &complaints);
	free(files.log);
	free(files.reviews);
	complaints_fini(&complaints);
	args_list_fini(&ids);
	return code;
}
