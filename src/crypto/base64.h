/*
 * Base64 (RFC 4648, section 4): strictly, of exactly 32 bytes, which is how key IDs and pre-shared keys are written;
 * and of any length, read as leniently as Python's base64.b64decode, for the older programs' messages (compat).
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define BASE64_BYTES 32
#define BASE64_LEN 44 /* characters, without NUL */

/* The characters of the text of n bytes, without NUL. */
#define BASE64_TEXT_LEN(n) (((n) + 2) / 3 * 4)

/* One text per value: what does not come out of base64_format is refused. */
void base64_format(char out[static BASE64_LEN + 1], const uint8_t bytes[static BASE64_BYTES]);

/* ERR_FORMAT: not the canonical text of 32 bytes; ret is then zeroed. */
enum err base64_parse(uint8_t ret[static BASE64_BYTES], const char *text, size_t len);

/* Writes BASE64_TEXT_LEN(n) characters and NUL; n is at most 1 GiB. */
void base64_encode(char *out, const uint8_t *bytes, size_t n);

/*
 * Python's rules: characters outside the alphabet are skipped, '=' too where it cannot end the text; what follows the
 * '=' that ends it is ignored, and so are the bits left over. ERR_FORMAT: it ends within four characters; ERR_TOO_BIG:
 * more than `size` bytes. On error ret is zeroed and ret_len 0.
 */
enum err base64_decode_lenient(uint8_t *ret, size_t size, size_t *ret_len, const char *text, size_t len);
