/* users_file.h - what reading and changing users.yaml share. */
#ifndef PROXY_AUTH_USERS_FILE_H
#define PROXY_AUTH_USERS_FILE_H

#include "auth/users.h"

#define USERS_MAX            100000u
#define USER_LIST_MAX        64u    /* roles, and attributes, of one user */
#define USER_TEXT_MAX        256u   /* bytes of a role, a purpose, an attribute's name or value */
#define USER_SUBJECT_MAX     1024u  /* bytes of a certificate's subject */
#define SCRAM_ITERATIONS     15000u /* of new passwords, as MongoDB's own */
#define SCRAM_ITERATIONS_MIN 4096u
#define SCRAM_ITERATIONS_MAX 1000000u
#define SCRAM_SALT_LEN       28u /* of new passwords */
#define SCRAM_SALT_MAX       64u

/* As users_load, from bytes.  `file` is copied. */
struct users *users_parse(const char *file, struct bytes text, struct complaints *complaints);

/* The file's bytes; absent is an error.  False and a complaint when it cannot be read, is
 * too large, or can be written by others than its owner. */
bool users_read_file(const char *file, struct buf *out, struct complaints *complaints) MUST_CHECK;

/* What is wrong with a name or value; NULL when nothing is. */
const char *user_text_wrong(struct bytes text, size_t max);

#endif
