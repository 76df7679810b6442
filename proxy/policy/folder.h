/* folder.h - the files of a policy folder: every *.yaml below it whose name begins with no dot.
 *
 * Both who reads a policy and who seals one go through here, so that they mean the same.
 */
#ifndef PROXY_POLICY_FOLDER_H
#define PROXY_POLICY_FOLDER_H

#include "util/complaint.h"

#define POLICY_FILES_MAX 1000u

/* `name` is below the folder, with '/' between its parts; all is borrowed for the call. */
typedef void policy_file_fn(void *context, const char *path, struct bytes name, struct bytes text);

/* Each file of at most YAML_FILE_MAX bytes, in an order that depends on names alone.  What cannot
 * be read is complained about, and so is a symbolic link unless `links`.  How many there are. */
size_t policy_folder_read(const char *folder, bool links, policy_file_fn *each, void *context,
	struct complaints *complaints);

#endif
