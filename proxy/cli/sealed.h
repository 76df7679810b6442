/* sealed.h - takes a policy, its users and the audit settings only as their signers sealed them.
 *
 * The highest version that was taken is kept in a file of the audit folder, SEALED_STATE, so
 * that an older bundle, whoever signed it, does not come back.
 */
#ifndef PROXY_CLI_SEALED_H
#define PROXY_CLI_SEALED_H

#include "auth/users.h"
#include "cli/config.h"

#define SEALED_STATE "policy.version"

/* The seal of the configuration's policy folder, if enough signers stand for it and for the
 * audit settings.  NULL and complaints when not. */
struct seal *sealed_open(const struct config *c, struct complaints *complaints);
/* Whether the users are those that were sealed. */
bool sealed_users(const struct seal *s, const char *file, const struct users *u,
	struct complaints *complaints) MUST_CHECK;
/* Whether the version is not below what was taken before, nor as high with another content. */
bool sealed_is_newest(
	const struct config *c, const struct seal *s, struct complaints *complaints) MUST_CHECK;
/* Keeps it as the one that was taken; durable when it returns. */
bool sealed_take(
	const struct config *c, const struct seal *s, struct complaints *complaints) MUST_CHECK;

#endif
