/* The status document (docs/api.md) as text for a person. */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* Absent or mistyped members are left out. Texts are made harmless for a terminal. */
void status_print(FILE *out, const json_t *status);

#define STATUS_SPAN_LEN 64
/* "2 hours, 5 minutes": the two largest units; returns out. */
const char *status_span(char out[static STATUS_SPAN_LEN], json_int_t seconds);
/* "1.50 MiB"; returns out. */
const char *status_bytes(char out[static STATUS_SPAN_LEN], json_int_t bytes);
