#include "transform/noise.h"

#include <stdio.h>

#define UNIT (1.0 / 9007199254740992.0) /* 2^-53 */

static struct bytes text_bytes(const char *text)
{
	return bytes_of(text, strlen(text) + 1);
}

/* 8 bits for the whole part, 53 for the rest. */
static int64_t whole_of(const struct token *t)
{
	return __builtin_popcount(t->bytes[0]) - NOISE_LAYER_MAX;
}

static double unit_of(const struct token *t)
{
	return (double)(load_u64(t->bytes + 8) >> 11) * UNIT;
}

void noise_of(const struct noise_source *source, const struct token *answer,
	const struct subject_set *set, const char *what, struct bytes path, double value,
	struct noise *noise)
{
	struct token set_layer, question_layer;
	struct bytes parts[9];
	char number[32];
	uint8_t who[24];
	size_t n = 0;

	/* A server may add the same numbers up in another order. */
	snprintf(number, sizeof(number), "%.8e", value);
	store_u64(who, (uint64_t)set->n);
	store_u64(who + 8, (uint64_t)set->keys);
	store_u64(who + 16, source->ns.len);
	parts[n++] = bytes_of(who, sizeof(who));
	parts[n++] = source->ns;
	parts[n++] = text_bytes(what);
	parts[n++] = text_bytes(number);
	parts[n++] = path;
	master_token(source->master, TOKEN_STATISTICS, parts, n, &set_layer);
	parts[n++] = text_bytes("");
	parts[n++] = bytes_of(source->question.bytes, TOKEN_LEN);
	parts[n++] = bytes_of(answer->bytes, TOKEN_LEN);
	master_token(source->master, TOKEN_STATISTICS, parts, n, &question_layer);
	noise->whole = whole_of(&set_layer) + whole_of(&question_layer);
	noise->real = (double)noise->whole + unit_of(&set_layer) + unit_of(&question_layer) - 1;
	noise->share = unit_of(&set_layer);
}
