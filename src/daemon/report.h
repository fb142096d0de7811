/* The status document of control/control.h, from the engine. Control thread. */
#pragma once

#include "config/config.h"
#include "engine/engine.h"

#include <jansson.h>

struct report_source {
	const struct config *config;
	const struct engine *engine;
	const struct identity *identity;
	const char *interface;
	uint32_t mtu;
	uint16_t port;
	usec started;
};

/* A new reference, or NULL when memory runs out. */
json_t *report_status(const struct report_source *source, usec now);
