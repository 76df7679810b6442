/* canned.h - what a MongoDB primary would say, prepared beforehand.
 *
 * One user, whatever the name, with the password "bench".  Documents of the key vault are
 * kept and found again; every other collection has the same 101 patients and takes every
 * insert.  No two threads.
 */
#ifndef TESTS_BENCH_CANNED_H
#define TESTS_BENCH_CANNED_H

#include <gsasl.h>

#include "util/buf.h"

#define CANNED_PASSWORD   "bench"
#define CANNED_BATCH      101      /* documents of a first batch */
#define CANNED_COLLECTION "sealed" /* the one that takes what was recorded */

struct canned;

/* `folder` keeps what has been stored: vault.bson, documents.bson.  With `records` every
 * insert into CANNED_COLLECTION replaces the documents that a find there gives, and
 * nothing else is answered differently. */
struct canned *canned_new(const char *folder, bool records);
void canned_free(struct canned *c);

/* One connection's login, and the address that it knows us by. */
struct canned_session {
	char address[64]; /* "localhost:27017" */
	Gsasl_session *login;
};
void canned_session_end(struct canned_session *s);

/* The answer to a whole message, borrowed until the next call; empty when none is wanted.
 * False: not a message that we understand. */
bool canned_answer(
	struct canned *c, struct canned_session *s, struct bytes message, struct bytes *answer);

#endif
