#include "transform/statistics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "transform/noise.h"

#define SUBJECTS "subjects"
#define NO_PATH  bytes_of("", 0)

/* Of a path's numbers in a group; statistics.h in policy/ says what each is. */
struct column {
	double sum, absolute, most;
	int64_t documents, subjects, most_documents;
	double squares, most_squares;
};

struct group {
	struct element key;
	struct subject_set set, only; /* `only`: in no other group */
	int64_t documents, most;
	struct column *columns;
};

struct answering {
	const struct statistics *asked;
	struct bytes document;
	struct noise_source source;
	struct token counts; /* of all that counts rest on */
	struct token *sums;  /* by path: of all that its sums rest on */
	struct token all;    /* of all of these */
	struct subject_set view, match;
	struct group *groups;
	size_t ngroups;
	struct arena *arena;
	struct fault *why;
};

static bool refuse_garbage(const struct answering *a)
{
	return fault_set(
		a->why, FAULT_UPSTREAM_GARBAGE, "statistics are not as they were asked for");
}

#define COUNT_MAX (1ll << 50) /* documents; noise on it is no overflow */

static bool read_keys(struct bytes doc, const char *name, int64_t *n)
{
	struct element e;

	return doc_find(doc, name, &e) && element_int(&e, n) && *n >= 0;
}

static bool read_int(struct bytes doc, const char *name, int64_t *n)
{
	return read_keys(doc, name, n) && *n <= COUNT_MAX;
}

/* A sum or maximum; null where there was no number. */
static bool read_number(struct bytes doc, char letter, size_t path, double *d)
{
	struct element e;
	char name[32];

	snprintf(name, sizeof(name), "%c%zu", letter, path);
	*d = 0;
	if (!doc_find(doc, name, &e))
		return false;
	return e.type == TYPE_NULL || (element_double(&e, d) && isfinite(*d));
}

static bool read_count(struct bytes doc, char letter, size_t path, int64_t *n)
{
	char name[32];

	snprintf(name, sizeof(name), "%c%zu", letter, path);
	return read_int(doc, name, n);
}

/* A list of one set, or of none. */
static bool read_set(const struct answering *a, const char *name, struct subject_set *set)
{
	struct element list, e;
	struct doc_iter it;

	*set = (struct subject_set){0};
	if (!doc_find(a->document, name, &list) || list.type != TYPE_ARRAY)
		return refuse_garbage(a);
	it = doc_iter_of(list.value);
	if (!doc_next(&it, &e))
		return !it.failed || refuse_garbage(a);
	if (e.type != TYPE_DOCUMENT || !read_int(e.value, "s", &set->n) ||
		!read_keys(e.value, "r", &set->keys))
		return refuse_garbage(a);
	return true;
}

static bool read_column(
	struct bytes doc, const struct statistics *asked, size_t i, struct column *c)
{
	if (asked->squares[i] && (!read_number(doc, 'q', i, &c->squares) ||
					 !read_number(doc, 'y', i, &c->most_squares)))
		return false;
	return read_number(doc, 't', i, &c->sum) && read_number(doc, 'b', i, &c->absolute) &&
	       read_number(doc, 'm', i, &c->most) && read_count(doc, 'c', i, &c->documents) &&
	       read_count(doc, 'd', i, &c->subjects) && read_count(doc, 'e', i, &c->most_documents);
}

static bool read_group(const struct answering *a, struct bytes doc, struct group *g)
{
	if (!doc_find(doc, "_id", &g->key) || !read_int(doc, "s", &g->set.n) ||
		!read_keys(doc, "r", &g->set.keys) || !read_int(doc, "o", &g->only.n) ||
		!read_keys(doc, "p", &g->only.keys) || !read_int(doc, "n", &g->documents) ||
		!read_int(doc, "h", &g->most) || g->only.n > a->match.n ||
		g->only.keys > a->match.keys)
		return false;
	g->columns = arena_array(a->arena, a->asked->npaths, sizeof(*g->columns));
	for (size_t i = 0; i < a->asked->npaths; i++)
		if (!read_column(doc, a->asked, i, &g->columns[i]))
			return false;
	return true;
}

static bool read_groups(struct answering *a)
{
	struct element list, e;
	struct doc_iter it;

	if (!doc_find(a->document, "groups", &list) || list.type != TYPE_ARRAY)
		return refuse_garbage(a);
	if (doc_count(list.value) > STATISTICS_GROUPS_MAX)
		return fault_set(a->why, FAULT_STATISTICS_GROUPS, "too many groups");
	a->groups = arena_array(a->arena, doc_count(list.value), sizeof(*a->groups));
	it = doc_iter_of(list.value);
	while (doc_next(&it, &e))
		if (e.type != TYPE_DOCUMENT || !read_group(a, e.value, &a->groups[a->ngroups++]))
			return refuse_garbage(a);
	return !it.failed || refuse_garbage(a);
}

#define TEXT(literal) bytes_of(literal, sizeof(literal))

/* A hash of groups in whatever order they come: the sum of those of each. */
struct group_sum {
	uint64_t sum[2];
};

static void add_group(
	const struct answering *a, struct group_sum *sum, struct bytes what, const struct group *g)
{
	uint8_t whole[32];
	const struct bytes parts[] = {
		TEXT("group"), bytes_of(whole, sizeof(whole)), what, TEXT(""), g->key.value};
	struct token token;

	store_u64(whole, (uint64_t)g->set.n);
	store_u64(whole + 8, (uint64_t)g->set.keys);
	store_u64(whole + 16, (uint64_t)g->documents);
	store_u64(whole + 24, g->key.type);
	master_token(a->source.master, TOKEN_STATISTICS, parts, COUNT_OF(parts), &token);
	sum->sum[0] += load_u64(token.bytes);
	sum->sum[1] += load_u64(token.bytes + 8);
}

static void end_groups(const struct answering *a, const struct group_sum *sum, struct token *out)
{
	uint8_t whole[32];
	const struct bytes parts[] = {TEXT("answer"), bytes_of(whole, sizeof(whole))};

	store_u64(whole, (uint64_t)a->view.n);
	store_u64(whole + 8, (uint64_t)a->view.keys);
	store_u64(whole + 16, sum->sum[0]);
	store_u64(whole + 24, sum->sum[1]);
	master_token(a->source.master, TOKEN_STATISTICS, parts, COUNT_OF(parts), out);
}

static void hash_sums(const struct answering *a, size_t path, struct token *out)
{
	struct group_sum sum = {{0}};

	for (size_t i = 0; i < a->ngroups; i++) {
		const struct column *c = &a->groups[i].columns[path];
		char numbers[64];

		snprintf(numbers, sizeof(numbers), "%.8e %lld", c->sum, (long long)c->documents);
		add_group(a, &sum, bytes_str(numbers), &a->groups[i]);
	}
	end_groups(a, &sum, out);
}

/* What an answer rests on: the view's subjects, and what each group counts or adds up. */
static void hash_answer(struct answering *a)
{
	struct group_sum sum = {{0}};
	struct bytes *parts = arena_array(a->arena, 2 + 2 * a->asked->npaths, sizeof(*parts));
	size_t n = 0;

	for (size_t i = 0; i < a->ngroups; i++)
		add_group(a, &sum, NO_PATH, &a->groups[i]);
	end_groups(a, &sum, &a->counts);
	parts[n++] = TEXT("all");
	parts[n++] = bytes_of(a->counts.bytes, TOKEN_LEN);
	a->sums = arena_array(a->arena, a->asked->npaths, sizeof(*a->sums));
	for (size_t i = 0; i < a->asked->npaths; i++) {
		hash_sums(a, i, &a->sums[i]);
		parts[n++] = bytes_of(a->sums[i].bytes, TOKEN_LEN);
		parts[n++] = a->asked->paths[i];
	}
	master_token(a->source.master, TOKEN_STATISTICS, parts, n, &a->all);
}

/* Enough subjects, also with noise: where a set is just large enough, whether it is must not
 * show who is in it. */
static bool is_enough(const struct answering *a, const struct subject_set *set)
{
	struct noise noise;

	noise_of(&a->source, &a->counts, set, SUBJECTS, NO_PATH, (double)set->n, &noise);
	return set->n >= a->asked->limits.min_group &&
	       set->n + noise.whole >= a->asked->limits.min_group;
}

#define SHARE_MOST 0.5 /* that one subject may have */

/* A little less for some sets: else it would show to the digit when one has half. */
static bool is_dominated(const struct answering *a, const struct subject_set *set,
	struct bytes path, double most, double all)
{
	struct noise noise;

	noise_of(&a->source, &a->counts, set, "dominance", path, 0, &noise);
	return most > (SHARE_MOST - 0.1 * noise.share) * all;
}

/* Each part of the filter must decide about enough subjects.  Of none at all is not enough: else it
 * would tell an empty set from a small one. */
static bool are_parts_fine(const struct answering *a, bool *fine)
{
	*fine = true;
	for (size_t i = 0; i < a->asked->nparts; i++) {
		struct subject_set set;
		char name[32];

		snprintf(name, sizeof(name), "d%zu", i);
		if (!read_set(a, name, &set))
			return false;
		*fine &= is_enough(a, &set);
	}
	return true;
}

static bool is_told(const struct answering *a, const struct group *g)
{
	const struct subject_set rest = {a->match.n - g->only.n, a->match.keys - g->only.keys};

	return is_enough(a, &g->set) && (a->asked->one_group || is_enough(a, &rest)) &&
	       !is_dominated(a, &g->set, NO_PATH, (double)g->most, (double)g->documents);
}

/* Documents, with noise of the size of the most that one subject has. */
static int64_t noisy_count(
	const struct answering *a, const struct noise *noise, int64_t n, int64_t most)
{
	int64_t least = a->asked->limits.min_group;
	int64_t noisy = n + (most == 1 ? noise->whole : llrint((double)most * noise->real));

	return noisy > least ? noisy : least;
}

static int64_t count_of(const struct answering *a, const struct group *g)
{
	struct noise noise;

	noise_of(&a->source, &a->counts, &g->set, SUBJECTS, NO_PATH, (double)g->documents, &noise);
	return noisy_count(a, &noise, g->documents, g->most);
}

static void noise_of_path(const struct answering *a, const struct group *g, const char *what,
	size_t path, double value, struct noise *noise)
{
	noise_of(&a->source, &a->sums[path], &g->set, what, a->asked->paths[path], value, noise);
}

/* Documents that have a number. */
static int64_t numbers_of(const struct answering *a, const struct group *g, size_t path)
{
	const struct column *c = &g->columns[path];
	struct noise noise;

	if (c->documents == g->documents)
		return count_of(a, g);
	noise_of_path(a, g, "documents", path, (double)c->documents, &noise);
	return noisy_count(a, &noise, c->documents, c->most_documents);
}

static double noisy_sum(const struct answering *a, const struct group *g, const char *what,
	size_t path, double sum, double most)
{
	struct noise noise;

	noise_of_path(a, g, what, path, sum, &noise);
	return sum + most * noise.real;
}

/* Too few subjects have a number, or one has too much of the sum, or there is nothing but
 * zeros: none is told from the others. */
static bool is_withheld(const struct answering *a, const struct group *g, size_t path)
{
	const struct column *c = &g->columns[path];
	int64_t least = a->asked->limits.min_group;
	struct noise noise;

	noise_of_path(a, g, "subjects", path, (double)c->subjects, &noise);
	return c->subjects < least || c->subjects + noise.whole < least || !(c->most > 0) ||
	       is_dominated(a, &g->set, a->asked->paths[path], c->most, c->absolute);
}

/* Digits beyond those are the server's way of adding up. */
static double rounded(double d)
{
	char text[32];

	snprintf(text, sizeof(text), "%.9g", d);
	return strtod(text, NULL);
}

static double number_of(const struct answering *a, const struct group *g, const struct statistic *s)
{
	const struct column *c = &g->columns[s->path];
	double sum = noisy_sum(a, g, "sum", s->path, c->sum, c->most), mean, squares;
	int64_t n = numbers_of(a, g, s->path);

	if (s->kind == STATISTIC_SUM)
		return rounded(sum);
	mean = sum / (double)n;
	if (s->kind == STATISTIC_AVERAGE)
		return rounded(mean);
	squares = noisy_sum(a, g, "squares", s->path, c->squares, c->most_squares) / (double)n;
	return rounded(squares > mean * mean ? sqrt(squares - mean * mean) : 0);
}

static void put_whole(struct buf *out, struct bytes name, int64_t n)
{
	if (n <= INT32_MAX)
		doc_put_int32(out, name, (int32_t)n);
	else
		doc_put_int64(out, name, n);
}

static struct bytes row_of(const struct answering *a, const struct group *g)
{
	struct bytes row;
	struct buf out;
	size_t begun;

	buf_init(&out, DOC_MAX_LEN);
	begun = doc_begin(&out);
	if (!a->asked->without_key)
		doc_put_value(&out, g->key.type, NAME("_id"), g->key.value);
	for (size_t i = 0; i < a->asked->noutputs; i++) {
		const struct statistic *s = &a->asked->outputs[i];

		if (s->kind == STATISTIC_COUNT)
			put_whole(&out, s->name, count_of(a, g));
		else if (is_withheld(a, g, s->path))
			doc_put_null(&out, s->name);
		else
			doc_put_double(&out, s->name, number_of(a, g, s));
	}
	doc_end(&out, begun);
	row = arena_copy(a->arena, buf_bytes(&out));
	buf_fini(&out);
	return row;
}

/* What the question counts as, for those who may ask so many a day: it, and its answer. */
static void note_asked(const struct answering *a, struct disclosure *disclosure)
{
	disclosure->asked = true;
	disclosure->question = a->source.question;
	disclosure->answer = a->all;
}

bool answer_statistics(struct transform *t, const struct statistics *asked, struct bytes document,
	struct rows *rows, struct disclosure *disclosure, struct fault *why)
{
	struct answering a = {.asked = asked,
		.document = document,
		.source = {.master = t->master, .ns = asked->ns},
		.arena = rows->arena,
		.why = why};
	bool fine;

	statistics_question(t->master, asked, &a.source.question);
	if (!read_set(&a, "view", &a.view) || !read_set(&a, "match", &a.match) || !read_groups(&a))
		return false;
	hash_answer(&a);
	if (!are_parts_fine(&a, &fine))
		return false;
	rows->list = arena_array(rows->arena, a.ngroups, sizeof(*rows->list));
	rows->n = 0;
	for (size_t i = 0; fine && i < a.ngroups; i++)
		if (is_told(&a, &a.groups[i]))
			rows->list[rows->n++] = row_of(&a, &a.groups[i]);
	step_rows(rows, asked);
	note_asked(&a, disclosure);
	return true;
}

void statistics_question(
	const struct master *m, const struct statistics *asked, struct token *question)
{
	const struct bytes parts[] = {
		TEXT("question"), bytes_of(asked->question, sizeof(asked->question))};

	master_token(m, TOKEN_STATISTICS, parts, COUNT_OF(parts), question);
}
