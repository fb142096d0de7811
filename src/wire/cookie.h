/*
 * The Cookie datagram (docs/protocol.md, "Datagrams"): layout only; sealing and opening are in
 * handshake/cookie. Plain data, no ownership.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "wire/wire.h"

#define COOKIE_DATAGRAM_LEN sizeof(struct cookie_message)
#define COOKIE_SEALED_LEN (COOKIE_LEN + 16)

struct cookie_datagram {
	uint32_t receiver; /* the sender index of the datagram that caused it */
	uint8_t salt[COOKIE_SALT_LEN];
	uint8_t sealed[COOKIE_SEALED_LEN];
};

/* ERR_FORMAT, *ret unchanged: length, type, version or reserved bytes are wrong. */
enum err cookie_parse(struct cookie_datagram *ret, const uint8_t *data, size_t len);

void cookie_build(uint8_t out[static COOKIE_DATAGRAM_LEN], const struct cookie_datagram *cookie);
