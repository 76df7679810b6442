/* bench_doc - how long it takes to walk, to check and to build a patient's document. */
#include <stdio.h>
#include <stdlib.h>

#include "patient.h"
#include "util/clock.h"
#include "wire/doc.h"

#define ROUNDS     7
#define REPETITION 1000000u

static size_t walk(struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;
	size_t n = 0;

	while (doc_next(&it, &e))
		n += 1 + (element_is_document(&e) ? walk(e.value) : 0);
	return n;
}

static size_t check(struct bytes doc)
{
	struct fault why;

	return doc_check(doc, NULL, &why);
}

static size_t build(struct bytes doc)
{
	static struct buf out;

	if (!out.max)
		buf_init(&out, 4096);
	buf_clear(&out);
	patient_put(&out, (uint32_t)doc.len);
	return out.len;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void measure(const char *what, size_t (*run)(struct bytes), struct bytes doc)
{
	double ns[ROUNDS];
	size_t sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start_us = clock_monotonic_us();

		for (unsigned i = 0; i < REPETITION; i++)
			sum += run(doc);
		ns[round] = (double)(clock_monotonic_us() - start_us) * 1000 / REPETITION;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), compare);
	printf("%-6s %7.1f ns (%.1f-%.1f), result %zu\n", what, ns[ROUNDS / 2], ns[0],
		ns[ROUNDS - 1], sum / ROUNDS / REPETITION);
}

int main(void)
{
	struct buf out;

	buf_init(&out, 4096);
	patient_put(&out, 1);
	printf("a document of %zu bytes, median of %d rounds:\n", out.len, ROUNDS);
	measure("walk", walk, buf_bytes(&out));
	measure("check", check, buf_bytes(&out));
	measure("build", build, buf_bytes(&out));
	buf_fini(&out);
	return 0;
}
