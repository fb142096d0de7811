/*
 * Looking up names without waiting, and without rights: each question goes to a child that has become a user without
 * any rights before it reads a byte from the network. Bounded in number and time.
 */
#pragma once

#include "base/clock.h"
#include "host/keeper.h"

#include <poll.h>

/*
 * The user and group of the children. Not nobody, who may be other programs, too: what these children send goes past
 * the tunnel (host/routing.h) and through the kill switch (host/firewall.h), since without its address no tunnel comes
 * up. The number lies where distributions and systemd give out none.
 */
#define LOOKUP_UID 65530

#define LOOKUPS_MAX 8
#define LOOKUP_LIMIT_S 20

struct lookups {
	struct lookup {
		pid_t pid; /* 0: free */
		int fd;    /* it writes its answer there */
		uint32_t tag;
		uint16_t port;
		usec deadline;
		char host[64]; /* for the answer's text; cut */
	} items[LOOKUPS_MAX];
};

/* ERR_FULL: LOOKUPS_MAX are under way; ERR_IO. */
enum err lookups_start(struct lookups *lookups, uint32_t tag, const char *host, uint16_t port);

/* What to wait for, LOOKUPS_MAX entries; returns how long at most, for poll(2). */
int lookups_wait(const struct lookups *lookups, struct pollfd fds[static LOOKUPS_MAX]);

/* One that has ended, or whose time is over; false: none. */
bool lookups_take(struct lookups *lookups, struct keeper_answer *ret);

/* Ends those under way. */
void lookups_done(struct lookups *lookups);
