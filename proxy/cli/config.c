#include "cli/config.h"

#include <errno.h>
#include <libgen.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/config_inside.h"
#include "net/address.h"
#include "util/file.h"
#include "util/memory.h"
#include "util/yaml.h"

#define FILE_DEFAULT "mongoward.yaml"
#define ENV_PREFIX   "MONGOWARD_"
#define ENV_NAME_MAX 128u
#define ENVIRONMENT  "environment"

extern char **environ;

const struct config_row config_rows[] = {
#define OPTION(path, kind, member, def, low, high, words, reload, prose) \
	{path, CONFIG_##kind, offsetof(struct config, member),           \
		sizeof(((struct config *)0)->member), def, low, high, words, reload},
#include "cli/config.def"
#undef OPTION
};
const size_t config_nrows = COUNT_OF(config_rows);

/* Options of later versions: an error instead of being read and ignored. */
static const char *const unsupported[] = {"listen.proxy_protocol", "keys.buckets",
	"keys.provider.key", "keys.provider.region", "audit.collection", "audit.syslog",
	"audit.reader_key"};

const char *config_file(const char *named)
{
	if (named)
		return named;
	return access(FILE_DEFAULT, F_OK) == 0 ? FILE_DEFAULT : NULL;
}

static void env_name(const struct config_row *row, char out[ENV_NAME_MAX])
{
	size_t i;

	snprintf(out, ENV_NAME_MAX, ENV_PREFIX "%s", row->path);
	for (i = strlen(ENV_PREFIX); out[i]; i++)
		out[i] = out[i] == '.'
				 ? '_'
				 : (char)(out[i] >= 'a' && out[i] <= 'z' ? out[i] - 32 : out[i]);
}

size_t config_row_of(const char *path)
{
	size_t i = 0;

	while (i < config_nrows && strcmp(config_rows[i].path, path) != 0)
		i++;
	return i;
}

static bool is_parent(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < config_nrows; i++)
		if (strncmp(config_rows[i].path, path, len) == 0 && config_rows[i].path[len] == '.')
			return true;
	return false;
}

static bool is_unsupported(const char *path)
{
	for (size_t i = 0; i < COUNT_OF(unsupported); i++)
		if (strcmp(unsupported[i], path) == 0)
			return true;
	return false;
}

/* ------------------------------------------------------------------- the file */

/* A list as one text, told apart by commas: as the environment gives it. */
static const char *joined(struct loading *l, const struct yaml_node *node)
{
	struct buf text;
	const char *copy;

	buf_init(&text, 65536);
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *item = &node->children[i];

		if (item->kind != YAML_SCALAR || memchr(item->text.at, ',', item->text.len)) {
			complain(l->complaints, item->at, NULL,
				"a text without a comma is expected");
			continue;
		}
		buf_put_str(&text, text.len ? "," : "");
		buf_put(&text, item->text);
	}
	copy = arena_text(&l->config->arena, buf_bytes(&text));
	buf_fini(&text);
	return copy;
}

static void take_value(struct loading *l, size_t row, const struct yaml_node *node)
{
	l->places[row] = node->at;
	if (node->kind == YAML_SEQUENCE && config_rows[row].kind == CONFIG_LIST)
		l->config->texts[row] = joined(l, node);
	else if (node->kind == YAML_SCALAR && memchr(node->text.at, 0, node->text.len))
		complain(l->complaints, node->at, NULL, "a NUL stands in '%s'",
			config_rows[row].path);
	else if (node->kind == YAML_SCALAR && node->text.len)
		l->config->texts[row] = arena_text(&l->config->arena, node->text);
	else
		complain(l->complaints, node->kind == YAML_NULL ? node->key_at : node->at, NULL,
			"'%s' needs a single value", config_rows[row].path);
}

static void refuse_mapping(struct loading *l, size_t row, const struct yaml_node *node)
{
	complain(l->complaints, node->key_at, "give it a single value",
		"'%s' in this form is not supported by this version", config_rows[row].path);
	/* It is there: that it is missing need not be said, too. */
	if (config_rows[row].kind == CONFIG_TEXT || config_rows[row].kind == CONFIG_PATH)
		l->config->texts[row] = "";
}

static void take_mapping(struct loading *l, const struct yaml_node *mapping, const char *above)
{
	for (size_t i = 0; i < mapping->count; i++) {
		const struct yaml_node *child = &mapping->children[i];
		const char *path = arena_format(&l->config->arena, "%s%s%.*s", above,
			*above ? "." : "", BYTES_ARG(child->key));
		size_t row = config_row_of(path);

		if (is_unsupported(path))
			complain(l->complaints, child->key_at, "leave it out",
				"'%s' is not supported by this version", path);
		else if (row < config_nrows && child->kind == YAML_MAPPING && is_parent(path))
			take_mapping(l, child, path);
		else if (row < config_nrows && child->kind == YAML_MAPPING)
			refuse_mapping(l, row, child);
		else if (row < config_nrows)
			take_value(l, row, child);
		else if (!is_parent(path))
			complain(l->complaints, child->key_at, "see mongoward.yaml(5)",
				"unknown key '%s'", path);
		else if (child->kind == YAML_MAPPING)
			take_mapping(l, child, path);
		else
			complain(l->complaints, child->at, "write it as `key: value`",
				"'%s' holds options", path);
	}
}

/* From `text` if it is given, else from the file. */
static bool take_file(struct loading *l, const struct bytes *text, struct arena *scratch)
{
	const struct yaml_node *root;

	if (!l->file)
		return true;
	root = text ? yaml_parse(scratch, l->file, *text, l->complaints)
		    : yaml_load(scratch, l->file, l->complaints);
	if (!root)
		return false;
	if (root->kind == YAML_MAPPING)
		take_mapping(l, root, "");
	else if (root->kind != YAML_NULL)
		return complain(l->complaints, root->at, "write it as `key: value`",
			"options are expected");
	return true;
}

/* ------------------------------------------------------------ the environment */

/* A variable that an option names, as MONGOWARD_UPSTREAM_PASSWORD. */
static bool is_named_by_option(const struct loading *l, const char *name)
{
	static const char *const paths[] = {"upstream.uri_env", "upstream.password_env"};

	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		const char *text = l->config->texts[config_row_of(paths[i])];

		if (text && strcmp(text, name) == 0)
			return true;
	}
	return false;
}

static void take_environment(struct loading *l)
{
	char name[ENV_NAME_MAX];

	for (size_t i = 0; i < config_nrows; i++) {
		const char *text;

		env_name(&config_rows[i], name);
		text = getenv(name);
		if (!text || !*text)
			continue;
		l->config->texts[i] = arena_text(&l->config->arena, bytes_str(text));
		l->places[i] = (struct place){
			.file = arena_format(&l->config->arena, ENVIRONMENT ": %s", name)};
	}
}

static void check_environment(struct loading *l)
{
	char name[ENV_NAME_MAX], known[ENV_NAME_MAX];

	for (char **e = environ; *e; e++) {
		size_t len = strcspn(*e, "=");
		bool found = false;

		if (strncmp(*e, ENV_PREFIX, strlen(ENV_PREFIX)) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(len < 100 ? len : 100), *e);
		for (size_t i = 0; i < config_nrows && !found; i++) {
			env_name(&config_rows[i], known);
			found = strcmp(known, name) == 0;
		}
		if (!found && !is_named_by_option(l, name))
			complain(l->complaints, (struct place){.file = ENVIRONMENT},
				"see mongoward.yaml(5)", "unknown variable '%s'", name);
	}
}

/* ------------------------------------------------------------------ resolving */

static const char *default_instance(struct arena *arena)
{
	char name[64] = "";

	(void)gethostname(name, sizeof(name) - 1);
	for (char *p = name; *p; p++)
		if (!config_is_name_character(*p))
			*p = '-';
	return arena_text(arena, bytes_str(config_is_name(name) ? name : "mongoward"));
}

/* Relative to the file's folder. */
const char *config_resolved(struct loading *l, const char *path)
{
	if (path[0] == '/' || !l->folder)
		return path;
	return arena_format(&l->config->arena, "%s/%s", l->folder, path);
}

static void resolve(struct loading *l, size_t i)
{
	const struct config_row *row = &config_rows[i];
	struct config *c = l->config;

	if (!c->texts[i])
		c->texts[i] = row->default_text;
	if (!c->texts[i] && strcmp(row->path, "instance") == 0)
		c->texts[i] = default_instance(&c->arena);
	if (c->texts[i] && row->kind == CONFIG_PATH)
		c->texts[i] = config_resolved(l, c->texts[i]);
	if (c->texts[i])
		(void)config_set(c, row, c->texts[i], l->places[i], l->complaints);
}

/* ------------------------------------------------------------------- checking */

struct place config_place_of(const struct loading *l, const char *path)
{
	struct place at = l->places[config_row_of(path)];

	if (!at.file)
		at = (struct place){.file = l->file ? l->file : ENVIRONMENT};
	return at;
}

void config_need(struct loading *l, const char *path, const char *hint)
{
	if (!l->config->texts[config_row_of(path)])
		complain(l->complaints, config_place_of(l, path), hint, "'%s' is missing", path);
}

static void check_listen(struct loading *l)
{
	struct config *c = l->config;

	if (c->listen.insecure) {
		if (c->listen.tls.certificate)
			complain(l->complaints, config_place_of(l, "listen.insecure"),
				"leave out one of the two",
				"listen.insecure and listen.tls exclude each other");
		return;
	}
	config_need(l, "listen.tls.certificate", "or say listen.insecure: true for plain TCP");
	config_need(l, "listen.tls.key", NULL);
	c->listen.tls.allow_tls12 = c->listen.min_version == 1;
}

/* A witness is stdout, or a file that a start can read back. */
static void check_witness(struct loading *l)
{
	struct config *c = l->config;
	struct place at = config_place_of(l, "audit.witness");
	const char **files = arena_array(&c->arena, c->witness.count, sizeof(*files));

	c->audit.witness_files = files;
	for (size_t i = 0; i < c->witness.count; i++) {
		const char *text = c->witness.at[i];

		if (strcmp(text, "stdout") == 0)
			c->audit.witness_stdout = true;
		else if (strncmp(text, "file:", 5) == 0 && text[5])
			files[c->audit.nwitness_files++] = config_resolved(l, text + 5);
		else
			complain(l->complaints, at, "stdout or file:PATH",
				"'%s' is no witness that this version writes to", text);
	}
	if (!c->audit.nwitness_files)
		complain(l->complaints, at, "audit.witness: [\"file:PATH\"]",
			"a witness is missing that a start can read back");
}

static void check_audit(struct loading *l)
{
	struct config *c = l->config;

	c->audit.instance = c->instance;
	if (!c->audit.directory)
		complain(l->complaints, config_place_of(l, "audit.directory"),
			"audit.directory: audit/",
			"the audit log needs a folder; standard output alone keeps nothing");
	config_need(l, "audit.signing_key", "mongoward init makes one");
	if (c->instance && !config_is_name(c->instance))
		complain(l->complaints, config_place_of(l, "instance"),
			"letters, digits, dots, dashes and underscores, at most 63",
			"'%s' cannot name an audit chain", c->instance);
	check_witness(l);
}

static void check_address(struct loading *l, const char *path, const char *text, const char *hint)
{
	struct sockaddr_storage address;
	socklen_t len;

	if (text && !net_address_parse(text, &address, &len))
		complain(l->complaints, config_place_of(l, path), hint, "'%s' is no ADDRESS:PORT",
			text);
}

static void check_numbers(struct loading *l)
{
	const struct config *c = l->config;

	if (c->upstream.pool_min > c->upstream.pool_max)
		complain(l->complaints, config_place_of(l, "upstream.pool.min"), "lower it",
			"upstream.pool.min is above upstream.pool.max");
	if (c->limits.memory < c->limits.message)
		complain(l->complaints, config_place_of(l, "limits.memory"), "raise it",
			"limits.memory is below limits.message: the largest message never fits");
}

static void check_vault(struct loading *l)
{
	const char *dot = strchr(l->config->keys.vault, '.');

	if (!dot || dot == l->config->keys.vault || !dot[1])
		complain(l->complaints, config_place_of(l, "keys.vault"), "encryption.__keyVault",
			"'%s' is not DATABASE.COLLECTION", l->config->keys.vault);
}

/* -------------------------------------------------------------------- loading */

static void begin(struct loading *l, const char *file, struct complaints *complaints)
{
	struct config *c = memory_new(sizeof(*c));
	char *copy;

	*l = (struct loading){.config = c, .complaints = complaints, .file = file};
	arena_init(&c->arena);
	buf_init(&c->secret, SECRET_MAX);
	l->places = arena_array(&c->arena, config_nrows, sizeof(*l->places));
	c->texts = memory_array(config_nrows, sizeof(*c->texts));
	if (!file)
		return;
	copy = memory_text(bytes_str(file));
	l->folder = memory_text(bytes_str(dirname(copy)));
	free(copy);
}

static void check_all(struct loading *l)
{
	check_listen(l);
	check_address(l, "listen.address", l->config->listen.address, "0.0.0.0:27017");
	check_address(l, "admin.address", l->config->admin_address, "127.0.0.1:9090");
	check_numbers(l);
	config_read_uri(l);
	config_read_password(l);
	config_check_policy(l);
	config_need(l, "users", "users: users.yaml");
	config_need(l, "keys.provider.file", "mongoward init makes one");
	check_vault(l);
	check_audit(l);
}

static struct config *load(
	const char *file, const struct bytes *text, struct complaints *complaints)
{
	size_t before = complaints->count;
	struct arena scratch;
	struct loading l;

	begin(&l, file, complaints);
	arena_init(&scratch);
	if (take_file(&l, text, &scratch)) {
		take_environment(&l);
		check_environment(&l);
		config_print_audit(l.config);
		for (size_t i = 0; i < config_nrows; i++)
			resolve(&l, i);
		check_all(&l);
	}
	arena_fini(&scratch);
	free(l.folder);
	if (complaints->count == before)
		return l.config;
	config_free(l.config);
	return NULL;
}

struct config *config_load(const char *file, struct complaints *complaints)
{
	return load(file, NULL, complaints);
}

struct config *config_parse(const char *file, struct bytes text, struct complaints *complaints)
{
	return load(file, &text, complaints);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	buf_wipe(&c->secret);
	free(c->texts);
	arena_fini(&c->arena);
	free(c);
}

bool config_can_replace(
	const struct config *now, const struct config *fresh, struct complaints *complaints)
{
	bool can = true;

	/* The files that are named may hold other keys than before. */
	if (!config_same_signers(&now->trust, &fresh->trust))
		can = complain(complaints, (struct place){.file = "reload"}, "restart the proxy",
			"the keys of 'policy.signers' cannot change while it runs");
	for (size_t i = 0; i < config_nrows; i++) {
		const char *a = now->texts[i], *b = fresh->texts[i];

		if (config_rows[i].reload || a == b || (a && b && strcmp(a, b) == 0))
			continue;
		can = complain(complaints, (struct place){.file = "reload"}, "restart the proxy",
			"'%s' cannot change while it runs", config_rows[i].path);
	}
	return can;
}

char *config_read_one(const char *file, const char *path, struct complaints *complaints)
{
	size_t row = config_row_of(path), before = complaints->count;
	char *text = NULL;
	struct arena scratch;
	struct loading l;

	begin(&l, file, complaints);
	arena_init(&scratch);
	if (take_file(&l, NULL, &scratch)) {
		take_environment(&l);
		resolve(&l, row);
		config_need(&l, path, "name the file with --config");
		if (complaints->count == before)
			text = memory_text(bytes_str(l.config->texts[row]));
	}
	arena_fini(&scratch);
	free(l.folder);
	config_free(l.config);
	return text;
}

struct config *config_load_sealed(const char *file, struct complaints *complaints)
{
	size_t before = complaints->count;
	struct arena scratch;
	struct loading l;

	begin(&l, file, complaints);
	arena_init(&scratch);
	if (take_file(&l, NULL, &scratch)) {
		take_environment(&l);
		config_print_audit(l.config);
		for (size_t i = 0; i < config_nrows; i++)
			if (strncmp(config_rows[i].path, "policy", strlen("policy")) == 0 ||
				strcmp(config_rows[i].path, "users") == 0)
				resolve(&l, i);
		config_check_policy(&l);
		config_need(&l, "users", "name the file with --config");
	}
	arena_fini(&scratch);
	free(l.folder);
	if (complaints->count == before)
		return l.config;
	config_free(l.config);
	return NULL;
}
