#include <stdlib.h>

#include "upstream/inside.h"
#include "util/memory.h"

struct topology *topology_new(size_t nservers)
{
	struct topology *t = memory_new(sizeof(*t) + nservers * sizeof(t->servers[0]));

	t->references = 1;
	t->nservers = nservers;
	return t;
}

struct topology *topology_copy(const struct topology *from)
{
	struct topology *t = topology_new(from->nservers);

	memcpy(t->auth_source, from->auth_source, sizeof(t->auth_source));
	memcpy(t->servers, from->servers, from->nservers * sizeof(t->servers[0]));
	for (size_t i = 0; i < t->nservers; i++) {
		struct bytes *tags = &t->servers[i].tags;

		if (tags->len)
			tags->at = memcpy(memory_new(tags->len), tags->at, tags->len);
	}
	return t;
}

struct topology *topology_ref(struct topology *t)
{
	__atomic_add_fetch(&t->references, 1, __ATOMIC_RELAXED);
	return t;
}

void topology_unref(struct topology *t)
{
	if (!t || __atomic_sub_fetch(&t->references, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < t->nservers; i++) {
		union {
			const uint8_t *borrowed;
			uint8_t *owned;
		} tags = {t->servers[i].tags.at};

		free(tags.owned);
	}
	free(t);
}

const struct server *topology_server(const struct topology *t, server_id id)
{
	for (size_t i = 0; i < t->nservers; i++)
		if (t->servers[i].id == id)
			return &t->servers[i];
	return NULL;
}
