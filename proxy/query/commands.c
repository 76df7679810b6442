#include "query/commands.h"

#include <pthread.h>

#include "util/memory.h"
#include "util/words.h"

static const struct command_row rows[] = {
#define COMMAND(id, name, aliases, on, action, how, fields) \
	{COMMAND_##id, name, aliases, ON_##on, ACTION_##action, HOW_##how, fields},
#include "query/commands.def"
#undef COMMAND
};

static const char *const refused[] = {
#define REFUSED(name) name,
#include "query/refused.def"
#undef REFUSED
};

static const struct bytes generic_fields[] = {
#define COMMAND(id, name, aliases, on, action, how, fields)
#define GENERIC_FIELD(name) BYTES_LITERAL(name),
#include "query/commands.def"
#undef COMMAND
#undef GENERIC_FIELD
};

/* Which commands have a field of some name. */
struct known_field {
	uint64_t commands; /* a bit for each, by its id */
	bool generic;      /* any may have it */
};
_Static_assert(COMMAND_COUNT_OF_IDS <= 64, "a bit for each command");

static struct words known, unwanted, fields;
static pthread_once_t words_once = PTHREAD_ONCE_INIT;

static bool next_word(struct bytes *words, struct bytes *word)
{
	const uint8_t *blank = words->len ? memchr(words->at, ' ', words->len) : NULL;

	*word = blank ? bytes_of(words->at, (size_t)(blank - words->at)) : *words;
	*words = bytes_from(*words, word->len + 1);
	return word->len != 0;
}

static struct known_field *field_named(struct bytes name)
{
	union {
		const void *found;
		struct known_field *field;
	} place = {.found = words_find(&fields, name)}; /* it is ours: while filling, not const */

	if (!place.found) {
		place.field = memory_new(sizeof(*place.field));
		words_add(&fields, name, place.field);
	}
	return place.field;
}

static void fill_words(void)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct bytes left = bytes_str(rows[i].aliases), word;

		words_add(&known, bytes_str(rows[i].name), &rows[i]);
		while (next_word(&left, &word))
			words_add(&known, word, &rows[i]);
		left = bytes_str(rows[i].fields);
		while (next_word(&left, &word))
			field_named(word)->commands |= UINT64_C(1) << rows[i].id;
	}
	for (size_t i = 0; i < COUNT_OF(generic_fields); i++)
		field_named(generic_fields[i])->generic = true;
	for (size_t i = 0; i < COUNT_OF(refused); i++)
		words_add(&unwanted, bytes_str(refused[i]), &refused[i]);
}

const struct command_row *command_look_up(struct bytes name)
{
	pthread_once(&words_once, fill_words);
	return words_find(&known, name);
}

const struct command_row *command_row(enum command_id id)
{
	return &rows[id];
}

bool command_is_refused(struct bytes name)
{
	pthread_once(&words_once, fill_words);
	return words_find(&unwanted, name) != NULL;
}

bool command_field_is_generic(struct bytes name)
{
	const struct known_field *field;

	pthread_once(&words_once, fill_words);
	field = words_find(&fields, name);
	return field && field->generic;
}

static bool has_field(const struct command_row *row, struct bytes name, bool in_body)
{
	const struct known_field *field = words_find(&fields, name);

	return field && ((in_body && field->generic) || (field->commands >> row->id & 1));
}

bool command_field_is_known(const struct command_row *row, struct bytes name)
{
	pthread_once(&words_once, fill_words);
	return has_field(row, name, true);
}

bool command_check_fields(const struct command_row *row, const struct command *c, struct fault *why)
{
	if (row->fields[0] == '*')
		return true;
	pthread_once(&words_once, fill_words);
	for (size_t i = 1; i < c->nfields; i++)
		if (!has_field(row, c->fields[i].name, true))
			return fault_name(why, FAULT_UNKNOWN_FIELD, c->fields[i].name);
	for (size_t i = 0; i < c->nseq; i++)
		if (!has_field(row, c->seq[i].name, false))
			return fault_name(why, FAULT_UNKNOWN_FIELD, c->seq[i].name);
	return true;
}

const char *action_name(size_t i, enum action *action)
{
	static const struct {
		const char *name;
		enum action action;
	} names[] = {
		{"read", ACTION_READ},
		{"insert", ACTION_INSERT},
		{"update", ACTION_UPDATE},
		{"delete", ACTION_DELETE},
		{"index", ACTION_INDEX},
		{"ddl", ACTION_DDL},
		{"metadata", ACTION_METADATA},
		{"explain", ACTION_EXPLAIN},
	};

	if (i >= COUNT_OF(names))
		return NULL;
	*action = names[i].action;
	return names[i].name;
}
