#include "session/inside.h"

#include <stdlib.h>

#include "util/memory.h"

/* A session that waits for its grant. */
struct waiting {
	struct waiting *next;
	struct session *session; /* NULL: it is gone */
	struct net_loop *loop;
	uint64_t bytes;
	struct budget *budget;
};

struct budget {
	pthread_mutex_t lock;
	uint64_t max, used;
	struct waiting *first, **last;
};

struct budget *budget_new(uint64_t max)
{
	struct budget *b = memory_new(sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	b->max = max;
	b->last = &b->first;
	return b;
}

void budget_free(struct budget *b)
{
	while (b->first) {
		struct waiting *w = b->first;

		b->first = w->next;
		free(w);
	}
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* One message always passes, however large: else it would wait for ever. */
static bool fits(const struct budget *b, uint64_t n)
{
	return b->used == 0 || n <= b->max - (b->used < b->max ? b->used : b->max);
}

bool budget_take(struct budget *b, struct session *s, uint64_t n)
{
	struct waiting *w;
	bool granted;

	pthread_mutex_lock(&b->lock);
	granted = !b->first && fits(b, n);
	if (granted) {
		b->used += n;
	} else {
		w = memory_new(sizeof(*w));
		*w = (struct waiting){
			.session = s, .loop = s->worker->loop, .bytes = n, .budget = b};
		*b->last = w;
		b->last = &w->next;
	}
	pthread_mutex_unlock(&b->lock);
	return granted;
}

/* On the session's loop. */
static void hand_over(void *context)
{
	struct waiting *w = context;
	struct session *s;

	pthread_mutex_lock(&w->budget->lock);
	s = w->session;
	pthread_mutex_unlock(&w->budget->lock);
	if (!s) {
		budget_give_back(w->budget, w->bytes);
	} else {
		s->granted = w->bytes;
		s->waits_for_grant = false;
		s->grant_on_its_way = NULL;
		session_go_on(s);
	}
	free(w);
}

void budget_give_back(struct budget *b, uint64_t n)
{
	if (!n)
		return;
	pthread_mutex_lock(&b->lock);
	b->used -= n;
	while (b->first && (!b->first->session || fits(b, b->first->bytes))) {
		struct waiting *w = b->first;

		b->first = w->next;
		if (!b->first)
			b->last = &b->first;
		if (!w->session) {
			free(w);
			continue;
		}
		b->used += w->bytes;
		w->session->grant_on_its_way = w;
		net_loop_post(w->loop, hand_over, w);
	}
	pthread_mutex_unlock(&b->lock);
}

void budget_forget(struct budget *b, struct session *s)
{
	pthread_mutex_lock(&b->lock);
	for (struct waiting *w = b->first; w; w = w->next)
		if (w->session == s)
			w->session = NULL;
	if (s->grant_on_its_way)
		s->grant_on_its_way->session = NULL;
	pthread_mutex_unlock(&b->lock);
}
