/*
 * Base64 (RFC 4648, section 4) of exactly 32 bytes: how key IDs and pre-shared keys are written.
 * One text per value: what does not come out of base64_format is refused. For src/crypto only.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define BASE64_BYTES 32
#define BASE64_LEN 44 /* characters, without NUL */

void base64_format(char out[static BASE64_LEN + 1], const uint8_t bytes[static BASE64_BYTES]);

/* ERR_FORMAT: not the canonical text of 32 bytes; ret is then zeroed. */
enum err base64_parse(uint8_t ret[static BASE64_BYTES], const char *text, size_t len);
