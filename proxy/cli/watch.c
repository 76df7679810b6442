#include "cli/watch.h"

#include <sys/stat.h>
#include <fts.h>
#include <stdlib.h>

#include <sodium.h>

#include "util/memory.h"

struct watch {
	char **paths; /* ends in NULL */
	size_t count, capacity;
	bool known; /* `settled` has been taken */
	uint8_t settled[32], last[32];
};

struct watch *watch_new(void)
{
	return memory_new(sizeof(struct watch));
}

void watch_clear(struct watch *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->paths[i]);
	w->count = 0;
	w->known = false;
}

void watch_free(struct watch *w)
{
	watch_clear(w);
	free(w->paths);
	free(w);
}

void watch_add(struct watch *w, const char *path)
{
	memory_grow(&w->paths, w->count + 1, &w->capacity, sizeof(*w->paths));
	w->paths[w->count++] = memory_text(bytes_str(path));
	w->paths[w->count] = NULL;
}

static void add_entry(crypto_generichash_state *hash, const FTSENT *entry)
{
	const struct stat *st = entry->fts_statp;
	bool there = entry->fts_info == FTS_F || entry->fts_info == FTS_D;
	uint64_t facts[5] = {entry->fts_info};

	if (there) {
		facts[1] = (uint64_t)st->st_ino;
		facts[2] = (uint64_t)st->st_size;
		facts[3] = (uint64_t)st->st_mtim.tv_sec;
		facts[4] = (uint64_t)st->st_mtim.tv_nsec;
	}
	crypto_generichash_update(hash, (const uint8_t *)entry->fts_path, entry->fts_pathlen + 1u);
	crypto_generichash_update(hash, (const uint8_t *)facts, sizeof(facts));
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_path, (*b)->fts_path);
}

static void look(struct watch *w, uint8_t print[32])
{
	crypto_generichash_state hash;
	FTS *tree = w->count ? fts_open(w->paths, FTS_LOGICAL | FTS_NOCHDIR, by_name) : NULL;
	FTSENT *entry;

	crypto_generichash_init(&hash, NULL, 0, 32);
	while (tree && (entry = fts_read(tree)))
		if (entry->fts_info != FTS_DP)
			add_entry(&hash, entry);
	if (tree)
		fts_close(tree);
	crypto_generichash_final(&hash, print, 32);
}

bool watch_changed(struct watch *w)
{
	uint8_t now[32];
	bool still;

	look(w, now);
	if (!w->known) {
		memcpy(w->settled, now, sizeof(now));
		memcpy(w->last, now, sizeof(now));
		w->known = true;
		return false;
	}
	still = memcmp(now, w->last, sizeof(now)) == 0;
	memcpy(w->last, now, sizeof(now));
	if (!still || memcmp(now, w->settled, sizeof(now)) == 0)
		return false;
	memcpy(w->settled, now, sizeof(now));
	return true;
}
