#include <locale.h>
#include <stdio.h>

#include <sodium.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	if (sodium_init() < 0) {
		fputs("mongoward: libsodium cannot be used\n", stderr);
		return CLI_UNREACHABLE;
	}
	return cli_main(argc, argv);
}
