#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include <bson/bson.h>

#include "policy/policy.h"
#include "util/file.h"
#include "util/memory.h"

/* Cases stand in files, one decision a line:
 *
 *   policy FOLDER              (below the source tree)
 *   user NAME roles=a,b attr=value… [purpose=…] [x509]
 *   allow|behind|named|CODE  {command as extended JSON}
 *
 * A line is judged as the user named last; behind: behind the secure view's stages, named:
 * likewise, and joined to the subjects of all that goes in; CODE is the fault's number for the client and,
 * behind a blank, what its text must name. */

struct table {
	struct policy *policy;
	struct user user;
	enum auth_method method;
	struct arena arena;
	int failed, run;
};

static const char *source_folder(void)
{
	const char *folder = getenv("srcdir");

	return folder ? folder : ".";
}

static void set_policy(struct table *t, const char *name)
{
	char *folder = memory_format("%s/%s", source_folder(), name);
	struct complaints complaints;

	complaints_init(&complaints);
	policy_unref(t->policy);
	t->policy = policy_load(folder, &complaints);
	if (!t->policy)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	complaints_fini(&complaints);
	free(folder);
}

static struct bytes keep(struct table *t, const char *text)
{
	return arena_copy(&t->arena, bytes_str(text));
}

static void set_roles(struct table *t, char *list)
{
	t->user.roles = arena_array(&t->arena, 16, sizeof(*t->user.roles));
	t->user.nroles = 0;
	for (char *r = strtok_r(NULL, ",", &list); r; r = strtok_r(NULL, ",", &list))
		t->user.roles[t->user.nroles++] = keep(t, r);
}

static void set_user(struct table *t, char *line)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);

	t->user = (struct user){.name = keep(t, word)};
	t->user.attributes = arena_array(&t->arena, 16, sizeof(*t->user.attributes));
	t->method = AUTH_SCRAM;
	while ((word = strtok_r(NULL, " ", &save))) {
		char *value = strchr(word, '=');

		if (strcmp(word, "x509") == 0) {
			t->method = AUTH_X509;
			continue;
		}
		*value++ = '\0';
		if (strcmp(word, "roles") == 0)
			set_roles(t, value);
		else if (strcmp(word, "purpose") == 0)
			t->user.purpose = keep(t, value);
		else
			t->user.attributes[t->user.nattributes++] =
				(struct attribute){keep(t, word), keep(t, value)};
	}
}

static struct bytes message_of(struct table *t, const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	struct buf out;
	struct bytes copy;
	size_t frame;

	if (!doc)
		fail_msg("%s: %s", json, error.message);
	buf_init(&out, FRAME_MESSAGE_MAX);
	frame = frame_begin(&out, 1, 0, OPCODE_MSG);
	buf_put_u32(&out, 0);
	buf_put_u8(&out, 0);
	buf_put(&out, bytes_of(bson_get_data(doc), doc->len));
	frame_end(&out, frame);
	copy = arena_copy(&t->arena, buf_bytes(&out));
	buf_fini(&out);
	bson_destroy(doc);
	return copy;
}

static void judge(struct table *t, const char *place, char *expected, const char *json)
{
	struct facts facts = {.user = &t->user,
		.method = t->method,
		.address = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
		.now_us = 1795000000ll * 1000000,
		.vault = bytes_str("encryption.__keyVault")};
	struct fault why = {.code = FAULT_NONE};
	struct command c;
	struct plan plan;
	char text[FAULT_TEXT_MAX], verdict[16] = "allow";
	char *named = strchr(expected, ' ');

	if (named)
		*named++ = '\0';
	t->run++;
	if (!command_parse(&c, message_of(t, json), &why) ||
		!policy_decide(t->policy, &facts, &c, &t->arena, &plan, &why))
		snprintf(verdict, sizeof(verdict), "%d", fault_server_code(why.code));
	else if (plan.reply.behind_barrier)
		snprintf(verdict, sizeof(verdict), plan.reply.names_group ? "named" : "behind");
	fault_text(&why, text, sizeof(text));
	if (strcmp(verdict, expected) == 0 && (!named || strstr(text, named)))
		return;
	t->failed++;
	fprintf(stderr, "%s: %s wanted, %s given (%s): %s\n", place, expected, verdict, text, json);
}

static void run_line(struct table *t, const char *place, char *line)
{
	char *json = strchr(line, '{');

	if (strncmp(line, "policy ", 7) == 0) {
		set_policy(t, line + 7);
	} else if (strncmp(line, "user ", 5) == 0) {
		set_user(t, line + 5);
	} else if (json && json > line) {
		char *end = json;

		while (end > line && end[-1] == ' ')
			end--;
		line = memory_text(bytes_of(line, (size_t)(end - line)));
		judge(t, place, line, json);
		free(line);
	} else if (*line && *line != '#') {
		fail_msg("%s: not understood: %s", place, line);
	}
}

static void run_file(struct table *t, const char *name)
{
	char *path = memory_format("%s/tests/policy/%s.cases", source_folder(), name);
	struct buf text;
	char *line, *save = NULL, place[128];
	int number = 0;

	buf_init(&text, 1u << 20);
	assert_true(file_read(path, &text));
	buf_put_u8(&text, 0);
	/* strsep keeps empty lines, so that numbers are right. */
	save = (char *)text.at;
	while ((line = strsep(&save, "\n"))) {
		snprintf(place, sizeof(place), "%s.cases:%d", name, ++number);
		run_line(t, place, line);
	}
	buf_fini(&text);
	free(path);
}

static void run_cases(const char *name)
{
	struct table t = {0};

	arena_init(&t.arena);
	run_file(&t, name);
	policy_unref(t.policy);
	arena_fini(&t.arena);
	assert_int_equal(t.failed, 0);
	assert_true(t.run > 0);
}

static void test_hospital(void **state)
{
	(void)state;
	run_cases("hospital");
}

static void test_rows(void **state)
{
	(void)state;
	run_cases("rows");
}

/* A collection of so many fields f0, f1, …, and a role that may insert into it. */
static struct policy *policy_of_fields(unsigned n)
{
	struct complaints complaints;
	struct policy *p;
	struct buf text;

	buf_init(&text, 65536);
	buf_put_str(&text, "mongoward: 1\nclasses: {plain: {}}\ncollections:\n  d.c:\n"
			   "    fields:\n");
	for (unsigned i = 0; i < n; i++)
		buf_put_format(&text, "      f%u: {class: plain}\n", i);
	buf_put_str(&text, "roles:\n  r: {grants: [{namespace: d.c, do: [insert], see: {\"*\": "
			   "plaintext}, change: [\"*\"]}]}\n");
	complaints_init(&complaints);
	p = policy_load_text("fields.yaml", buf_bytes(&text), &complaints);
	if (!p)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	complaints_fini(&complaints);
	buf_fini(&text);
	return p;
}

/* A document with these two fields, and then the first once more if it is to stand twice. */
static bool insert_allowed(
	struct policy *p, unsigned first, unsigned second, bool twice, struct fault *why)
{
	struct table t = {.policy = p};
	struct bytes role = bytes_str("r");
	const struct user user = {.name = bytes_str("u"), .roles = &role, .nroles = 1};
	const struct facts facts = {.user = &user, .vault = bytes_str("e.k")};
	char json[256], again[32] = "";
	struct command c;
	struct plan plan;
	bool allowed;

	if (twice)
		snprintf(again, sizeof(again), ", \"f%u\": 1", first);
	snprintf(json, sizeof(json),
		"{\"insert\": \"c\", \"$db\": \"d\", \"documents\": [{\"f%u\": 1, \"f%u\": 1%s}]}",
		first, second, again);
	arena_init(&t.arena);
	assert_true(command_parse(&c, message_of(&t, json), why));
	allowed = policy_decide(p, &facts, &c, &t.arena, &plan, why);
	arena_fini(&t.arena);
	return allowed;
}

/* The tree has _id and __mw beside the fields; up to 64 names are counted in one word. */
static void test_field_twice(void **state)
{
	static const unsigned counts[] = {1, 62, 63, 126, 127, 200};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		struct policy *p = policy_of_fields(counts[i]);

		for (unsigned k = 0; k < counts[i]; k++) {
			unsigned other = k ? k - 1 : 500;
			struct fault why;
			char name[16];

			snprintf(name, sizeof(name), "f%u", k);
			assert_true(insert_allowed(p, k, other, false, &why) || other == 500);
			assert_false(insert_allowed(p, k, other, true, &why));
			assert_true(why.code == FAULT_FIELD_TWICE);
			assert_string_equal(why.what, name);
		}
		policy_unref(p);
	}
}

static void test_statistics(void **state)
{
	(void)state;
	run_cases("statistics");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hospital),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_field_twice),
		cmocka_unit_test(test_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
