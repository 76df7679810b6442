/* inside.h - what the parts of session/ share. */
#ifndef PROXY_SESSION_INSIDE_H
#define PROXY_SESSION_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "auth/scram.h"
#include "auth/throttle.h"
#include "net/conn.h"
#include "net/listener.h"
#include "session/server.h"
#include "transform/transform.h"
#include "upstream/cursors.h"
#include "upstream/pool.h"
#include "upstream/transactions.h"
#include "util/map.h"
#include "wire/reply.h"

#define SCRATCH_LEN       (128u * 1024)
#define TEXT_MAX          (16u * 1024)
#define WHO_TEXT_MAX      (64u * 1024)
#define METADATA_MAX      128u         /* bytes of an application's or driver's name */
#define BUDGET_FREE_BELOW (64u * 1024) /* smaller messages need no grant */
#define TRANSFORMS_MAX    4u           /* policies that a worker keeps a transform for */
#define LSID_LEN          16u

enum metric {
#define METRIC(id, name, help) METRIC_##id,
#define GAUGE(id, name, help)  METRIC_##id,
#include "session/metrics.def"
#undef METRIC
#undef GAUGE
	METRIC_COUNT
};

struct budget;
struct questions;
struct waiting;
struct relations;
struct usage;
struct kept_list;

struct server {
	struct server_config config;
	struct server_parts parts;
	struct net_listener *listener;
	struct worker *workers;
	struct throttle *throttle;
	struct cursors *cursors;
	struct transactions *transactions;
	struct budget *budget;
	struct usage *usage;
	struct questions *questions;
	uint8_t service_id[OBJECT_ID_LEN];
	pthread_mutex_t snapshot_lock;
	struct snapshot *snapshot;
	atomic_uint generation; /* of the snapshot */
	atomic_ullong next_connection;
	atomic_bool draining;
	pthread_mutex_t user_lock;
	struct map user_counts; /* connections by user; owned keys */
};

struct worker {
	struct server *server;
	pthread_t thread;
	bool started;
	struct net_loop *loop;
	struct upstream_pool *pool;
	struct audit_ring *ring;
	struct snapshot *snapshot; /* taken last */
	unsigned generation;
	struct transform *transforms[TRANSFORMS_MAX]; /* used last first */
	struct session *sessions;
	struct exchange *spare; /* of exchanges, for the next command */
	struct relations *relations;
	size_t in_flight; /* exchanges, those without a client included */
	struct net_timer *housekeeping;
	struct net_timer *last_call; /* while draining */
	atomic_size_t nsessions;     /* given to it, opened or not */
	atomic_ullong metrics[METRIC_COUNT];
	atomic_ullong latency[LATENCY_BUCKETS + 2]; /* counts, total, sum */
	uint8_t random[4096];                       /* for request ids */
	size_t random_left;
	struct buf text; /* what is built within one call; up to TEXT_MAX */
	uint8_t scratch[SCRATCH_LEN];
};

/* Numbers that one thread only changes, and others read. */
void add_relaxed(atomic_ullong *number, uint64_t n);
void count(struct worker *w, enum metric m, uint64_t n);
void set_gauge(struct worker *w, enum metric m, uint64_t n);
void note_latency(struct worker *w, uint64_t us);
/* Random bytes, drawn many at a time; not for keys. */
void worker_random(struct worker *w, uint8_t *out, size_t n);
/* The newest snapshot; borrowed until the worker's next call of this. */
const struct snapshot *worker_snapshot(struct worker *w);
/* A transform for a policy that the caller holds; borrowed likewise. */
struct transform *worker_transform(struct worker *w, struct policy *p);
void worker_init(struct worker *w, struct server *s);
/* While draining: ends the loop once nothing is left to finish. */
void worker_stop_if_empty(struct worker *w);
void worker_fini(struct worker *w);
bool worker_start(struct worker *w);

/* A client's connection. */
struct session {
	struct session *next, **before; /* in the worker's list */
	struct worker *worker;
	struct net_conn *conn;
	uint64_t id;
	uint8_t address[16]; /* IPv4 mapped into IPv6 */
	char client[64];     /* "10.0.3.7:51544" */
	char app[METADATA_MAX + 1];
	char driver[METADATA_MAX + 1];
	bool said_hello, load_balanced, monitors;
	bool logged_in;
	struct identity identity;
	struct {
		uint64_t snapshot; /* its number; 0: nothing of this is known */
		const struct user *user;
		struct buf text; /* as audit_put_who has it; empty until it is needed */
	} today;
	struct session_cipher *lsids;
	struct scram *scram;
	int32_t conversation;
	bool skip_empty_exchange, scram_finished;
	struct buf in;    /* a message that has not come whole, or waits for its turn */
	uint64_t granted; /* of the budget, for the message in `in` */
	bool waits_for_grant;
	struct waiting *grant_on_its_way; /* under the budget's lock */
	struct exchange *exchange;        /* at most one */
	struct net_timer *timer;
	uint64_t active_us; /* when something last happened */
	bool paused, taking, closing;
};

struct session *session_open(struct worker *w, int fd, struct net_tls *tls);
/* Unlinks and frees at the end of the tick. */
void session_close(struct session *s, const char *why);
/* Looks for the next message, once an exchange has ended or a grant has come. */
void session_go_on(struct session *s);
/* Whether a reload has taken the user's right to be connected. */
void session_check_rights(struct session *s, const struct snapshot *now);
/* False: the user has too many connections already. */
bool session_set_identity(struct session *s, struct users *users, const struct user *user,
	enum auth_method method) MUST_CHECK;
void session_drop_identity(struct session *s);
/* Who has logged in, with the roles and attributes of that snapshot; NULL: is gone. */
const struct user *session_user(struct session *s, const struct snapshot *now);
/* What records say of the connection, or who has logged in, has changed. */
void session_forget_today(struct session *s);

/* Grants memory to large messages, first come, first served. */
struct budget *budget_new(uint64_t max);
void budget_free(struct budget *b);
/* True: granted.  False: budget_granted is called later on the session's loop. */
bool budget_take(struct budget *b, struct session *s, uint64_t n);
void budget_give_back(struct budget *b, uint64_t n);
void budget_forget(struct budget *b, struct session *s);

/* Counts what users have had under roles with limits; from any thread. */
struct usage *usage_new(void);
void usage_free(struct usage *u);
/* One more command.  False: a limit is reached. */
bool usage_begin(struct usage *u, const struct role_limits *limits, struct bytes user,
	struct bytes role, int64_t now_us, struct fault *why) MUST_CHECK;
/* Documents of an answer that is about to leave.  False: they pass the limit, and are not
 * counted; with `anyway` they are, and it is true. */
bool usage_documents(struct usage *u, const struct role_limits *limits, struct bytes user,
	struct bytes role, int64_t now_us, uint64_t n, bool anyway) MUST_CHECK;

/* Different questions for statistics that each user has asked today (UTC).  The same question
 * counts again once its data have changed.  At most a million in all; a day that fills that
 * is over for everybody.  Kept by this process alone. */
struct questions *questions_new(void);
void questions_free(struct questions *q);
/* Before it is asked: it is known, or there is room for one more. */
bool questions_may_ask(struct questions *q, struct bytes user, const struct token *question,
	uint32_t per_day, int64_t now_us);
/* Before its answer leaves; false: it must not. */
bool questions_note(struct questions *q, struct bytes user, const struct token *question,
	const struct token *answer, uint32_t per_day, int64_t now_us) MUST_CHECK;

/* Lists of relations as this worker has read them: each for a user, for a minute, under one
 * snapshot.  At most RELATIONS_BYTES of them are kept. */
#define RELATIONS_BYTES (16u * 1024 * 1024)
struct relations *relations_new(struct worker *w);
void relations_free(struct relations *r);
/* Drops what is too old, and the oldest of what is too much. */
void relations_expire(struct relations *r, uint64_t now_us);
enum list_state {
	LIST_THERE,  /* the exchange's facts have it now */
	LIST_COMING, /* exchange_go_on is called when it is there, or cannot be */
	LIST_REFUSED,
};
enum list_state relations_want(
	struct exchange *x, const struct relation *relation, struct fault *why) MUST_CHECK;
/* The exchange waits no longer. */
void relations_forget(struct exchange *x);
/* Gives its lists back. */
void relations_release(struct exchange *x);

/* One request and its answer. */
struct exchange {
	struct session *session; /* NULL: the client is gone, the rest runs for the record */
	struct worker *worker;
	struct exchange *next_spare;
	struct arena arena;
	struct snapshot *snapshot;
	struct facts facts;
	struct bytes message; /* valid until the first wait; a copy from then on */
	/* lists of relations that its facts hold */
	struct kept_list *lists[POLICY_RELATIONS_MAX];
	const struct relation_list *known_lists[POLICY_RELATIONS_MAX];
	const struct relation *needs; /* a list that is missing */
	struct kept_list *awaited;    /* that is on its way */
	struct exchange *next_waiting;
	const struct role *limited; /* the role that decided, if it has limits */
	bool broke_glass;
	struct observation would; /* under grants that are only observed */
	struct plan plan;
	char request[AUDIT_REQUEST_LEN + 1];
	uint64_t began_us;
	bool unacknowledged;
	bool refused, prepared;
	bool no_cursor_timeout;
	/* logical session and transaction */
	bool has_lsid, has_txn_number, in_transaction, starts_transaction;
	uint8_t lsid[LSID_LEN]; /* the client's own */
	int64_t txn_number;
	/* upstream */
	struct buf sent; /* what goes upstream */
	struct upstream_want want;
	struct bytes preference; /* in the arena */
	struct upstream_call *call;
	unsigned repeats;
	uint64_t patience_us; /* for an answer */
	uint64_t granted;     /* of the budget, for its message */
	server_id server;     /* that answered */
	/* getMore */
	bool has_cursor;
	struct cursor cursor;
	struct reply_rules *rules; /* of the cursor; a reference */
	/* answer */
	struct buf reply;
	bool closes; /* after the answer */
	int32_t code;
	bool answered_upstream;   /* there is an answer of the upstream */
	struct bytes user;        /* its name; of the snapshot */
	struct bytes list_filter; /* of listCollections */
	/* for the record */
	struct audit_record record;
	struct token *searched;
	size_t nsearched;
	struct subject_token *written;
	size_t nwritten;
	/* a login */
	bool logged_in_now; /* within hello: its record comes before the answer */
	uint32_t delay_ms;  /* of an answer that says no */
	struct net_timer *delay;
	/* Its bytes are valid until the first wait.  Last: it sets itself. */
	struct command command;
};

struct exchange *exchange_new(struct session *s);
void exchange_free(struct exchange *x);
/* Carries out a whole message, which stays valid during the call only. */
void exchange_run(struct exchange *x, struct bytes message);
/* The client is gone: nothing is answered any more, but what was begun is recorded. */
void exchange_orphan(struct exchange *x);
/* A list that it has waited for is there, or, for the reason given, is not. */
void exchange_go_on(struct exchange *x, const struct fault *why);
/* Ends with an answer that only says a fault; records it as a refusal if it is one. */
void exchange_refuse(struct exchange *x, const struct fault *why, unsigned labels);
/* The answer is in x->reply: records what is to be recorded, then sends. */
void exchange_answer(struct exchange *x);
void exchange_send_reply(struct exchange *x);
/* The command's answer is a document built here. */
struct reply exchange_begin_reply(struct exchange *x);

/* Commands that are answered here. */
void answer_locally(struct exchange *x);
/* SCRAM and X.509; each answers the exchange. */
void login_sasl_start(struct exchange *x);
void login_sasl_continue(struct exchange *x);
void login_x509(struct exchange *x);
/* Within hello: appends speculativeAuthenticate if it gets anywhere. */
void login_speculative(struct exchange *x);
/* Sends the answer of such a hello, once the login is recorded. */
void login_finish_speculative(struct exchange *x);
void logout(struct exchange *x);

/* $readPreference and what goes with it; into x->want. */
bool check_concerns(struct exchange *x, struct fault *why) MUST_CHECK;
/* Logical sessions, transactions, cursors. */
bool read_logical_session(struct exchange *x, struct fault *why) MUST_CHECK;
void edit_logical_session(struct exchange *x);
bool place_transaction(struct exchange *x, struct fault *why, unsigned *labels) MUST_CHECK;
void note_transaction(struct exchange *x);
void end_sessions(struct exchange *x);
void kill_cursors(struct exchange *x);
bool open_get_more(struct exchange *x, struct fault *why) MUST_CHECK;
/* Enters, renews or forgets the cursor of an answer, from its element `cursor` (of type 0 when
 * there is none); returns our id. */
int64_t note_cursor(struct exchange *x, const struct element *cursor);
void kill_upstream_cursor(void *worker, const struct cursor *cursor);
/* Sends a command whose answer nobody waits for; `document` is its body. */
void send_in_background(struct worker *w, struct bytes document, server_id server);

/* Upstream and back. */
void forward(struct exchange *x);

/* Records. */
/* Its shape, or the hash of one that is too long for a record, in the arena; `text` is written
 * over. */
void record_shape(struct audit_record *r, struct buf *text, struct arena *arena,
	const struct policy *p, const struct plan *plan, const struct command *c);
void prepare_record(struct exchange *x);
/* Its texts outlive the session. */
void keep_record(struct exchange *x);
void record_result(struct exchange *x, const struct disclosure *d);
void submit_record(struct exchange *x, enum audit_event event, audit_done_fn *done);
void record_login(struct session *s, enum audit_event event, struct bytes user, int32_t code,
	audit_done_fn *done, void *context);

#endif
