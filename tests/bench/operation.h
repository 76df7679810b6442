/* operation.h - what the load consists of: requests as a driver sends them, and what an
 * answer must be. */
#ifndef TESTS_BENCH_OPERATION_H
#define TESTS_BENCH_OPERATION_H

#include "util/buf.h"

struct operation {
	const char *name;
	bool inserts;
	uint32_t documents; /* in the request or in the answer */
};

/* NULL when there is none of that name. */
const struct operation *operation_find(const char *name);

/* A request that is sent again and again; only ids change. */
struct request {
	const struct operation *operation;
	struct buf frame;
	size_t session_at, transaction_at; /* offsets of lsid.id and txnNumber */
};
void request_init(
	struct request *r, const struct operation *o, const char *db, const char *collection);
void request_fini(struct request *r);
/* The `nth` request of connection `connection`; borrowed until the next call. */
struct bytes request_of(struct request *r, uint32_t connection, uint32_t nth);

/* Whether the answer to the `nth` request is ok, to that request, and whole.  `first` is
 * its first document, empty if it has none. */
bool request_is_answered(
	const struct request *r, struct bytes message, uint32_t nth, struct bytes *first);

#endif
