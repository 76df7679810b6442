/* patient.h - the documents that the benchmarks send about: patients as a hospital has them. */
#ifndef TESTS_BENCH_PATIENT_H
#define TESTS_BENCH_PATIENT_H

#include "util/buf.h"

/* Appends patient number `i`: the same bytes for the same number, all of about 620 bytes. */
void patient_put(struct buf *out, uint32_t i);

#endif
