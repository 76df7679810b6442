#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/field_keys.h"
#include "util/json.h"

#define WAIT_US (15ull * 1000 * 1000)

static void print_key(const struct field_keys *k, struct bytes ns, struct bytes path, bool json)
{
	int key = keyring_find(k->keyring, ns, path);
	const uint8_t *id = key == KEY_NONE ? NULL : keyring_id(k->keyring, key);
	struct buf out;

	buf_init(&out, 65536);
	if (json) {
		buf_put_str(&out, "{\"namespace\":");
		json_put_string(&out, ns);
		buf_put_str(&out, ",\"path\":");
		json_put_string(&out, path);
		buf_put_str(&out, ",\"id\":");
	} else {
		buf_put_format(&out, "%-28.*s %-32.*s ", BYTES_ARG(ns), BYTES_ARG(path));
	}
	if (!id)
		buf_put_str(&out, json ? "null" : "missing");
	else
		buf_put_str(&out, json ? "\"" : "");
	/* A UUID is long: the first eight digits tell keys apart, --json has them all. */
	for (size_t i = 0; id && i < (json ? KEY_ID_LEN : 4); i++)
		buf_put_format(&out, "%02x", id[i]);
	buf_put_str(&out, json ? (id ? "\"}\n" : "}\n") : "\n");
	fwrite(out.at, 1, out.len, stdout);
	buf_fini(&out);
}

static bool is_of_policy(const struct field_keys *k, int key)
{
	for (size_t i = 0; i < k->policy->nencrypted; i++)
		if (bytes_equal(k->policy->encrypted[i].ns, keyring_ns(k->keyring, key)) &&
			bytes_equal(k->policy->encrypted[i].path, keyring_path(k->keyring, key)))
			return true;
	return false;
}

/* Fields of the policy first, then keys that no field of it uses. */
static int list(const struct field_keys *k, bool json)
{
	if (!json)
		printf("%-28s %-32s %s\n", "namespace", "path", "key");
	for (size_t i = 0; i < k->policy->nencrypted; i++)
		print_key(k, k->policy->encrypted[i].ns, k->policy->encrypted[i].path, json);
	for (size_t i = 0; i < keyring_count(k->keyring); i++)
		if (!is_of_policy(k, (int)i))
			print_key(k, keyring_ns(k->keyring, (int)i),
				keyring_path(k->keyring, (int)i), json);
	return field_keys_missing(k) ? CLI_NO : CLI_OK;
}

static void say_created(const struct encrypted_field *f)
{
	printf("created %.*s %.*s\n", BYTES_ARG(f->ns), BYTES_ARG(f->path));
}

static int run(struct field_keys *k, const char *verb, bool json, struct complaints *complaints)
{
	int code = CLI_BAD;

	if (strcmp(verb, "list") == 0)
		return list(k, json);
	if (!field_keys_create(k, say_created, complaints, &code)) {
		cli_complain(complaints);
		return code;
	}
	return CLI_OK;
}

int cli_key(int argc, char **argv)
{
	const char *verb = NULL, *file = NULL;
	bool missing = false, json = false;
	const struct arg args[] = {
		{.name = "list or create", .value = &verb},
		{.name = "--missing", .flag = &missing},
		{.name = "--config", .value = &file},
		{.name = "--json", .flag = &json},
	};
	enum args_end end = args_parse("key", argc, argv, args, COUNT_OF(args));
	struct complaints complaints;
	struct field_keys k;
	int code = CLI_BAD;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	if (strcmp(verb, "list") != 0 && strcmp(verb, "create") != 0)
		return cli_usage("key", "unknown word '%s'", verb);
	if ((strcmp(verb, "create") == 0) != missing)
		return cli_usage("key",
			missing ? "--missing goes with create" : "create goes with --missing");
	complaints_init(&complaints);
	if (field_keys_open(&k, config_file(file), WAIT_US, &complaints, &code))
		code = run(&k, verb, json, &complaints);
	else
		cli_complain(&complaints);
	field_keys_close(&k);
	complaints_fini(&complaints);
	return code;
}
