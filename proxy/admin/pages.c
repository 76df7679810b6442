#include "admin/pages.h"

#include "util/clock.h"
#include "util/json.h"

/* Everything that a page could say, read once. */
struct numbers {
	struct upstream_facts upstream;
	struct audit_numbers audit;
};

static void read_numbers(const struct page_facts *f, struct numbers *n)
{
	upstream_facts(f->parts->upstream, &n->upstream);
	audit_numbers(f->parts->audit, &n->audit);
}

bool page_ready(const struct page_facts *f, struct buf *out)
{
	struct numbers n;

	read_numbers(f, &n);
	if (f->draining)
		buf_put_str(out, "draining\n");
	if (!n.upstream.writable)
		buf_put_str(out, "upstream: no server takes writes\n");
	if (n.audit.stopped || !n.audit.witnessed)
		buf_put_format(out, "audit: %s\n", n.audit.why);
	if (out->len)
		return false;
	buf_put_str(out, "ready\n");
	return true;
}

static void put_metric(
	struct buf *out, const char *name, const char *help, const char *type, uint64_t value)
{
	buf_put_format(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name,
		(unsigned long long)value);
}

static void put_latency(struct server *server, struct buf *out)
{
	struct latency l;

	server_latency(server, &l);
	buf_put_str(out,
		"# HELP mongoward_command_duration_seconds Time from a command's last "
		"byte to its answer\n# TYPE mongoward_command_duration_seconds histogram\n");
	for (size_t i = 0; i < LATENCY_BUCKETS; i++)
		buf_put_format(out, "mongoward_command_duration_seconds_bucket{le=\"%g\"} %llu\n",
			(double)l.bounds_us[i] / 1e6, (unsigned long long)l.counts[i]);
	buf_put_format(out,
		"mongoward_command_duration_seconds_bucket{le=\"+Inf\"} %llu\n"
		"mongoward_command_duration_seconds_sum %g\n"
		"mongoward_command_duration_seconds_count %llu\n",
		(unsigned long long)l.total, (double)l.sum_us / 1e6, (unsigned long long)l.total);
}

void page_metrics(const struct page_facts *f, struct buf *out)
{
	struct metric_value values[METRIC_MAX];
	struct numbers n;
	size_t count = server_metrics(f->parts->server, values);

	read_numbers(f, &n);
	for (size_t i = 0; i < count; i++)
		put_metric(out, values[i].name, values[i].help,
			values[i].gauge ? "gauge" : "counter", values[i].value);
	put_latency(f->parts->server, out);
	put_metric(
		out, "mongoward_reloads_total", "Reloads that were taken", "counter", f->reloads);
	put_metric(out, "mongoward_reloads_refused_total",
		"Reloads that were refused; what was running went on", "counter",
		f->reloads_refused);
	put_metric(out, "mongoward_audit_records_total", "Audit records written", "counter",
		n.audit.records);
	put_metric(out, "mongoward_audit_bytes_total", "Bytes of audit records written", "counter",
		n.audit.bytes);
	put_metric(out, "mongoward_audit_syncs_total", "Times the audit log was made durable",
		"counter", n.audit.syncs);
	put_metric(out, "mongoward_audit_failures_total", "Failed writes of the audit log",
		"counter", n.audit.failures);
	put_metric(out, "mongoward_audit_stopped", "1 while the audit log cannot be written",
		"gauge", n.audit.stopped);
	put_metric(out, "mongoward_audit_reserved",
		"1 while the log's disk is full and only roles with care have access", "gauge",
		n.audit.reserved);
	put_metric(out, "mongoward_audit_witnessed",
		"1 while every witness has the last checkpoint", "gauge", n.audit.witnessed);
	put_metric(out, "mongoward_upstream_servers", "Servers of the deployment", "gauge",
		n.upstream.servers);
	put_metric(out, "mongoward_upstream_servers_up", "Servers that can be reached", "gauge",
		n.upstream.servers_up);
	put_metric(out, "mongoward_upstream_writable", "1 while some server takes writes", "gauge",
		n.upstream.writable);
}

static void put_time(struct buf *out, const char *name, int64_t us)
{
	char ts[CLOCK_TS_SIZE];

	if (!us)
		return;
	clock_format(us, ts);
	buf_put_format(out, ",\"%s\":\"%s\"", name, ts);
}

static const char *truth(bool b)
{
	return b ? "true" : "false";
}

static void put_upstream(const struct page_facts *f, const struct numbers *n, struct buf *out)
{
	buf_put_format(out,
		",\"upstream\":{\"known\":%s,\"writable\":%s,\"servers\":%zu,"
		"\"servers_up\":%zu,\"insecure\":%s,\"version\":",
		truth(n->upstream.known), truth(n->upstream.writable), n->upstream.servers,
		n->upstream.servers_up, truth(f->parts->insecure_upstream));
	json_put_string(out, bytes_str(n->upstream.version));
	buf_put_u8(out, '}');
}

static void put_audit(const struct numbers *n, struct buf *out)
{
	buf_put_format(out,
		",\"audit\":{\"next_seq\":%llu,\"stopped\":%s,\"witnessed\":%s,\"failures\":%llu",
		(unsigned long long)n->audit.seq, truth(n->audit.stopped),
		truth(n->audit.witnessed), (unsigned long long)n->audit.failures);
	if (n->audit.why[0]) {
		buf_put_str(out, ",\"why\":");
		json_put_string(out, bytes_str(n->audit.why));
	}
	buf_put_u8(out, '}');
}

void page_status(const struct page_facts *f, struct buf *out)
{
	struct snapshot *now = server_snapshot(f->parts->server);
	struct metric_value values[METRIC_MAX];
	size_t count = server_metrics(f->parts->server, values);
	struct numbers n;
	struct buf reasons;

	read_numbers(f, &n);
	buf_init(&reasons, PAGE_MAX);
	buf_put_str(out, "{\"instance\":");
	json_put_string(out, bytes_str(f->parts->instance));
	buf_put_str(out, ",\"version\":");
	json_put_string(out, bytes_str(f->parts->version));
	buf_put_format(out, ",\"ready\":%s,\"draining\":%s", truth(page_ready(f, &reasons)),
		truth(f->draining));
	put_time(out, "started", f->started_us);
	put_time(out, "reloaded", f->reloaded_us);
	put_time(out, "reload_refused", f->refused_us);
	buf_put_format(out,
		",\"policy\":\"%s\",\"users\":%zu,\"data_keys\":%zu,\"keys_locked\":%s,"
		"\"listen_insecure\":%s",
		now->policy->hash, users_count(now->users), keyring_count(now->keyring),
		truth(master_is_locked(f->parts->master)), truth(f->parts->insecure_listen));
	put_upstream(f, &n, out);
	put_audit(&n, out);
	buf_put_str(out, ",\"metrics\":{");
	for (size_t i = 0; i < count; i++)
		buf_put_format(out, "%s\"%s\":%llu", i ? "," : "", values[i].name,
			(unsigned long long)values[i].value);
	buf_put_str(out, "}}\n");
	buf_fini(&reasons);
	snapshot_unref(now);
}
