#include "cli/dumps.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "cli/cli.h"

bool dumps_forbid(const char *command)
{
	const struct rlimit none = {0};

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0)
		return true;
	cli_fail(CLI_BAD, command, "core dumps cannot be turned off: %s", strerror(errno));
	return false;
}
