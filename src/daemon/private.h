/* The inside of the daemon, shared by its files. Everything here belongs to the control thread. */
#pragma once

#include "config/config.h"
#include "control/server.h"
#include "daemon/daemon.h"
#include "daemon/interface.h"
#include "daemon/pads.h"
#include "daemon/queue.h"
#include "daemon/report.h"
#include "daemon/roster.h"
#include "daemon/sandbox.h"
#include "daemon/state.h"
#include "daemon/watch.h"
#include "daemon/worker.h"
#include "host/keeper.h"

#include <limits.h>
#include <signal.h>

/* Everything of one running tunnel; torn down in the opposite order. */
struct daemon {
	const struct config *config;
	struct config *reloaded; /* the same, when it is ours */
	char path[PATH_MAX];     /* the configuration file's, absolute */
	char folder[PATH_MAX];   /* the one it is in */
	char ledgers[PATH_MAX];  /* folder of the pads' ledgers */
	uint32_t mark;           /* of our datagrams, and the number of the table for default routes */
	struct identity *identity; /* NULL: all peers have pads alone */
	struct sandbox_user user;
	char sandbox_text[SANDBOX_TEXT_LEN];
	struct keeper *keeper;
	struct state *state;
	struct interface *interface;
	struct queue *queue;
	struct udp **sockets;   /* one a worker */
	struct worker *workers; /* n_workers, and the control thread's at the end, never started */
	uint32_t n_workers;
	struct engine *engine;
	struct rng rng;
	struct pads *pads;
	struct roster *roster;
	struct watch *watch, *watch_pads; /* of the folders of authorised keys and of pads, if there are any */
	usec look_at; /* at the folder of pads again, since one is still being written; USEC_NEVER */
	struct control_server *control;
	struct report_source report;
	struct config_dns dns; /* in use: the configuration's and what servers handed out; owned */
	uint32_t path_mtu;     /* what the engine found for the tunnel; 0: nothing yet */
	sigset_t signals_before;
	bool has_signals;
	int signal_fd, epoll_fd;
	bool is_set_up;  /* down hooks are due at the end */
	bool must_apply; /* a peer has handed out something else */
	bool must_stop;
	bool is_guarded; /* the kill switch has been asked for */
	bool must_lift;  /* taken down on purpose: the kill switch goes, too */
};

/* ---- setup.c ---- */
enum err daemon_set_up(struct daemon *d, struct fault *fault);
void daemon_tear_down(struct daemon *d);
/* The engine's configuration from ours; what it points to lives as long as `config`. */
struct engine_config daemon_engine_config(
	struct daemon *d, const struct config *config, const struct identity *identity);

/* ---- apply.c ---- */
/* Addresses, routes and MTU of the interface, policy rules, firewall, DNS: all become as configuration, peers and what
 * servers handed out say. */
enum err daemon_apply(struct daemon *d, struct fault *fault);
/* The interface's MTU, after the engine or a server said something new. */
void daemon_set_mtu(struct daemon *d);
void daemon_dns_done(struct config_dns *dns);

/* ---- reload.c ---- */
/* The configuration file anew. On an error nothing has changed, unless the fault says so. */
enum err daemon_reload(struct daemon *d, struct fault *fault);
/* The peers anew, from the configuration in use, the folder and the store. */
enum err daemon_reload_peers(struct daemon *d, struct fault *fault);

/* ---- api.c ---- */
control_handler daemon_call;
bool daemon_report_peer(void *context, uint32_t number, struct report_peer *ret);
