#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/users.h"
#include "cli/args.h"
#include "cli/config.h"
#include "cli/password.h"
#include "policy/policy.h"
#include "util/json.h"
#include "util/memory.h"

struct asked {
	const char *verb, *name, *config, *purpose, *x509;
	struct args_list roles, attributes;
	bool password_stdin, json;
};

static struct bytes text_of(const char *text)
{
	return text ? bytes_str(text) : bytes_of("", 0);
}

/* K=V; false with a line on standard error. */
static bool read_attributes(const struct asked *a, struct attribute *out)
{
	for (size_t i = 0; i < a->attributes.count; i++) {
		const char *text = a->attributes.at[i], *sign = strchr(text, '=');

		if (!sign || sign == text || !sign[1]) {
			cli_usage("user", "'%s' is not of the form ATTRIBUTE=VALUE", text);
			return false;
		}
		out[i] = (struct attribute){
			bytes_of(text, (size_t)(sign - text)), bytes_str(sign + 1)};
	}
	return true;
}

/* A policy that does not load says nothing here; no proxy runs with it either. */
static bool check_roles(
	const struct asked *a, const struct bytes *roles, struct complaints *complaints)
{
	struct complaints unwanted;
	struct policy *policy = NULL;
	struct bytes pair[2];
	bool fine = true;
	char *folder;

	complaints_init(&unwanted);
	folder = config_read_one(config_file(a->config), "policy", &unwanted);
	if (folder)
		policy = policy_load(folder, &unwanted);
	if (policy && policy_roles_exclude(policy, roles, a->roles.count, pair))
		fine = complain(complaints, (struct place){.file = folder},
			"leave one of the two out", "the roles %.*s and %.*s exclude each other",
			BYTES_ARG(pair[0]), BYTES_ARG(pair[1]));
	policy_unref(policy);
	free(folder);
	complaints_fini(&unwanted);
	return fine;
}

static bool add_user(const struct asked *a, const char *file, struct bytes password,
	struct complaints *complaints)
{
	struct bytes *roles = memory_array(a->roles.count, sizeof(*roles));
	struct attribute *attributes = memory_array(a->attributes.count, sizeof(*attributes));
	struct user_change change = {.name = bytes_str(a->name),
		.roles = roles,
		.nroles = a->roles.count,
		.attributes = attributes,
		.nattributes = a->attributes.count,
		.purpose = text_of(a->purpose),
		.x509 = text_of(a->x509),
		.password = password};
	bool done;

	for (size_t i = 0; i < a->roles.count; i++)
		roles[i] = bytes_str(a->roles.at[i]);
	done = read_attributes(a, attributes) && check_roles(a, roles, complaints) &&
	       users_add(file, &change, complaints);
	free(roles);
	free(attributes);
	return done;
}

/* With a certificate a user needs no password. */
static int add(const struct asked *a, const char *file, struct complaints *complaints)
{
	bool wants_password = a->password_stdin || !a->x509;
	struct buf password;
	bool done;

	if (!a->roles.count)
		return cli_usage("user", "--role is missing");
	buf_init(&password, CLI_PASSWORD_MAX + 2);
	done = (!wants_password || password_read("user", "Password of the new user: ",
					   a->password_stdin, true, &password)) &&
	       add_user(a, file, buf_bytes(&password), complaints);
	buf_wipe(&password);
	if (complaints->count)
		cli_complain(complaints);
	return done ? CLI_OK : CLI_BAD;
}

static int change_password(const struct asked *a, const char *file, struct complaints *complaints)
{
	struct buf password;
	bool done;

	buf_init(&password, CLI_PASSWORD_MAX + 2);
	done = password_read("user", "New password: ", a->password_stdin, true, &password) &&
	       users_set_password(file, bytes_str(a->name), buf_bytes(&password), complaints);
	buf_wipe(&password);
	if (complaints->count)
		cli_complain(complaints);
	return done ? CLI_OK : CLI_BAD;
}

static int remove_user(const struct asked *a, const char *file, struct complaints *complaints)
{
	return users_remove(file, bytes_str(a->name), complaints) ? CLI_OK
								  : cli_complain(complaints);
}

static void put_joined(const struct user *u, struct buf *out)
{
	for (size_t i = 0; i < u->nroles; i++)
		buf_put_format(out, "%s%.*s", i ? "," : "", BYTES_ARG(u->roles[i]));
}

static void print_line(const struct user *u)
{
	char attributes[128] = "";
	struct buf roles;
	size_t at = 0;

	buf_init(&roles, 64 * (USER_NAME_MAX + 1));
	put_joined(u, &roles);
	for (size_t i = 0; i < u->nattributes && at < sizeof(attributes) - 1; i++) {
		int n = snprintf(attributes + at, sizeof(attributes) - at, "%s%.*s=%.*s",
			i ? "," : "", BYTES_ARG(u->attributes[i].name),
			BYTES_ARG(u->attributes[i].value));

		at += n > 0 ? (size_t)n : 0;
	}
	printf("%-20.*s %-20.*s %-9s %.28s\n", BYTES_ARG(u->name), (int)roles.len,
		roles.len ? (const char *)roles.at : "",
		u->scram.iterations && u->x509.len ? "both"
		: u->x509.len                      ? "x509"
						   : "password",
		attributes);
	buf_fini(&roles);
}

static void print_json(const struct user *u)
{
	struct buf out;

	buf_init(&out, 1024 * 1024);
	buf_put_str(&out, "{\"user\":");
	json_put_string(&out, u->name);
	buf_put_str(&out, ",\"roles\":[");
	for (size_t i = 0; i < u->nroles; i++) {
		buf_put_str(&out, i ? "," : "");
		json_put_string(&out, u->roles[i]);
	}
	buf_put_str(&out, "],\"attributes\":{");
	for (size_t i = 0; i < u->nattributes; i++) {
		buf_put_str(&out, i ? "," : "");
		json_put_string(&out, u->attributes[i].name);
		buf_put_u8(&out, ':');
		json_put_string(&out, u->attributes[i].value);
	}
	buf_put_format(
		&out, "},\"password\":%s,\"purpose\":", u->scram.iterations ? "true" : "false");
	json_put_string(&out, u->purpose);
	buf_put_str(&out, ",\"x509\":");
	json_put_string(&out, u->x509);
	buf_put_str(&out, "}\n");
	fwrite(out.at, 1, out.len, stdout);
	buf_fini(&out);
}

static int list(const struct asked *a, const char *file, struct complaints *complaints)
{
	struct users *users = users_load(file, complaints);

	if (!users)
		return cli_complain(complaints);
	if (!a->json)
		printf("%-20s %-20s %-9s %s\n", "user", "roles", "login", "attributes");
	for (size_t i = 0; i < users_count(users); i++)
		(a->json ? print_json : print_line)(users_at(users, i));
	users_unref(users);
	return CLI_OK;
}

static int carry_out(const struct asked *a, const char *file, struct complaints *complaints)
{
	static const struct {
		const char *verb;
		int (*run)(const struct asked *, const char *, struct complaints *);
		bool named;
	} verbs[] = {
		{"add", add, true},
		{"passwd", change_password, true},
		{"remove", remove_user, true},
		{"list", list, false},
	};

	for (size_t i = 0; i < COUNT_OF(verbs); i++) {
		if (strcmp(a->verb, verbs[i].verb) != 0)
			continue;
		if (verbs[i].named != (a->name != NULL))
			return cli_usage("user",
				verbs[i].named ? "NAME is missing for '%s'"
					       : "no name is wanted for '%s'",
				a->verb);
		return verbs[i].run(a, file, complaints);
	}
	return cli_usage("user", "unknown word '%s'", a->verb);
}

int cli_user(int argc, char **argv)
{
	struct asked a = {0};
	const struct arg args[] = {
		{.name = "add, passwd, remove or list", .value = &a.verb},
		{.name = "NAME", .value = &a.name, .optional = true},
		{.name = "--role", .list = &a.roles},
		{.name = "--attr", .list = &a.attributes},
		{.name = "--purpose", .value = &a.purpose},
		{.name = "--x509", .value = &a.x509},
		{.name = "--password-stdin", .flag = &a.password_stdin},
		{.name = "--config", .value = &a.config},
		{.name = "--json", .flag = &a.json},
	};
	enum args_end end = args_parse("user", argc, argv, args, COUNT_OF(args));
	struct complaints complaints;
	char *file;
	int code;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	complaints_init(&complaints);
	file = config_read_one(config_file(a.config), "users", &complaints);
	code = file ? carry_out(&a, file, &complaints) : cli_complain(&complaints);
	free(file);
	complaints_fini(&complaints);
	args_list_fini(&a.roles);
	args_list_fini(&a.attributes);
	return code;
}
