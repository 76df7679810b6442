/* complaint.h - what is wrong with a file that a person wrote.
 *
 * Checks go on after the first mistake, so that one run names all of them, each as
 * one line `file:line:column: what is wrong (what to do)`.
 */
#ifndef PROXY_UTIL_COMPLAINT_H
#define PROXY_UTIL_COMPLAINT_H

#include "util/buf.h"

#define COMPLAINTS_MAX 100 /* further ones are counted, not kept */

struct complaints {
	struct buf lines; /* each ended by LF */
	size_t count;
};

struct place {
	const char *file; /* borrowed for as long as whatever keeps the place */
	unsigned line;    /* from 1; 0 when the file as a whole is meant */
	unsigned column;  /* from 1 */
};

void complaints_init(struct complaints *c);
void complaints_fini(struct complaints *c);

/* Adds a line and returns false.  `hint` says what to do; NULL for none. */
bool complain(struct complaints *c, struct place at, const char *hint, const char *what_format, ...)
	PRINTF_LIKE(4, 5);

#endif
