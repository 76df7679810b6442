#include "cli/running.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config.h>

#include "admin/admin.h"
#include "audit/glass_log.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/reviews.h"
#include "cli/sealed.h"
#include "cli/vault.h"
#include "session/server.h"
#include "transform/policy_test.h"
#include "util/file.h"
#include "util/log.h"
#include "util/memory.h"

#define UPSTREAM_WAIT_US (30ull * 1000 * 1000)

struct running {
	const char *config_file; /* borrowed from argv, or NULL */
	struct config *config;   /* as of the last reload */
	struct config *first;    /* whose texts everything that was opened borrows */
	struct master *master;
	struct upstream *upstream;
	struct audit *audit;
	struct audit_ring *ring; /* of this thread, for what no client asked for */
	struct glass *glass;
	bool glass_read; /* the log was, for what it says of break-glass */
	struct server *server;
	struct admin *admin;
	char policy_hash[80];
	uint64_t policy_version; /* of its seal; 0: it has none */
	char users_hash[65];
};

/* ------------------------------------------------------------------ loading */

static struct place whole(const char *file)
{
	return (struct place){.file = file};
}

/* `seal` NULL: as it is. */
static struct policy *load_policy(const struct config *config, const struct seal *seal,
	const struct master *master, struct complaints *complaints)
{
	struct policy *policy = policy_load_sealed(config->policy, seal, complaints);

	if (policy && policy_run_tests(policy, master, bytes_str(config->keys.vault), complaints)) {
		policy_unref(policy);
		return NULL;
	}
	return policy;
}

static bool load_tls(
	const struct config *config, struct net_tls **tls, struct complaints *complaints)
{
	struct fault why;

	*tls = NULL;
	if (config->listen.insecure)
		return true;
	*tls = net_tls_server_new(&config->listen.tls, &why);
	return *tls ||
	       complain(complaints, whole(config->listen.tls.certificate), NULL, "%s", why.detail);
}

/* Every encrypted field of the policy must have its key before anything is served. */
static bool check_keys(
	const struct policy *p, const struct keyring *k, struct complaints *complaints)
{
	bool complete = true;

	for (size_t i = 0; i < p->nencrypted; i++)
		if (keyring_find(k, p->encrypted[i].ns, p->encrypted[i].path) == KEY_NONE)
			complete = complain(complaints, whole("keys.vault"),
				"run `mongoward key create --missing`",
				"%.*s of %.*s has no data key", BYTES_ARG(p->encrypted[i].path),
				BYTES_ARG(p->encrypted[i].ns));
	return complete;
}

/* Whose policy it is, where signers are named; *seal is then to be freed. */
static bool load_seal(
	const struct config *config, struct seal **seal, struct complaints *complaints)
{
	*seal = NULL;
	if (!config->trust.nsigners)
		return true;
	*seal = sealed_open(config, complaints);
	return *seal && sealed_is_newest(config, *seal, complaints);
}

/* All that a reload replaces, and its seal, if it needs one; NULL and complaints when any of it
 * is wrong. */
static struct snapshot *load_snapshot(const struct config *config, const struct master *master,
	struct upstream *upstream, struct seal **seal, struct complaints *complaints, int *code)
{
	bool sealed = load_seal(config, seal, complaints);
	struct policy *policy = sealed ? load_policy(config, *seal, master, complaints) : NULL;
	struct users *users = users_load(config->users, complaints);
	struct keyring *keyring = NULL;
	struct net_tls *tls = NULL;

	*code = CLI_BAD;
	if (load_tls(config, &tls, complaints) && policy && users &&
		policy_check_exclusive(policy, users, complaints) &&
		(!*seal || sealed_users(*seal, config->users, users, complaints)))
		keyring = vault_load(upstream, master, config->keys.vault,
			config->keys.require_mlock, complaints, code);
	if (keyring && check_keys(policy, keyring, complaints))
		return snapshot_new(policy, users, keyring, tls);
	keyring_unref(keyring);
	users_unref(users);
	policy_unref(policy);
	if (tls)
		net_tls_unref(tls);
	return NULL;
}

/* ----------------------------------------------------------------- starting */

/* The processors that this process may use, and no more than its share of them. */
static unsigned count_processors(void)
{
	cpu_set_t set;
	unsigned n = sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
	struct buf text;
	long quota, period;

	buf_init(&text, 256);
	if (file_read("/sys/fs/cgroup/cpu.max", &text)) {
		buf_put_u8(&text, 0);
		if (sscanf((const char *)text.at, "%ld %ld", &quota, &period) == 2 && period > 0) {
			long share = (quota + period - 1) / period;

			n = share > 0 && (unsigned)share < n ? (unsigned)share : n;
		}
	}
	buf_fini(&text);
	return n ? n : 1;
}

static bool cluster_time(void *context, char *out, size_t size)
{
	return upstream_cluster_time(context, out, size);
}

static bool open_audit(struct running *r, const char *accept_gap, const struct policy *policy,
	struct complaints *complaints)
{
	struct audit_config config = r->config->audit;

	config.accept_gap = accept_gap;
	config.version = PACKAGE_VERSION;
	config.cluster_time = cluster_time;
	config.cluster_time_context = r->upstream;
	r->audit = audit_open(&config, bytes_str(policy->hash), complaints);
	if (r->audit)
		r->ring = audit_ring_new(r->audit, NULL, NULL);
	return r->audit != NULL;
}

static bool open_server(struct running *r, struct snapshot *snapshot, struct complaints *complaints)
{
	const struct config *c = r->config;
	struct server_config config = {
		.listen = c->listen.address,
		.workers = c->workers ? (unsigned)c->workers : count_processors(),
		.connections = c->limits.connections,
		.per_user_connections = c->limits.per_user_connections,
		.message_max = (uint32_t)c->limits.message,
		.memory = c->limits.memory,
		.idle_us = c->limits.idle_us,
		.handshake_us = c->limits.handshake_us,
		.operation_us = c->limits.operation_us,
		.vault = c->keys.vault,
	};
	const struct server_parts parts = {r->master, r->upstream, r->audit, r->glass};
	struct fault why;

	r->server = server_new(&config, &parts, snapshot_ref(snapshot), &why);
	return r->server || complain(complaints, whole("listen.address"), NULL, "%s", why.detail);
}

static bool open_admin(struct running *r, struct complaints *complaints)
{
	const struct admin_parts parts = {
		.upstream = r->upstream,
		.audit = r->audit,
		.master = r->master,
		.server = r->server,
		.instance = r->config->instance,
		.version = PACKAGE_VERSION,
		.insecure_listen = r->config->listen.insecure,
		.insecure_upstream = r->config->upstream.insecure,
	};
	struct fault why;

	if (!r->config->admin_address)
		return true;
	r->admin = admin_new(r->config->admin_address, &parts, &why);
	return r->admin || complain(complaints, whole("admin.address"), NULL, "%s", why.detail);
}

static void note(struct running *r, enum audit_event event, const char *act, struct bytes target)
{
	const struct audit_record record = {.event = event,
		.user = bytes_str("mongoward"),
		.act = bytes_str(act),
		.target = target};

	audit_submit(r->ring, &record, NULL, NULL);
}

/* -------------------------------------------------------------- break-glass */

static void take_line(void *context, const struct glass_line *line)
{
	struct glass *g = context;

	switch (line->kind) {
	case GLASS_USED:
		glass_note_use(g, line->user, line->id, line->time_us);
		return;
	case GLASS_MISSING:
		glass_note_gap(g, line->id);
		return;
	case GLASS_REVIEWED:
		(void)glass_review(g, line->id, line->user);
		return;
	}
}

/* Whoever wrote such a rule may take it for one that holds. */
static void warn_of_observed(const struct policy *p)
{
	for (size_t i = 0; i < p->nroles; i++)
		for (size_t k = 0; k < p->roles[i].nobserved; k++)
			log_warning("serve", "%.*s is only observed, NOT ENFORCED (%s:%u)",
				BYTES_ARG(p->roles[i].observed[k].rule),
				p->roles[i].observed[k].at.file, p->roles[i].observed[k].at.line);
}

/* Before the first policy with break-glass rules: until then nobody could add to the log what
 * is read here, and from then on what is added is counted. */
static void read_glass(struct running *r, const struct policy *p)
{
	struct fault why;

	if (!p->any_break_glass || r->glass_read)
		return;
	r->glass_read = true;
	if (r->config->audit.durability != AUDIT_STRICT)
		log_warning("serve", "nobody can break the glass: audit.durability is not strict");
	else if (!glass_log_read(r->config->audit.directory, take_line, r->glass, &why))
		log_error("serve", "nobody can break the glass: the audit log cannot be read: %s",
			why.detail);
	else
		glass_trust(r->glass, true);
}

static void take_review(void *context, const struct review_entry *entry)
{
	struct running *r = context;
	const struct audit_record record = {.event = AUDIT_ADMIN,
		.user = entry->by,
		.act = bytes_str(GLASS_REVIEW),
		.target = entry->id};

	if (glass_review(r->glass, entry->id, entry->by))
		audit_submit(r->ring, &record, NULL, NULL);
}

/* A file that is wrong reviews nothing, and stops nothing else. */
static void take_reviews(struct running *r)
{
	struct complaints complaints;

	complaints_init(&complaints);
	if (!reviews_read(r->config->reviews, take_review, r, &complaints)) {
		log_error("serve", "the file of reviews is not understood");
		cli_complain(&complaints);
	}
	complaints_fini(&complaints);
	audit_ring_commit(r->ring);
}

/* The policy that rules from now on, and keys and users with it. */
static void note_snapshot(
	struct running *r, const struct snapshot *s, const struct seal *seal, bool first)
{
	uint64_t sealed = seal ? seal_version(seal) : 0;
	char hash[65], version[32] = "1";
	struct audit_record policy = {.event = AUDIT_POLICY, .hash = bytes_str(s->policy->hash)};

	if (sealed)
		snprintf(version, sizeof(version), "sealed-%llu", (unsigned long long)sealed);
	policy.version = bytes_str(version);
	if (first || strcmp(r->policy_hash, s->policy->hash) != 0 || r->policy_version != sealed) {
		audit_submit(r->ring, &policy, NULL, NULL);
		warn_of_observed(s->policy);
	}
	r->policy_version = sealed;
	snprintf(r->policy_hash, sizeof(r->policy_hash), "%s", s->policy->hash);
	for (size_t i = 0; i < 32; i++)
		snprintf(hash + 2 * i, 3, "%02x", users_hash(s->users)[i]);
	if (!first && strcmp(hash, r->users_hash) != 0)
		note(r, AUDIT_ADMIN, "users", bytes_str(hash));
	memcpy(r->users_hash, hash, sizeof(hash));
	for (size_t i = 0; first && i < keyring_count(s->keyring); i++) {
		char *target = memory_format("%.*s %.*s", BYTES_ARG(keyring_ns(s->keyring, (int)i)),
			BYTES_ARG(keyring_path(s->keyring, (int)i)));

		note(r, AUDIT_KEY, "load", bytes_str(target));
		free(target);
	}
	audit_ring_commit(r->ring);
}

static void warn_of_insecurity(const struct config *c)
{
	if (c->listen.insecure)
		log_warning("serve", "listen.insecure: drivers speak PLAIN TCP; whoever is on the "
				     "network reads along");
	if (c->upstream.insecure)
		log_warning("serve", "upstream.insecure: the database is spoken to in PLAIN TCP");
	if (c->audit.durability != AUDIT_STRICT)
		log_warning("serve", "audit.durability is not strict: a power cut can take records "
				     "of answers that were given");
}

static bool start_all(
	struct running *r, const char *accept_gap, struct complaints *complaints, int *code)
{
	struct snapshot *snapshot = NULL;
	struct seal *seal = NULL;
	struct fault why;
	bool fine;

	r->config = config_load(r->config_file, complaints);
	if (!r->config)
		return false;
	r->first = r->config;
	log_configure(r->config->log.level, r->config->log.format);
	r->master = master_load(r->config->keys.file, r->config->keys.require_mlock, &why);
	if (!r->master)
		return complain(complaints, whole(r->config->keys.file), NULL, "%s", why.detail);
	r->upstream = upstream_new(&r->config->upstream, &why);
	if (!r->upstream)
		return complain(complaints, whole("upstream.uri"), NULL, "%s", why.detail);
	warn_of_insecurity(r->config);
	if (!upstream_wait(r->upstream, UPSTREAM_WAIT_US)) {
		*code = CLI_UNREACHABLE;
		return complain(complaints, whole("upstream.uri"),
			"is it up, and do address, certificates and password fit?",
			"the deployment could not be reached");
	}
	snapshot = load_snapshot(r->config, r->master, r->upstream, &seal, complaints, code);
	if (!snapshot) {
		seal_free(seal);
		return false;
	}
	*code = CLI_BAD;
	r->glass = glass_new();
	fine = open_audit(r, accept_gap, snapshot->policy, complaints) &&
	       (!seal || sealed_take(r->config, seal, complaints)) &&
	       open_server(r, snapshot, complaints) && open_admin(r, complaints);
	if (fine) {
		note_snapshot(r, snapshot, seal, true);
		read_glass(r, snapshot->policy);
		take_reviews(r);
	}
	seal_free(seal);
	snapshot_unref(snapshot);
	return fine &&
	       (server_start(r->server, &why) ||
		       complain(complaints, whole("listen.address"), NULL, "%s", why.detail));
}

struct running *running_start(const char *config_file_name, const char *accept_gap,
	struct complaints *complaints, int *code)
{
	struct running *r = memory_new(sizeof(*r));

	*code = CLI_BAD;
	r->config_file = config_file(config_file_name);
	if (start_all(r, accept_gap, complaints, code))
		return r;
	running_stop(r, 0);
	return NULL;
}

/* ---------------------------------------------------------------- reloading */

bool running_reload(struct running *r, struct complaints *complaints)
{
	struct config *fresh = config_load(r->config_file, complaints);
	struct snapshot *snapshot = NULL;
	struct seal *seal = NULL;
	int code;

	if (fresh && config_can_replace(r->config, fresh, complaints))
		snapshot = load_snapshot(fresh, r->master, r->upstream, &seal, complaints, &code);
	if (snapshot && seal && !sealed_take(fresh, seal, complaints)) {
		snapshot_unref(snapshot);
		snapshot = NULL;
	}
	if (r->admin)
		admin_note_reload(r->admin, snapshot != NULL);
	if (!snapshot) {
		note(r, AUDIT_ADMIN, "reload refused", bytes_str("policy, users, keys"));
		audit_ring_commit(r->ring);
		seal_free(seal);
		config_free(fresh);
		return false;
	}
	note_snapshot(r, snapshot, seal, false);
	seal_free(seal);
	log_configure(fresh->log.level, fresh->log.format);
	if (r->config != r->first)
		config_free(r->config);
	r->config = fresh;
	read_glass(r, snapshot->policy);
	take_reviews(r);
	server_replace(r->server, snapshot);
	return true;
}

void running_watch(const struct running *r, struct watch *w)
{
	const struct config *c = r->config;

	watch_clear(w);
	watch_add(w, c->policy);
	watch_add(w, c->users);
	watch_add(w, c->reviews);
	if (c->listen.tls.certificate)
		watch_add(w, c->listen.tls.certificate);
	if (c->listen.tls.key)
		watch_add(w, c->listen.tls.key);
	if (c->listen.tls.client_ca)
		watch_add(w, c->listen.tls.client_ca);
	(void)watch_changed(w);
}

const char *running_address(const struct running *r)
{
	return server_address(r->server);
}

const char *running_admin_address(const struct running *r)
{
	return r->admin ? admin_address(r->admin) : NULL;
}

const char *running_policy_hash(const struct running *r)
{
	return r->policy_hash;
}

uint64_t running_policy_version(const struct running *r)
{
	return r->policy_version;
}

void running_stop(struct running *r, uint64_t grace_us)
{
	if (r->admin)
		admin_set_draining(r->admin);
	if (r->server)
		server_drain(r->server, grace_us);
	admin_free(r->admin);
	server_free(r->server);
	if (r->ring)
		audit_ring_free(r->ring);
	if (r->audit)
		audit_close(r->audit);
	glass_free(r->glass);
	upstream_free(r->upstream);
	master_free(r->master);
	if (r->config != r->first)
		config_free(r->config);
	config_free(r->first);
	free(r);
}
