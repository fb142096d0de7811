/*
 * A running tunnel: the only place where threads, sockets, the device and the engine meet.
 * daemon_run takes the whole process over (signals, privileges, its control socket) and gives it
 * back when the tunnel is down; it leaves nothing behind: no interface, route, socket or file
 * but its state directory.
 */
#pragma once

#include "base/err.h"

struct config;

struct daemon_options {
	const struct config *config; /* borrowed until daemon_run returns */
	const char *config_path;     /* for messages */
	/*
	 * Called once, on the calling thread, when the interface is up, the UDP and control sockets are
	 * bound and the log may go elsewhere: `up` leaves the foreground here. `interface` is the name
	 * that the kernel gave. Must not fail. May be NULL.
	 */
	void (*ready)(void *ready_ctx, const char *interface);
	void *ready_ctx;
};

/*
 * Sets the tunnel up and serves it until SIGTERM, SIGINT or a `down` on the control socket (OK), or
 * until it cannot go on. Every failure fills *fault with what failed and the remedy; before ready()
 * it means that nothing was set up. To be called while the process has one thread.
 */
enum err daemon_run(const struct daemon_options *options, struct fault *fault);
