/*
 * A room of its own for a test that changes the host: network and mount namespaces, a private /run, /etc/hosts, PATH
 * and configuration folder. Each test runs in a child process, so that nothing has to be undone. Needs root: without it
 * tests are skipped.
 */
#pragma once

#include "config/config.h"
#include "host/keeper.h"

#include "netns.h"

#define ROOM "/run/room" /* the folder of configuration and programs; gone with the room */

/* Runs `body` in a room; the test fails when an assertion in there does. Skips the test when not root. */
void room_run(void (*body)(void));

/* Writes a file of the room, by its whole path, with mode `mode`. */
void room_write(const char *path, const char *text, unsigned mode);
/* A file's text; static, until the next call; "" when there is none. */
const char *room_read(const char *path);

/* A configuration of the instance `name` with these lines in [interface] and whatever follows. To be freed. */
struct config *room_config(const char *name, const char *lines);

/* A shell command's exit code; its output is in `room_said`, cut. */
int room_shell(const char *command);
extern char room_said[8192];

/* Polls until `condition` holds, 15 s at most; fails the test otherwise. */
void room_wait(bool (*condition)(const void *context), const void *context, const char *what);
bool room_shell_succeeds(const void *command);

/* From here on, for this process and its children, these two calls are unknown, as with an old kernel. */
void room_forget_calls(int one, int other);

struct keeper *room_keeper(const struct config *config);
