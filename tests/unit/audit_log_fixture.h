/* audit_log_fixture.h - a log in a folder of its own, with a witness, for tests that write it. */
#ifndef TESTS_UNIT_AUDIT_LOG_FIXTURE_H
#define TESTS_UNIT_AUDIT_LOG_FIXTURE_H

#include "unit.h"

#include <stdatomic.h>

#include "audit/audit.h"

/* Paths below a new folder `root`; set by set_up. */
extern char root[64];
extern char folder[96], witness[96], key_file[96], public_key[96];

int set_up(void **state);
int tear_down(void **state);

struct audit_config config_of(enum audit_durability durability);
void remove_tree(const char *path);
/* At most the first `len` bytes. */
void copy_file(const char *from, const char *to, size_t len);

/* NULL: refused, and `why` says why. */
struct audit *open_log(const struct audit_config *config, char why[512]);
struct audit *open_fine(const struct audit_config *config);
void expect_refused(const struct audit_config *config, const char *part);

struct outcome {
	atomic_uint durable, failed;
};

/* `o` NULL: nobody waits. */
void submit(struct audit_ring *r, struct outcome *o, enum audit_event event, int32_t code);
void submit_as_it_is(struct audit_ring *r, struct outcome *o, const struct audit_record *record);
/* Waits for what it means: that all are called back. */
void settle(struct audit_ring *r, struct outcome *o, unsigned n);
/* Opens, writes so many and closes. */
void write_some(const struct audit_config *config, unsigned n);
/* The log as it stands is whole and proven by its witness. */
void expect_verified(uint64_t gaps);

#endif
