/* inside.h - what the files of this folder share. */
#ifndef PROXY_UPSTREAM_INSIDE_H
#define PROXY_UPSTREAM_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <mongoc/mongoc.h>

#include "net/tls.h"
#include "upstream/pool.h"
#include "upstream/upstream.h"
#include "util/map.h"

#define SERVERS_MAX   128u  /* of one deployment */
#define ADDRESSES_MAX 4u    /* of one host name that are tried */
#define IDS_MAX       4096u /* addresses that a process ever learns */
#define HOST_TEXT_MAX 272u  /* "host:port" and a NUL */
#define SALTED_MAX    64u   /* bytes of a salted password, at most */
#define SALT_TEXT_MAX 128u  /* base64 */

/* ------------------------------------------------------------------- target */

enum mechanism { MECHANISM_NONE, MECHANISM_SCRAM_SHA_256, MECHANISM_SCRAM_SHA_1, MECHANISM_X509 };

/* Where the deployment is and how one logs in: the URI, read. */
struct target {
	mongoc_uri_t *uri; /* as libmongoc gets it, with the password */
	enum mechanism mechanism;
	char *user;            /* or NULL */
	char *password;        /* locked memory, or NULL */
	struct net_tls *tls;   /* NULL: plain TCP */
	uint64_t connect_us;   /* until a connection is logged in */
	uint64_t threshold_us; /* the latency window */
	uint64_t heartbeat_us;
};
/* False and a fault when anything in it is not understood or not allowed. */
bool target_read(
	struct target *t, const struct upstream_config *config, struct fault *why) MUST_CHECK;
void target_fini(struct target *t);

/* ----------------------------------------------------------------- snapshot */

enum server_kind {
	SERVER_UNKNOWN, /* not there, or holds no data */
	SERVER_PRIMARY,
	SERVER_SECONDARY,
	SERVER_MONGOS,
	SERVER_STANDALONE,
	SERVER_DIRECT, /* the one that the URI names, whatever it is */
};

struct server {
	server_id id;
	enum server_kind kind;
	bool down;                /* failed a command, and has not been looked at since */
	char host[HOST_TEXT_MAX]; /* the name, without a port: what the certificate must say */
	char text[HOST_TEXT_MAX]; /* "host:port" */
	struct sockaddr_storage addresses[ADDRESSES_MAX];
	socklen_t address_len[ADDRESSES_MAX];
	size_t naddresses;
	uint64_t rtt_us;
	int64_t last_write_ms; /* 0: not said */
	int64_t last_update_us;
	struct bytes tags; /* a document, or empty; owned by the snapshot */
	bool writable;
	int32_t min_wire, max_wire, max_bson, max_message, max_batch;
	uint32_t mongoc_id;
};

/* Immutable once published. */
struct topology {
	unsigned references;
	char auth_source[128];
	size_t nservers;
	struct server servers[];
};
struct topology *topology_new(size_t nservers);
struct topology *topology_copy(const struct topology *t);
struct topology *topology_ref(struct topology *t);
void topology_unref(struct topology *t);
const struct server *topology_server(const struct topology *t, server_id id); /* or NULL */

static inline bool server_is_up(const struct server *s)
{
	return s->kind != SERVER_UNKNOWN && !s->down && s->naddresses;
}

/* The servers that fit, by index, within the latency window; 0: none now. */
struct selection {
	uint64_t threshold_us, heartbeat_us;
};
size_t topology_select(const struct topology *t, const struct selection *limits,
	const struct upstream_want *want, uint8_t out[SERVERS_MAX]);

/* ------------------------------------------------------------------ salting */

/* SaltedPasswords, computed once a (salt, iterations) on a thread of its own. */
struct salts;
struct salts *salts_new(const struct target *t);
void salts_free(struct salts *s);
enum salts_found { SALTS_HAVE, SALTS_WAIT, SALTS_REFUSED };
/* Copies the salted password as hex (GSASL_SCRAM_SALTED_PASSWORD); else it is being made, and
 * `ready` called on any thread when it is, with a lock held: it only posts. */
enum salts_found salts_get(
	struct salts *s, struct bytes salt, uint32_t iterations, char out[2 * SALTED_MAX + 1]);
void salts_set_ready(struct salts *s, void (*ready)(void *context), void *context);

/* ----------------------------------------------------------------- upstream */

struct times; /* the newest cluster time */
struct times *times_new(void);
void times_free(struct times *t);

struct upstream {
	struct upstream_config config; /* its texts are not kept */
	struct target target;
	struct salts *salts;
	struct times *times;

	pthread_mutex_t lock; /* all that follows */
	pthread_cond_t changed;
	struct topology *topology; /* never NULL */
	atomic_uint generation;    /* of `topology` */
	struct map ids;            /* "host:port" -> a number */
	struct upstream_facts facts;
	struct upstream_pool *pools; /* of the workers, by their `next` */
	atomic_size_t npools;

	mongoc_client_pool_t *clients; /* NULL as long as SRV records are not found */
	pthread_t watcher, checker;
	bool watching, checking;
	bool stopping, news, doubts;
};

/* All but the threads; upstream_start makes them. */
struct upstream *upstream_make(const struct upstream_config *config, struct fault *why);
bool upstream_start(struct upstream *u, struct fault *why) MUST_CHECK;
void upstream_stop(struct upstream *u);

struct topology *upstream_topology(struct upstream *u); /* a reference */
/* Takes over the reference; wakes the pools. */
void upstream_publish(struct upstream *u, struct topology *t);
/* With the lock held. */
server_id upstream_id_of(struct upstream *u, const char *text);
void upstream_mark(struct upstream *u, server_id id, bool down);
/* Waits for the client pool; NULL when there is none in time. */
mongoc_client_t *upstream_pop(struct upstream *u, uint64_t timeout_us);

/* Pools are told of news by the threads of discovery and salting. */
void upstream_add_pool(struct upstream *u, struct upstream_pool *p);
void upstream_remove_pool(struct upstream *u, struct upstream_pool *p);
void upstream_wake_pools(struct upstream *u);

#endif
