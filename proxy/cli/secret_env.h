/* secret_env.h - secrets that come by environment variables.
 *
 * A variable is read once: its text is moved into locked memory, wiped where it stood and
 * taken out of the environment, so that neither a child nor /proc shows it later.
 */
#ifndef PROXY_CLI_SECRET_ENV_H
#define PROXY_CLI_SECRET_ENV_H

#include "util/bytes.h"

#define SECRET_ENV_MAX 4096u /* bytes of one; at most four are kept */

/* Borrowed for the life of the process; NULL when it is not set, is empty or too long.  Not
 * thread-safe against others that use the environment. */
const char *secret_env(const char *name);

#endif
