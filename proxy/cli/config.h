/* config.h - mongoward.yaml and its environment, read, checked and resolved.
 *
 * Every option is a row of config.def.  A value comes from the environment
 * (MONGOWARD_LISTEN_ADDRESS), else from the file, else from the row's default; all mistakes
 * are complained about at once.  What this version does not enforce is an error.
 */
#ifndef PROXY_CLI_CONFIG_H
#define PROXY_CLI_CONFIG_H

#include "audit/audit.h"
#include "net/tls.h"
#include "policy/seal.h"
#include "upstream/upstream.h"
#include "util/arena.h"
#include "util/log.h"

struct config_list {
	const char **at;
	size_t count;
};

struct config {
	const char *instance;
	struct {
		const char *address;
		struct net_tls_server_files tls;
		unsigned min_version; /* 0: TLS 1.3, 1: TLS 1.2 */
		bool insecure;
	} listen;
	struct upstream_config upstream;
	const char *uri, *uri_env, *uri_file, *password_env, *password_file;
	const char *policy, *users, *reviews;
	const char *policy_directory; /* as policy, if it was given so */
	struct config_list signers;
	uint64_t threshold;
	struct seal_trust trust; /* of the signers; none: nothing needs a seal */
	uint8_t audit_print[SEAL_HASH_LEN];
	struct {
		unsigned provider; /* 0: local */
		const char *file, *vault;
		bool require_mlock;
	} keys;
	struct audit_config audit;
	struct config_list witness;
	const char *admin_address; /* NULL: no listener */
	struct {
		uint64_t connections, per_user_connections, message, memory;
		uint64_t idle_us, handshake_us, operation_us;
	} limits;
	uint64_t workers; /* 0: auto */
	struct {
		enum log_level level;
		enum log_format format;
	} log;
	/* Private to config.c. */
	struct arena arena;
	const char **texts; /* by row, resolved; NULL where there is none */
	struct buf secret;  /* the upstream's password */
};

/* What `--config` means: the file that was named, else ./mongoward.yaml if it is there, else
 * NULL, and all comes from the environment. */
const char *config_file(const char *named);
/* NULL and complaints when anything is wrong. */
struct config *config_load(const char *file, struct complaints *complaints);
/* The same as if `text` stood in the file of that name. */
struct config *config_parse(const char *file, struct bytes text, struct complaints *complaints);
void config_free(struct config *c);
/* Whether a reload may put `fresh` in place of `now`; complains about each option that needs
 * a restart. */
bool config_can_replace(
	const struct config *now, const struct config *fresh, struct complaints *complaints);
/* What a seal is about and whom it convinces, without looking at the rest: users, signers,
 * threshold and the print of the audit settings; the other members mean nothing. */
struct config *config_load_sealed(const char *file, struct complaints *complaints);
/* One option by its path, without looking at the others; to be freed.  NULL and a complaint
 * when it is not given or the file cannot be read. */
char *config_read_one(const char *file, const char *path, struct complaints *complaints);

#endif
