/* PreUp, PostUp, PreDown, PostDown: the configuration's shell commands. */
#pragma once

#include "base/err.h"
#include "config/config.h"
#include "host/keeper.h"

#include <stddef.h>

#define HOOK_LIMIT_S 60

/*
 * Runs the index-th command of a kind by /bin/sh -c: %i is the interface, JORM_INTERFACE, JORM_TUNNEL and JORM_CONFIG
 * are in the environment, output goes to our stderr. `interface` is empty when none is known yet. ERR_NOT_FOUND: there
 * are fewer; ERR_STATE: it failed or took longer than HOOK_LIMIT_S; ERR_NOMEM, ERR_IO.
 */
enum err hooks_run(
	const struct config *config, enum keeper_hook hook, size_t index, const char *interface, struct fault *fault);
