/*
 * PadData: sealing and opening with pad bytes (docs/protocol.md, "One-time pads"). Pure functions of the pad's bytes,
 * which somebody else takes, and uses once.
 */
#pragma once

#include "base/rng.h"
#include "crypto/poly1305.h"
#include "wire/wire.h"

#define ONETIME_KEY_LEN (POLY1305_KEY_LEN + 2) /* pad bytes before those of the frames */
#define ONETIME_PREFIX_LEN 2                   /* between the header and the frames: the masked length */
/* PadData and Data have the same overhead around their plaintext; PadData's plaintext is prefix, frames, padding. */

/*
 * How many pad bytes the XOR of `len` bytes takes from pad[0..available) with MaxZeroRun: `len` when max_zero_run is 0.
 * 0: more than are available (or len is 0).
 */
size_t onetime_span(const uint8_t *pad, size_t available, size_t len, uint8_t max_zero_run);

/* data[i] ^= pad bytes, of which zeros beyond the run are passed over; `span` from onetime_span. Either direction. The
 * two do not overlap. */
void onetime_xor(uint8_t *data, size_t len, const uint8_t *pad, size_t span, uint8_t max_zero_run);

/*
 * Seals in place: datagram[16..18) is left for the length, [18..18 + frames) has frames, the rest up to 16 + plain is
 * filled from `noise`; header and tag are written around it: 32 + plain bytes. `pad` has 34 bytes and the span of the
 * frames, which are at most 65535; plain >= 2 + frames. ERR_CRYPTO: the datagram is zeros.
 */
struct onetime {
	uint32_t receiver;
	uint64_t offset;
	const uint8_t *pad;
	size_t span; /* pad bytes from pad + ONETIME_KEY_LEN on */
	uint8_t max_zero_run;
};
enum err onetime_seal(struct poly1305 *mac, const struct onetime *o, uint8_t *datagram, size_t frames, size_t plain,
	const struct rng *noise);

/* The first step of opening: `key` is the pad at the datagram's offset. OK: authentic, and *ret_len is the length of
 * its frames, which begin at datagram[18] and are still to be XORed. ERR_FORMAT (too short, type, reserved bytes;
 * authentic, but the length is more than is there), ERR_AUTH, ERR_CRYPTO. The datagram is as it was. */
enum err onetime_check(struct poly1305 *mac, const uint8_t key[static ONETIME_KEY_LEN], const uint8_t *datagram,
	size_t len, size_t *ret_len);
