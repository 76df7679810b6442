#include "session/inside.h"

#include <stdlib.h>

#include "util/memory.h"

/* What users have had under roles with limits: in memory only, so that a restart begins anew,
 * and shared by all workers. */

#define DAY_US      (24ll * 3600 * 1000000)
#define MINUTE_US   (60ll * 1000000)
/* So many entries are looked through for old ones before there are more. */
#define SWEEP_FIRST 1024u

struct used {
	struct bytes key; /* user, NUL, role; behind this */
	int64_t day, minute;
	uint64_t documents, commands;
	uint8_t text[];
};

struct usage {
	pthread_mutex_t lock;
	struct map by_key;
	size_t sweep_at;
};

struct usage *usage_new(void)
{
	struct usage *u = memory_new(sizeof(*u));

	pthread_mutex_init(&u->lock, NULL);
	map_init(&u->by_key);
	u->sweep_at = SWEEP_FIRST;
	return u;
}

void usage_free(struct usage *u)
{
	const struct map_entry *e;

	for (size_t i = 0; (e = map_next(&u->by_key, &i));)
		free(e->value);
	map_fini(&u->by_key);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

/* Entries of days that are over say nothing any more. */
static void sweep(struct usage *u, int64_t day)
{
	struct map kept;
	const struct map_entry *e;

	if (u->by_key.count < u->sweep_at)
		return;
	map_init(&kept);
	for (size_t i = 0; (e = map_next(&u->by_key, &i));) {
		struct used *used = e->value;

		if (used->day < day)
			free(used);
		else
			map_set(&kept, used->key, used);
	}
	map_fini(&u->by_key);
	u->by_key = kept;
	u->sweep_at = 2 * kept.count > SWEEP_FIRST ? 2 * kept.count : SWEEP_FIRST;
}

static struct used *add(struct usage *u, struct bytes user, struct bytes role)
{
	struct used *used = memory_new(sizeof(*used) + user.len + 1 + role.len);

	memcpy(used->text, user.at, user.len);
	memcpy(used->text + user.len + 1, role.at, role.len);
	used->key = bytes_of(used->text, user.len + 1 + role.len);
	map_set(&u->by_key, used->key, used);
	return used;
}

/* A clock that goes back gives nothing back. */
static void roll(struct used *used, int64_t now_us)
{
	if (used->day < now_us / DAY_US) {
		used->day = now_us / DAY_US;
		used->documents = 0;
	}
	if (used->minute < now_us / MINUTE_US) {
		used->minute = now_us / MINUTE_US;
		used->commands = 0;
	}
}

static struct used *used_by(struct usage *u, struct bytes user, struct bytes role, int64_t now_us)
{
	uint8_t key[USER_NAME_MAX + 1 + 1024];
	struct used *used;

	if (user.len + 1 + role.len > sizeof(key))
		return NULL;
	memcpy(key, user.at, user.len);
	key[user.len] = '\0';
	memcpy(key + user.len + 1, role.at, role.len);
	used = map_get(&u->by_key, bytes_of(key, user.len + 1 + role.len));
	if (!used) {
		sweep(u, now_us / DAY_US);
		used = add(u, user, role);
	}
	roll(used, now_us);
	return used;
}

bool usage_begin(struct usage *u, const struct role_limits *limits, struct bytes user,
	struct bytes role, int64_t now_us, struct fault *why)
{
	enum fault_code code = FAULT_NONE;
	struct used *used;

	pthread_mutex_lock(&u->lock);
	used = used_by(u, user, role, now_us);
	if (!used || (limits->documents_per_day && used->documents >= limits->documents_per_day))
		code = FAULT_LIMIT_DOCUMENTS;
	else if (limits->commands_per_minute && used->commands >= limits->commands_per_minute)
		code = FAULT_LIMIT_COMMANDS;
	else
		used->commands++;
	pthread_mutex_unlock(&u->lock);
	return code == FAULT_NONE || fault_set(why, code, "the role's limit is reached");
}

bool usage_documents(struct usage *u, const struct role_limits *limits, struct bytes user,
	struct bytes role, int64_t now_us, uint64_t n, bool anyway)
{
	struct used *used;
	bool fits;

	if (!limits->documents_per_day)
		return true;
	pthread_mutex_lock(&u->lock);
	used = used_by(u, user, role, now_us);
	fits = used && n <= limits->documents_per_day &&
	       used->documents <= limits->documents_per_day - n;
	if (used && (fits || anyway))
		used->documents += n;
	pthread_mutex_unlock(&u->lock);
	return fits || anyway;
}
