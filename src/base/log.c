#include "base/log.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_LEN 1024
#define TUNNEL_LEN 64
#define NAME_LEN 96 /* of an event or a peer */
/* A byte becomes six at most ("\u001b"). */
#define JSON_LEN (6 * (MESSAGE_LEN + TUNNEL_LEN + 2 * NAME_LEN) + 256)

static _Atomic enum log_level log_max = LOG_LEVEL_INFO;
static bool log_json;
static char log_tunnel[TUNNEL_LEN];

void log_set_level(enum log_level level)
{
	atomic_store(&log_max, level);
}
bool log_is_on(enum log_level level)
{
	return level <= atomic_load(&log_max);
}

void log_set_json(bool json)
{
	log_json = json;
}

void log_set_tunnel(const char *name)
{
	(void)snprintf(log_tunnel, sizeof log_tunnel, "%s", name ? name : "");
}

/* ---- text ---- */

/* The character that begins at *at (there is one), which then stands behind it; U+FFFD for each byte that begins none.
 */
static uint32_t character_take(const char **at)
{
	static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *s = (const unsigned char *)*at;
	unsigned int more = s[0] < 0x80 ? 0 : (s[0] & 0xe0) == 0xc0 ? 1 : (s[0] & 0xf0) == 0xe0 ? 2 : 3;
	(*at)++;
	if (more == 0)
		return s[0];
	uint32_t c = s[0] & (0x3fU >> more);
	if (more == 3 && (s[0] & 0xf8) != 0xf0)
		return 0xfffd;
	for (unsigned int i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80) /* the end of the text is none either */
			return 0xfffd;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < smallest[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0xfffd;
	*at += more;
	return c;
}

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* What is being written; the sizes above make sure that all of it fits. */
struct line {
	char text[JSON_LEN];
	size_t len;
};

[[gnu::format(printf, 2, 3)]] static void put(struct line *line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line->text + line->len, sizeof line->text - line->len, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < sizeof line->text - line->len)
		line->len += (size_t)n;
}

/* As in a JSON string, or for people; `limit`: at most so many bytes of the text. */
static void put_text(struct line *line, const char *text, size_t limit, bool json)
{
	const char *end = text + strnlen(text, limit);
	for (const char *at = text; at < end;) {
		const char *from = at;
		uint32_t c = character_take(&at);
		if (c == 0xfffd)
			put(line, "\xef\xbf\xbd");
		else if (json && (is_control(c) || c == '"' || c == '\\'))
			put(line, "\\u%04" PRIx32, c);
		else if (is_control(c))
			put(line, " ");
		else
			put(line, "%.*s", (int)(at - from), from);
	}
}

/* ---- JSON ---- */

static void put_time(struct line *line, usec wall)
{
	time_t seconds = (time_t)(wall / USEC_PER_SEC);
	struct tm t;
	char text[32];
	if (gmtime_r(&seconds, &t) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t) > 0)
		put(line, "\"time\":\"%s.%03uZ\",", text, (unsigned)(wall / USEC_PER_MS % 1000));
}

static void put_member(struct line *line, const char *name, const char *text, size_t limit)
{
	if (!text || !*text)
		return;
	put(line, "\"%s\":\"", name);
	put_text(line, text, limit, true);
	put(line, "\",");
}

static void put_object(
	struct line *line, enum log_level level, const char *event, const char *peer, const char *message)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	put(line, "{");
	put_time(line, clock_wall());
	put(line, "\"level\":\"%s\",", names[level]);
	put_member(line, "tunnel", log_tunnel, TUNNEL_LEN);
	put_member(line, "event", event, NAME_LEN);
	put_member(line, "peer", peer, NAME_LEN);
	put(line, "\"message\":\"");
	put_text(line, message, MESSAGE_LEN, true);
	put(line, "\"}");
}

/* ---- lines ---- */

/* As sd-daemon(3) wants it: $JOURNAL_STREAM is also inherited by programs whose output goes elsewhere. */
static bool is_read_by_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;
	return stream && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == (dev_t)device && st.st_ino == (ino_t)inode;
}

[[gnu::format(printf, 4, 0)]] static void log_write(
	enum log_level level, const char *event, const char *peer, const char *format, va_list args)
{
	static const char *const prefixes[] = {"error: ", "warning: ", "", "debug: "};
	static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
	static const char cut[] = "...";
	char message[MESSAGE_LEN];
	int wanted = vsnprintf(message, sizeof message, format, args);
	if (wanted < 0)
		return;
	if ((size_t)wanted >= sizeof message)
		memcpy(message + sizeof message - sizeof cut, cut, sizeof cut);

	struct line line;
	line.len = 0;
	bool journal = is_read_by_journal();
	if (journal)
		put(&line, "%s", priorities[level]);
	if (log_json) {
		put_object(&line, level, event, peer, message);
	} else {
		put(&line, "%s", journal ? "" : prefixes[level]);
		put_text(&line, message, MESSAGE_LEN, false);
	}
	put(&line, "\n");
	/* One write, so that lines of several threads do not mix. */
	ssize_t written = write(STDERR_FILENO, line.text, line.len);
	(void)written; /* nowhere left to report it */
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list args;
	if (!log_is_on(level))
		return;
	va_start(args, format);
	log_write(level, NULL, NULL, format, args);
	va_end(args);
}

void log_event(enum log_level level, const char *event, const char *peer, const char *format, ...)
{
	va_list args;
	if (!log_is_on(level))
		return;
	va_start(args, format);
	log_write(level, event, peer, format, args);
	va_end(args);
}
