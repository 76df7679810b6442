/* watch.h - notices that files have changed, by their status, without being told.
 *
 * A change counts once the files have stood still from one look to the next, so that a
 * file that is half written is not read.
 */
#ifndef PROXY_CLI_WATCH_H
#define PROXY_CLI_WATCH_H

#include "util/bytes.h"

struct watch;

struct watch *watch_new(void);
void watch_free(struct watch *w);
/* Forgets what is watched, then begins anew with the files as they are now. */
void watch_clear(struct watch *w);
void watch_add(struct watch *w, const char *path); /* a file, or a folder with all below */
/* To be called after the last watch_add, and then now and again. */
bool watch_changed(struct watch *w);

#endif
