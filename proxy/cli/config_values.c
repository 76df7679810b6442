#include "cli/config_values.h"

#include <stdio.h>

#define NAME_LEN_MAX 63u

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{"", 1}, {"B", 1}, {"kB", 1000}, {"MB", 1000000}, {"GB", 1000000000}};
static const struct unit durations[] = {
	{"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000}};

/* Digits, then a unit; no sign, no blank, no overflow. */
static bool parse_with_unit(const char *text, const struct unit *units, size_t n, uint64_t *value)
{
	uint64_t number = 0;
	size_t digits = strspn(text, "0123456789");

	if (!digits)
		return false;
	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(number, (uint64_t)10, &number) ||
			__builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number))
			return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(text + digits, units[i].name) == 0)
			return !__builtin_mul_overflow(number, units[i].factor, value);
	return false;
}

bool config_parse_size(const char *text, uint64_t *bytes)
{
	return parse_with_unit(text, sizes, COUNT_OF(sizes), bytes);
}

bool config_parse_duration(const char *text, uint64_t *us)
{
	return parse_with_unit(text, durations, COUNT_OF(durations), us);
}

bool config_is_name_character(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool config_is_name(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (!config_is_name_character(text[i]))
			return false;
	return len && len <= NAME_LEN_MAX && text[0] != '.' && text[0] != '_' && text[0] != '-';
}

static void store(struct config *c, const struct config_row *row, uint64_t value)
{
	uint8_t *at = (uint8_t *)c + row->offset;
	uint32_t narrow = (uint32_t)value;
	uint8_t byte = (uint8_t)value;

	if (row->size == sizeof(value))
		memcpy(at, &value, sizeof(value));
	else if (row->size == sizeof(narrow))
		memcpy(at, &narrow, sizeof(narrow));
	else
		memcpy(at, &byte, sizeof(byte));
}

void config_put_number(char *out, size_t size, enum config_kind kind, uint64_t value)
{
	const struct unit *units = kind == CONFIG_DURATION ? durations : sizes;
	size_t n = kind == CONFIG_DURATION ? COUNT_OF(durations) : COUNT_OF(sizes), i = n - 1;

	while (i > 0 && (!value || value % units[i].factor))
		i--;
	if (kind == CONFIG_COUNT)
		i = 0;
	snprintf(out, size, "%llu%s", (unsigned long long)(value / units[i].factor), units[i].name);
}

static bool set_number(struct config *c, const struct config_row *row, uint64_t value,
	const char *text, struct place at, struct complaints *complaints)
{
	char low[32], high[32];

	if (value >= row->low && value <= row->high) {
		store(c, row, value);
		return true;
	}
	config_put_number(low, sizeof(low), row->kind, row->low);
	config_put_number(high, sizeof(high), row->kind, row->high);
	return complain(complaints, at, NULL, "'%s' is %s; %s to %s are allowed", row->path, text,
		low, high);
}

static bool set_count(struct config *c, const struct config_row *row, const char *text,
	struct place at, struct complaints *complaints)
{
	uint64_t value;

	if (strcmp(text, "auto") == 0 && row->default_text &&
		strcmp(row->default_text, "auto") == 0) {
		store(c, row, 0);
		return true;
	}
	if (!parse_with_unit(text, sizes, 1, &value))
		return complain(complaints, at, NULL, "'%s' needs a whole number", row->path);
	return set_number(c, row, value, text, at, complaints);
}

static bool set_scaled(struct config *c, const struct config_row *row, const char *text,
	struct place at, struct complaints *complaints)
{
	bool size = row->kind == CONFIG_SIZE;
	uint64_t value;

	if (!(size ? config_parse_size : config_parse_duration)(text, &value))
		return complain(complaints, at, size ? "48MB, 256kB" : "500ms, 2s, 10m, 24h",
			"'%s' needs a %s", row->path, size ? "size" : "time");
	return set_number(c, row, value, text, at, complaints);
}

static bool set_flag(struct config *c, const struct config_row *row, const char *text,
	struct place at, struct complaints *complaints)
{
	bool yes = strcmp(text, "true") == 0;

	if (!yes && strcmp(text, "false") != 0)
		return complain(complaints, at, NULL, "'%s' is true or false", row->path);
	store(c, row, yes);
	return true;
}

static bool set_word(struct config *c, const struct config_row *row, const char *text,
	struct place at, struct complaints *complaints)
{
	const char *word = row->words;

	for (uint64_t i = 0; *word; i++) {
		size_t len = strcspn(word, " ");

		if (strlen(text) == len && memcmp(word, text, len) == 0) {
			store(c, row, i);
			return true;
		}
		word += len;
		word += strspn(word, " ");
	}
	return complain(
		complaints, at, row->words, "'%s' cannot be '%s' in this version", row->path, text);
}

static bool set_list(struct config *c, const struct config_row *row, const char *text)
{
	struct config_list list = {0};
	size_t n = 1;

	for (const char *p = text; *p; p++)
		n += *p == ',';
	list.at = arena_array(&c->arena, n, sizeof(*list.at));
	while (*text) {
		size_t len = strcspn(text, ",");

		if (len)
			list.at[list.count++] = arena_text(&c->arena, bytes_of(text, len));
		text += len + (text[len] == ',');
	}
	memcpy((uint8_t *)c + row->offset, &list, sizeof(list));
	return true;
}

bool config_set(struct config *c, const struct config_row *row, const char *text, struct place at,
	struct complaints *complaints)
{
	switch (row->kind) {
	case CONFIG_TEXT:
	case CONFIG_PATH:
		memcpy((uint8_t *)c + row->offset, &text, sizeof(text));
		return true;
	case CONFIG_FLAG:
		return set_flag(c, row, text, at, complaints);
	case CONFIG_COUNT:
		return set_count(c, row, text, at, complaints);
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		return set_scaled(c, row, text, at, complaints);
	case CONFIG_WORD:
		return set_word(c, row, text, at, complaints);
	case CONFIG_LIST:
		return set_list(c, row, text);
	}
	return false;
}
