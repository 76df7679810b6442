#include "cli/secret_env.h"

#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "keys/locked.h"

#define KEPT_MAX     4u
#define NAME_MAX_LEN 256u

struct kept {
	char name[NAME_MAX_LEN];
	char text[SECRET_ENV_MAX + 1];
};

static struct kept *kept;
static size_t nkept;

static const char *find(const char *name)
{
	for (size_t i = 0; i < nkept; i++)
		if (strcmp(kept[i].name, name) == 0)
			return kept[i].text;
	return NULL;
}

const char *secret_env(const char *name)
{
	const char *before = find(name);
	char *value = getenv(name);
	struct fault why;
	size_t len;
	bool locked;

	if (before || !value)
		return before;
	len = strlen(value);
	if (!kept)
		kept = locked_array(KEPT_MAX, sizeof(*kept), false, &locked, &why);
	if (!kept || nkept == KEPT_MAX || !len || len > SECRET_ENV_MAX ||
		strlen(name) >= NAME_MAX_LEN)
		return NULL;
	snprintf(kept[nkept].name, sizeof(kept[nkept].name), "%s", name);
	memcpy(kept[nkept].text, value, len + 1);
	sodium_memzero(value, len);
	unsetenv(name);
	return kept[nkept++].text;
}
