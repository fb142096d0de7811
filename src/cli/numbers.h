/* Numbers on a command line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits alone, from min to max; false: something else, *ret is unchanged. */
bool number_read(uint64_t *ret, const char *text, uint64_t min, uint64_t max);
/* 1 to 65535. */
bool port_read(uint16_t *ret, const char *text);
