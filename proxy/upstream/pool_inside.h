/* pool_inside.h - what the files of the pool share. */
#ifndef PROXY_UPSTREAM_POOL_INSIDE_H
#define PROXY_UPSTREAM_POOL_INSIDE_H

#include <sys/queue.h>

#include "net/conn.h"
#include "upstream/inside.h"

#define POOL_BUFFER      (64u * 1024) /* an answer up to this size costs no allocation */
#define POOL_BUFFERS_MAX 64u          /* that are kept for reuse */
#define POOL_OPENING_MAX 4u           /* connections to one server that log in at once */
#define POOL_TRIES_MAX   4u           /* connections that may be dead before a call is lost */
#define PREFERENCE_SIZE  256u         /* of a preference that is kept without allocation */

TAILQ_HEAD(calls, upstream_call);
TAILQ_HEAD(conns, pool_conn);

enum call_state { CALL_HOMELESS, CALL_WAITING, CALL_SENT, CALL_FINISHED };

struct upstream_call {
	TAILQ_ENTRY(upstream_call) link; /* of the list that its state says */
	enum call_state state;
	struct upstream_pool *pool;
	uint8_t *message;
	size_t len;
	struct upstream_want want;
	upstream_done_fn *done;
	void *context;
	uint64_t expires_us;      /* while it waits */
	uint64_t select_until_us; /* for a server */
	struct pool_slot *slot;
	struct pool_conn *conn;
	unsigned tries;
	enum upstream_result result; /* once finished */
	server_id server;
	uint8_t *long_preference; /* owned */
	uint8_t preference[PREFERENCE_SIZE];
};

/* Ordinary commands, and getMores that wait for data. */
enum { LANE_ORDINARY, LANE_AWAITING, LANES };

struct pool_lane {
	struct conns idle; /* last in, first out */
	struct calls waiting;
	size_t nwaiting, opening;
};

struct pool_slot { /* a server */
	server_id id;
	struct pool_lane lanes[LANES];
	size_t busy;
	size_t next_address;
};

enum conn_state { CONN_CONNECTING, CONN_LOGIN, CONN_SALTING, CONN_IDLE, CONN_BUSY };

struct login;

struct pool_conn {
	TAILQ_ENTRY(pool_conn) all, idle;
	struct upstream_pool *pool;
	struct pool_slot *slot;
	struct pool_lane *lane;
	struct net_conn *net;
	enum conn_state state;
	bool asks;                  /* has not looked for its salted password since the last news */
	struct login *login;        /* until it is logged in */
	struct upstream_call *call; /* NULL while busy: its answer is not wanted */
	int32_t request_id;
	uint64_t deadline_us; /* of a login, of an answer, or of idleness; 0: none */
	uint8_t *buffer;      /* while an answer comes in */
	size_t capacity, have, need;
	char text[HOST_TEXT_MAX];
};

struct upstream_pool {
	struct upstream_pool *next; /* under the upstream's lock */
	struct upstream *upstream;
	struct net_loop *loop;
	atomic_bool posted;
	bool closing;

	struct topology *topology;
	unsigned generation;
	struct pool_slot **slots; /* by server_id - 1 */
	size_t nslots;

	struct conns conns;
	size_t open[LANES];
	struct calls homeless, finished, spare;
	size_t nwaiting;        /* calls that wait for a server or a connection */
	bool placing;           /* homeless calls are to be placed by `soon` */
	struct net_timer *soon; /* what may not be done within a call of the owner */

	struct net_timer *timer;
	uint64_t timer_us; /* when it fires; 0: never */
	uint8_t *buffers[POOL_BUFFERS_MAX];
	size_t nbuffers;
	int32_t last_request_id;
	struct upstream_pool_numbers numbers;
};

/* From any thread, with the upstream's lock held. */
void pool_post_news(struct upstream_pool *p);

/* pool.c */
void pool_finish(struct upstream_call *call, enum upstream_result result);
void pool_release_call(struct upstream_call *call);
void pool_call_again(struct upstream_call *call); /* after a connection that was dead */
void pool_serve(struct upstream_pool *p, struct pool_lane *lane);
void pool_server_failed(struct upstream_pool *p, struct pool_slot *slot);
void pool_open_more(struct upstream_pool *p); /* wherever calls wait */

/* pool_conn.c */
void pool_conn_open(struct upstream_pool *p, const struct server *s, struct pool_slot *slot,
	struct pool_lane *lane);
void pool_conn_send(struct pool_conn *c, struct upstream_call *call);
void pool_conn_ready(struct pool_conn *c);
void pool_conn_close(struct pool_conn *c, enum upstream_result result, const char *why);
void pool_conn_write(struct pool_conn *c, uint8_t *message, size_t len);
void pool_conn_become_idle(struct pool_conn *c);

/* pool_login.c */
bool pool_login_begin(struct pool_conn *c);
void pool_login_reply(struct pool_conn *c, struct bytes document);
void pool_login_go_on(struct pool_conn *c);
void pool_login_free(struct login *l);

/* pool_expire.c */
void pool_arm(struct upstream_pool *p, uint64_t at_us); /* something ends then */
void pool_on_timer(void *context);

#endif
