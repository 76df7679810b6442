/* admin.h - the HTTP listener for orchestrators and dashboards, on a thread of its own.
 *
 *   GET /healthz   200 as long as the process works
 *   GET /readyz    200 when commands would be carried out, else 503 and why not
 *   GET /metrics   Prometheus text
 *   GET /status    what `mongoward status` shows, as JSON
 *
 * It shows numbers and names of hosts, never a patient's value, and asks for no password:
 * it belongs on the loopback or a private network.
 */
#ifndef PROXY_ADMIN_ADMIN_H
#define PROXY_ADMIN_ADMIN_H

#include "session/server.h"

struct admin;

/* What it speaks of; borrowed for its life.  `server` may be NULL until all has started. */
struct admin_parts {
	struct upstream *upstream;
	struct audit *audit;
	const struct master *master;
	struct server *server;
	const char *instance, *version;
	bool insecure_listen, insecure_upstream;
};

/* Binds "address:port" and starts; NULL and a fault when that fails. */
struct admin *admin_new(const char *address, const struct admin_parts *parts, struct fault *why);
const char *admin_address(const struct admin *a); /* with the real port */
/* From now on /readyz says no: no further commands are wanted. */
void admin_set_draining(struct admin *a);
/* When the last reload was, and what came of it; for /status. */
void admin_note_reload(struct admin *a, bool done);
void admin_free(struct admin *a);

#endif
