#include "cli/field_keys.h"

#include <stdlib.h>

#include "cli/cli.h"
#include "cli/vault.h"
#include "util/clock.h"
#include "util/memory.h"
#include "wire/doc.h"

static struct place whole(const char *file)
{
	return (struct place){.file = file};
}

bool field_keys_open(struct field_keys *k, const char *config_file_name, uint64_t wait_us,
	struct complaints *complaints, int *code)
{
	return field_keys_open_policy(k, config_file_name, NULL, wait_us, complaints, code);
}

bool field_keys_open_policy(struct field_keys *k, const char *config_file_name, const char *folder,
	uint64_t wait_us, struct complaints *complaints, int *code)
{
	struct fault why;

	*k = (struct field_keys){0};
	*code = CLI_BAD;
	k->config = config_load(config_file_name, complaints);
	if (!k->config)
		return false;
	k->policy = policy_load(folder ? folder : k->config->policy, complaints);
	if (!k->policy)
		return false;
	k->master = master_load(k->config->keys.file, k->config->keys.require_mlock, &why);
	if (!k->master)
		return complain(complaints, whole(k->config->keys.file), NULL, "%s", why.detail);
	k->upstream = upstream_new(&k->config->upstream, &why);
	if (!k->upstream)
		return complain(complaints, whole("upstream.uri"), NULL, "%s", why.detail);
	if (!upstream_wait(k->upstream, wait_us)) {
		*code = CLI_UNREACHABLE;
		return complain(complaints, whole("upstream.uri"),
			"is it up, and do address, certificates and password fit?",
			"the deployment could not be reached");
	}
	k->keyring = vault_load(k->upstream, k->master, k->config->keys.vault,
		k->config->keys.require_mlock, complaints, code);
	return k->keyring != NULL;
}

void field_keys_close(struct field_keys *k)
{
	keyring_unref(k->keyring);
	upstream_free(k->upstream);
	master_free(k->master);
	policy_unref(k->policy);
	config_free(k->config);
}

static bool is_missing(const struct field_keys *k, size_t i)
{
	return keyring_find(k->keyring, k->policy->encrypted[i].ns, k->policy->encrypted[i].path) ==
	       KEY_NONE;
}

size_t field_keys_missing(const struct field_keys *k)
{
	size_t n = 0;

	for (size_t i = 0; i < k->policy->nencrypted; i++)
		n += is_missing(k, i);
	return n;
}

static bool make_all(const struct field_keys *k, struct buf *out, struct fault *why)
{
	int64_t now_ms = clock_realtime_us() / 1000;

	for (size_t i = 0; i < k->policy->nencrypted; i++)
		if (is_missing(k, i) &&
			!keyring_make_document(k->master, k->policy->encrypted[i].ns,
				k->policy->encrypted[i].path, now_ms, out, why))
			return false;
	return true;
}

static bool insert_all(const struct field_keys *k, struct bytes all, size_t n, struct fault *why)
{
	struct bytes *documents = memory_array(n, sizeof(*documents));
	bool done;

	for (size_t i = 0; i < n; i++) {
		documents[i] = doc_at_front(all);
		all = bytes_from(all, documents[i].len);
	}
	done = upstream_vault_insert(k->upstream, k->config->keys.vault, documents, n, why);
	free(documents);
	return done;
}

bool field_keys_create(struct field_keys *k, void (*each)(const struct encrypted_field *),
	struct complaints *complaints, int *code)
{
	size_t n = field_keys_missing(k);
	struct fault why;
	struct buf all;
	bool made, inserted;

	if (!n)
		return true;
	buf_init(&all, KEYRING_MAX * 4096u);
	made = make_all(k, &all, &why);
	inserted = made && insert_all(k, buf_bytes(&all), n, &why);
	buf_wipe(&all);
	if (!made || !inserted) {
		*code = made ? CLI_UNREACHABLE : CLI_BAD;
		return complain(complaints, whole(k->config->keys.vault), NULL,
			"no keys were made: %s", why.detail);
	}
	for (size_t i = 0; i < k->policy->nencrypted; i++)
		if (is_missing(k, i))
			each(&k->policy->encrypted[i]);
	return true;
}
