/* Secrets: wiping and comparing. A secret never reaches a log, an error text, argv or a branch. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Overwrites n bytes in a way that the compiler may not drop. */
static inline void secret_wipe(void *data, size_t n) { explicit_bzero(data, n); }

/* Equality in time that depends on n only. */
bool secret_equal(const void *a, const void *b, size_t n);

/* Are all n bytes zero? In time that depends on n only. */
bool secret_is_zero(const void *data, size_t n);
