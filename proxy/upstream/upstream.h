/* upstream.h - the deployment behind the proxy: where it is and how it is now.
 *
 * libmongoc parses the URI and watches the topology on a thread of its own; what it sees
 * is published as immutable snapshots.  Commands do not pass through it: pool.h sends
 * them.  A server that fails a command is marked down here at once.
 */
#ifndef PROXY_UPSTREAM_UPSTREAM_H
#define PROXY_UPSTREAM_UPSTREAM_H

#include "util/buf.h"
#include "util/complaint.h"
#include "util/fault.h"
#include "wire/doc.h"

struct upstream;

struct upstream_config {
	const char *uri;      /* mongodb:// or mongodb+srv://, without a password */
	const char *password; /* or NULL; copied into locked memory */
	bool insecure;        /* plain TCP is allowed */
	size_t pool_max;      /* connections a process, all servers together */
	size_t pool_min;
	uint64_t pool_wait_us; /* how long a command waits for a connection */
	uint64_t pool_idle_us;
	uint64_t select_us;  /* how long a command waits for a server */
	size_t awaiting_max; /* connections for getMores that wait for data */
};

/* NULL and a fault when the URI is wrong, holds a password, or turns TLS off without
 * `insecure`.  Does not wait for the deployment. */
struct upstream *upstream_new(const struct upstream_config *config, struct fault *why);
void upstream_free(struct upstream *u);

/* What is known of the deployment; zero and empty as long as nothing is. */
struct upstream_facts {
	bool known;    /* some data-bearing server answered once */
	bool writable; /* there is a primary now */
	int32_t max_wire_version, min_wire_version;
	int32_t max_bson_size, max_message_size, max_write_batch;
	char version[32]; /* "7.0.12", from buildInfo */
	size_t servers, servers_up;
};
void upstream_facts(struct upstream *u, struct upstream_facts *facts);
/* Blocks until a server is known, or until the time is over (false). */
bool upstream_wait(struct upstream *u, uint64_t timeout_us) MUST_CHECK;

/* Keeps the newest of each: $clusterTime and operationTime of a reply, of type 0 when it has
 * none.  Thread-safe. */
void upstream_note_reply_times(
	struct upstream *u, const struct element *cluster, const struct element *operation);
/* Appends `$clusterTime: {…}`, and `operationTime: …` if asked, when known. */
void upstream_put_times(struct upstream *u, struct buf *document, bool operation_time);
/* "seconds.increment" of the newest cluster time; false when none is known. */
bool upstream_cluster_time(struct upstream *u, char *out, size_t size);

/* Blocking work for starts, reloads and the command line, by a libmongoc client; never
 * on a worker's thread. */
typedef bool upstream_document_fn(void *context, struct bytes document);
/* Every document of the key vault ("db.collection"), readConcern majority. */
bool upstream_vault_read(struct upstream *u, const char *ns, upstream_document_fn *each,
	void *context, struct fault *why) MUST_CHECK;
/* Inserts key documents, w:majority, after making the unique partial index on keyAltNames. */
bool upstream_vault_insert(struct upstream *u, const char *ns, const struct bytes *documents,
	size_t n, struct fault *why) MUST_CHECK;
/* Documents of a collection, as far as `each` returns true: at most `limit` of them (0: all),
 * with the fields of `projection` (a document; empty: all), from a secondary where there is one.  Nothing
 * is written.  False and a fault: the deployment, not `each`, ended it. */
bool upstream_scan(struct upstream *u, const char *ns, struct bytes projection, int64_t limit,
	upstream_document_fn *each, void *context, struct fault *why) MUST_CHECK;
/* About how many there are; 0 when that cannot be told. */
uint64_t upstream_estimate(struct upstream *u, const char *ns);

#endif
