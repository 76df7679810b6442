/* policy_texts.h - policies of the tests' tables, also for others.
 *
 * Where MONGOWARD_POLICIES names a folder, each text is kept there as a file, so that
 * tests/integration/test_policy_schema.py can ask the schema about it. */
#ifndef TESTS_UNIT_POLICY_TEXTS_H
#define TESTS_UNIT_POLICY_TEXTS_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy/policy.h"

static inline struct policy *load_policy_text(
	const char *file, const char *text, struct complaints *complaints)
{
	static unsigned number;
	const char *folder = getenv("MONGOWARD_POLICIES");
	char path[4096];
	FILE *out;

	if (folder) {
		snprintf(path, sizeof(path), "%s/%d-%u.yaml", folder, (int)getpid(), number++);
		out = fopen(path, "w");
		if (!out || fputs(text, out) < 0 || fclose(out))
			fail_msg("%s cannot be written", path);
	}
	return policy_load_text(file, bytes_str(text), complaints);
}

#endif
