/* A users.yaml: read or complained about; all that is read keeps to the limits and is found. */
#include <assert.h>

#include "auth/users_file.h"

/* libfyaml 0.7 loses 2 kB where a long quoted scalar does not end as it should. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so";
}

static void check_user(const struct users *users, const struct user *user)
{
	assert(users_find(users, user->name) == user);
	assert(!user_text_wrong(user->name, USER_NAME_MAX));
	assert(user->nroles >= 1 && user->nroles <= USER_LIST_MAX);
	assert(user->nattributes <= USER_LIST_MAX);
	for (size_t i = 0; i < user->nroles; i++)
		assert(!user_text_wrong(user->roles[i], USER_TEXT_MAX));
	for (size_t i = 0; i < user->nattributes; i++)
		assert(user->attributes[i].name.len && user->attributes[i].value.len);
	assert(!user->x509.len || users_find_x509(users, user->x509) == user);
	assert(!user->scram.iterations ||
		(user->scram.iterations >= SCRAM_ITERATIONS_MIN &&
			user->scram.iterations <= SCRAM_ITERATIONS_MAX &&
			user->scram.salt.len >= 1 && user->scram.salt.len <= SCRAM_SALT_MAX));
	assert(user->at.line >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct complaints complaints;
	struct users *users;

	complaints_init(&complaints);
	users = users_parse(
		"u.yaml", bytes_of(size ? data : (const uint8_t *)"", size), &complaints);
	assert(!users == (complaints.count > 0));
	for (size_t i = 0; users && i < users_count(users); i++)
		check_user(users, users_at(users, i));
	users_unref(users);
	complaints_fini(&complaints);
	return 0;
}
