/* field_keys.h - data keys that the policy needs and the key vault lacks. */
#ifndef PROXY_CLI_FIELD_KEYS_H
#define PROXY_CLI_FIELD_KEYS_H

#include "cli/config.h"
#include "keys/keyring.h"
#include "policy/policy.h"
#include "upstream/upstream.h"

/* What `key` and `init` work with; all owned. */
struct field_keys {
	struct config *config;
	struct master *master;
	struct upstream *upstream;
	struct policy *policy;
	struct keyring *keyring;
};

/* Loads all of it, waiting at most `wait_us` for the deployment.  False and complaints when
 * something is wrong; *code is then the exit code.  field_keys_close in either case. */
bool field_keys_open(struct field_keys *k, const char *config_file, uint64_t wait_us,
	struct complaints *complaints, int *code) MUST_CHECK;
/* The same with the policy of another folder. */
bool field_keys_open_policy(struct field_keys *k, const char *config_file, const char *folder,
	uint64_t wait_us, struct complaints *complaints, int *code) MUST_CHECK;
void field_keys_close(struct field_keys *k);

/* Encrypted fields of the policy that have no key. */
size_t field_keys_missing(const struct field_keys *k);
/* Makes them, all at once (w: majority); the keyring does not know them yet.  `each` is told
 * of every field that got one. */
bool field_keys_create(struct field_keys *k, void (*each)(const struct encrypted_field *),
	struct complaints *complaints, int *code) MUST_CHECK;

#endif
