#include "cli/policy_diff.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/line.h"
#include "audit/line_file.h"
#include "cli/args.h"
#include "cli/audit_files.h"
#include "cli/cli.h"
#include "cli/policy_diff_inside.h"
#include "util/clock.h"

#define COMMAND      "policy"
#define DISTINCT_MAX 200000u /* requests that are decided, and ways in which they change */
#define LOOK_US      200000

struct reading {
	struct difference difference;
	struct line_parser parser;
	struct arena scratch;
	uint64_t lines, unreadable;
	int64_t shown_us;
};

static void show_progress(struct reading *r)
{
	int64_t now = (int64_t)clock_monotonic_us();

	if (!isatty(STDERR_FILENO) || now - r->shown_us < LOOK_US)
		return;
	r->shown_us = now;
	fprintf(stderr, "\r%llu lines, %zu different requests ", (unsigned long long)r->lines,
		r->difference.decided.count);
}

static void end_progress(const struct reading *r)
{
	if (isatty(STDERR_FILENO) && r->shown_us)
		fprintf(stderr, "\r%*s\r", 60, "");
}

static struct bytes text_of(struct reading *r, const struct line *l, enum line_key key)
{
	struct bytes copy;
	struct buf text;

	if (!line_has(l, key))
		return bytes_of("", 0);
	buf_init(&text, LINE_MAX_LEN);
	line_unescape(l->values[key], &text);
	copy = arena_copy(&r->scratch, buf_bytes(&text));
	buf_fini(&text);
	return copy;
}

/* "roles.doctor.grants[0]" */
static struct bytes role_of_rule(struct bytes rule)
{
	static const char begin[] = "roles.";
	struct bytes rest = bytes_from(rule, sizeof(begin) - 1);

	if (!bytes_start_with(rule, bytes_str(begin)))
		return bytes_of("", 0);
	for (size_t i = 0; i < rest.len; i++)
		if (bytes_start_with(bytes_from(rest, i), bytes_str(".grants[")) ||
			bytes_start_with(bytes_from(rest, i), bytes_str(".break_glass")))
			return bytes_head(rest, i);
	return rest;
}

static void read_request(struct reading *r, const struct line *l, struct request *request)
{
	*request = (struct request){
		.user = text_of(r, l, LINE_KEY_user),
		.roles = l->values[LINE_KEY_roles],
		.ns = text_of(r, l, LINE_KEY_ns),
		.command = text_of(r, l, LINE_KEY_command),
		.shape = l->values[LINE_KEY_shape],
		.purpose = text_of(r, l, LINE_KEY_purpose),
		.role = role_of_rule(text_of(r, l, LINE_KEY_rule)),
		.client = text_of(r, l, LINE_KEY_client),
		.allowed = bytes_equal_str(line_raw_text(l, LINE_KEY_decision), "allow"),
		.glass = line_has(l, LINE_KEY_break_glass),
		.same_policy = bytes_equal_str(
			text_of(r, l, LINE_KEY_policy), r->difference.policies[0]->hash),
	};
}

static void put_key(struct buf *key, struct bytes part)
{
	buf_put_u32(key, (uint32_t)part.len);
	buf_put(key, part);
}

/* All that decides, but for the client's port. */
static void put_decided_key(struct buf *key, const struct request *r)
{
	size_t len = r->client.len;

	while (len && r->client.at[len - 1] != ':')
		len--;
	put_key(key, r->user);
	put_key(key, r->roles);
	put_key(key, r->ns);
	put_key(key, r->shape);
	put_key(key, r->purpose);
	put_key(key, r->role);
	put_key(key, bytes_head(r->client, len));
	buf_put_u8(key, (uint8_t)(r->allowed | r->glass << 1 | r->same_policy << 2));
}

/* All that is told of it. */
static void put_change_key(struct buf *key, const struct change *c)
{
	buf_put_u8(key, (uint8_t)c->kind);
	put_key(key, c->request.ns);
	put_key(key, c->request.command);
	put_key(key, c->before.rule);
	put_key(key, c->after.rule);
	put_key(key, bytes_str(c->before.error ? c->before.error : ""));
	put_key(key, bytes_str(c->after.error ? c->after.error : ""));
	put_key(key, bytes_str(c->after.sees ? c->after.sees : ""));
}

static struct bytes copy_of(struct difference *d, struct bytes b)
{
	return arena_copy(&d->arena, b);
}

static void keep_request(struct difference *d, struct request *r)
{
	r->user = copy_of(d, r->user);
	r->roles = copy_of(d, r->roles);
	r->ns = copy_of(d, r->ns);
	r->command = copy_of(d, r->command);
	r->shape = copy_of(d, r->shape);
	r->purpose = copy_of(d, r->purpose);
	r->role = copy_of(d, r->role);
	r->client = copy_of(d, r->client);
}

static struct change *change_of(struct difference *d, struct request *request, struct buf *key)
{
	struct change *c, *told;

	buf_clear(key);
	put_decided_key(key, request);
	c = map_get(&d->decided, buf_bytes(key));
	if (c)
		return c;
	if (d->decided.count == DISTINCT_MAX)
		return NULL;
	keep_request(d, request);
	c = decide_both(d, request);
	(void)map_set(&d->decided, copy_of(d, buf_bytes(key)), c);
	buf_clear(key);
	put_change_key(key, c);
	told = map_get(&d->changes, buf_bytes(key));
	if (!told)
		(void)map_set(&d->changes, copy_of(d, buf_bytes(key)), told = c);
	/* From now on this request counts where it is told. */
	buf_clear(key);
	put_decided_key(key, request);
	(void)map_set(&d->decided, copy_of(d, buf_bytes(key)), told);
	return told;
}

static void add_user(struct difference *d, struct map *users, struct bytes name)
{
	if (!map_get(users, name))
		(void)map_set(users, copy_of(d, name), d);
}

static bool is_request(const struct line *l)
{
	if (l->event != LINE_ACCESS && l->event != LINE_INTENT && l->event != LINE_REFUSAL)
		return false;
	return line_has(l, LINE_KEY_shape) && line_has(l, LINE_KEY_ns) &&
	       line_count(l, LINE_KEY_part) <= 1;
}

/* False: too many are different. */
static bool on_line(struct reading *r, const struct line *l, struct buf *key)
{
	struct difference *d = &r->difference;
	struct request request;
	struct change *c;

	if (!is_request(l))
		return true;
	read_request(r, l, &request);
	/* Of a cursor the command that opened it decided. */
	if (bytes_equal_str(request.command, "getMore")) {
		d->skipped++;
		return true;
	}
	c = change_of(d, &request, key);
	if (!c)
		return false;
	c->requests++;
	add_user(d, &c->users, request.user);
	add_user(d, &d->everybody, request.user);
	d->requests++;
	d->other_policy += !request.same_policy;
	if (!d->first_us || l->time_us < d->first_us)
		d->first_us = l->time_us;
	if (l->time_us > d->last_us)
		d->last_us = l->time_us;
	return true;
}

static bool read_file(void *context, const char *path)
{
	struct reading *r = context;
	struct line_file in;
	struct bytes text;
	struct line line;
	struct buf key;
	bool fine = true;

	if (!line_file_open(&in, path)) {
		cli_fail(CLI_BAD, COMMAND, "%s: %s", path, strerror(errno));
		return false;
	}
	buf_init(&key, 4 * LINE_MAX_LEN);
	while (fine && line_file_next(&in, &text) == LINE_READ_ONE) {
		r->lines++;
		if (line_parse(&r->parser, text, &line))
			fine = on_line(r, &line, &key);
		else
			r->unreadable++;
		arena_reset(&r->scratch);
		show_progress(r);
	}
	buf_fini(&key);
	line_file_close(&in);
	if (!fine)
		cli_fail(CLI_BAD, COMMAND,
			"over %u different requests: give fewer files, or one day's", DISTINCT_MAX);
	return fine;
}

uint64_t difference_requests(const struct difference *d, enum change_kind kind)
{
	const struct map_entry *e;
	uint64_t n = 0;

	for (size_t i = 0; (e = map_next(&d->changes, &i));) {
		const struct change *c = e->value;

		n += c->kind == kind ? c->requests : 0;
	}
	return n;
}

static int compare(
	struct reading *r, const struct args_list *files, const char *const folders[2], bool json)
{
	struct difference *d = &r->difference;
	bool fine = true;

	for (size_t i = 0; fine && i < files->count; i++)
		fine = audit_files_each(COMMAND, files->at[i], read_file, r);
	end_progress(r);
	if (!fine)
		return CLI_BAD;
	print_difference(d, folders, json);
	if (r->unreadable)
		cli_fail(CLI_NO, COMMAND,
			"%llu lines are no records: `mongoward audit verify` tells more",
			(unsigned long long)r->unreadable);
	return difference_requests(d, CHANGE_REFUSED) || difference_requests(d, CHANGE_ALLOWED) ||
			       difference_requests(d, CHANGE_SHOWN) || r->unreadable
		       ? CLI_NO
		       : CLI_OK;
}

static void reading_init(struct reading *r)
{
	struct difference *d = &r->difference;

	*r = (struct reading){.lines = 0};
	arena_init(&d->arena);
	arena_init(&r->scratch);
	map_init(&d->decided);
	map_init(&d->changes);
	map_init(&d->everybody);
	line_parser_init(&r->parser);
}

static void reading_fini(struct reading *r)
{
	struct difference *d = &r->difference;
	const struct map_entry *e;

	for (size_t i = 0; (e = map_next(&d->changes, &i));)
		map_fini(&((struct change *)e->value)->users);
	map_fini(&d->decided);
	map_fini(&d->changes);
	map_fini(&d->everybody);
	line_parser_fini(&r->parser);
	users_unref(d->users);
	policy_unref(d->policies[0]);
	policy_unref(d->policies[1]);
	arena_fini(&r->scratch);
	arena_fini(&d->arena);
}

int cli_policy_diff(int argc, char **argv)
{
	const char *folders[2] = {NULL, NULL}, *users = NULL;
	struct args_list files = {NULL, 0, 0};
	bool json = false;
	const struct arg args[] = {
		{.name = "OLD", .value = &folders[0]},
		{.name = "NEW", .value = &folders[1]},
		{.name = "--audit", .list = &files},
		{.name = "--users", .value = &users},
		{.name = "--json", .flag = &json},
	};
	enum args_end end = args_parse(COMMAND, argc, argv, args, COUNT_OF(args));
	struct complaints complaints;
	struct reading r;
	int code;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	if (!files.count)
		return cli_usage(COMMAND, "diff needs --audit FILE or FOLDER");
	complaints_init(&complaints);
	reading_init(&r);
	for (size_t i = 0; i < COUNT_OF(folders); i++)
		r.difference.policies[i] = policy_load(folders[i], &complaints);
	if (users)
		r.difference.users = users_load(users, &complaints);
	code = complaints.count ? cli_complain(&complaints) : compare(&r, &files, folders, json);
	reading_fini(&r);
	args_list_fini(&files);
	complaints_fini(&complaints);
	return code;
}
