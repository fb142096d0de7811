/*
 * Telling the service manager (sd_notify(3), a datagram to $NOTIFY_SOCKET): ready, reloading, stopping, a sign of life.
 * Without a service manager nothing happens. One for the process, for the control thread alone. The socket is connected
 * before the sandbox is entered, which allows no other; each message waits a second at most.
 */
#pragma once

#include "base/clock.h"

/* Takes NOTIFY_SOCKET and WATCHDOG_... out of the environment, so that what is started from here on (hooks) does not
 * have them. To be called in the process that stays: a watchdog for another process is not served. */
void notify_open(void);
void notify_close(void); /* fine if nothing is open */
/* `status`: a line for `systemctl status`; borrowed. */
void notify_ready(const char *status);
void notify_reloading(usec now); /* by clock_now(); followed by notify_ready, also when the reload has failed */
void notify_stopping(void);
/* Sends a sign of life when one is due; returns when to call again, USEC_NEVER without a watchdog. */
usec notify_watchdog(usec now);
