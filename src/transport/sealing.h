/*
 * Datagrams of sessions, whatever protects them (docs/protocol.md, "Data" and "One-time pads"): an AEAD, a pad, or a
 * pad inside an AEAD. Takes what is needed of the pad; never sends with less than the keys say.
 */
#pragma once

#include "crypto/poly1305.h"
#include "pad/supply.h"
#include "transport/keys.h"

/* What a lane brings along. */
struct sealing {
	uint32_t lane;
	struct poly1305 *mac;
	const struct rng *noise; /* for padding that has to look like ciphertext */
	uint8_t *found;          /* SUPPLY_TAKE_MAX bytes, for pad that is not in memory */
};

/*
 * Seals in place: from datagram[DATA_HEADER_LEN + keys_prefix] on there are `frames` bytes; header, prefix, padding up
 * to `plain` (prefix included) and tag are written around them: DATA_OVERHEAD + plain bytes in all. `is_control`: may
 * use the pad's last bytes. ERR_STATE (retired), ERR_AGAIN (the pad is not ready, or waits for credit), ERR_FULL (it is
 * used up), ERR_CRYPTO, ERR_NOMEM.
 */
enum err sealing_seal(
	const struct sealing *s, struct keys *keys, uint8_t *datagram, size_t frames, size_t plain, bool is_control);

/*
 * Opens a Data or PadData in place; on OK *frames is what it carries. *counter orders the datagrams of these keys.
 * ERR_FORMAT (also a type that does not go with the keys), ERR_AUTH, ERR_REPLAY, ERR_AGAIN (pad bytes cannot be had
 * now), ERR_IO, ERR_CRYPTO, ERR_NOMEM.
 */
enum err sealing_open(const struct sealing *s, struct keys *keys, uint8_t *datagram, size_t len, struct view *frames,
	uint64_t *counter, bool *is_newest);
