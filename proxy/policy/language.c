#include "policy/language.h"

#include "auth/users.h"

static const struct {
	const char *name, *about;
} objects[] = {
#define OBJECT(id, name, about) [LANGUAGE_OBJECT_##id] = {name, about},
#include "policy/language.def"
};

#define NEEDED   true
#define OPTIONAL false
static const struct {
	enum language_object of;
	struct language_key key;
} keys[] = {
#define KEY(object, name, need, value, about) \
	{LANGUAGE_OBJECT_##object, {name, need, LANGUAGE_##value, about}},
#include "policy/language.def"
};
#undef NEEDED
#undef OPTIONAL

static const struct {
	enum language_object of;
	const char *name;
} later[] = {
#define LATER(object, name) {LANGUAGE_OBJECT_##object, name},
#include "policy/language.def"
};

static const struct language_value values[] = {
#define VALUE(id, ...) [LANGUAGE_##id] = {__VA_ARGS__},
#include "policy/language.def"
};

static const struct {
	enum word_list list;
	const char *word;
	int value;
} words[] = {
#define WORD(list, word, value) {WORDS_##list, word, value},
#include "policy/language.def"
};

static const struct {
	const char *keys, *needed;
} masks[MASK_COUNT] = {
#define MASK_TAKES(id, keys, needed) [MASK_##id] = {keys, needed},
#include "policy/language.def"
};

const char *language_object_name(enum language_object object)
{
	return objects[object].name;
}

const char *language_object_about(enum language_object object)
{
	return objects[object].about;
}

const struct language_key *language_key(enum language_object object, size_t i)
{
	for (size_t k = 0; k < COUNT_OF(keys); k++)
		if (keys[k].of == object && i-- == 0)
			return &keys[k].key;
	return NULL;
}

const char *language_later(enum language_object object, size_t i)
{
	for (size_t k = 0; k < COUNT_OF(later); k++)
		if (later[k].of == object && i-- == 0)
			return later[k].name;
	return NULL;
}

const struct language_value *language_value(enum language_value_id id)
{
	return &values[id];
}

bool language_has_key(enum language_object object, struct bytes name)
{
	for (size_t k = 0; k < COUNT_OF(keys); k++)
		if (keys[k].of == object && bytes_equal_str(name, keys[k].key.name))
			return true;
	return false;
}

bool language_has_later(enum language_object object, struct bytes name)
{
	for (size_t k = 0; k < COUNT_OF(later); k++)
		if (later[k].of == object && bytes_equal_str(name, later[k].name))
			return true;
	return false;
}

void language_put_keys(enum language_object object, struct buf *out)
{
	const struct language_key *key;

	for (size_t i = 0; (key = language_key(object, i)); i++)
		buf_put_format(out, "%s%s", i ? " " : "", key->name);
}

/* Those of the commands' table, and a word for all of them. */
static const char *action_word(size_t i, int *value)
{
	enum action action = ACTION_NONE;
	const char *name = action_name(i, &action);

	*value = name ? (int)action : (int)ACTIONS_ALL;
	if (name || (i && !action_name(i - 1, &action)))
		return name;
	return "all";
}

static const char *word_at(enum word_list list, size_t i, int *value)
{
	if (list == WORDS_ACTION)
		return action_word(i, value);
	for (size_t k = 0; k < COUNT_OF(words); k++) {
		if (words[k].list == list && i-- == 0) {
			*value = words[k].value;
			return words[k].word;
		}
	}
	return NULL;
}

const char *language_word(enum word_list list, size_t i)
{
	int value;

	return word_at(list, i, &value);
}

bool language_means(enum word_list list, struct bytes word, int *value)
{
	const char *known;
	int meaning = 0;

	for (size_t i = 0; (known = word_at(list, i, &meaning)); i++) {
		if (bytes_equal_str(word, known)) {
			*value = meaning;
			return true;
		}
	}
	return false;
}

const char *language_mask_name(enum mask_kind kind)
{
	return language_word(WORDS_MASK, (size_t)kind);
}

const char *language_mask_takes(enum mask_kind kind)
{
	return masks[kind].keys;
}

const char *language_mask_needs(enum mask_kind kind)
{
	return masks[kind].needed;
}

bool language_among(const char *list, struct bytes name)
{
	const char *at = list;

	while (*at) {
		size_t len = strcspn(at, " ");

		if (bytes_equal(bytes_of(at, len), name))
			return true;
		at += len;
		at += strspn(at, " ");
	}
	return false;
}
