/* seal_inside.h - a seal's parts; private to seal.c and seal_file.c. */
#ifndef PROXY_POLICY_SEAL_INSIDE_H
#define PROXY_POLICY_SEAL_INSIDE_H

#include "policy/seal.h"
#include "util/arena.h"

struct sealed_file {
	struct bytes name;
	uint8_t hash[SEAL_HASH_LEN];
};

struct seal_signature {
	uint8_t signer[SIGNING_PUBLIC_LEN];
	uint8_t signature[SIGNATURE_LEN];
};

struct seal {
	struct arena arena; /* names */
	struct seal_facts facts;
	struct sealed_file *files; /* by name */
	size_t nfiles, files_capacity;
	struct seal_signature signatures[SEAL_SIGNATURES_MAX];
	size_t nsignatures;
};

struct seal *seal_make(const struct seal_facts *facts);
/* Whether it is printable UTF-8, without a backslash and not too long. */
bool seal_name_is_fine(struct bytes name);
/* Copies the name. */
void seal_add_file(struct seal *s, struct bytes name, const uint8_t hash[SEAL_HASH_LEN]);
/* Puts the files in order, once all are there. */
void seal_sort(struct seal *s);

#endif
