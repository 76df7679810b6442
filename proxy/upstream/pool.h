/* pool.h - sends commands upstream: one pool a worker, on that worker's loop.
 *
 * Any free connection to the right server serves any command.  A call waits, bounded in
 * time and in number, for a server and for a connection.  Awaiting getMores have
 * connections of their own, so that they never hold up others.
 */
#ifndef PROXY_UPSTREAM_POOL_H
#define PROXY_UPSTREAM_POOL_H

#include "net/loop.h"
#include "upstream/upstream.h"

#define POOL_WAITING_MAX 10000 /* calls that wait in one worker's queue */

struct upstream_pool;
struct upstream_call;

struct upstream_pool *upstream_pool_new(struct upstream *u, struct net_loop *l);
void upstream_pool_free(struct upstream_pool *p);

/* A server by a small number that stays the same for one address. */
typedef uint32_t server_id;
#define SERVER_ANY 0u

struct upstream_want {
	server_id server;        /* where a cursor or a transaction lives, or SERVER_ANY */
	struct bytes preference; /* the $readPreference document; empty: primary */
	bool write;              /* needs the primary whatever the preference says */
	bool awaiting;           /* a getMore that may wait for data */
	uint64_t deadline_us;    /* net_loop_now_us time; 0: only the configured limits */
};

enum upstream_result {
	UPSTREAM_ANSWERED,
	UPSTREAM_NO_SERVER, /* none fit in time; nothing was sent */
	UPSTREAM_NO_ROOM,   /* no connection came free in time, or the queue is full */
	UPSTREAM_LOST,      /* the connection broke after something was sent */
	UPSTREAM_TIMED_OUT, /* sent, and no answer by the deadline; the connection was closed */
	UPSTREAM_GARBAGE,   /* the answer breaks the protocol; the connection was closed */
};

struct upstream_answer {
	enum upstream_result result;
	server_id server; /* that answered, or that was lost */
	uint8_t *message; /* a whole OP_MSG; may be changed in place; until the callback returns */
	size_t len;
	uint8_t *document; /* its body, within `message` */
	size_t document_len;
};
typedef void upstream_done_fn(void *context, const struct upstream_answer *answer);

/* Sends `message` (a whole OP_MSG whose requestID is put in here) and calls `done` once,
 * never from within this call.  `message` stays in place until then.  A connection that
 * turns out dead before a byte of it was written is replaced silently. */
struct upstream_call *upstream_send(struct upstream_pool *p, uint8_t *message, size_t len,
	const struct upstream_want *want, upstream_done_fn *done, void *context);
/* The caller no longer wants the answer: `done` is not called any more.  What was sent is
 * answered into nothing; what was not sent is not sent. */
void upstream_call_drop(struct upstream_call *call);

/* For state codes in replies (NotWritablePrimary and the like): the server is marked down
 * until discovery has looked again. */
void upstream_server_failed(struct upstream_pool *p, server_id server);

struct upstream_pool_numbers {
	size_t open, busy, waiting, awaiting;
	uint64_t opened, lost, answered;
};
void upstream_pool_numbers(const struct upstream_pool *p, struct upstream_pool_numbers *n);

#endif
