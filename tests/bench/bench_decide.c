/* bench_decide - how long it takes to decide a command and to apply the plan's edits, with
 * 10 and with 1,000 roles in the policy.
 *
 *   bench_decide POLICIES/hospital
 */
#include <stdio.h>
#include <stdlib.h>

#include <bson/bson.h>
#include <sodium.h>

#include "keys/keyring.h"
#include "transform/transform.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/memory.h"

#define ROUNDS     7
#define REPETITION 20000u
#define NOW_S      1795000000u

static const struct {
	const char *name, *role, *json;
} commands[] = {
	{"find", "doctor",
		"{\"find\": \"patients\", \"$db\": \"healthcare_db\", \"filter\": "
		"{\"personal_info.name\": \"Ada Durand\"}, \"limit\": 1, \"singleBatch\": true}"},
	{"6 stages, as they are", "doctor",
		"{\"aggregate\": \"patients\", \"$db\": \"healthcare_db\", \"cursor\": {}, "
		"\"pipeline\": [{\"$match\": {\"personal_info.age\": {\"$gt\": 30}}}, {\"$sort\": "
		"{\"personal_info.age\": 1}}, {\"$project\": {\"medical_info\": 1, "
		"\"personal_info.age\": 1}}, {\"$group\": {\"_id\": \"$medical_info.condition\", "
		"\"n\": {\"$sum\": 1}, \"age\": {\"$avg\": \"$personal_info.age\"}}}, {\"$sort\": "
		"{\"n\": -1}}, {\"$limit\": 10}]}"},
	{"6 stages, behind the barrier", "analyst",
		"{\"aggregate\": \"patients_anonymized_view\", \"$db\": \"healthcare_db\", "
		"\"cursor\": {}, \"pipeline\": [{\"$match\": {\"age_range\": \"65+\"}}, "
		"{\"$set\": {\"x\": {\"$concat\": [\"$gender\", \"/\", \"$age_range\"]}}}, "
		"{\"$group\": {\"_id\": \"$x\", \"n\": {\"$sum\": 1}}}, {\"$match\": {\"n\": "
		"{\"$gt\": 10}}}, {\"$sort\": {\"n\": -1}}, {\"$limit\": 10}]}"},
	{"6 stages, with subjects named", "doctor",
		"{\"aggregate\": \"patients\", \"$db\": \"healthcare_db\", \"cursor\": {}, "
		"\"pipeline\": [{\"$match\": {\"personal_info.age\": {\"$gt\": 30}}}, {\"$sort\": "
		"{\"personal_info.age\": 1}}, {\"$limit\": 100}, {\"$replaceRoot\": {\"newRoot\": "
		"\"$medical_info\"}}, {\"$sortByCount\": \"$condition\"}, {\"$limit\": 10}]}"},
};

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "bench_decide: %s\n", what);
	exit(1);
}

static struct bytes message_of(struct arena *arena, const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	struct buf out;
	struct bytes copy;
	size_t frame;

	must(doc != NULL, "a command is no JSON");
	buf_init(&out, FRAME_MESSAGE_MAX);
	frame = frame_begin(&out, 1, 0, OPCODE_MSG);
	buf_put_u32(&out, 0);
	buf_put_u8(&out, 0);
	buf_put(&out, bytes_of(bson_get_data(doc), doc->len));
	frame_end(&out, frame);
	copy = arena_copy(arena, buf_bytes(&out));
	buf_fini(&out);
	bson_destroy(doc);
	return copy;
}

/* The folder's policy and `more` roles beside its own. */
static struct policy *policy_with(const char *folder, unsigned more)
{
	struct complaints complaints;
	struct policy *policy;
	char whole[] = "/tmp/bench_decide.XXXXXX", *command, *file;
	FILE *out;

	must(mkdtemp(whole) != NULL, "no folder");
	command = memory_format("cp %s/*.yaml %s", folder, whole);
	must(system(command) == 0, "the policy cannot be copied");
	file = memory_format("%s/more.yaml", whole);
	out = fopen(file, "w");
	must(out != NULL, "a file cannot be made");
	fprintf(out, "mongoward: 1\nroles:\n");
	for (unsigned i = 0; i < more; i++)
		fprintf(out,
			"  more_%u: {grants: [{namespace: healthcare_db.patients, do: [read], see: "
			"{technical: plaintext}}]}\n",
			i);
	fclose(out);
	complaints_init(&complaints);
	policy = policy_load(whole, &complaints);
	if (!policy)
		fprintf(stderr, "%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	must(policy != NULL, "the policy does not load");
	complaints_fini(&complaints);
	free(command);
	command = memory_format("rm -r %s", whole);
	must(system(command) == 0, "the copy stays behind");
	free(command);
	free(file);
	return policy;
}

static struct transform *transform_of(struct policy *policy, struct master *master)
{
	struct fault why;
	struct keyring *keyring = keyring_new(master, false, &why);
	struct transform *t;
	struct buf document;

	buf_init(&document, 4096);
	for (size_t i = 0; i < policy->nencrypted; i++) {
		buf_clear(&document);
		must(keyring_make_document(master, policy->encrypted[i].ns,
			     policy->encrypted[i].path, NOW_S * 1000ull, &document, &why) &&
				keyring_add(keyring, buf_bytes(&document), &why) == KEY_ADDED,
			"no key");
	}
	buf_fini(&document);
	t = transform_new(policy, keyring, master);
	keyring_unref(keyring);
	return t;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct setting {
	struct policy *policy;
	struct transform *transform;
	struct arena arena;
	struct buf out;
};

static double run(struct setting *s, const struct facts *facts, struct bytes message, bool edits)
{
	uint64_t start_us = clock_monotonic_us();

	for (unsigned i = 0; i < REPETITION; i++) {
		struct written written;
		struct fault why;
		struct command c;
		struct plan plan;

		must(command_parse(&c, message, &why) &&
				policy_decide(s->policy, facts, &c, &s->arena, &plan, &why),
			"a command is refused");
		buf_clear(&s->out);
		if (edits)
			must(transform_request(
				     s->transform, &plan, &c, NOW_S, &s->out, &written, &why),
				"a command is not edited");
		arena_reset(&s->arena);
	}
	return (double)(clock_monotonic_us() - start_us) / REPETITION;
}

static void measure(struct setting *s, size_t roles, size_t k)
{
	const char *hospital = "H-NORD";
	struct bytes role = bytes_str(commands[k].role);
	struct attribute attribute = {bytes_str("hospital"), bytes_str(hospital)};
	struct user user = {.name = bytes_str("u"),
		.roles = &role,
		.nroles = 1,
		.attributes = &attribute,
		.nattributes = 1};
	struct facts facts = {.user = &user,
		.method = AUTH_SCRAM,
		.address = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
		.now_us = (int64_t)NOW_S * 1000000,
		.vault = bytes_str("encryption.__keyVault")};
	double decided[ROUNDS], edited[ROUNDS];
	struct arena kept;
	struct bytes message;

	arena_init(&kept);
	message = message_of(&kept, commands[k].json);
	for (int i = 0; i < ROUNDS; i++) {
		decided[i] = run(s, &facts, message, false);
		edited[i] = run(s, &facts, message, true);
	}
	qsort(decided, ROUNDS, sizeof(*decided), compare);
	qsort(edited, ROUNDS, sizeof(*edited), compare);
	printf("%5zu roles  %-30s  %6.2f us decided, %6.2f us with edits\n", roles,
		commands[k].name, decided[ROUNDS / 2], edited[ROUNDS / 2]);
	arena_fini(&kept);
}

int main(int argc, char **argv)
{
	static const unsigned more[] = {2, 980};
	uint8_t key[MASTER_LEN] = {1};
	struct fault why;
	struct master *master;

	must(argc == 2 && sodium_init() >= 0, "usage: bench_decide POLICY-FOLDER");
	master = master_new(key, false, &why);
	must(master != NULL, "no master key");
	for (size_t i = 0; i < COUNT_OF(more); i++) {
		struct setting s = {.policy = policy_with(argv[1], more[i])};

		s.transform = transform_of(s.policy, master);
		arena_init(&s.arena);
		buf_init(&s.out, FRAME_MESSAGE_MAX);
		for (size_t k = 0; k < COUNT_OF(commands); k++)
			measure(&s, s.policy->nroles, k);
		buf_fini(&s.out);
		arena_fini(&s.arena);
		transform_free(s.transform);
		policy_unref(s.policy);
	}
	master_free(master);
	return 0;
}
