/*
 * The keeper: a small process that stays outside the daemon's sandbox, as root, and does what the daemon may no longer
 * do: run hooks, change the host (policy rules, nftables, forwarding, DNS settings), look up names, open files of the
 * configuration folder. What it may do follows from the configuration file, which it reads itself, not from what the
 * daemon says. When the daemon ends, however it ends, the keeper undoes what was done to the host and ends, too; only the kill
 * switch stays, unless the tunnel was taken down on purpose.
 *
 * The daemon's end (this header) belongs to the control thread. The two speak over a socket pair, one
 * message a packet; a daemon that has been taken over can ask for nothing but the above.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "config/config.h"

#include <stdbool.h>

struct keeper;

enum keeper_hook { KEEPER_PRE_UP, KEEPER_POST_UP, KEEPER_PRE_DOWN, KEEPER_POST_DOWN };

/*
 * Forks. To be called as root while the process has one thread; `config` is the keeper's from then on by the fork
 * (the caller keeps its own). ERR_IO, ERR_NOMEM.
 */
enum err keeper_start(struct keeper **ret, const struct config *config, struct fault *fault);

/*
 * Ends it: undoes everything, runs no hook by itself, removes the control socket and its lock if they are still there, waits until it has ended (10 s at most, then
 * kills it). `lift`: the kill switch goes, too. NULL is fine.
 */
void keeper_stop(struct keeper *keeper, bool lift);

/* Readable when keeper_take has something. */
int keeper_fd(const struct keeper *keeper);
/* Its process; for the log. */
pid_t keeper_pid(const struct keeper *keeper);

/* Runs the hooks of a kind, one after another, with %i replaced and JORM_INTERFACE, JORM_TUNNEL (the instance) and JORM_CONFIG (the file) in the
 * environment; output goes to the log. ERR_STATE: one failed (the fault has the command and its exit code). Waits, 60 s at most each. */
enum err keeper_hook(struct keeper *keeper, enum keeper_hook hook, struct fault *fault);

/* What the daemon alone knows. */
struct keeper_facts {
	char interface[CONFIG_IFNAME_LEN];
	uint32_t fwmark, table;      /* for the default routes; 0: there are none, and no policy rules */
	bool default_v4, default_v6; /* which families have one */
	struct config_dns dns;       /* the configuration's, or what a server handed out; borrowed for the call */
};
/*
 * Makes the host as configuration and facts say: kill switch, masquerading and forwarding, policy rules, DNS. Idempotent; called
 * again when the facts change. ERR_*: what could not be done, with the remedy; what was done is undone at the end.
 */
enum err keeper_apply(struct keeper *keeper, const struct keeper_facts *facts, struct fault *fault);

/* The keeper reads the configuration file anew; keeper_apply then uses it. ERR_FORMAT: it is wrong; the old one stays. */
enum err keeper_reload(struct keeper *keeper, struct fault *fault);

/* Opens a file or folder for reading. ERR_PERMISSION: it is not in the configuration's folder and not named by the configuration;
 * ERR_NOT_FOUND, ERR_IO. */
enum err keeper_open(struct keeper *keeper, const char *path, int *ret_fd, struct fault *fault);

/* Asks for a host's address, without waiting; answers come in any order by keeper_take. `tag` comes back. ERR_AGAIN: too many
 * questions are open. */
enum err keeper_resolve(struct keeper *keeper, uint32_t tag, const char *host, uint16_t port);
struct keeper_answer {
	uint32_t tag;
	enum err err;        /* ERR_NOT_FOUND: the name is not known (now) */
	struct addr address; /* with OK: the first that the host's resolver gives */
	char text[128];      /* why not */
};
/* ERR_AGAIN: none yet. ERR_STATE: the keeper has gone; the daemon must not go on without it. */
enum err keeper_take(struct keeper *keeper, struct keeper_answer *ret);

/* `jorm down` when no daemon lives: undoes what a dead one has left in the host, the kill switch included. *ret_any: there was something. As root. */
enum err keeper_sweep(const struct config *config, bool *ret_any, struct fault *fault);
