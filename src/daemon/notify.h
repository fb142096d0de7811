/*
 * Telling the service manager (sd_notify(3), a datagram to $NOTIFY_SOCKET): ready, reloading, stopping, a sign of life.
 * Without a service manager nothing happens. The socket is connected before the sandbox is entered.
 */
#pragma once

#include "base/clock.h"

void notify_open(void);
void notify_close(void);
void notify_ready(const char *status);
void notify_reloading(usec now); /* followed by notify_ready */
void notify_stopping(void);
/* Sends a sign of life when one is due; returns when to call again, USEC_NEVER without a watchdog. */
usec notify_watchdog(usec now);
