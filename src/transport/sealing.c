#include "transport/sealing.h"

#include "base/secret.h"
#include "pad/pad.h"
#include "transport/onetime.h"

static_assert(ONETIME_KEY_LEN >= KEYS_PAD_STEP);

/* ---- taking pad ---- */

/* How many bytes the mask of `len` bytes takes that begins `head` bytes on: more than `len` with MaxZeroRun. 0: not in
 * memory. */
static size_t span_ahead(struct pad *pad, size_t head, size_t len, uint64_t *ret_position)
{
	for (size_t room = len + 64; head + room <= SUPPLY_TAKE_MAX; room += room / 2) {
		const uint8_t *bytes = pad_peek(pad, head + room, ret_position);
		if (!bytes)
			return 0;
		size_t span = onetime_span(bytes + head, room, len, pad_max_zero_run(pad));
		if (span)
			return span;
	}
	return 0;
}

/* `head` bytes and a mask for `len`. What another lane took between looking and taking is looked at again; the bytes
 * taken in vain are lost. */
static enum err take(const struct sealing *s, struct pad *pad, size_t head, size_t len, bool is_control,
	struct pad_stretch *ret, size_t *ret_span)
{
	*ret_span = len;
	if (pad_max_zero_run(pad) == 0 || len == 0)
		return pad_take_reading(pad, head + len, is_control, s->found, ret);
	for (;;) {
		uint64_t position;
		*ret_span = span_ahead(pad, head, len, &position);
		if (*ret_span == 0)
			*ret_span = len; /* to learn why, and to wake who fills it */
		enum err err = pad_take_reading(pad, head + *ret_span, is_control, s->found, ret);
		if (err != OK)
			return err;
		if (onetime_span(ret->bytes + head, *ret_span, len, pad_max_zero_run(pad)) == *ret_span)
			return OK;
	}
}

/* The mask of `len` bytes from a position of the peer's on. */
static enum err find_mask(const struct sealing *s, struct pad *pad, uint64_t position, size_t len,
	struct pad_stretch *ret, size_t *ret_span)
{
	*ret_span = 0;
	for (size_t room = len; room <= SUPPLY_TAKE_MAX; room += room / 8 + 8) {
		enum err err = pad_find_at(pad, position, room, s->found, ret);
		if (err != OK)
			return err;
		*ret_span = onetime_span(ret->bytes, room, len, pad_max_zero_run(pad));
		if (*ret_span || len == 0)
			return OK;
	}
	return ERR_FORMAT;
}

/* ---- sealing ---- */

static enum err seal_onetime(
	const struct sealing *s, struct keys *keys, uint8_t *datagram, size_t frames, size_t plain, bool is_control)
{
	struct pad *pad = keys_pad(keys);
	struct pad_stretch stretch;
	size_t span;
	if (keys_is_retired(keys))
		return ERR_STATE;
	enum err err = take(s, pad, ONETIME_KEY_LEN, frames, is_control, &stretch, &span);
	if (err != OK)
		return err;
	struct onetime o = {.receiver = keys_remote_index(keys),
		.offset = stretch.offset,
		.pad = stretch.bytes,
		.span = span,
		.max_zero_run = pad_max_zero_run(pad)};
	(void)keys_take_counters(keys, 1); /* a count of datagrams, no more */
	return onetime_seal(s->mac, &o, datagram, frames, plain, s->noise);
}

static enum err seal_masked(
	const struct sealing *s, struct keys *keys, uint8_t *datagram, size_t frames, size_t plain, bool is_control)
{
	struct pad *pad = keys_pad(keys);
	struct pad_stretch stretch = {0};
	size_t span = 0;
	uint8_t *prefix = datagram + DATA_HEADER_LEN;
	if (keys_is_retired(keys))
		return ERR_STATE;
	enum err err = frames ? take(s, pad, 0, frames, is_control, &stretch, &span) : OK;
	if (err != OK)
		return err;
	le64_put(prefix, stretch.offset);
	le16_put(prefix + 8, (uint16_t)frames);
	onetime_xor(prefix + PAD_PREFIX_LEN, frames, stretch.bytes, span, pad_max_zero_run(pad));
	memset(prefix + PAD_PREFIX_LEN + frames, 0, plain - PAD_PREFIX_LEN - frames);
	return keys_seal(keys, s->lane, datagram, plain, keys_take_counters(keys, 1));
}

enum err sealing_seal(
	const struct sealing *s, struct keys *keys, uint8_t *datagram, size_t frames, size_t plain, bool is_control)
{
	switch (keys_protection(keys)) {
	case PROTECTION_OTP:
		return seal_onetime(s, keys, datagram, frames, plain, is_control);
	case PROTECTION_PQ_OTP:
		return seal_masked(s, keys, datagram, frames, plain, is_control);
	case PROTECTION_PQ:
		break;
	}
	memset(datagram + DATA_HEADER_LEN + frames, 0, plain - frames);
	return keys_seal(keys, s->lane, datagram, plain, keys_take_counters(keys, 1));
}

/* ---- opening ---- */

static enum err open_onetime(const struct sealing *s, struct keys *keys, uint8_t *datagram, size_t len,
	struct view *frames, uint64_t *counter, bool *is_newest)
{
	struct pad *pad = keys_pad(keys);
	struct pad_stretch key, mask;
	uint8_t key_found[ONETIME_KEY_LEN];
	size_t n, span;
	if (len < DATA_OVERHEAD + ONETIME_PREFIX_LEN || datagram[0] != MSG_PAD_DATA)
		return ERR_FORMAT;
	enum err err = pad_find(pad, le64_get(datagram + 8), ONETIME_KEY_LEN, key_found, &key);
	if (err == OK && key.position < keys_pad_floor(keys))
		err = ERR_REPLAY;
	if (err == OK)
		err = onetime_check(s->mac, key.bytes, datagram, len, &n);
	if (err == OK)
		err = keys_accept(keys, key.position / KEYS_PAD_STEP, is_newest);
	if (err == OK)
		err = find_mask(s, pad, key.position + ONETIME_KEY_LEN, n, &mask, &span);
	secret_wipe(key_found, sizeof key_found);
	if (err != OK)
		return err;
	uint8_t *masked = datagram + DATA_HEADER_LEN + ONETIME_PREFIX_LEN;
	onetime_xor(masked, n, mask.bytes, span, pad_max_zero_run(pad));
	pad_received(pad, mask.position + span);
	*frames = VIEW(masked, n);
	*counter = key.position;
	return OK;
}

static enum err unmask(const struct sealing *s, struct pad *pad, struct view plain, struct view *frames)
{
	struct pad_stretch first, mask;
	size_t span;
	uint8_t *prefix = (uint8_t *)plain.data, byte[1];
	if (plain.len < PAD_PREFIX_LEN)
		return ERR_FORMAT;
	size_t n = le16_get(prefix + 8);
	if (n > plain.len - PAD_PREFIX_LEN)
		return ERR_FORMAT;
	*frames = VIEW(prefix + PAD_PREFIX_LEN, n);
	if (n == 0)
		return OK;
	enum err err = pad_find(pad, le64_get(prefix), 1, byte, &first);
	if (err == OK)
		err = find_mask(s, pad, first.position, n, &mask, &span);
	if (err != OK)
		return err;
	onetime_xor(prefix + PAD_PREFIX_LEN, n, mask.bytes, span, pad_max_zero_run(pad));
	pad_received(pad, mask.position + span);
	return OK;
}

enum err sealing_open(const struct sealing *s, struct keys *keys, uint8_t *datagram, size_t len, struct view *frames,
	uint64_t *counter, bool *is_newest)
{
	if (keys_protection(keys) == PROTECTION_OTP)
		return open_onetime(s, keys, datagram, len, frames, counter, is_newest);
	enum err err = keys_open(keys, s->lane, datagram, len, frames, counter, is_newest);
	if (err == OK && keys_protection(keys) == PROTECTION_PQ_OTP)
		err = unmask(s, keys_pad(keys), *frames, frames);
	return err;
}
