#include "util/json_writer.h"

#include <assert.h>

#include "util/json.h"

static uint64_t bit(unsigned depth)
{
	return UINT64_C(1) << (depth - 1);
}

static void put_line(struct json_writer *w)
{
	if (!w->pretty)
		return;
	buf_put_u8(w->out, '\n');
	for (unsigned i = 0; i < w->depth; i++)
		buf_put_str(w->out, "  ");
}

/* What stands between the last value, or key, and the next. */
static void begin_value(struct json_writer *w)
{
	if (w->keyed) {
		w->keyed = false;
		return;
	}
	if (!w->depth)
		return;
	if (w->filled & bit(w->depth))
		buf_put_u8(w->out, ',');
	w->filled |= bit(w->depth);
	put_line(w);
}

static void begin(struct json_writer *w, bool array)
{
	begin_value(w);
	assert(w->depth < JSON_DEPTH_MAX);
	w->depth++;
	w->filled &= ~bit(w->depth);
	w->arrays = array ? w->arrays | bit(w->depth) : w->arrays & ~bit(w->depth);
	buf_put_u8(w->out, array ? '[' : '{');
}

void json_begin_object(struct json_writer *w)
{
	begin(w, false);
}

void json_begin_array(struct json_writer *w)
{
	begin(w, true);
}

void json_end(struct json_writer *w)
{
	bool array, filled;

	assert(w->depth && !w->keyed);
	array = w->arrays & bit(w->depth);
	filled = w->filled & bit(w->depth);
	w->depth--;
	if (filled)
		put_line(w);
	buf_put_u8(w->out, array ? ']' : '}');
}

void json_key_of(struct json_writer *w, struct bytes name)
{
	assert(w->depth && !(w->arrays & bit(w->depth)) && !w->keyed);
	begin_value(w);
	json_put_string(w->out, name);
	buf_put_str(w->out, w->pretty ? ": " : ":");
	w->keyed = true;
}

void json_key(struct json_writer *w, const char *name)
{
	json_key_of(w, bytes_str(name));
}

void json_value(struct json_writer *w, struct bytes json)
{
	begin_value(w);
	buf_put(w->out, json);
}

void json_text(struct json_writer *w, struct bytes text)
{
	begin_value(w);
	json_put_string(w->out, text);
}

void json_word(struct json_writer *w, const char *text)
{
	json_text(w, bytes_str(text));
}

void json_number(struct json_writer *w, int64_t value)
{
	begin_value(w);
	buf_put_format(w->out, "%lld", (long long)value);
}

void json_flag(struct json_writer *w, bool value)
{
	json_value(w, bytes_str(value ? "true" : "false"));
}

void json_null(struct json_writer *w)
{
	json_value(w, bytes_str("null"));
}

void json_put_text(struct json_writer *w, const char *key, struct bytes text)
{
	json_key(w, key);
	json_text(w, text);
}

void json_put_word(struct json_writer *w, const char *key, const char *text)
{
	json_put_text(w, key, bytes_str(text));
}

void json_put_number(struct json_writer *w, const char *key, int64_t value)
{
	json_key(w, key);
	json_number(w, value);
}

void json_put_flag(struct json_writer *w, const char *key, bool value)
{
	json_key(w, key);
	json_flag(w, value);
}
