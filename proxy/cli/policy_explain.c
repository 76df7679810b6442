#include "cli/policy_explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bson/bson.h>
#include <sodium.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/explain_parts.h"
#include "transform/transform.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/json.h"
#include "util/memory.h"

#define COMMAND     "policy"
#define VAULT       "encryption.__keyVault"
#define ATTRS_MAX   64u
#define COMMAND_MAX (16u * 1024 * 1024)
#define WIDTH       80

struct explaining {
	const char *folder, *as, *users_file, *command, *purpose;
	struct args_list attributes, lists;
	bool json;
	struct policy *policy;
	struct users *users;
	struct arena arena;
	struct user user;
	struct facts facts;
	struct buf message;
	struct command parsed;
	struct plan plan;
	struct fault why;
	bool allowed;
};

/* A user of the file, or a role by itself. */
static bool find_user(struct explaining *x)
{
	const struct user *known = x->users ? users_find(x->users, bytes_str(x->as)) : NULL;
	const struct role *role;

	if (known)
		x->user = *known;
	role = policy_role(x->policy, known && known->nroles ? known->roles[0] : bytes_str(x->as));
	if (!role) {
		fprintf(stderr, "mongoward policy explain: '%s' is no role%s (see `roles:`)\n",
			x->as, x->users ? " and no user" : "; --users FILE names users");
		return false;
	}
	if (!known) {
		x->user.name = bytes_str("(explain)");
		x->user.roles = arena_alloc(&x->arena, sizeof(*x->user.roles));
		x->user.roles[0] = role->name;
		x->user.nroles = 1;
	}
	x->facts.user = &x->user;
	x->facts.method = role->auth_scram ? AUTH_SCRAM : AUTH_X509;
	x->facts.now_us = clock_realtime_us();
	x->facts.vault = bytes_str(VAULT);
	if (role->nnetworks)
		memcpy(x->facts.address, role->networks[0].address, sizeof(x->facts.address));
	return true;
}

static bool add_attributes(struct explaining *x)
{
	struct attribute *all;
	size_t n = x->user.nattributes;

	if (x->attributes.count > ATTRS_MAX) {
		cli_usage(COMMAND, "over %u attributes", ATTRS_MAX);
		return false;
	}
	all = arena_array(&x->arena, n + x->attributes.count, sizeof(*all));
	if (n)
		memcpy(all, x->user.attributes, n * sizeof(*all));
	for (size_t i = 0; i < x->attributes.count; i++) {
		const char *equals = strchr(x->attributes.at[i], '=');

		if (!equals || equals == x->attributes.at[i]) {
			cli_usage(
				COMMAND, "--attr %s: NAME=VALUE is expected", x->attributes.at[i]);
			return false;
		}
		/* Found first, so that it stands for one of the file. */
		memmove(all + 1, all, (n + i) * sizeof(*all));
		all[0].name = bytes_of(x->attributes.at[i], (size_t)(equals - x->attributes.at[i]));
		all[0].value = bytes_str(equals + 1);
	}
	x->user.attributes = all;
	x->user.nattributes = n + x->attributes.count;
	if (x->purpose)
		x->user.purpose = bytes_str(x->purpose);
	return true;
}

/* The command's text: the argument, or with "-" standard input. */
static char *command_text(const struct explaining *x)
{
	struct buf text;
	char *copy, chunk[4096];
	size_t n;

	if (strcmp(x->command, "-") != 0)
		return memory_text(bytes_str(x->command));
	buf_init(&text, COMMAND_MAX);
	while ((n = fread(chunk, 1, sizeof(chunk), stdin)))
		buf_put(&text, bytes_of(chunk, n));
	copy = memory_text(buf_bytes(&text));
	buf_fini(&text);
	return copy;
}

static bool parse_command(struct explaining *x)
{
	char *text = command_text(x);
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
	size_t frame;

	free(text);
	if (!doc) {
		fprintf(stderr,
			"mongoward policy explain: --command: %s (extended JSON is expected)\n",
			error.message);
		return false;
	}
	buf_init(&x->message, FRAME_MESSAGE_MAX);
	frame = frame_begin(&x->message, 1, 0, OPCODE_MSG);
	buf_put_u32(&x->message, 0);
	buf_put_u8(&x->message, 0);
	buf_put(&x->message, bytes_of(bson_get_data(doc), doc->len));
	frame_end(&x->message, frame);
	bson_destroy(doc);
	return true;
}

/* ------------------------------------------------------------ what is sent */

/* Keys of the moment: that a value is encrypted is shown, not how. */
static struct transform *throwaway_transform(struct policy *policy, struct keyring **keyring)
{
	uint8_t key[MASTER_LEN];
	struct transform *t = NULL;
	struct master *master;
	struct buf document;
	struct fault why;

	randombytes_buf(key, sizeof(key));
	master = master_new(key, false, &why);
	*keyring = master ? keyring_new(master, false, &why) : NULL;
	if (*keyring) {
		buf_init(&document, 65536);
		for (size_t i = 0; i < policy->nencrypted; i++) {
			buf_clear(&document);
			if (keyring_make_document(master, policy->encrypted[i].ns,
				    policy->encrypted[i].path, 0, &document, &why))
				(void)keyring_add(*keyring, buf_bytes(&document), &why);
		}
		buf_fini(&document);
		t = transform_new(policy, *keyring, master);
	}
	master_free(master);
	return t;
}

/* A copy in which ciphertext is told by its field. */
static void put_readable(const struct keyring *k, struct bytes doc, struct buf *out)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		uint8_t subtype;
		struct bytes content;
		int key = KEY_NONE;
		size_t begun;

		if (element_is_document(&e)) {
			begun = (e.type == TYPE_ARRAY ? doc_put_array : doc_put_document)(
				out, e.name);
			put_readable(k, e.value, out);
			doc_end(out, begun);
			continue;
		}
		if (e.type == TYPE_BINARY) {
			content = element_binary(&e, &subtype);
			if (subtype == BINARY_ENCRYPTED)
				key = cipher_key_of(k, content);
		}
		if (key != KEY_NONE) {
			char *text =
				memory_format("<encrypted: %.*s>", BYTES_ARG(keyring_path(k, key)));

			doc_put_string(out, e.name, bytes_str(text));
			free(text);
		} else {
			doc_put_element(out, &e);
		}
	}
}

static char *json_of(struct bytes doc)
{
	bson_t view;
	char *json, *copy;

	if (!bson_init_static(&view, doc.at, doc.len))
		return memory_text(bytes_str("{}"));
	json = bson_as_relaxed_extended_json(&view, NULL);
	copy = memory_text(bytes_str(json ? json : "{}"));
	bson_free(json);
	return copy;
}

/* The command as it would go to the database, into `readable`. */
static bool put_sent(struct explaining *x, struct buf *readable)
{
	struct keyring *keyring = NULL;
	struct transform *t = throwaway_transform(x->policy, &keyring);
	struct buf sent;
	struct written written;
	size_t begun;
	bool fine;

	buf_init(&sent, FRAME_MESSAGE_MAX + DOC_SLACK_LEN);
	fine = t && transform_request(t, &x->plan, &x->parsed, 0, &sent, &written, &x->why);
	if (fine) {
		begun = doc_begin(readable);
		put_readable(keyring, bytes_from(buf_bytes(&sent), FRAME_HEADER_LEN + 5), readable);
		doc_end(readable, begun);
	}
	buf_fini(&sent);
	if (t)
		transform_free(t);
	keyring_unref(keyring);
	return fine && !readable->failed;
}

/* --------------------------------------------------------- what comes back */

typedef void path_fn(
	struct bytes path, const char *class, const struct view_node *node, bool first);

static void each_path(struct explaining *x, path_fn *visit)
{
	const struct virtual_view *v = policy_view(x->policy, x->plan.ns);
	const struct secure_view *s = x->plan.reply.secure;
	const struct collection *c = s ? s->collection : NULL;
	bool at, first = true;

	for (size_t i = 0; v && i < v->nfields; i++, first = false) {
		const struct view_field *f = &v->fields[i];
		const struct view_node node = {
			.clearance = f->mask ? CLEAR_MASK : CLEAR_PLAINTEXT, .mask = f->mask};
		uint8_t class = f->of_subject ? x->policy->restricted
					      : view_node_of(&v->from->tree, f->path, &at)->class;

		visit(f->name,
			f->of_subject ? "(subject)" : (const char *)x->policy->classes[class].at,
			&node, first);
	}
	for (size_t i = 0; !v && c && i < c->nfields; i++, first = false) {
		const struct view_node *node = view_node_of(&s->root, c->fields[i].path, &at);

		visit(c->fields[i].path, (const char *)x->policy->classes[c->fields[i].class].at,
			node, first);
	}
}

static void print_wrapped(const char *label, const char *text)
{
	printf("%-9s ", label);
	explain_wrapped(10, text);
}

/* What a mask leaves, on a line of its own. */
static void print_path(
	struct bytes path, const char *class, const struct view_node *node, bool first)
{
	struct buf mask;

	printf("%-9s %-40.*s %-14s %s\n", first ? "shows" : "", BYTES_ARG(path), class,
		explain_clearance(node));
	if (node->clearance != CLEAR_MASK)
		return;
	buf_init(&mask, 65536);
	explain_mask(node->mask, &mask);
	buf_put_u8(&mask, '\0');
	if (!mask.failed && mask.len > 1)
		print_wrapped("", (const char *)mask.at);
	buf_fini(&mask);
}

static void print_quoted(struct bytes text)
{
	struct buf quoted;

	buf_init(&quoted, 1u << 20);
	json_put_string(&quoted, text);
	printf("%.*s", BYTES_ARG(buf_bytes(&quoted)));
	buf_fini(&quoted);
}

static void print_path_json(
	struct bytes path, const char *class, const struct view_node *node, bool first)
{
	struct buf mask;

	printf("%s{\"path\":", first ? "" : ",");
	print_quoted(path);
	printf(",\"class\":");
	print_quoted(bytes_str(class));
	printf(",\"as\":\"%s\"", explain_clearance(node));
	if (node->clearance == CLEAR_MASK) {
		buf_init(&mask, 65536);
		explain_mask(node->mask, &mask);
		printf(",\"mask\":");
		print_quoted(buf_bytes(&mask));
		buf_fini(&mask);
	}
	putchar('}');
}

/* ------------------------------------------------------------------- words */

static const char *way(const struct plan *plan)
{
	if (plan->reply.names_group)
		return "behind the secure view, with its patients named";
	if (plan->reply.statistics)
		return "behind the secure view, as statistics";
	return plan->reply.behind_barrier ? "behind the secure view" : "as it is";
}

/* One field of the command on a line of its own, and of a pipeline each stage; what does
 * not fit is cut. */
static void print_field(const char *label, const struct element *e, unsigned indent)
{
	struct buf one;
	char *json, *inner;
	size_t begun, room = WIDTH - 10 - indent;

	buf_init(&one, DOC_SLACK_LEN);
	begun = doc_begin(&one);
	doc_put_value(&one, e->type, e->name, e->value);
	doc_end(&one, begun);
	json = json_of(buf_bytes(&one));
	buf_fini(&one);
	/* Without the braces around it. */
	inner = json + 2;
	inner[strlen(inner) - 2] = '\0';
	if (strlen(inner) > room) {
		while ((inner[room - 1] & 0xc0) == 0x80)
			room--;
		printf("%-9s %*s%.*s…\n", label, (int)indent, "", (int)(room - 1), inner);
	} else {
		printf("%-9s %*s%s\n", label, (int)indent, "", inner);
	}
	free(json);
}

static void print_sent(struct explaining *x)
{
	struct buf sent;
	struct doc_iter it, stages;
	struct element e, stage, first;
	const char *label = "sent";

	buf_init(&sent, FRAME_MESSAGE_MAX + DOC_SLACK_LEN);
	if (put_sent(x, &sent)) {
		it = doc_iter_of(buf_bytes(&sent));
		for (; doc_next(&it, &e); label = "") {
			if (!element_named(&e, "pipeline") || e.type != TYPE_ARRAY) {
				print_field(label, &e, 0);
				continue;
			}
			printf("%-9s \"pipeline\" :\n", label);
			stages = doc_iter_of(e.value);
			while (doc_next(&stages, &stage)) {
				struct doc_iter inner = doc_iter_of(stage.value);

				if (doc_next(&inner, &first))
					print_field("", &first, 2);
			}
		}
	}
	buf_fini(&sent);
}

static void print_allowed(struct explaining *x)
{
	const struct grant *g = policy_grant(x->policy, x->plan.role, x->plan.rule);
	char *rows = NULL;

	printf("verdict   allowed, %s\n", way(&x->plan));
	if (g)
		printf("grant     %.*s (%s:%u)\n", BYTES_ARG(g->rule), g->at.file, g->at.line);
	if (x->plan.rows.len) {
		rows = json_of(x->plan.rows);
		print_wrapped("rows", rows);
	}
	print_sent(x);
	each_path(x, print_path);
	explain_grants(x->policy, &x->facts, &x->parsed, &x->plan);
	if (x->plan.writes)
		puts("record    an intent before it is sent, and the outcome");
	free(rows);
}

static void print_refused(struct explaining *x)
{
	const struct grant *g = policy_grant(x->policy, x->plan.role, x->plan.rule);
	char text[FAULT_TEXT_MAX];

	printf("verdict   refused with code %d, %s\n", fault_server_code(x->why.code),
		fault_code_name(x->why.code));
	if (g)
		printf("grant     %.*s (%s:%u) came nearest\n", BYTES_ARG(g->rule), g->at.file,
			g->at.line);
	print_wrapped("error", fault_text(&x->why, text, sizeof(text)));
	explain_grants(x->policy, &x->facts, &x->parsed, &x->plan);
}

static void print_allowed_json(struct explaining *x)
{
	const struct reply_rules *reply = &x->plan.reply;
	char *json;
	struct buf sent;

	printf("{\"verdict\":\"allowed\",\"way\":\"%s\",\"rule\":",
		reply->behind_barrier ? "barrier" : "native");
	print_quoted(x->plan.rule);
	json = x->plan.rows.len ? json_of(x->plan.rows) : NULL;
	printf(",\"rows\":%s", json ? json : "null");
	free(json);
	buf_init(&sent, FRAME_MESSAGE_MAX + DOC_SLACK_LEN);
	json = put_sent(x, &sent) ? json_of(buf_bytes(&sent)) : NULL;
	printf(",\"sent\":%s,\"shows\":[", json ? json : "null");
	free(json);
	buf_fini(&sent);
	each_path(x, print_path_json);
	printf("],\"names_subjects\":%s,\"others\":",
		reply->names_subjects || reply->names_group ? "true" : "false");
	explain_grants_json(x->policy, &x->facts, &x->parsed, &x->plan);
	puts("}");
}

static void print_refused_json(struct explaining *x)
{
	char text[FAULT_TEXT_MAX];

	printf("{\"verdict\":\"refused\",\"code\":%d,\"codeName\":\"%s\",\"rule\":",
		fault_server_code(x->why.code), fault_code_name(x->why.code));
	print_quoted(x->plan.rule);
	printf(",\"error\":");
	print_quoted(bytes_str(fault_text(&x->why, text, sizeof(text))));
	printf(",\"others\":");
	explain_grants_json(x->policy, &x->facts, &x->parsed, &x->plan);
	puts("}");
}

static int explain(struct explaining *x)
{
	if (!find_user(x) || !add_attributes(x) || !parse_command(x) ||
		!explain_lists(&x->lists, x->policy, &x->arena, &x->facts))
		return CLI_BAD;
	x->allowed = command_parse(&x->parsed, buf_bytes(&x->message), &x->why) &&
		     policy_decide(x->policy, &x->facts, &x->parsed, &x->arena, &x->plan, &x->why);
	if (x->json) {
		(x->allowed ? print_allowed_json : print_refused_json)(x);
	} else {
		printf("command   %.*s on %.*s\n", BYTES_ARG(x->parsed.name),
			BYTES_ARG(x->plan.ns));
		(x->allowed ? print_allowed : print_refused)(x);
	}
	return x->allowed ? CLI_OK : CLI_NO;
}

int cli_policy_explain(int argc, char **argv)
{
	struct explaining x = {.json = false};
	const struct arg args[] = {
		{.name = "DIR", .value = &x.folder},
		{.name = "--as", .value = &x.as},
		{.name = "--command", .value = &x.command},
		{.name = "--users", .value = &x.users_file},
		{.name = "--attr", .list = &x.attributes},
		{.name = "--list", .list = &x.lists},
		{.name = "--purpose", .value = &x.purpose},
		{.name = "--observe", .flag = &x.facts.observe},
		{.name = "--json", .flag = &x.json},
	};
	enum args_end end = args_parse(COMMAND, argc, argv, args, COUNT_OF(args));
	struct complaints complaints;
	int code = CLI_BAD;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	if (!x.as || !x.command) {
		args_list_fini(&x.attributes);
		args_list_fini(&x.lists);
		return cli_usage(COMMAND, "explain needs --as and --command");
	}
	complaints_init(&complaints);
	arena_init(&x.arena);
	buf_init(&x.message, FRAME_MESSAGE_MAX);
	x.policy = policy_load(x.folder, &complaints);
	if (x.policy && x.users_file)
		x.users = users_load(x.users_file, &complaints);
	if (complaints.count)
		cli_complain(&complaints);
	else
		code = explain(&x);
	users_unref(x.users);
	policy_unref(x.policy);
	buf_fini(&x.message);
	arena_fini(&x.arena);
	args_list_fini(&x.attributes);
	args_list_fini(&x.lists);
	complaints_fini(&complaints);
	return code;
}
