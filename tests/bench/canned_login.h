/* canned_login.h - the server's half of SCRAM-SHA-256, for any name with one password. */
#ifndef TESTS_BENCH_CANNED_LOGIN_H
#define TESTS_BENCH_CANNED_LOGIN_H

#include "canned.h"

struct canned_login;

struct canned_login *canned_login_new(const char *password);
void canned_login_free(struct canned_login *c);

/* A new conversation, in place of one that the session may have begun. */
void canned_login_start(struct canned_login *c, struct canned_session *s);
/* Appends the answer to a payload; `ended` says that the client has logged in.  False: it
 * has failed, or none has begun. */
bool canned_login_step(
	struct canned_session *s, struct bytes payload, struct buf *out, bool *ended);

#endif
