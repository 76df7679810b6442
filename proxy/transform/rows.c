#include "transform/statistics.h"

#include <stdlib.h>

#include "query/match.h"

/* The stages behind a group, on what the client is told. */

/* BSON types in the order in which a server sorts them. */
static int rank(uint8_t type)
{
	static const struct {
		uint8_t type, rank;
	} ranks[] = {
		{TYPE_MIN_KEY, 0},
		{TYPE_UNDEFINED, 1},
		{TYPE_NULL, 1},
		{TYPE_DOUBLE, 2},
		{TYPE_INT32, 2},
		{TYPE_INT64, 2},
		{TYPE_DECIMAL128, 2},
		{TYPE_STRING, 3},
		{TYPE_SYMBOL, 3},
		{TYPE_DOCUMENT, 4},
		{TYPE_ARRAY, 5},
		{TYPE_BINARY, 6},
		{TYPE_OBJECT_ID, 7},
		{TYPE_BOOL, 8},
		{TYPE_DATE, 9},
		{TYPE_TIMESTAMP, 10},
		{TYPE_REGEX, 11},
		{TYPE_DB_POINTER, 12},
		{TYPE_CODE, 13},
		{TYPE_CODE_WITH_SCOPE, 14},
		{TYPE_MAX_KEY, 16},
	};

	if (!type)
		return 1; /* what is missing is as null */
	for (size_t i = 0; i < COUNT_OF(ranks); i++)
		if (ranks[i].type == type)
			return ranks[i].rank;
	return 15;
}

static int compare_values(const struct element *a, const struct element *b);

static int compare_documents(struct bytes a, struct bytes b)
{
	struct doc_iter x = doc_iter_of(a), y = doc_iter_of(b);
	struct element e, f;

	for (;;) {
		bool more = doc_next(&x, &e), others = doc_next(&y, &f);
		int order;

		if (!more || !others)
			return more - others;
		order = rank(e.type) - rank(f.type);
		if (!order)
			order = bytes_compare(e.name, f.name);
		if (!order)
			order = compare_values(&e, &f);
		if (order)
			return order;
	}
}

static int compare_values(const struct element *a, const struct element *b)
{
	int order = rank(a->type) - rank(b->type);

	if (order)
		return order;
	if (match_compare(a, b, &order))
		return order;
	if (element_is_document(a))
		return compare_documents(a->value, b->value);
	return bytes_compare(a->value, b->value);
}

/* With the place that a row had, so that equal ones keep it. */
struct sorted {
	struct bytes row;
	size_t place;
	const struct row_step *step;
};

static int by_fields(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	for (size_t i = 0; i < x->step->nfields; i++) {
		const struct row_field *f = &x->step->fields[i];
		struct element e = {0}, g = {0};
		int order;

		if (!doc_find_path(x->row, f->from, &e))
			e = (struct element){0};
		if (!doc_find_path(y->row, f->from, &g))
			g = (struct element){0};
		order = compare_values(&e, &g);
		if (order)
			return f->descending ? -order : order;
	}
	return x->place < y->place ? -1 : 1;
}

static void sort_rows(struct rows *rows, const struct row_step *step)
{
	struct sorted *sorted = arena_array(rows->arena, rows->n, sizeof(*sorted));

	for (size_t i = 0; i < rows->n; i++)
		sorted[i] = (struct sorted){rows->list[i], i, step};
	if (rows->n)
		qsort(sorted, rows->n, sizeof(*sorted), by_fields);
	for (size_t i = 0; i < rows->n; i++)
		rows->list[i] = sorted[i].row;
}

static struct bytes projected(struct arena *arena, struct bytes row, const struct row_step *step)
{
	struct buf out;
	struct bytes copy;
	size_t begun;

	buf_init(&out, DOC_MAX_LEN);
	begun = doc_begin(&out);
	for (size_t i = 0; i < step->nfields; i++) {
		struct element e;

		if (doc_find_path(row, step->fields[i].from, &e))
			doc_put_value(&out, e.type, step->fields[i].name, e.value);
	}
	doc_end(&out, begun);
	copy = arena_copy(arena, buf_bytes(&out));
	buf_fini(&out);
	return copy;
}

static size_t least(int64_t n, size_t most)
{
	return n < 0 || (uint64_t)n > most ? most : (size_t)n;
}

static void step_once(struct rows *rows, const struct row_step *step)
{
	switch (step->kind) {
	case ROWS_SORT:
		sort_rows(rows, step);
		return;
	case ROWS_SKIP:
		rows->list += least(step->n, rows->n);
		rows->n -= least(step->n, rows->n);
		return;
	case ROWS_LIMIT:
		rows->n = least(step->n, rows->n);
		return;
	case ROWS_PROJECT:
		for (size_t i = 0; i < rows->n; i++)
			rows->list[i] = projected(rows->arena, rows->list[i], step);
		return;
	}
}

void step_rows(struct rows *rows, const struct statistics *asked)
{
	struct row_field id = {.from = "_id"};
	const struct row_step by_key = {.kind = ROWS_SORT, .fields = &id, .nfields = 1};

	/* A server's own order tells which group it met first. */
	if (!asked->without_key)
		step_once(rows, &by_key);
	for (size_t i = 0; i < asked->nsteps; i++)
		step_once(rows, &asked->steps[i]);
}
