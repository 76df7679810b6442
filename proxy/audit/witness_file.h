/* witness_file.h - one witness: a file, or standard output. */
#ifndef PROXY_AUDIT_WITNESS_FILE_H
#define PROXY_AUDIT_WITNESS_FILE_H

#include "audit/witness.h"

struct witness_file {
	const char *path; /* borrowed; NULL: standard output */
	int fd;
	uint64_t size; /* up to the end of the last whole line */
	struct buf half;
	bool has_line;
	struct witnessed_line newest;
	struct buf waiting; /* whole lines that it lacks */
	bool failing;
	char why[160];
};

/* Opens, locks and reads the end. */
bool witness_file_open(struct witness_file *f, const char *path, const char *instance,
	struct complaints *complaints);
void witness_file_close(struct witness_file *f);
bool witness_file_cut_half(struct witness_file *f);
void witness_file_add(struct witness_file *f, struct bytes lines);
/* Writes what waits, line by line; what could not be written goes on waiting. */
void witness_file_write(struct witness_file *f);

#endif
