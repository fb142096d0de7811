#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic enum log_level log_max = LOG_LEVEL_INFO;

void log_set_level(enum log_level level) { atomic_store(&log_max, level); }

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const names[] = { "error: ", "warning: ", "", "debug: " };
	static const char *const priorities[] = { "<3>", "<4>", "<6>", "<7>" };
	if (level > atomic_load(&log_max))
		return;

	/* One write, so that lines of several threads do not mix. */
	char line[1024];
	const char *prefix = getenv("JOURNAL_STREAM") ? priorities[level] : names[level];
	int used = snprintf(line, sizeof line, "%s", prefix);
	va_list args;
	va_start(args, format);
	int more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
	va_end(args);
	if (more < 0)
		return;
	size_t len = strlen(line);
	line[len++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, len);
	(void)written; /* nowhere left to report it */
}
