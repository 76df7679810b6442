#include "cli/vault.h"

#include "cli/cli.h"

struct loading {
	struct keyring *keyring;
	const char *ns;
	struct complaints *complaints;
};

static bool take_up(void *context, struct bytes document)
{
	struct loading *l = context;
	struct fault why;

	if (keyring_add(l->keyring, document, &why) != KEY_BAD)
		return true;
	complain(l->complaints, (struct place){.file = l->ns},
		"restore the key vault from a backup", "%s", why.detail);
	return true; /* all that is wrong is worth knowing */
}

struct keyring *vault_load(struct upstream *u, const struct master *m, const char *ns,
	bool require_mlock, struct complaints *complaints, int *code)
{
	struct loading l = {.ns = ns, .complaints = complaints};
	size_t before = complaints->count;
	struct fault why;

	*code = CLI_BAD;
	l.keyring = keyring_new(m, require_mlock, &why);
	if (!l.keyring) {
		complain(complaints, (struct place){.file = ns}, NULL, "%s", why.detail);
		return NULL;
	}
	if (!upstream_vault_read(u, ns, take_up, &l, &why)) {
		*code = CLI_UNREACHABLE;
		complain(complaints, (struct place){.file = ns}, NULL,
			"the key vault could not be read: %s", why.detail);
	}
	if (complaints->count == before)
		return l.keyring;
	keyring_unref(l.keyring);
	return NULL;
}
