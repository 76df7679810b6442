/* running.h - a proxy that runs: everything that its configuration names, put together. */
#ifndef PROXY_CLI_RUNNING_H
#define PROXY_CLI_RUNNING_H

#include "cli/watch.h"
#include "util/complaint.h"

struct running;

/* Loads, connects, opens and listens.  NULL and complaints when anything is wrong; *code is
 * then the exit code: bad input, or something that could not be reached. */
struct running *running_start(
	const char *config_file, const char *accept_gap, struct complaints *complaints, int *code);
const char *running_address(const struct running *r);
const char *running_admin_address(const struct running *r); /* NULL: none */
const char *running_policy_hash(const struct running *r);
uint64_t running_policy_version(const struct running *r); /* as sealed; 0: it needs no seal */
/* All or nothing: policy, users, data keys and certificates, as they are now. */
bool running_reload(struct running *r, struct complaints *complaints);
/* Makes `w` watch the files that a reload reads. */
void running_watch(const struct running *r, struct watch *w);
/* Lets commands in flight finish for at most `grace_us`, closes the log, frees all. */
void running_stop(struct running *r, uint64_t grace_us);

#endif
