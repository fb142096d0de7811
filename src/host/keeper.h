/*
 * The keeper: a small process that stays outside the daemon's sandbox, as root, and does what the daemon may no longer
 * do: run hooks, change the host (policy rules, nftables, forwarding, DNS settings), look up names, open files of the
 * configuration folder. What it may do follows from the configuration file, which it reads itself, not from what the
 * daemon says. When the daemon ends, however it ends, the keeper undoes what was done to the host and ends, too; only
 * the kill switch stays, unless the tunnel was taken down on purpose.
 *
 * The daemon's end (this header) belongs to the control thread. The two speak over socket pairs, one message a packet;
 * a daemon that has been taken over can ask for nothing but the above (docs/decisions/0015). Every call has a deadline:
 * a keeper that hangs or has gone gives ERR_STATE, here and in every later call. From the daemon's system calls it
 * needs sendmsg, recvmsg, poll, wait4 and kill (which may be refused).
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "config/config.h"

#include <stdbool.h>
#include <sys/types.h>

struct keeper;

enum keeper_hook { KEEPER_PRE_UP, KEEPER_POST_UP, KEEPER_PRE_DOWN, KEEPER_POST_DOWN };

/*
 * Forks. To be called as root while the process has one thread and has read no secret yet; the keeper has its copy of
 * `config` by the fork (the caller keeps its own), and the working directory and standard error of this moment. Undoes
 * first what an earlier daemon of this tunnel has left, but its kill switch.
 * ERR_EXISTS: another keeper of this tunnel lives (waited for, 10 s). ERR_IO, ERR_NOMEM, ERR_PERMISSION, ERR_STATE.
 */
enum err keeper_start(struct keeper **ret, const struct config *config, struct fault *fault);

/*
 * Ends it: undoes everything, runs no hook by itself, removes the control socket and its lock if they are still there
 * and the server behind them is closed, waits until it has ended (10 s at most, then kills it). `lift`: the kill switch
 * goes, too. NULL is fine.
 */
void keeper_stop(struct keeper *keeper, bool lift);

/* Readable when keeper_take has something, or the keeper has gone. */
int keeper_fd(const struct keeper *keeper);
/* Its process; for the log. */
pid_t keeper_pid(const struct keeper *keeper);

/* Its standard error, and that of hooks, is this from now on: `jorm up` turns its own into the log when all is set up.
 * `fd`, of a regular file (or what it is already), stays the caller's. ERR_PERMISSION: it is none; ERR_STATE, ERR_IO.
 */
enum err keeper_log(struct keeper *keeper, int fd, struct fault *fault);

/*
 * Runs the hooks of a kind, one after another, up to the first that fails, with %i replaced and JORM_INTERFACE,
 * JORM_TUNNEL (the instance) and JORM_CONFIG (the file) in the environment; output goes to the log. Waits, 60 s at most
 * for each. The interface is the one of keeper_apply, before that the configuration's Name. ERR_STATE: one failed (the
 * fault has the command and its exit code), or it has a %i that is not known yet. ERR_NOMEM, ERR_IO.
 */
enum err keeper_hook(struct keeper *keeper, enum keeper_hook hook, struct fault *fault);

/* What the daemon alone knows. */
struct keeper_facts {
	/* The same in every call; the configuration's Name, or snk# where it has none. */
	char interface[CONFIG_IFNAME_LEN];
	/* For the default routes, which the daemon sets in `table`; table 0: there are none, and no policy rules. With
	 * KillSwitch the mark is never 0. What the configuration sets (FwMark, Table) must be said so here. */
	uint32_t fwmark, table;
	bool default_v4, default_v6; /* which families have one */
	struct config_dns dns;       /* the configuration's, or what a server handed out; borrowed for the call */
};
/*
 * Makes the host as configuration and facts say: kill switch, masquerading and forwarding, policy rules, DNS.
 * Idempotent; called again when the facts change, or the configuration (else it costs nothing). On an error it leaves
 * off; what was done is undone at the end. ERR_NOT_FOUND: the program nft is missing; ERR_PERMISSION: the facts
 * contradict the configuration; ERR_TOO_BIG: more than 16 name servers or search domains; ERR_FORMAT, ERR_STATE,
 * ERR_FULL, ERR_UNSUPPORTED, ERR_IO, with the remedy. A host without systemd-resolved and resolvconf is no error: the
 * log has a warning.
 */
enum err keeper_apply(struct keeper *keeper, const struct keeper_facts *facts, struct fault *fault);

/* The keeper reads the configuration file anew; what is asked of it from then on is judged by that. ERR_FORMAT and
 * config_load's other errors: it is wrong; the old one stays. */
enum err keeper_reload(struct keeper *keeper, struct fault *fault);

/*
 * Opens a regular file or a folder for reading; *ret_fd is the caller's. `writable`: a pad, for writing, too.
 * ERR_PERMISSION: it is not in the configuration's folder, not in those of AuthorizedKeys and Pads, and not named by the
 * configuration, that in use or the file as it is now; it is to be written, but no pad, or the configuration does not
 * burn; ERR_NOT_FOUND, ERR_IO.
 */
enum err keeper_open(struct keeper *keeper, const char *path, bool writable, int *ret_fd, struct fault *fault);

/*
 * Asks for the address of a peer's Endpoint, without waiting; answers come in any order by keeper_take, within 20 s.
 * `tag` comes back. ERR_AGAIN: 8 questions are open, or the keeper is busy. ERR_STATE: the keeper has gone.
 * ERR_TOO_BIG: no host has such a name.
 */
enum err keeper_resolve(struct keeper *keeper, uint32_t tag, const char *host, uint16_t port);
struct keeper_answer {
	uint32_t tag;
	enum err err;        /* ERR_NOT_FOUND: the name is not known (now); ERR_PERMISSION: it is no peer's Endpoint */
	struct addr address; /* with OK: the first that the host's resolver gives */
	char text[128];      /* why not */
};
/* ERR_AGAIN: none yet. ERR_STATE: the keeper has gone; the daemon must not go on without it. */
enum err keeper_take(struct keeper *keeper, struct keeper_answer *ret);

/*
 * `jorm down` when no daemon lives: undoes what a dead one has left in the host, the kill switch included, and removes
 * its control socket. *ret_any: there was something. As root. ERR_EXISTS: its keeper lives (waited for, 10 s);
 * ERR_PERMISSION, ERR_IO.
 */
enum err keeper_sweep(const struct config *config, bool *ret_any, struct fault *fault);
