/* dumps.h - a process that holds keys leaves no picture of its memory behind. */
#ifndef PROXY_CLI_DUMPS_H
#define PROXY_CLI_DUMPS_H

#include "util/bytes.h"

/* No core dumps, and no debugger but root's, from here on.  False, and a line on standard
 * error for `command`, when the system refuses. */
bool dumps_forbid(const char *command) MUST_CHECK;

#endif
