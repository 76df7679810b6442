/* password.h - a password from a person or a pipe, never from argv. */
#ifndef PROXY_CLI_PASSWORD_H
#define PROXY_CLI_PASSWORD_H

#include "util/buf.h"

#define CLI_PASSWORD_MAX 1024u /* bytes */

/* Into `out`, which must be empty and allow CLI_PASSWORD_MAX + 2; wipe it with buf_wipe.
 * From standard input: its first line.  Otherwise asked for on the terminal without echo,
 * twice if `confirm`.  False when none came, it was too long, or the two differ; one line
 * on standard error says so for `command`. */
bool password_read(const char *command, const char *prompt, bool from_stdin, bool confirm,
	struct buf *out) MUST_CHECK;

#endif
