/* config_inside.h - a configuration while it is read; private to config. */
#ifndef PROXY_CLI_CONFIG_INSIDE_H
#define PROXY_CLI_CONFIG_INSIDE_H

#include "cli/config_values.h"

#define SECRET_MAX 4096u

struct loading {
	struct config *config;
	struct complaints *complaints;
	const char *file;     /* or NULL */
	char *folder;         /* of the file, for relative paths; NULL: this one */
	struct place *places; /* by row; in the configuration's arena */
};

size_t config_row_of(const char *path);
/* Where an option was given; the file as a whole where it was not. */
struct place config_place_of(const struct loading *l, const char *path);
/* Complains unless the option is given. */
void config_need(struct loading *l, const char *path, const char *hint);
/* Relative to the file's folder. */
const char *config_resolved(struct loading *l, const char *path);

/* upstream.uri and upstream.password, from wherever they are. */
void config_read_uri(struct loading *l);
void config_read_password(struct loading *l);

/* The policy's folder, and who may seal it. */
void config_check_policy(struct loading *l);
/* Sets audit_print: BLAKE2b-256 of every option below `audit.` that is given and is not its
 * default, as it is given: its path, NUL, its text, NUL.  Before defaults are filled in. */
void config_print_audit(struct config *c);
bool config_same_signers(const struct seal_trust *a, const struct seal_trust *b);

#endif
