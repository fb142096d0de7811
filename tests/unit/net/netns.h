/*
 * A network namespace a test, so that tests neither see nor touch the machine's network, and
 * need nothing undone. Needs root: without it the tests are skipped.
 */
#pragma once

#include "base/addr.h"
#include "net/netlink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
/* After the four above, as cmocka wants it. */
#include <cmocka.h>

#define LOOPBACK 1 /* the index of lo in every namespace */

/* Puts the process into a fresh namespace with lo up; skips the test when that is not allowed. */
struct netlink *netns_enter(void);

/* Time for datagrams on their way to arrive: the kernel may deliver them from another thread. */
void netns_settle(void);

/* Runs `body` in a child process, for what cannot be undone; true if it returned true. */
bool netns_child(bool (*body)(void));

/* Becomes a user without any capability. For children. */
bool netns_drop_root(void);

/* Adds an address to an interface that is up, and waits until the kernel receives for it. */
void netns_address(struct netlink *netlink, uint32_t ifindex, const char *prefix);
struct prefix netns_prefix(const char *text);
struct addr netns_addr(const char *ip, uint16_t port);

/* `fault` has this code, and a sentence with this text in it. */
void assert_fault(const struct fault *fault, enum err code, const char *text);
