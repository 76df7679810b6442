/* log.h - what operators read: one line an event, on standard error.
 *
 * Text or JSON lines.  A caller never passes a patient's value, a key or a
 * password; names from outside are made printable here.  Safe from any thread.
 */
#ifndef PROXY_UTIL_LOG_H
#define PROXY_UTIL_LOG_H

#include "util/bytes.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* Before other threads start, or on reload.  Defaults: LOG_INFO, LOG_TEXT. */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* `who` names a part ("audit", "upstream") or a connection ("conn 12"). */
void log_write(enum log_level level, const char *who, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(who, ...)   log_write(LOG_ERROR, who, __VA_ARGS__)
#define log_warning(who, ...) log_write(LOG_WARNING, who, __VA_ARGS__)
#define log_info(who, ...)    log_write(LOG_INFO, who, __VA_ARGS__)
#define log_debug(who, ...)                                     \
	do {                                                    \
		if (log_enabled(LOG_DEBUG))                     \
			log_write(LOG_DEBUG, who, __VA_ARGS__); \
	} while (0)

#endif
