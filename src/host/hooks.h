/* PreUp, PostUp, PreDown, PostDown: the configuration's shell commands. */
#pragma once

#include "base/err.h"
#include "config/config.h"
#include "host/keeper.h"

#include <stddef.h>

struct hook_call {
	enum keeper_hook hook;
	size_t index;          /* of the kind's commands */
	const char *interface; /* empty: none is known yet */
	unsigned limit_s;
};

/*
 * Runs one command by /bin/sh -c: %i is the interface, JORM_INTERFACE, JORM_TUNNEL and JORM_CONFIG are in the
 * environment, output goes to our stderr. ERR_NOT_FOUND: there are fewer; ERR_STATE: it failed or took longer than
 * limit_s; ERR_NOMEM, ERR_IO.
 */
enum err hooks_run(const struct config *config, const struct hook_call *call, struct fault *fault);
