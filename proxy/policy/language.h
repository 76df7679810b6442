/* language.h - looks language.def up: keys, words and values of policy files.
 *
 * What is said here of values is what can be said of one by itself: whether a class exists
 * or a role stands twice is the loader's.
 */
#ifndef PROXY_POLICY_LANGUAGE_H
#define PROXY_POLICY_LANGUAGE_H

#include "policy/model.h"
#include "util/buf.h"

#define POLICY_VERSION                1    /* of the language */
#define LANGUAGE_KEEP_MAX             1000 /* characters that a partial mask keeps, at either end */
#define LANGUAGE_EDGES_MAX            100
#define LANGUAGE_LIMIT_MAX            1000000000000ll
/* Of a break-glass. */
#define LANGUAGE_GLASS_SUBJECTS_MAX   100
#define LANGUAGE_GLASS_PER_DAY_MAX    10000
#define LANGUAGE_GLASS_UNREVIEWED_MAX 10000

/* Regular expressions of the kind that JSON Schema has. */
#define LANGUAGE_PATH_PATTERN          "^(?!__mw(\\.|$))(?!\\$)[^.]+(\\.(?![0-9]+(\\.|$))(?!\\$)[^.]+)*$"
#define LANGUAGE_NAMESPACE_PATTERN     "^(?!(admin|local|config|\\$external)\\.)[^.]+\\..+$"
#define LANGUAGE_CLASS_OR_PATH_PATTERN "^[^.]+$|" LANGUAGE_PATH_PATTERN

enum language_object {
#define OBJECT(id, name, about) LANGUAGE_OBJECT_##id,
#include "policy/language.def"
	LANGUAGE_OBJECT_COUNT
};

enum language_value_id {
#define VALUE(id, ...) LANGUAGE_##id,
#include "policy/language.def"
	LANGUAGE_VALUE_COUNT
};

enum word_list {
	WORDS_TYPE,      /* enum element_type */
	WORDS_ALGORITHM, /* whether it is deterministic */
	WORDS_CLEARANCE, /* enum clearance */
	WORDS_MASK,      /* enum mask_kind */
	WORDS_SCOPE_OF_VIEW,
	WORDS_SCOPE_OF_ROLE,
	WORDS_UNIT,    /* enum mask_unit */
	WORDS_QUASI,   /* enum quasi_kind */
	WORDS_AUTH,    /* enum auth_method */
	WORDS_MODE,    /* whether it is only observed */
	WORDS_OUTCOME, /* whether it is allowed */
	WORDS_ACTION,  /* enum action, or all of them */
};

enum value_kind {
	VALUE_VERSION,
	VALUE_TEXT,        /* a scalar that is not empty, read as text: as `pattern` has it */
	VALUE_STRING,      /* the same of something that is no number */
	VALUE_WORD,        /* one of `words` */
	VALUE_FLAG,        /* true or false */
	VALUE_WHOLE,       /* a number from `low` to `high` */
	VALUE_NUMBER,      /* any */
	VALUE_POSITIVE_OR, /* a number over 0, or an `of` */
	VALUE_SINGLE,      /* a scalar, or nothing */
	VALUE_LIST,        /* `low` to `high` of `of` */
	VALUE_MAP,         /* likewise, each under a name that `pattern` fits */
	VALUE_OBJECT,      /* an `object` */
	VALUE_OBJECT_OR,   /* that, or an `of` */
	VALUE_FILTER,      /* what match.h understands; of at least `low` conditions */
	VALUE_DOCUMENT,    /* a mapping with anything in it */
	VALUE_ANYTHING,
};

struct language_value {
	enum value_kind kind;
	enum language_value_id of;
	enum language_object object;
	enum word_list words;
	int64_t low, high; /* 0: no limit; `high` of a text: characters */
	const char *pattern;
};

struct language_key {
	const char *name;
	bool needed;
	enum language_value_id value;
	const char *about;
};

/* Name and meaning of an object; its keys, in order, NULL at the end. */
const char *language_object_name(enum language_object object);
const char *language_object_about(enum language_object object);
const struct language_key *language_key(enum language_object object, size_t i);
/* Its keys that this build does not enforce; NULL at the end. */
const char *language_later(enum language_object object, size_t i);
const struct language_value *language_value(enum language_value_id id);

bool language_has_key(enum language_object object, struct bytes name);
bool language_has_later(enum language_object object, struct bytes name);
/* "a b c", for people. */
void language_put_keys(enum language_object object, struct buf *out);

/* The words of a list, NULL at its end; what one means.  False when it is none of them, and
 * *value as it was. */
const char *language_word(enum word_list list, size_t i);
bool language_means(enum word_list list, struct bytes word, int *value);

const char *language_mask_name(enum mask_kind kind);
/* Keys, blanks between them: those that a mask takes, and the one that it needs (or none). */
const char *language_mask_takes(enum mask_kind kind);
const char *language_mask_needs(enum mask_kind kind);
/* Whether `name` is one of the words, which blanks tell apart. */
bool language_among(const char *words, struct bytes name);

#endif
