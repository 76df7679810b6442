#include "policy/quasi.h"

#define NAME_MAX_LEN 64u

static const struct {
	const char *meaning, *names;
} kinds[QUASI_COUNT] = {
#define QUASI(id, word, meaning, names) [QUASI_##id] = {meaning, names},
#include "policy/quasi.def"
#undef QUASI
};

/* "dateOfBirth", "date_of_birth" and "DATE-OF-BIRTH" are one name; 0: longer than any. */
static size_t squeeze(struct bytes name, char out[NAME_MAX_LEN])
{
	size_t n = 0;

	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.at[i];

		if (c == '_' || c == '-')
			continue;
		if (n == NAME_MAX_LEN)
			return 0;
		out[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	return n;
}

static bool has_name(const char *names, struct bytes name)
{
	while (*names) {
		size_t len = strcspn(names, " ");

		if (bytes_equal(bytes_of(names, len), name))
			return true;
		names += len;
		names += strspn(names, " ");
	}
	return false;
}

quasi_set quasi_of_name(struct bytes path)
{
	const uint8_t *dot = path.len ? memrchr(path.at, '.', path.len) : NULL;
	struct bytes last = dot ? bytes_from(path, (size_t)(dot - path.at) + 1) : path;
	char name[NAME_MAX_LEN];
	size_t len = squeeze(last, name);

	for (size_t i = 0; len && i < QUASI_COUNT; i++)
		if (has_name(kinds[i].names, bytes_of(name, len)))
			return (quasi_set)(1u << i);
	return 0;
}

const char *quasi_meaning(enum quasi_kind kind)
{
	return kinds[kind].meaning;
}

unsigned quasi_count(quasi_set set)
{
	unsigned n = 0;

	for (; set; set = (quasi_set)(set & (set - 1)))
		n++;
	return n;
}
