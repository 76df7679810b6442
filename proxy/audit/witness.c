#include "audit/witness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit/witness_file.h"
#include "util/clock.h"
#include "util/memory.h"

#define RETRY_MS 1000

struct witnesses {
	struct witness_file *files; /* standard output last, if it is one */
	size_t nfiles, nall;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	struct buf given;
	bool busy, stopping;
	uint64_t rounds; /* how often all that was given has been tried */
	bool current;
	char why[160];
	uint64_t current_us; /* when any of them last was */
};

static bool open_all(
	struct witnesses *w, const struct audit_config *config, struct complaints *complaints)
{
	for (size_t i = 0; i < config->nwitness_files; i++) {
		w->nfiles++;
		if (!witness_file_open(
			    &w->files[i], config->witness_files[i], config->instance, complaints))
			return false;
	}
	w->nall = w->nfiles;
	if (config->witness_stdout) {
		w->files[w->nall] = (struct witness_file){.fd = STDOUT_FILENO};
		buf_init(&w->files[w->nall].half, 1);
		buf_init(&w->files[w->nall++].waiting, WITNESS_WAITING_MAX);
	}
	return true;
}

struct witnesses *witnesses_open(const struct audit_config *config, struct complaints *complaints)
{
	struct witnesses *w = memory_new(sizeof(*w));

	w->files = memory_array(config->nwitness_files + 1, sizeof(*w->files));
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	buf_init(&w->given, WITNESS_WAITING_MAX);
	w->current = true;
	w->current_us = clock_monotonic_us();
	if (open_all(w, config, complaints))
		return w;
	w->nall = w->nfiles;
	witnesses_close(w);
	return NULL;
}

void witnesses_close(struct witnesses *w)
{
	if (!w)
		return;
	if (w->started) {
		pthread_mutex_lock(&w->lock);
		w->stopping = true;
		pthread_cond_broadcast(&w->changed);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	}
	for (size_t i = 0; i < w->nall; i++)
		witness_file_close(&w->files[i]);
	buf_fini(&w->given);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	free(w->files);
	free(w);
}

size_t witnesses_count_files(const struct witnesses *w)
{
	return w->nfiles;
}

bool witnesses_newest(const struct witnesses *w, size_t i, struct witnessed_line *out)
{
	*out = w->files[i].newest;
	return w->files[i].has_line;
}

struct bytes witnesses_half(const struct witnesses *w, size_t i)
{
	return buf_bytes(&w->files[i].half);
}

const char *witnesses_path(const struct witnesses *w, size_t i)
{
	return w->files[i].path;
}

/* ------------------------------------------------------------------ the thread */

static void write_all(struct witnesses *w, struct bytes lines)
{
	for (size_t i = 0; i < w->nall; i++) {
		if (lines.len)
			witness_file_add(&w->files[i], lines);
		witness_file_write(&w->files[i]);
	}
}

/* What became of it; with the lock. */
static void note_result(struct witnesses *w)
{
	bool any = false;

	w->current = true;
	for (size_t i = 0; i < w->nall; i++) {
		const struct witness_file *f = &w->files[i];

		/* Standard output cannot be read back: it alone keeps nothing safe. */
		any |= !f->failing && f->path;
		if (!f->failing)
			continue;
		w->current = false;
		snprintf(w->why, sizeof(w->why), "%s", f->why);
	}
	if (any)
		w->current_us = clock_monotonic_us();
	w->rounds++;
	pthread_cond_broadcast(&w->changed);
}

/* While something fails, again each second. */
static void wait_for_lines(struct witnesses *w)
{
	struct timespec at;

	if (w->current) {
		pthread_cond_wait(&w->changed, &w->lock);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += RETRY_MS / 1000;
	(void)pthread_cond_timedwait(&w->changed, &w->lock, &at);
}

static void *run(void *context)
{
	struct witnesses *w = context;
	struct buf lines;

	buf_init(&lines, WITNESS_WAITING_MAX);
	pthread_mutex_lock(&w->lock);
	for (;;) {
		if (!w->given.len && w->stopping)
			break;
		if (!w->given.len && w->current) {
			wait_for_lines(w);
			continue;
		}
		if (!w->given.len)
			wait_for_lines(w);
		buf_clear(&lines);
		buf_put(&lines, buf_bytes(&w->given));
		buf_clear(&w->given);
		w->busy = true;
		pthread_mutex_unlock(&w->lock);
		write_all(w, buf_bytes(&lines));
		pthread_mutex_lock(&w->lock);
		w->busy = false;
		note_result(w);
	}
	pthread_mutex_unlock(&w->lock);
	buf_fini(&lines);
	return NULL;
}

bool witnesses_start(struct witnesses *w, struct complaints *complaints)
{
	for (size_t i = 0; i < w->nfiles; i++)
		if (!witness_file_cut_half(&w->files[i]))
			return complain(complaints, (struct place){.file = w->files[i].path}, NULL,
				"half a line at its end cannot be cut off");
	w->started = pthread_create(&w->thread, NULL, run, w) == 0;
	return w->started || complain(complaints, (struct place){.file = "audit.witness"}, NULL,
				     "its thread cannot be started");
}

void witnesses_give(struct witnesses *w, struct bytes lines)
{
	const uint8_t *lf = lines.len > 1 ? memrchr(lines.at, '\n', lines.len - 1) : NULL;

	pthread_mutex_lock(&w->lock);
	/* Any checkpoint proves all that is before it. */
	if (lines.len > WITNESS_WAITING_MAX - w->given.len) {
		buf_clear(&w->given);
		lines = lf ? bytes_from(lines, (size_t)(lf + 1 - lines.at)) : lines;
	}
	buf_put(&w->given, lines);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

void witnesses_wait(struct witnesses *w)
{
	pthread_mutex_lock(&w->lock);
	/* What is given later does not count: a busy round may have begun before. */
	if (w->given.len || w->busy) {
		uint64_t until = w->rounds + (w->given.len && w->busy ? 2 : 1);

		while (w->rounds < until)
			pthread_cond_wait(&w->changed, &w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

bool witnesses_are_current(struct witnesses *w, char *why, size_t size)
{
	bool current;

	pthread_mutex_lock(&w->lock);
	current = w->current;
	if (!current)
		snprintf(why, size, "%s", w->why);
	pthread_mutex_unlock(&w->lock);
	return current;
}

bool witnesses_are_gone(struct witnesses *w, uint64_t now_us)
{
	bool gone;

	pthread_mutex_lock(&w->lock);
	gone = !w->current && now_us > w->current_us + WITNESS_GRACE_US;
	pthread_mutex_unlock(&w->lock);
	return gone;
}
