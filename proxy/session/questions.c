#include "session/inside.h"

#include <stdlib.h>

#include "util/memory.h"

#define DAY_US        (24ll * 3600 * 1000 * 1000)
#define ASKERS_MAX    10000u
#define QUESTIONS_MAX (1u << 20) /* of all users, 16 bytes each */

/* Of the tokens half is enough to tell a day's questions apart. */
struct question {
	uint64_t question, answer;
};

struct asker {
	int64_t day;
	struct question *list;
	size_t n, capacity;
	size_t len;
	uint8_t name[];
};

struct questions {
	pthread_mutex_t lock;
	struct map askers;
	size_t count; /* of questions */
};

struct questions *questions_new(void)
{
	struct questions *q = memory_new(sizeof(*q));

	pthread_mutex_init(&q->lock, NULL);
	map_init(&q->askers);
	return q;
}

static void forget(struct questions *q, struct asker *a)
{
	q->count -= a->n;
	free(a->list);
	free(a);
}

void questions_free(struct questions *q)
{
	const struct map_entry *e;

	for (size_t i = 0; (e = map_next(&q->askers, &i));)
		forget(q, e->value);
	map_fini(&q->askers);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* One who has asked nothing today; NULL when all have. */
static struct asker *idle_asker(const struct questions *q, int64_t day)
{
	const struct map_entry *e;

	for (size_t i = 0; (e = map_next(&q->askers, &i));) {
		struct asker *a = e->value;

		if (a->day != day)
			return a;
	}
	return NULL;
}

/* Makes room by forgetting other days; false when today alone fills it. */
static bool make_room(struct questions *q, int64_t day)
{
	while (q->askers.count >= ASKERS_MAX || q->count >= QUESTIONS_MAX) {
		struct asker *a = idle_asker(q, day);

		if (!a)
			return false;
		map_remove(&q->askers, bytes_of(a->name, a->len));
		forget(q, a);
	}
	return true;
}

static struct asker *find_asker(struct questions *q, struct bytes user, int64_t day)
{
	struct asker *a = map_get(&q->askers, user);

	if (a && a->day != day) {
		q->count -= a->n;
		a->n = 0;
		a->day = day;
	}
	return a;
}

static struct asker *add_asker(struct questions *q, struct bytes user, int64_t day)
{
	struct asker *a = memory_new(sizeof(*a) + user.len);

	a->day = day;
	a->len = user.len;
	if (user.len)
		memcpy(a->name, user.at, user.len);
	map_set(&q->askers, bytes_of(a->name, a->len), a);
	return a;
}

bool questions_may_ask(struct questions *q, struct bytes user, const struct token *question,
	uint32_t per_day, int64_t now_us)
{
	uint64_t wanted = load_u64(question->bytes);
	struct asker *a;
	bool may;

	pthread_mutex_lock(&q->lock);
	a = find_asker(q, user, now_us / DAY_US);
	may = !a || a->n < per_day;
	for (size_t i = 0; !may && i < a->n; i++)
		may = a->list[i].question == wanted;
	pthread_mutex_unlock(&q->lock);
	return may;
}

bool questions_note(struct questions *q, struct bytes user, const struct token *question,
	const struct token *answer, uint32_t per_day, int64_t now_us)
{
	const struct question wanted = {load_u64(question->bytes), load_u64(answer->bytes)};
	int64_t day = now_us / DAY_US;
	struct asker *a;
	bool known = false, noted = false;

	pthread_mutex_lock(&q->lock);
	a = find_asker(q, user, day);
	for (size_t i = 0; a && !known && i < a->n; i++)
		known = a->list[i].question == wanted.question &&
			a->list[i].answer == wanted.answer;
	if (!known && (!a || a->n < per_day) && make_room(q, day)) {
		/* It may have been idle, and gone. */
		a = find_asker(q, user, day);
		if (!a)
			a = add_asker(q, user, day);
		memory_grow(&a->list, a->n, &a->capacity, sizeof(*a->list));
		a->list[a->n++] = wanted;
		q->count++;
		noted = true;
	}
	pthread_mutex_unlock(&q->lock);
	return known || noted;
}
