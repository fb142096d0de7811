/*
 * The log: one line to standard error, written at once, for people or as JSON; with a systemd priority before it when
 * the journal reads it. Only daemon, cli and compat call it. Never give it a secret.
 *
 * As JSON a line is one object: "time" (RFC 3339, UTC, milliseconds), "level" (error, warning, info, debug), "message",
 * and where they are known "tunnel", "event" and "peer". Texts may hold any bytes: those that are no UTF-8 are replaced
 * and control characters never get out raw, neither into JSON nor to a terminal. What is too long is cut, which shows
 * by "..." at its end.
 */
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above this level are not written. Default: info. */
void log_set_level(enum log_level level);
/* Whether lines of a level are written. */
bool log_is_on(enum log_level level);

/* The next two are for before other threads log. Default: for people, no tunnel. */
void log_set_json(bool json);
/* Names the tunnel in JSON lines; copied, at most 63 bytes of it; NULL: none. */
void log_set_tunnel(const char *name);

[[gnu::format(printf, 2, 3)]] void log_line(enum log_level level, const char *format, ...);

/* A line about something that a program may want to act on. `event`: a fixed word ("session_established"); `peer`: its
 * name, or NULL. Both are only in JSON, so the text has to make sense without them. */
[[gnu::format(printf, 4, 5)]] void log_event(
	enum log_level level, const char *event, const char *peer, const char *format, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
