#include "query/commands.h"

#include <pthread.h>

#include "util/map.h"

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

static struct map known, unwanted;
static pthread_once_t maps_once = PTHREAD_ONCE_INIT;

static bool next_word(struct bytes *words, struct bytes *word)
{
	const uint8_t *blank = words->len ? memchr(words->at, ' ', words->len) : NULL;

	*word = blank ? bytes_of(words->at, (size_t)(blank - words->at)) : *words;
	*words = bytes_from(*words, word->len + 1);
	return word->len != 0;
}

static bool has_word(struct bytes words, struct bytes wanted)
{
	struct bytes word;

	while (next_word(&words, &word))
		if (bytes_equal(word, wanted))
			return true;
	return false;
}

static void fill_maps(void)
{
	union {
		const void *row;
		void *value;
	} entry; /* a map keeps non-const pointers */

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct bytes aliases = bytes_str(rows[i].aliases), alias;

		entry.row = &rows[i];
		map_set(&known, bytes_str(rows[i].name), entry.value);
		while (next_word(&aliases, &alias))
			map_set(&known, alias, entry.value);
	}
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		entry.row = &refused[i];
		map_set(&unwanted, bytes_str(refused[i]), entry.value);
	}
}

const struct command_row *command_look_up(struct bytes name)
{
	pthread_once(&maps_once, fill_maps);
	return map_get(&known, name);
}

const struct command_row *command_row(enum command_id id)
{
	return &rows[id];
}

bool command_is_refused(struct bytes name)
{
	pthread_once(&maps_once, fill_maps);
	return map_get(&unwanted, name) != NULL;
}

static bool is_generic(struct bytes name)
{
	for (size_t i = 0; i < COUNT_OF(generic_fields); i++)
		if (bytes_equal(name, generic_fields[i]))
			return true;
	return false;
}

bool command_field_is_known(const struct command_row *row, struct bytes name)
{
	return is_generic(name) || has_word(bytes_str(row->fields), name);
}

bool command_check_fields(const struct command_row *row, const struct command *c, struct fault *why)
{
	if (row->fields[0] == '*')
		return true;
	for (size_t i = 1; i < c->nfields; i++)
		if (!command_field_is_known(row, c->fields[i].name))
			return fault_name(why, FAULT_UNKNOWN_FIELD, c->fields[i].name);
	for (size_t i = 0; i < c->nseq; i++)
		if (!has_word(bytes_str(row->fields), c->seq[i].name))
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
