#include "audit/verify_inside.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/memory.h"

#define DAY_US        (INT64_C(24) * 3600 * 1000000)
#define PROGRESS_STEP (UINT64_C(8) << 20)

static bool vfail(struct verify *v, enum verify_end end, const char *where, const char *format,
	va_list args) PRINTF_LIKE(4, 0);
static bool vfail(
	struct verify *v, enum verify_end end, const char *where, const char *format, va_list args)
{
	char what[512];

	if (v->end != VERIFY_WHOLE)
		return false;
	vsnprintf(what, sizeof(what), format, args);
	v->end = end;
	v->why = memory_format("%s%s", where, what);
	return false;
}

bool verify_fault(struct verify *v, struct verify_place at, const char *format, ...)
{
	char *where = memory_format("%s:%llu: ", at.file, (unsigned long long)at.line);
	va_list args;

	va_start(args, format);
	vfail(v, VERIFY_FAULT, where, format, args);
	va_end(args);
	free(where);
	return false;
}

bool verify_bad(struct verify *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfail(v, VERIFY_BAD, "", format, args);
	va_end(args);
	return false;
}

bool verify_read_fault(struct verify *v, const struct line_file *f, enum line_read how)
{
	struct verify_place at = {f->path, f->line};

	switch (how) {
	case LINE_READ_LONG:
		return verify_fault(v, at, "a line of more than %u bytes", LINE_MAX_LEN);
	case LINE_READ_HALF:
		at.line++;
		return verify_fault(v, at, "half a line: no LF at its end");
	case LINE_READ_FAILED:
		return verify_bad(v, "%s: %s", f->path, strerror(errno));
	case LINE_READ_ONE:
	case LINE_READ_END:
		break;
	}
	return true;
}

bool verify_next(struct verify *v, struct line_file *f, struct line *l)
{
	struct bytes text;
	enum line_read how = line_file_next(f, &text);

	/* A log that is being written may end within a line; one that stands still may not. */
	for (unsigned looks = 0; how == LINE_READ_HALF && looks < VERIFY_LOOKS_MAX; looks++) {
		uint64_t before = f->taken;

		sleep(VERIFY_SECOND_LOOK_S);
		how = line_file_next(f, &text);
		if (f->taken == before)
			break;
	}
	if (how == LINE_READ_END || !verify_read_fault(v, f, how))
		return false;
	if (!line_parse(&v->parser, text, l))
		return verify_fault(
			v, (struct verify_place){f->path, f->line}, "%s", v->parser.why);
	return true;
}

static void progress(struct verify *v, uint64_t bytes)
{
	uint64_t before = v->done;

	v->done += bytes;
	if (v->options->progress && before / PROGRESS_STEP != v->done / PROGRESS_STEP)
		v->options->progress(v->options->progress_context, v->done, v->all);
}

static bool read_file(struct chain *c, struct verify_file *file)
{
	struct line_file in;
	struct line line;
	bool ok = true;

	if (!line_file_open(&in, file->path))
		return verify_bad(c->v, "%s: %s", file->path, strerror(errno));
	c->file = file;
	while (ok && verify_next(c->v, &in, &line)) {
		c->at = (struct verify_place){in.path, in.line};
		progress(c->v, line.text.len + 1);
		ok = chain_line(c, &line);
	}
	line_file_close(&in);
	return c->v->end == VERIFY_WHOLE;
}

static struct verify_file *rolls_of(struct verify *v, const char *instance)
{
	for (size_t i = 0; i < v->nfiles; i++) {
		struct verify_file *f = &v->files[i];

		if (f->of_keys && !f->used && strcmp(f->instance, instance) == 0) {
			f->used = true;
			return f;
		}
	}
	return NULL;
}

/* What strict does not let pass, though nothing is wrong. */
static void judge_strictly(struct chain *c)
{
	const char *what = NULL;

	if (!c->v->options->strict)
		return;
	if (!c->witnessed)
		what = "no witness line";
	else if (c->uncovered)
		what = "lines that no checkpoint covers";
	else if (c->told.gaps)
		what = "a gap";
	else if (c->time_us - c->witness_time_us > DAY_US)
		what = "the newest witness line is more than 24 h before the end of the log";
	if (what && !c->v->result->why)
		c->v->result->why = memory_format("%s: strict: %s", c->told.instance, what);
}

static bool run_chain(struct verify *v, size_t first, size_t *behind)
{
	struct chain *c = memory_new(sizeof(*c));
	const char *instance = v->files[first].instance;
	size_t i = first;
	bool ok = chain_open(c, v, instance, rolls_of(v, instance));

	for (; i < v->nfiles && strcmp(v->files[i].instance, instance) == 0; i++)
		if (!v->files[i].of_keys)
			ok = ok && read_file(c, &v->files[i]);
	*behind = i;
	if (ok && chain_end(c)) {
		if (c->told.proof == VERIFY_PROVEN)
			c->told.seq = (int64_t)c->witness_seq;
		judge_strictly(c);
		v->result->chains[v->result->nchains++] = c->told;
	}
	chain_close(c);
	free(c);
	return v->end == VERIFY_WHOLE;
}

static size_t first_log(const struct verify *v, size_t i)
{
	while (i < v->nfiles && v->files[i].of_keys)
		i++;
	return i;
}

static bool run_chains(struct verify *v)
{
	size_t i = 0;

	if (first_log(v, 0) == v->nfiles) {
		v->end = VERIFY_FAULT;
		v->why = memory_text(bytes_str("no record at all"));
		return false;
	}
	v->result->chains = memory_array(v->nfiles, sizeof(*v->result->chains));
	while (i < v->nfiles) {
		size_t log = first_log(v, i);

		if (log == v->nfiles)
			break;
		if (!run_chain(v, log, &i))
			return false;
	}
	for (i = 0; i < v->nfiles; i++)
		if (v->files[i].of_keys && !v->files[i].used)
			return verify_fault(v, (struct verify_place){v->files[i].path, 1},
				"a file of keys without a log of its instance, or a second one");
	return true;
}

enum verify_end verify_run(const struct verify_options *options, struct verify_result *result)
{
	struct verify v = {.options = options, .result = result};

	*result = (struct verify_result){0};
	line_parser_init(&v.parser);
	if (verify_load_keys(&v) && verify_list_files(&v) && verify_check_witness(&v))
		(void)run_chains(&v);
	if (v.end != VERIFY_WHOLE) {
		free(result->why);
		result->why = v.why;
	} else if (result->why) {
		v.end = VERIFY_FAULT;
	} else if (options->strict && options->key_of_machine) {
		v.end = VERIFY_FAULT;
		result->why = memory_format("strict: the public key was taken from this machine");
	}
	for (size_t i = 0; i < v.nfiles; i++)
		free(v.files[i].path);
	free(v.files);
	free(v.keys);
	line_parser_fini(&v.parser);
	return v.end;
}

void verify_result_fini(struct verify_result *result)
{
	free(result->chains);
	free(result->why);
}

static void put_number(struct buf *out, uint64_t n, const char *what, const char **between)
{
	if (!n)
		return;
	buf_put_format(out, "%s%s %llu", *between, what, (unsigned long long)n);
	*between = ", ";
}

void verify_put_chain(struct buf *out, const struct verify_chain *chain)
{
	static const char *const why[] = {
		[VERIFY_NO_WITNESS] = "no witness given",
		[VERIFY_UNCOVERED] = "not covered by a checkpoint yet",
		[VERIFY_NO_WITNESS_LINE] = "no witness line",
	};
	const char *between = "; ";

	buf_put_str(out, chain->instance);
	if (chain->proof == VERIFY_PROVEN)
		buf_put_format(out, ": proven up to seq %lld (witness of %s)",
			(long long)chain->seq, chain->witness_ts);
	else
		buf_put_format(out, ": unproven after seq %lld: %s", (long long)chain->seq,
			why[chain->proof]);
	put_number(out, chain->unknown_outcomes, "outcomes unknown:", &between);
	put_number(out, chain->clock_steps, "clock steps:", &between);
	put_number(out, chain->gaps, "gaps:", &between);
	put_number(out, chain->late_signed, "signed only at a later start:", &between);
	put_number(out, chain->unfinished, "unfinished records:", &between);
}
