/* Reading jorm4.json: a field that is missing, or no hex, fails the test. Included after cmocka. */
#pragma once

#include "hex.h"
#include "wire/wire.h"

#include <jansson.h>
#include <string.h>

struct blob {
	uint8_t data[HS_MESSAGE_MAX];
	size_t len;
};

static inline json_t *field(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);
	if (!value)
		fail_msg("jorm4.json: no \"%s\"", name);
	return value;
}

static inline uint64_t number(json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(field(object, name));
}

static inline struct blob bytes(json_t *object, const char *name)
{
	struct blob b;
	b.len = hex_read(b.data, sizeof b.data, json_string_value(field(object, name)));
	assert_int_not_equal(b.len, SIZE_MAX);
	return b;
}

static inline void assert_bytes(const void *data, size_t len, json_t *object, const char *name)
{
	struct blob expected = bytes(object, name);
	if (len != expected.len || memcmp(data, expected.data, len) != 0)
		fail_msg("\"%s\" is not what the reference has", name);
}
