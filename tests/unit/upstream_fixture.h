/* upstream_fixture.h - a worker's pool, and servers that do as they are told, on one loop. */
#ifndef TESTS_UNIT_UPSTREAM_FIXTURE_H
#define TESTS_UNIT_UPSTREAM_FIXTURE_H

#include "unit.h"

#include <netinet/in.h>

#include <event2/event.h>

#include "upstream/pool_inside.h"

#define FAKES_MAX      3
#define FAKE_CONNS_MAX 40
#define MS             1000u /* in microseconds */

#define PLAIN_URI "mongodb://127.0.0.1:1/?tls=false"

struct fake;

/* A connection that a server has accepted; they stay in the order in which they came. */
struct fake_conn {
	struct fake *fake;
	struct net_conn *net; /* NULL: closed by either side */
	struct buf in;
	size_t messages;    /* whole ones, the present one too */
	int32_t request_id; /* of the last */
};

/* A whole message has come. */
typedef void fake_fn(struct fake_conn *c, struct bytes message);

struct fake {
	struct net_loop *loop;
	int fd;
	struct sockaddr_in at;
	struct event *accepts;
	struct net_tls *tls;   /* or NULL */
	fake_fn *login;        /* for what comes before a connection is logged in */
	fake_fn *command;      /* for the rest */
	size_t login_messages; /* how many those of a login are */
	bool reads_nothing;    /* of connections accepted from now on */
	size_t commands;       /* that have come */
	size_t nopen;
	struct fake_conn conns[FAKE_CONNS_MAX];
	size_t nconns;
};

/* Everything of a test. */
struct stage {
	struct net_loop *loop;
	struct net_timer *tick;
	struct upstream *upstream;
	struct upstream_pool *pool;
	struct fake fakes[FAKES_MAX];
	size_t nfakes;
};

/* What one call asked for, and what became of it. */
struct asked {
	struct upstream_call *call;
	uint8_t *message;
	size_t len;
	unsigned done; /* how often */
	enum upstream_result result;
	server_id server;
	int32_t asked_n, n; /* of the question, and of the answer */
	size_t answer_len;
	uint64_t began_us, done_us;
};

/* A configuration that no test waits for; change what the test is about. */
struct upstream_config fixture_config(void);

/* With `nfakes` servers that log in whoever says isMaster and answer every command; the first
 * is the primary, the others are secondaries, none is published yet. */
void stage_begin(struct stage *s, const struct upstream_config *config, size_t nfakes);
void stage_end(struct stage *s);
/* As discovery would: all of them, and none of them down. */
void stage_publish(struct stage *s);
bool stage_is_down(struct stage *s, server_id id);

/* Goes on until something is so, for at most twenty seconds. */
#define STAGE_UNTIL(s, condition)                                                \
	do {                                                                     \
		for (unsigned stage_ticks = 0; !(condition); stage_ticks++) {    \
			if (stage_ticks == 20000)                                \
				fail_msg("it does not come about: " #condition); \
			stage_tick(s);                                           \
		}                                                                \
	} while (0)
/* One millisecond, or less when something happens. */
void stage_tick(struct stage *s);
/* Some milliseconds in which something could happen that must not. */
void stage_idle(struct stage *s);

/* {ping: 1, n: …} with `padding` more bytes. */
void ask(struct stage *s, struct asked *a, const struct upstream_want *want, size_t padding);
void ask_primary(struct stage *s, struct asked *a);
void asked_fini(struct asked *a);

/* Says a document, as the answer to the last message. */
void fake_say(struct fake_conn *c, const char *json);
void fake_say_document(struct fake_conn *c, struct bytes document);
/* Says {ok: 1, n: …} with the number of the message. */
void fake_answer(struct fake_conn *c, struct bytes message);
/* Says these bytes as they are. */
void fake_say_bytes(struct fake_conn *c, struct bytes b);
void fake_close(struct fake_conn *c);
/* So that the other side is told of an error instead of an end. */
void fake_reset(struct fake_conn *c);
void fake_ignore(struct fake_conn *c, struct bytes message);
void fake_log_in(struct fake_conn *c, struct bytes message);
/* No further connection is accepted: what connects is refused. */
void fake_leave(struct fake *f);
/* The body of a message. */
struct bytes fake_body(struct bytes message);

#endif
