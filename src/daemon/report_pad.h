/* The document of a pad (docs/api.md): how much of it is left, and how long that lasts. */
#pragma once

#include "pad/pad.h"

#include <jansson.h>

/* Bytes a day that both ends use together, since status->first_s. false: it has been measured for too short a time. */
bool report_pad_rate(const struct pad_status *status, uint64_t wall_s, double *ret);

/* A new reference; NULL: memory ran out. */
json_t *report_pad(const struct pad_status *status, uint64_t wall_s);
