/*
 * The keeper's own process (keeper.h has the whole): a loop over orders, questions and look-ups under way. It runs
 * beside the daemon, has the daemon's standard error, and says there what it does on its own account.
 */
#pragma once

#include "config/config.h"

/* Body of the child. Returns its exit code when everything is undone. */
int keeper_process_run(const struct config *config, int orders, int questions);
