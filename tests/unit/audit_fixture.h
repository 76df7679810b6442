/* audit_fixture.h - what tests over the audit vectors share. */
#ifndef TESTS_UNIT_AUDIT_FIXTURE_H
#define TESTS_UNIT_AUDIT_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

/* Goes to the folder of the vectors: their paths are relative to it. */
static inline bool enter_vectors(void)
{
	const char *srcdir = getenv("srcdir");
	char folder[4096];

	snprintf(folder, sizeof(folder), "%s/tests/data/audit-vectors", srcdir ? srcdir : ".");
	return sodium_init() >= 0 && chdir(folder) == 0;
}

#endif
