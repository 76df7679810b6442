#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "keys/locked.h"
#include "upstream/inside.h"
#include "util/memory.h"

#define CONNECT_MS   10000
#define THRESHOLD_MS 15 /* server selection specification: localThresholdMS */
#define HEARTBEAT_MS 10000
#define SOCKET_MS    20000 /* of libmongoc's own commands */
#define PASSWORD_MAX 1024u

/* What a URI may say.  The rest is refused, so that nothing is silently without effect. */
static const struct {
	const char *name;
	const char *instead; /* NULL: it is allowed */
} options[] = {
	{"appname", NULL},
	{"authmechanism", NULL},
	{"authsource", NULL},
	{"connecttimeoutms", NULL},
	{"directconnection", NULL},
	{"heartbeatfrequencyms", NULL},
	{"localthresholdms", NULL},
	{"replicaset", NULL},
	{"serverselectiontimeoutms", NULL},
	{"srvmaxhosts", NULL},
	{"srvservicename", NULL},
	{"ssl", NULL},
	{"tls", NULL},
	{"tlsallowinvalidcertificates", NULL},
	{"tlsallowinvalidhostnames", NULL},
	{"tlscafile", NULL},
	{"tlscertificatekeyfile", NULL},
	{"tlscertificatekeyfilepassword", NULL},
	{"tlsdisablecertificaterevocationcheck", NULL},
	{"tlsdisableocspendpointcheck", NULL},
	{"tlsinsecure", NULL},
	/* Every command says these itself; Atlas and DocumentDB print them into their URIs. */
	{"journal", NULL},
	{"maxstalenessseconds", NULL},
	{"readconcernlevel", NULL},
	{"readpreference", NULL},
	{"readpreferencetags", NULL},
	{"retryreads", NULL},
	{"retrywrites", NULL},
	{"w", NULL},
	{"wtimeoutms", NULL},
	{"compressors", "connections to the database are not compressed"},
	{"loadbalanced", "name the servers, not a load balancer"},
	{"maxidletimems", "use upstream.pool"},
	{"maxpoolsize", "use upstream.pool"},
	{"minpoolsize", "use upstream.pool"},
	{"waitqueuetimeoutms", "use upstream.pool"},
};

static bool check_option(struct bytes name, struct fault *why)
{
	for (size_t i = 0; i < COUNT_OF(options); i++) {
		if (strlen(options[i].name) != name.len ||
			strncasecmp(options[i].name, (const char *)name.at, name.len) != 0)
			continue;
		if (!options[i].instead)
			return true;
		return fault_set(why, FAULT_BAD_VALUE, "the URI's option %s is not supported: %s",
			options[i].name, options[i].instead);
	}
	return fault_set(why, FAULT_BAD_VALUE, "the URI's option '%.*s' is not known",
		(int)(name.len < 60 ? name.len : 60), (const char *)name.at);
}

static bool check_options(const char *uri, struct fault *why)
{
	const char *at = strchr(uri, '?');

	while (at && *++at) {
		size_t whole = strcspn(at, "&;"), name = strcspn(at, "=&;");

		if (name && !check_option(bytes_of(at, name), why))
			return false;
		at = at[whole] ? at + whole : NULL;
	}
	return true;
}

/* "user:password@" in front of the hosts.  Looked for before libmongoc sees it, since its
 * complaints could repeat it. */
static bool has_password(const char *uri)
{
	const char *hosts = strstr(uri, "://");
	const char *at;

	if (!hosts)
		return false;
	hosts += 3;
	at = memrchr(hosts, '@', strcspn(hosts, "/?"));
	return at && memchr(hosts, ':', (size_t)(at - hosts));
}

static const struct {
	const char *name;
	enum mechanism mechanism;
} mechanisms[] = {
	{"SCRAM-SHA-256", MECHANISM_SCRAM_SHA_256},
	{"SCRAM-SHA-1", MECHANISM_SCRAM_SHA_1},
	{"MONGODB-X509", MECHANISM_X509},
};

static bool read_mechanism(struct target *t, struct fault *why)
{
	const char *name = mongoc_uri_get_auth_mechanism(t->uri);

	if (!name) {
		t->mechanism = t->user ? MECHANISM_SCRAM_SHA_256 : MECHANISM_NONE;
		return !t->user || mongoc_uri_set_auth_mechanism(t->uri, "SCRAM-SHA-256") ||
		       fault_set(why, FAULT_INTERNAL, "libmongoc refuses SCRAM-SHA-256");
	}
	for (size_t i = 0; i < COUNT_OF(mechanisms); i++)
		if (strcasecmp(mechanisms[i].name, name) == 0) {
			t->mechanism = mechanisms[i].mechanism;
			return true;
		}
	return fault_set(why, FAULT_BAD_VALUE,
		"authMechanism is not supported; use SCRAM-SHA-256, SCRAM-SHA-1 or MONGODB-X509");
}

static bool keep_password(struct target *t, const char *password, struct fault *why)
{
	size_t len = strlen(password);
	bool locked;

	if (len > PASSWORD_MAX)
		return fault_set(why, FAULT_BAD_VALUE, "the upstream password is over %u bytes",
			PASSWORD_MAX);
	t->password = locked_array(len + 1, 1, false, &locked, why);
	if (!t->password)
		return false;
	memcpy(t->password, password, len);
	/* libmongoc logs in for itself and wants it on its own heap. */
	return mongoc_uri_set_password(t->uri, password) ||
	       fault_set(why, FAULT_BAD_VALUE, "the upstream password is not UTF-8");
}

static bool read_login(struct target *t, const struct upstream_config *config, struct fault *why)
{
	const char *user = mongoc_uri_get_username(t->uri);

	t->user = user ? memory_text(bytes_str(user)) : NULL;
	if (!read_mechanism(t, why))
		return false;
	if (t->mechanism == MECHANISM_SCRAM_SHA_256 || t->mechanism == MECHANISM_SCRAM_SHA_1) {
		if (!t->user)
			return fault_set(why, FAULT_BAD_VALUE, "the URI names no user");
		if (!config->password || !*config->password)
			return fault_set(why, FAULT_BAD_VALUE,
				"the user of the URI has no password; set upstream.password_file");
		return keep_password(t, config->password, why);
	}
	if (t->mechanism == MECHANISM_X509 &&
		!mongoc_uri_get_option_as_utf8(t->uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, NULL))
		return fault_set(why, FAULT_BAD_VALUE, "MONGODB-X509 needs tlsCertificateKeyFile");
	return true;
}

static bool option_bool(const struct target *t, const char *name)
{
	return mongoc_uri_get_option_as_bool(t->uri, name, false);
}

static bool read_tls(struct target *t, bool insecure, struct fault *why)
{
	bool tls = mongoc_uri_get_option_as_bool(t->uri, MONGOC_URI_TLS, true);
	bool lax = option_bool(t, MONGOC_URI_TLSINSECURE);
	const struct net_tls_client_files files = {
		.ca = mongoc_uri_get_option_as_utf8(t->uri, MONGOC_URI_TLSCAFILE, NULL),
		.certificate_key = mongoc_uri_get_option_as_utf8(
			t->uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, NULL),
		.key_password = mongoc_uri_get_option_as_utf8(
			t->uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, NULL),
		.any_hostname = lax || option_bool(t, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES),
		.any_certificate = lax || option_bool(t, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES),
	};

	if (!tls) {
		if (!insecure)
			return fault_set(why, FAULT_BAD_VALUE,
				"the URI turns TLS off, and upstream.insecure is not set");
		return t->mechanism != MECHANISM_X509 ||
		       fault_set(why, FAULT_BAD_VALUE, "MONGODB-X509 needs TLS");
	}
	if (!mongoc_uri_set_option_as_bool(t->uri, MONGOC_URI_TLS, true))
		return fault_set(why, FAULT_INTERNAL, "libmongoc was built without TLS");
	t->tls = net_tls_client_new(&files, why);
	return t->tls != NULL;
}

static uint64_t option_us(const struct target *t, const char *name, int32_t otherwise_ms)
{
	int32_t ms = mongoc_uri_get_option_as_int32(t->uri, name, 0);

	return (uint64_t)(ms > 0 ? ms : otherwise_ms) * 1000;
}

bool target_read(struct target *t, const struct upstream_config *config, struct fault *why)
{
	bson_error_t error;

	*t = (struct target){0};
	if (has_password(config->uri))
		return fault_set(why, FAULT_BAD_VALUE,
			"the URI holds a password; set upstream.password_file instead");
	if (!check_options(config->uri, why))
		return false;
	t->uri = mongoc_uri_new_with_error(config->uri, &error);
	if (!t->uri)
		return fault_set(
			why, FAULT_BAD_VALUE, "the URI is not understood: %.150s", error.message);
	t->connect_us = option_us(t, MONGOC_URI_CONNECTTIMEOUTMS, CONNECT_MS);
	t->threshold_us = option_us(t, MONGOC_URI_LOCALTHRESHOLDMS, THRESHOLD_MS);
	t->heartbeat_us = option_us(t, MONGOC_URI_HEARTBEATFREQUENCYMS, HEARTBEAT_MS);
	mongoc_uri_set_option_as_int32(t->uri, MONGOC_URI_SOCKETTIMEOUTMS, SOCKET_MS);
	return read_login(t, config, why) && read_tls(t, config->insecure, why);
}

void target_fini(struct target *t)
{
	if (t->uri)
		mongoc_uri_destroy(t->uri);
	if (t->tls)
		net_tls_unref(t->tls);
	locked_free(t->password);
	free(t->user);
}
