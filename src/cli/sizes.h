/* Sizes as people type them, in powers of 1024. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SIZE_SYNTAX "a whole number of bytes, or one with K, M, G or T behind it, in powers of 1024, such as 16G"

/* "1048576", "100M", "16GiB"; false: it is none, or does not fit into 63 bits. */
bool size_read(uint64_t *ret, const char *text);
/* "1G,500M" -> a list of at most `max`, of which *ret_n are there. false: one of them is none, or there are more. */
bool sizes_read(uint64_t *ret, unsigned int max, unsigned int *ret_n, const char *text);
