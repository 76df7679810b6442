/* commands.h - looks commands.def up. */
#ifndef PROXY_QUERY_COMMANDS_H
#define PROXY_QUERY_COMMANDS_H

#include "wire/command.h"

enum command_id {
#define COMMAND(id, name, aliases, on, action, how, fields) COMMAND_##id,
#include "query/commands.def"
#undef COMMAND
	COMMAND_COUNT_OF_IDS
};

enum command_on { ON_NOTHING, ON_COLLECTION, ON_DATABASE };

/* What a grant allows; bits of a set. */
enum action {
	ACTION_NONE = 0,
	ACTION_READ = 1u << 0,
	ACTION_INSERT = 1u << 1,
	ACTION_UPDATE = 1u << 2,
	ACTION_DELETE = 1u << 3,
	ACTION_INDEX = 1u << 4,
	ACTION_DDL = 1u << 5,
	ACTION_METADATA = 1u << 6,
	ACTION_EXPLAIN = 1u << 7,
};
#define ACTIONS_ALL 0xffu

enum command_how {
	HOW_LOCAL,   /* answered here, also before a login */
	HOW_OWN,     /* answered here */
	HOW_READ,    /* recorded as access, before the answer */
	HOW_WRITE,   /* an intent is recorded before it is forwarded */
	HOW_SESSION, /* forwarded or answered, and only counted */
};

struct command_row {
	enum command_id id;
	const char *name;
	const char *aliases;
	enum command_on on;
	enum action action;
	enum command_how how;
	const char *fields;
};

/* By its name or an alias; NULL when it is not carried out here. */
const struct command_row *command_look_up(struct bytes name);
const struct command_row *command_row(enum command_id id);
/* Whether MongoDB has such a command, though it is not carried out here. */
bool command_is_refused(struct bytes name);
/* Refuses a field that the command may not have.  Sequences count as fields. */
bool command_check_fields(
	const struct command_row *row, const struct command *c, struct fault *why) MUST_CHECK;
/* Whether every command may have a field of that name. */
bool command_field_is_generic(struct bytes name);
/* Whether any command has a field of that name: such names may stand in records. */
bool command_field_is_known(const struct command_row *row, struct bytes name);

/* "read", "insert", …; NULL at the end of the table. */
const char *action_name(size_t i, enum action *action);

#endif
