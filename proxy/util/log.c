#include "util/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/json.h"
#include "util/utf8.h"

#define LINE_MAX_BYTES 4096u
#define TEXT_MAX       1024u

static atomic_int current_level = LOG_INFO;
static atomic_int current_format = LOG_TEXT;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void log_configure(enum log_level level, enum log_format format)
{
	atomic_store(&current_level, (int)level);
	atomic_store(&current_format, (int)format);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static void put_time(char *out, size_t size)
{
	struct timespec now;
	struct tm utc;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

void log_write(enum log_level level, const char *who, const char *format, ...)
{
	char raw[TEXT_MAX], text[TEXT_MAX + 4], ts[32];
	struct buf line;
	va_list args;
	int saved = errno;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	utf8_printable(bytes_str(raw), text, sizeof(text));
	put_time(ts, sizeof(ts));
	buf_init(&line, LINE_MAX_BYTES * 2);
	if (atomic_load(&current_format) == LOG_JSON) {
		buf_put_format(
			&line, "{\"ts\":\"%s\",\"level\":\"%s\",\"who\":", ts, level_names[level]);
		json_put_string(&line, bytes_str(who));
		buf_put_str(&line, ",\"text\":");
		json_put_string(&line, bytes_str(text));
		buf_put_str(&line, "}\n");
	} else {
		buf_put_format(&line, "%s %-7s %s: %s\n", ts, level_names[level], who, text);
	}
	/* One write a line, so that lines of several threads never mix. */
	(void)!write(STDERR_FILENO, line.at, line.len);
	buf_fini(&line);
	errno = saved;
}
