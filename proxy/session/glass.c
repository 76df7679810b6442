#include "session/glass.h"

#include <pthread.h>
#include <stdlib.h>

#include "util/map.h"
#include "util/memory.h"

#define DAY_US (24ll * 3600 * 1000000)

struct glass_user {
	int64_t day; /* of the newest use */
	uint64_t today, unreviewed;
	struct bytes name; /* behind this */
	uint8_t text[];
};

/* Something that waits for its review. */
struct waiting_use {
	struct glass_user *user; /* NULL: a gap, which could hide anybody's */
	struct bytes id;         /* behind this */
	uint8_t text[];
};

struct glass {
	pthread_mutex_t lock;
	struct map users, waiting;
	size_t gaps;
	bool trusted;
};

struct glass *glass_new(void)
{
	struct glass *g = memory_new(sizeof(*g));

	pthread_mutex_init(&g->lock, NULL);
	map_init(&g->users);
	map_init(&g->waiting);
	return g;
}

static void free_values(struct map *m)
{
	const struct map_entry *e;

	for (size_t i = 0; (e = map_next(m, &i));)
		free(e->value);
	map_fini(m);
}

void glass_free(struct glass *g)
{
	if (!g)
		return;
	free_values(&g->users);
	free_values(&g->waiting);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static struct glass_user *user_of(struct glass *g, struct bytes name)
{
	struct glass_user *u = map_get(&g->users, name);

	if (u)
		return u;
	u = memory_new(sizeof(*u) + name.len);
	memcpy(u->text, name.at, name.len);
	u->name = bytes_of(u->text, name.len);
	u->day = INT64_MIN;
	map_set(&g->users, u->name, u);
	return u;
}

static void wait_for_review(struct glass *g, struct glass_user *user, struct bytes id)
{
	struct waiting_use *use;

	if (map_get(&g->waiting, id))
		return;
	use = memory_new(sizeof(*use) + id.len);
	memcpy(use->text, id.at, id.len);
	use->id = bytes_of(use->text, id.len);
	use->user = user;
	map_set(&g->waiting, use->id, use);
	if (user)
		user->unreviewed++;
	else
		g->gaps++;
}

/* A clock that goes back gives nothing back: what comes later counts for the newest day. */
static void add_use(struct glass *g, struct glass_user *u, struct bytes id, int64_t time_us)
{
	int64_t day = time_us / DAY_US;

	if (day > u->day) {
		u->day = day;
		u->today = 0;
	}
	u->today++;
	wait_for_review(g, u, id);
}

void glass_note_use(struct glass *g, struct bytes user, struct bytes id, int64_t time_us)
{
	pthread_mutex_lock(&g->lock);
	add_use(g, user_of(g, user), id, time_us);
	pthread_mutex_unlock(&g->lock);
}

void glass_note_gap(struct glass *g, struct bytes id)
{
	pthread_mutex_lock(&g->lock);
	wait_for_review(g, NULL, id);
	pthread_mutex_unlock(&g->lock);
}

bool glass_review(struct glass *g, struct bytes id, struct bytes by)
{
	struct waiting_use *use;
	bool done;

	pthread_mutex_lock(&g->lock);
	use = map_get(&g->waiting, id);
	done = use && !(use->user && bytes_equal(use->user->name, by));
	if (done) {
		(void)map_remove(&g->waiting, id);
		if (use->user)
			use->user->unreviewed--;
		else
			g->gaps--;
		free(use);
	}
	pthread_mutex_unlock(&g->lock);
	return done;
}

void glass_trust(struct glass *g, bool trusted)
{
	pthread_mutex_lock(&g->lock);
	g->trusted = trusted;
	pthread_mutex_unlock(&g->lock);
}

bool glass_begin(struct glass *g, const struct break_glass *rules, struct bytes user,
	struct bytes id, int64_t now_us, struct fault *why)
{
	enum fault_code code = FAULT_NONE;
	struct glass_user *u;

	pthread_mutex_lock(&g->lock);
	u = user_of(g, user);
	if (!g->trusted || g->gaps)
		code = FAULT_GLASS_UNTRUSTED;
	else if (u->unreviewed >= rules->unreviewed_max ||
		 (u->day >= now_us / DAY_US && u->today >= rules->per_day))
		code = FAULT_GLASS_LIMIT;
	else
		add_use(g, u, id, now_us);
	pthread_mutex_unlock(&g->lock);
	return code == FAULT_NONE || fault_set(why, code, "break-glass is not to be had");
}

size_t glass_unreviewed(struct glass *g)
{
	size_t n;

	pthread_mutex_lock(&g->lock);
	n = g->waiting.count;
	pthread_mutex_unlock(&g->lock);
	return n;
}
