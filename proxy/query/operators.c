#include "query/operators.h"

#include <pthread.h>

#include "util/words.h"

struct row {
	const char *name;
	int treatment;
};

#define FILTER(name, treatment)
#define LOGICAL(name, treatment)
#define EXPRESSION(name, treatment)
#define ACCUMULATOR(name, treatment)
#define UPDATE(name, treatment)
#define STAGE(name, treatment)
#define VARIABLE(name, treatment)

static const struct row filters[] = {
#undef FILTER
#define FILTER(name, treatment) {name, FILTER_##treatment},
#include "query/operators.def"
#undef FILTER
#define FILTER(name, treatment)
};

static const struct row logicals[] = {
#undef LOGICAL
#define LOGICAL(name, treatment) {name, LOGICAL_##treatment},
#include "query/operators.def"
#undef LOGICAL
#define LOGICAL(name, treatment)
};

static const struct row expressions[] = {
#undef EXPRESSION
#define EXPRESSION(name, treatment) {name, EXPRESSION_##treatment},
#include "query/operators.def"
#undef EXPRESSION
#define EXPRESSION(name, treatment)
};

static const struct row accumulators[] = {
#undef ACCUMULATOR
#define ACCUMULATOR(name, treatment) {name, ACCUMULATOR_##treatment},
#include "query/operators.def"
#undef ACCUMULATOR
#define ACCUMULATOR(name, treatment)
};

static const struct row updates[] = {
#undef UPDATE
#define UPDATE(name, treatment) {name, UPDATE_##treatment},
#include "query/operators.def"
#undef UPDATE
#define UPDATE(name, treatment)
};

static const struct row stages[] = {
#undef STAGE
#define STAGE(name, treatment) {name, STAGE_##treatment},
#include "query/operators.def"
#undef STAGE
#define STAGE(name, treatment)
};

static const struct row variables[] = {
#undef VARIABLE
#define VARIABLE(name, treatment) {name, VARIABLE_##treatment},
#include "query/operators.def"
#undef VARIABLE
#define VARIABLE(name, treatment)
};

enum table { FILTERS, LOGICALS, EXPRESSIONS, ACCUMULATORS, UPDATES, STAGES, VARIABLES, TABLES };

static const struct {
	const struct row *rows;
	size_t count;
} sources[TABLES] = {
	[FILTERS] = {filters, COUNT_OF(filters)},
	[LOGICALS] = {logicals, COUNT_OF(logicals)},
	[EXPRESSIONS] = {expressions, COUNT_OF(expressions)},
	[ACCUMULATORS] = {accumulators, COUNT_OF(accumulators)},
	[UPDATES] = {updates, COUNT_OF(updates)},
	[STAGES] = {stages, COUNT_OF(stages)},
	[VARIABLES] = {variables, COUNT_OF(variables)},
};

static struct words words[TABLES];
static pthread_once_t words_once = PTHREAD_ONCE_INIT;

static void fill_words(void)
{
	for (size_t t = 0; t < TABLES; t++)
		for (size_t i = 0; i < sources[t].count; i++)
			words_add(
				&words[t], bytes_str(sources[t].rows[i].name), &sources[t].rows[i]);
}

/* 0, which every enum calls unknown, when the table has no such row. */
static int look_up(enum table t, struct bytes name)
{
	const struct row *row;

	pthread_once(&words_once, fill_words);
	row = words_find(&words[t], name);
	return row ? row->treatment : 0;
}

enum filter_treatment filter_operator(struct bytes name)
{
	return (enum filter_treatment)look_up(FILTERS, name);
}

enum logical_treatment logical_operator(struct bytes name)
{
	return (enum logical_treatment)look_up(LOGICALS, name);
}

enum expression_treatment expression_operator(struct bytes name)
{
	return (enum expression_treatment)look_up(EXPRESSIONS, name);
}

enum accumulator_treatment accumulator_operator(struct bytes name)
{
	return (enum accumulator_treatment)look_up(ACCUMULATORS, name);
}

enum update_treatment update_operator(struct bytes name)
{
	return (enum update_treatment)look_up(UPDATES, name);
}

enum stage_treatment stage_operator(struct bytes name)
{
	return (enum stage_treatment)look_up(STAGES, name);
}

enum variable_treatment system_variable(struct bytes name)
{
	return (enum variable_treatment)look_up(VARIABLES, name);
}

bool operator_is_known(struct bytes name)
{
	for (int t = 0; t < VARIABLES; t++)
		if (look_up((enum table)t, name))
			return true;
	return false;
}

static const char *const refused[] = {
#define REFUSED_OPERATOR(kind, name) name,
#include "query/refused_operators.def"
#undef REFUSED_OPERATOR
};

bool operator_exists(struct bytes name)
{
	if (operator_is_known(name))
		return true;
	for (size_t i = 0; i < COUNT_OF(refused); i++)
		if (bytes_equal_str(name, refused[i]))
			return true;
	return false;
}
