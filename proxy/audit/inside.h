/* inside.h - what the parts of the log share. */
#ifndef PROXY_AUDIT_INSIDE_H
#define PROXY_AUDIT_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "audit/batch.h"
#include "audit/chain.h"
#include "audit/flood.h"
#include "audit/log_file.h"
#include "audit/record.h"
#include "audit/reserve.h"
#include "audit/witness.h"

#define CLUSTER_TIME_MAX 64u

enum log_state {
	LOG_RUNS,
	LOG_RESERVED, /* the reserve is written to: for records with care */
	LOG_STOPPED,
};

/* Records of one ring on their way; a ring has one that is being filled. */
struct parcel {
	struct parcel *next;
	struct audit_ring *ring;
	struct batch batch;
	struct batch refused; /* who waits for a record that had no room */
	bool durable;
};

struct audit_ring {
	struct audit *audit;
	void (*wake)(void *context);
	void *context;
	struct record_scratch scratch;
	struct parcel *filling;
	pthread_mutex_t lock;
	struct parcel *finished, **finished_last; /* with their waiters to be called */
	struct parcel *spare;
	size_t under_way; /* parcels that the log has */
};

struct audit {
	struct audit_config config; /* texts borrowed from the caller */
	int folder_lock;
	struct signer *signer; /* in locked memory */
	struct witnesses *witnesses;
	struct flood *flood;

	/* The log itself: one writes at a time. */
	pthread_mutex_t lock;
	struct chain chain;
	struct log_file file;
	struct buf out;
	struct buf fresh;       /* checkpoint lines among those in `out` */
	struct buf unwitnessed; /* checkpoint lines that are written but not yet synced */
	struct batch kept;      /* records nobody waits for, of batches that failed */
	struct record_scratch scratch;
	/* Since when records wait for a checkpoint; 0: none do.  The thread looks without the
	 * lock how long it may sleep. */
	_Atomic uint64_t uncovered_us;
	uint64_t checkpoint_us; /* when the last one was written */
	uint64_t tried_us;      /* when writing was last tried while stopped */
	bool dead;              /* until a restart */
	char why[160];
	uint64_t records, bytes, batches, syncs, failures;

	struct reserve reserve;
	atomic_int state; /* enum log_state */

	/* What waits for the writer. */
	pthread_mutex_t queue_lock;
	pthread_cond_t queue_news, parcel_done;
	struct parcel *queue, **queue_last;
	bool closing;
	pthread_t thread;
	bool running;
};

/* Reads the log back, compares it with the witnesses, repairs what may be repaired, opens the
 * file, and writes `start` with its checkpoint.  False and complaints. */
bool log_start(struct audit *a, struct bytes policy_hash, struct complaints *complaints) MUST_CHECK;
/* The newest cluster time, or NULL. */
const char *log_cluster_time(const struct audit *a, char out[CLUSTER_TIME_MAX]);
/* "FOLDER/INSTANCE-SEQ.jsonl", to be freed. */
char *log_file_name(const struct audit *a, uint64_t seq);

#endif
