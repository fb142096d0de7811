/*
 * GET /metrics: the counters of a tunnel in Prometheus' text format, version 0.0.4 (docs/api.md has the list). Series
 * are for the tunnel, for reasons and results from fixed lists, and for its peers: strangers make none. Control thread.
 */
#pragma once

#include "daemon/report.h"

#include <stdio.h>

/* To be freed; NULL when memory runs out. */
char *metrics_text(const struct report_source *source, usec now);

/* A label's value, escaped: backslash, quote and line break. */
void metrics_label(FILE *out, const char *value);
