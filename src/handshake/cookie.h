/*
 * Cookies (docs/protocol.md, "Datagrams"): proof, without any state at the side under load, that
 * whoever sends from an address also receives there. The jar is that side's; cookie_open is the
 * other's.
 */
#pragma once

#include "base/addr.h"
#include "base/clock.h"
#include "base/rng.h"
#include "crypto/sig.h"
#include "wire/cookie.h"
#include "wire/hs.h"

#define COOKIE_ROTATION (120 * USEC_PER_SEC)

/* Owned by the responder, which wipes it. A cookie is good until the secret after the one that
 * made it is replaced: between 120 and 240 s. */
struct cookie_jar {
	uint8_t key_id[KEY_ID_LEN]; /* of the responder: seals the datagrams */
	uint8_t secret[32], previous[32];
	usec changed;
};

void cookie_jar_init(struct cookie_jar *jar, const uint8_t key_id[static KEY_ID_LEN], const struct rng *rng, usec now);
void cookie_jar_wipe(struct cookie_jar *jar);
/* Replaces the secret when its time has come, every 120 s from the beginning on, also when it is called late. */
void cookie_jar_rotate(struct cookie_jar *jar, const struct rng *rng, usec now);

/* Does the datagram's mac2 show a cookie that was given to `source`? OK, ERR_AUTH, ERR_CRYPTO. */
enum err cookie_jar_check(const struct cookie_jar *jar, const struct addr *source, const struct hs_datagram *datagram);

/* The Cookie datagram that answers `datagram`. Draws the salt from rng. ERR_CRYPTO. */
enum err cookie_jar_answer(uint8_t out[static COOKIE_DATAGRAM_LEN], const struct cookie_jar *jar,
	const struct addr *source, const struct hs_datagram *datagram, const struct rng *rng);

/* Builds the Cookie datagram that `mac1` causes at the responder with this key ID. `cookie` gives receiver and salt,
 * and the bare cookie in sealed[0..COOKIE_LEN), which is sealed there. ERR_CRYPTO: out is zeroed. */
enum err cookie_seal(uint8_t out[static COOKIE_DATAGRAM_LEN], struct cookie_datagram *cookie,
	const uint8_t key_id[static KEY_ID_LEN], const uint8_t mac1[static HS_MAC_LEN]);

/* Opens a Cookie datagram that `mac1` caused at the responder with this key ID.
 * ERR_AUTH: something else caused it, or it is forged; ERR_CRYPTO. On error ret is zeroed. */
enum err cookie_open(uint8_t ret[static COOKIE_LEN], const struct cookie_datagram *cookie,
	const uint8_t key_id[static KEY_ID_LEN], const uint8_t mac1[static HS_MAC_LEN]);
