/* init_files.h - the files of a fresh configuration folder. */
#ifndef PROXY_CLI_INIT_FILES_H
#define PROXY_CLI_INIT_FILES_H

#include "util/complaint.h"

struct init_request {
	const char *folder;
	const char *upstream_uri;
	const char *hostname;
	const char *listen; /* "address:port" */
	bool insecure_upstream;
	struct bytes password; /* of the upstream's user; empty: from the environment */
};

/* Makes the folder (it may be there, but must be empty) and everything in it but users.yaml.
 * False and complaints; what was made until then stays, so that the reason can be looked at. */
bool init_write_files(const struct init_request *r, struct complaints *complaints) MUST_CHECK;
/* Whether a user stands in the URI. */
bool init_names_user(const char *uri);
/* "FOLDER/NAME", to be freed. */
char *init_path(const struct init_request *r, const char *name);

#endif
