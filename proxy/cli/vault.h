/* vault.h - the key vault, for starts, reloads and `mongoward key`. */
#ifndef PROXY_CLI_VAULT_H
#define PROXY_CLI_VAULT_H

#include "keys/keyring.h"
#include "upstream/upstream.h"
#include "util/complaint.h"

/* Reads all our keys from the vault ("db.collection").  NULL and complaints when it cannot be
 * reached (*code CLI_UNREACHABLE) or when a key in it is wrong (CLI_BAD). */
struct keyring *vault_load(struct upstream *u, const struct master *m, const char *ns,
	bool require_mlock, struct complaints *complaints, int *code);

#endif
