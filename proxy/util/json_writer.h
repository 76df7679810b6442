/* json_writer.h - writes nested JSON: commas, colons and indentation come by themselves.
 *
 * One value after another; within an object each has its key before it.  What does not fit
 * into `out` shows in its `failed`.
 */
#ifndef PROXY_UTIL_JSON_WRITER_H
#define PROXY_UTIL_JSON_WRITER_H

#include "util/buf.h"

#define JSON_DEPTH_MAX 64u /* of objects and arrays in each other */

struct json_writer {
	struct buf *out;
	bool pretty;     /* one value a line, two blanks for each depth */
	unsigned depth;  /* of what is open */
	uint64_t arrays; /* a bit each: whether it is an array */
	uint64_t filled; /* whether it has anything in it */
	bool keyed;      /* the value of a key comes next */
};

void json_begin_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end(struct json_writer *w); /* of what was begun last */
void json_key(struct json_writer *w, const char *name);
void json_key_of(struct json_writer *w, struct bytes name);

void json_text(struct json_writer *w, struct bytes text);
void json_word(struct json_writer *w, const char *text);
void json_number(struct json_writer *w, int64_t value);
void json_flag(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
/* A value that is JSON already. */
void json_value(struct json_writer *w, struct bytes json);

/* "key": value, within an object. */
void json_put_text(struct json_writer *w, const char *key, struct bytes text);
void json_put_word(struct json_writer *w, const char *key, const char *text);
void json_put_number(struct json_writer *w, const char *key, int64_t value);
void json_put_flag(struct json_writer *w, const char *key, bool value);

#endif
