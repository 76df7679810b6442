/* audit_fixture.h - what tests over the audit vectors share. */
#ifndef TESTS_UNIT_AUDIT_FIXTURE_H
#define TESTS_UNIT_AUDIT_FIXTURE_H

#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "audit/batch.h"
#include "audit/chain.h"

/* Goes to the folder of the vectors: their paths are relative to it. */
static inline bool enter_vectors(void)
{
	const char *srcdir = getenv("srcdir");
	char folder[4096];

	snprintf(folder, sizeof(folder), "%s/tests/data/audit-vectors", srcdir ? srcdir : ".");
	return sodium_init() >= 0 && chdir(folder) == 0;
}

/* The piece within a whole line, judged as the verifier judges it; `line` points into `out`. */
static inline void judge_piece(const struct batch *b, size_t piece, struct line_parser *parser,
	struct buf *out, struct line *line)
{
	static const uint8_t public_key[32] = {1};
	struct stamp stamp;
	struct chain c;

	buf_clear(out);
	chain_init(&c, "mw-1", public_key);
	chain_stamp(&c, 1763889164018231, &stamp);
	chain_put(&c, out, &stamp, b->pieces[piece].event, batch_text(b, &b->pieces[piece]));
	assert_false(out->failed);
	out->len--; /* its LF */
	if (!line_parse(parser, buf_bytes(out), line))
		fail_msg("%s: %.*s", parser->why, (int)(out->len < 2000 ? out->len : 2000),
			(const char *)out->at);
	assert_int_equal(line->event, b->pieces[piece].event);
}

#endif
