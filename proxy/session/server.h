/* server.h - the proxy itself: a listener, workers, and what they share.
 *
 * A connection belongs to one worker from its first byte to its last.  What can change
 * while running (policy, users, data keys, certificate) is an immutable snapshot, which a
 * worker takes anew for each command: a reload never changes a command halfway.
 */
#ifndef PROXY_SESSION_SERVER_H
#define PROXY_SESSION_SERVER_H

#include "audit/audit.h"
#include "auth/users.h"
#include "keys/keyring.h"
#include "net/tls.h"
#include "policy/policy.h"
#include "session/glass.h"
#include "upstream/upstream.h"

struct server;

struct server_config {
	const char *listen; /* "address:port" */
	unsigned workers;   /* at least 1 */
	size_t connections; /* clients at the same time */
	size_t per_user_connections;
	uint32_t message_max; /* bytes */
	uint64_t memory;      /* bytes granted to large messages at the same time */
	uint64_t idle_us, handshake_us, operation_us;
	const char *vault; /* namespace of the key vault */
};

/* What outlives every reload; borrowed for the server's life. */
struct server_parts {
	const struct master *master;
	struct upstream *upstream;
	struct audit *audit;
	struct glass *glass;
};

/* What a reload replaces. */
struct snapshot {
	struct policy *policy;
	struct users *users;
	struct keyring *keyring;
	struct net_tls *tls; /* NULL: plain TCP to clients */
	uint64_t number;     /* not 0, and no other's */
	int references;
};
/* Takes over the references that it is given; one reference to the result. */
struct snapshot *snapshot_new(
	struct policy *policy, struct users *users, struct keyring *keyring, struct net_tls *tls);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

/* Binds the listener and makes the workers; takes over one reference to `snapshot`. */
struct server *server_new(const struct server_config *config, const struct server_parts *parts,
	struct snapshot *snapshot, struct fault *why);
/* Connections are accepted from here on. */
bool server_start(struct server *s, struct fault *why) MUST_CHECK;
const char *server_address(const struct server *s); /* with the real port */
/* From the next command, and the next connection, on; takes over one reference.  Connections
 * of users that are gone, or whose rights to log in are, are closed. */
void server_replace(struct server *s, struct snapshot *snapshot);
/* The current one, with a reference for the caller. */
struct snapshot *server_snapshot(struct server *s);
/* Stops accepting, closes idle connections, lets commands in flight finish for at most
 * `grace_us`, then closes the rest.  Returns when all workers have ended. */
void server_drain(struct server *s, uint64_t grace_us);
void server_free(struct server *s);

#define METRIC_MAX 64
/* Counters and gauges, summed over the workers; rows of metrics.def. */
struct metric_value {
	const char *name, *help;
	bool gauge;
	uint64_t value;
};
/* Fills at most METRIC_MAX rows and returns their number.  From any thread. */
size_t server_metrics(struct server *s, struct metric_value out[METRIC_MAX]);
/* Durations of commands: counts of those at most bounds[i] microseconds long, cumulative. */
#define LATENCY_BUCKETS 12
struct latency {
	uint64_t bounds_us[LATENCY_BUCKETS];
	uint64_t counts[LATENCY_BUCKETS];
	uint64_t total, sum_us;
};
void server_latency(struct server *s, struct latency *out);

#endif
