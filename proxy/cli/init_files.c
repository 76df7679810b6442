#include "cli/init_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <sodium.h>

#include "cli/certificates.h"
#include "keys/master.h"
#include "keys/signing_key.h"
#include "util/file.h"
#include "util/memory.h"

#define PEM_MAX (64u * 1024)

/* The policies that mongoward ships, made from policies/ when it was built. */
static const struct {
	const char *name, *text;
} shipped_policies[] = {
#include "cli/shipped_policies.inc"
};

char *init_path(const struct init_request *r, const char *name)
{
	return memory_format("%s/%s", r->folder, name);
}

static bool failed(struct complaints *c, const char *path, const char *doing)
{
	return complain(c, (struct place){.file = path}, NULL, "%s: %s", doing, strerror(errno));
}

static bool is_empty(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *entry;
	bool empty = d != NULL;

	while (empty && (entry = readdir(d)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (d)
		closedir(d);
	return empty;
}

static bool make_folder(const struct init_request *r, const char *name, struct complaints *c)
{
	char *path = init_path(r, name);
	bool made = mkdir(path, 0700) == 0 || failed(c, path, "cannot be made");

	free(path);
	return made;
}

static bool make_folders(const struct init_request *r, struct complaints *c)
{
	static const char *const names[] = {
		"tls", "keys", "policies", "policies/hospital", "audit", "witness"};

	if (mkdir(r->folder, 0700) < 0) {
		if (errno != EEXIST)
			return failed(c, r->folder, "cannot be made");
		if (!is_empty(r->folder))
			return complain(c, (struct place){.file = r->folder},
				"name a folder that is not there yet", "is no empty folder");
	}
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (!make_folder(r, names[i], c))
			return false;
	return true;
}

static bool put_file(const struct init_request *r, const char *name, struct bytes content,
	mode_t mode, struct complaints *c)
{
	char *path = init_path(r, name);
	bool made = file_create(path, content, mode) || failed(c, path, "cannot be written");

	free(path);
	return made;
}

struct pem {
	struct buf certificate, key;
};

static bool put_pem(const struct init_request *r, const struct pem *p, const char *certificate,
	const char *key, struct complaints *c)
{
	return put_file(r, certificate, buf_bytes(&p->certificate), 0644, c) &&
	       put_file(r, key, buf_bytes(&p->key), 0600, c);
}

static void pem_init(struct pem *p)
{
	buf_init(&p->certificate, PEM_MAX);
	buf_init(&p->key, PEM_MAX);
	(void)buf_reserve(&p->key, 4096);
}

static void pem_fini(struct pem *p)
{
	buf_fini(&p->certificate);
	buf_wipe(&p->key);
}

/* One authority for the server, another for clients that log in by certificate. */
static bool put_certificates(const struct init_request *r, struct complaints *c)
{
	struct fault why;
	struct authority *servers = authority_new("mongoward development CA", &why);
	struct authority *clients =
		servers ? authority_new("mongoward development client CA", &why) : NULL;
	struct pem ca, server, client_ca;
	bool made, written;

	pem_init(&ca);
	pem_init(&server);
	pem_init(&client_ca);
	made = clients && authority_write(servers, &ca.certificate, &ca.key, &why) &&
	       authority_sign_server(
		       servers, r->hostname, &server.certificate, &server.key, &why) &&
	       authority_write(clients, &client_ca.certificate, &client_ca.key, &why);
	if (!made)
		complain(c, (struct place){.file = r->folder}, NULL, "%s", why.detail);
	written = made && put_pem(r, &ca, "tls/ca.pem", "tls/ca.key", c) &&
		  put_pem(r, &server, "tls/server.pem", "tls/server.key", c) &&
		  put_pem(r, &client_ca, "tls/clients.pem", "tls/clients.key", c);
	pem_fini(&ca);
	pem_fini(&server);
	pem_fini(&client_ca);
	authority_free(servers);
	authority_free(clients);
	return written;
}

static bool put_master_key(const struct init_request *r, struct complaints *c)
{
	uint8_t key[MASTER_LEN];
	bool made;

	randombytes_buf(key, sizeof(key));
	made = put_file(r, "keys/master.key", bytes_of(key, sizeof(key)), 0600, c);
	sodium_memzero(key, sizeof(key));
	return made;
}

/* The seed as a line of hex, and beside it the public key, for auditors to keep. */
static bool put_signing_key(const struct init_request *r, struct complaints *c)
{
	char *path = init_path(r, "keys/audit.key");
	struct fault why;
	bool made = signing_key_create(path, &why) ||
		    complain(c, (struct place){.file = path}, NULL, "%s", why.detail);

	free(path);
	return made;
}

static bool put_policies(const struct init_request *r, struct complaints *c)
{
	for (size_t i = 0; i < COUNT_OF(shipped_policies); i++)
		if (!put_file(r, shipped_policies[i].name, bytes_str(shipped_policies[i].text),
			    0644, c))
			return false;
	return true;
}

/* A double-quoted YAML scalar. */
static void put_quoted(struct buf *out, const char *text)
{
	buf_put_u8(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_put_u8(out, '\\');
		buf_put_u8(out, (uint8_t)*text);
	}
	buf_put_u8(out, '"');
}

bool init_names_user(const char *uri)
{
	const char *authority = strstr(uri, "://");

	return authority && memchr(authority + 3, '@', strcspn(authority + 3, "/?"));
}

static bool put_config(const struct init_request *r, struct complaints *c)
{
	struct buf out;
	bool made;

	buf_init(&out, 64u * 1024);
	buf_put_str(&out, "# Every option, its default and its environment variable: man "
			  "mongoward.yaml\n"
			  "instance: mw-1                 # names the audit chain\n"
			  "listen:\n"
			  "  address: ");
	put_quoted(&out, r->listen);
	buf_put_str(&out, "\n"
			  "  tls: {certificate: tls/server.pem, key: tls/server.key, client_ca: "
			  "tls/clients.pem, min_version: \"1.3\"}\n"
			  "upstream:\n"
			  "  uri: ");
	put_quoted(&out, r->upstream_uri);
	buf_put_str(&out, r->password.len ? "\n  password_file: keys/upstream.password\n"
			  : init_names_user(r->upstream_uri)
				  ? "\n  password_env: MONGOWARD_UPSTREAM_PASSWORD\n"
				  : "\n");
	if (r->insecure_upstream)
		buf_put_str(&out, "  insecure: true               # plain TCP to the database\n");
	buf_put_str(&out,
		"policy: policies/hospital\n"
		"users: users.yaml\n"
		"keys: {provider: {type: local, file: keys/master.key}, vault: "
		"encryption.__keyVault}\n"
		"audit:\n"
		"  directory: audit\n"
		"  durability: strict\n"
		"  signing_key: keys/audit.key\n"
		"  witness: [\"file:witness/checkpoints\"]   # keep it where the proxy's operators "
		"cannot write\n"
		"admin: {address: \"127.0.0.1:9090\"}\n"
		"log: {level: info, format: text}\n");
	made = !out.failed && put_file(r, "mongoward.yaml", buf_bytes(&out), 0600, c);
	buf_fini(&out);
	return made;
}

/* Asked for first, so that a name that cannot stand in the file leaves nothing behind. */
static bool check_texts(const struct init_request *r, struct complaints *c)
{
	const char *const texts[] = {r->upstream_uri, r->hostname, r->listen};

	for (size_t i = 0; i < COUNT_OF(texts); i++)
		for (const char *p = texts[i]; *p; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				return complain(c, (struct place){.file = r->folder}, NULL,
					"a control character stands in what was given");
	/* It becomes part of a list of names in the certificate. */
	return strcspn(r->hostname, ", \t\\\"'") == strlen(r->hostname) ||
	       complain(c, (struct place){.file = r->folder}, "--hostname db.example.org",
		       "the host's name is not one");
}

bool init_write_files(const struct init_request *r, struct complaints *complaints)
{
	return check_texts(r, complaints) && make_folders(r, complaints) &&
	       put_certificates(r, complaints) && put_master_key(r, complaints) &&
	       put_signing_key(r, complaints) && put_policies(r, complaints) &&
	       (!r->password.len ||
		       put_file(r, "keys/upstream.password", r->password, 0600, complaints)) &&
	       put_config(r, complaints);
}
