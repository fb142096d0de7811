/*
 * Watches one interface: tells when it is set down, set up again, or removed (also: moved to
 * another network namespace). Needs no privilege. One thread at a time.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

enum netlink_event { NETLINK_EVENT_UP, NETLINK_EVENT_DOWN, NETLINK_EVENT_GONE };

struct netlink_monitor;

/*
 * Starts watching. The interface's present state is reported by the first netlink_monitor_read,
 * so nothing is missed between looking and watching. ERR_NOMEM, ERR_PERMISSION, ERR_IO.
 */
enum err netlink_monitor_open(struct netlink_monitor **ret, uint32_t ifindex, struct fault *fault);
void netlink_monitor_close(struct netlink_monitor *monitor); /* NULL is allowed */

int netlink_monitor_fd(const struct netlink_monitor *monitor); /* to wait on; stays the monitor's */

/*
 * The next change of state; never the same twice in a row. After NETLINK_EVENT_GONE there are no more.
 *   ERR_AGAIN  none
 *   ERR_IO     errno kept
 */
enum err netlink_monitor_read(struct netlink_monitor *monitor, enum netlink_event *ret);
