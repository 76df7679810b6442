/* login.h - a client's SCRAM-SHA-256 login, as a driver does it. */
#ifndef TESTS_BENCH_LOGIN_H
#define TESTS_BENCH_LOGIN_H

#include "link.h"

/* Waits for the answer to `request`, a whole message; its document is borrowed until the
 * next use of `l`.  False: the connection is gone, or the answer is not ok: 1. */
bool login_call(struct link *l, struct bytes request, struct bytes *document);

/* hello, saslStart, saslContinue.  False, with a line on standard error.  All calls of a
 * process name the same user. */
bool login(struct link *l, const char *user, const char *password);

/* The document of an OP_MSG answer; false when it has none or its ok is not 1. */
bool login_document(struct bytes message, struct bytes *document);

#endif
