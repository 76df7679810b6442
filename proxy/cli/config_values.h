/* config_values.h - texts of options as values; private to config. */
#ifndef PROXY_CLI_CONFIG_VALUES_H
#define PROXY_CLI_CONFIG_VALUES_H

#include "cli/config.h"

enum config_kind {
	CONFIG_TEXT,
	CONFIG_PATH,
	CONFIG_FLAG,
	CONFIG_COUNT,
	CONFIG_SIZE,
	CONFIG_DURATION,
	CONFIG_WORD,
	CONFIG_LIST,
};

struct config_row {
	const char *path;
	enum config_kind kind;
	size_t offset, size; /* of the member of struct config */
	const char *default_text;
	uint64_t low, high;
	const char *words; /* told apart by blanks; their number is the value */
	bool reload;
};
extern const struct config_row config_rows[];
extern const size_t config_nrows;

/* Sets the row's member; false and a complaint when the text is none of its kind. */
bool config_set(struct config *c, const struct config_row *row, const char *text, struct place at,
	struct complaints *complaints);

/* "256MB" is 256,000,000; "10m" is 600,000,000 microseconds.  False: it is neither. */
bool config_parse_size(const char *text, uint64_t *bytes);
bool config_parse_duration(const char *text, uint64_t *us);

/* The other way round, in the largest unit that divides the value. */
void config_put_number(char *out, size_t size, enum config_kind kind, uint64_t value);

bool config_is_name_character(char c);
bool config_is_name(const char *text); /* of an audit chain */

#endif
