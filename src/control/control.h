/*
 * The local API of a running tunnel, both ends: HTTP/1.1 and JSON over a UNIX socket. docs/api.md is its description:
 * paths, documents, errors, who may speak. In short: GET /v1/status, /v1/peers, /v1/leases, /v1/counters, /v1/events;
 * POST /v1/peers, /v1/reload, /v1/down; DELETE /v1/peers/NAME, /v1/leases/ADDRESS; GET /metrics. What is refused is
 * answered by {"error": "..."}, a sentence for a person.
 */
#pragma once

#include "control/client.h"
#include "control/peer.h"
#include "control/server.h"
