#include "audit/batch.h"

#include <stdlib.h>

#include "util/memory.h"

#define TEXT_KEPT (1024u * 1024)

void batch_init(struct batch *b)
{
	*b = (struct batch){0};
	buf_init(&b->text, BATCH_MAX);
}

void batch_fini(struct batch *b)
{
	buf_fini(&b->text);
	free(b->pieces);
	free(b->waiters);
}

void batch_clear(struct batch *b)
{
	buf_shrink(&b->text, TEXT_KEPT);
	b->npieces = 0;
	b->nwaiters = 0;
}

struct piece *batch_add(struct batch *b, enum line_event event, size_t offset)
{
	struct piece *p;

	memory_grow(&b->pieces, b->npieces, &b->pieces_capacity, sizeof(*b->pieces));
	p = &b->pieces[b->npieces++];
	*p = (struct piece){.offset = (uint32_t)offset,
		.len = (uint32_t)(b->text.len - offset),
		.event = event};
	return p;
}

void batch_wait(struct batch *b, audit_done_fn *done, void *context, bool durable)
{
	memory_grow(&b->waiters, b->nwaiters, &b->waiters_capacity, sizeof(*b->waiters));
	b->waiters[b->nwaiters++] = (struct waiter){done, context, durable};
}

static bool fits(const struct batch *b, size_t more)
{
	return more <= BATCH_MAX - b->text.len;
}

static void copy_pieces(struct batch *to, const struct batch *from, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++) {
		const struct piece *old = &from->pieces[i];
		const size_t offset = to->text.len;
		struct piece *copy;

		buf_put(&to->text, batch_text(from, old));
		copy = batch_add(to, old->event, offset);
		copy->more = old->more;
		copy->waited = old->waited;
	}
}

size_t batch_keep_unwaited(struct batch *to, const struct batch *from)
{
	size_t lost = 0;

	for (size_t i = 0; i < from->npieces; i += 1 + from->pieces[i].more) {
		const struct piece *first = &from->pieces[i];
		size_t size = 0;

		if (first->waited)
			continue;
		for (size_t k = 0; k <= first->more; k++)
			size += first[k].len;
		if (fits(to, size))
			copy_pieces(to, from, i, 1 + first->more);
		else
			lost++;
	}
	return lost;
}
