/*
 * What is changed on the host for one tunnel, all of it together: made in an order that leaves no gap (the kill switch
 * first), undone in reverse. Belongs to the keeper's process; keeper_sweep uses its second half.
 */
#pragma once

#include "config/config.h"
#include "host/keeper.h"
#include "host/record.h"

struct changes {
	struct record record; /* taken by the caller */
	uint32_t table;       /* of the policy rules; 0: none */
	uint32_t return_mark; /* set on what comes in for our sockets; 0: none */
	bool kill_switch, masquerade, dns;
	bool switches;
};

/*
 * Makes the host as configuration and facts say, or leaves off at the first thing that cannot be done. Facts have been
 * checked. *ret_warning, if not OK, is something that the tunnel survives.
 */
enum err changes_apply(struct changes *changes, const struct config *config, const struct keeper_facts *facts,
	struct fault *ret_warning, struct fault *fault);

/* Undoes all but the kill switch, and with `lift` that, too. Goes on after errors; `warn` is told each. */
void changes_undo(struct changes *changes, const char *instance, bool lift, void (*warn)(const char *text));

/* What a dead keeper has left, by its record, but the kill switch. *ret_any: there was something. */
enum err changes_sweep(struct record *record, const char *instance, bool *ret_any, struct fault *fault);

/* Removes a control socket and its lock, unless a daemon lives behind it. true: there was one. */
bool changes_remove_socket(const char *path);
