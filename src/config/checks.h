/*
 * What several keys mean together, once all of the text has been read: contradictions are errors,
 * what probably is not meant is a warning. Private to src/config.
 */
#pragma once

#include "config/keys.h"

/* `interface_line` is that of [interface], 0: there is none; `seen` has the line of each of its keys, 0: not given. */
void checks_run(const struct config *config, unsigned interface_line, const unsigned seen[static CONFIG_KEY_COUNT],
	struct config_diagnostics *diags);
