/*
 * Both ends of one pad in disorder: the input is a list of steps, each of which seals a datagram, delivers one that was
 * sealed (as it is, changed, cut short, to the wrong end), or delivers raw bytes with a true header. Whatever is done,
 * a datagram is accepted once, at the end that it was sealed for, and says what was put in; and nothing else is
 * accepted at all. The first byte chooses what protects: the pad alone, or the pad inside the AEAD.
 *
 * Pads live on from input to input, as making one costs more than all the rest: only how far they are differs.
 */
#include "fuzz.h"

#include "pad/pad.h"
#include "transport/sealing.h"

#define PAD_LEN ((size_t)1 << 20)
#define STEPS_MAX 64
#define KEPT 16
#define RUNS_MAX 4 /* values of MaxZeroRun, from 0 */
#define PLAIN_MAX 1400
#define ROOM (PLAIN_MAX + DATA_OVERHEAD)

struct end {
	struct pad *pad;
	struct keys *keys;
	struct sealing sealing;
};

struct kept {
	uint8_t datagram[ROOM], frames[PLAIN_MAX];
	size_t len, n_frames;
	uint8_t to; /* index of the end it was sealed for */
	bool is_accepted;
};

static uint8_t bytes[PAD_LEN];
static struct end ends[2];
static struct kept kept[KEPT];
static size_t n_kept;
static usec now;
static uint64_t noise_state;
static const struct rng noise = {fuzz_random, &noise_state};

/* ---- the pad's files, in memory ---- */

static enum err read_pad(void *context, uint64_t offset, uint8_t *out, size_t len)
{
	MUST(offset <= PAD_LEN && len <= PAD_LEN - offset);
	memcpy(out, bytes + offset, len);
	return OK;
}
static enum err write_record(void *context, unsigned int copy, const uint8_t record[LEDGER_RECORD_LEN])
{
	return OK;
}
static void nothing(void *context) {}

static const struct pad_medium medium = {
	.read = read_pad, .write_record = write_record, .settle = nothing, .wake = nothing};

/* ---- both ends ---- */

static bool is_nearly_used_up(struct pad *pad)
{
	struct pad_status status;
	pad_status(pad, &status);
	return status.left < STEPS_MAX * 2 * ROOM || status.peer_left < STEPS_MAX * 2 * ROOM;
}

/* Both ends' pads, new ones when most of the last have been used. */
static void take_pads(uint8_t max_zero_run)
{
	static struct pad *all[RUNS_MAX][2];
	static const uint8_t no_ledger[LEDGER_COPIES][LEDGER_RECORD_LEN];
	struct pad **pads = all[max_zero_run];
	bool is_new = !pads[0] || is_nearly_used_up(pads[0]) || is_nearly_used_up(pads[1]);
	for (size_t i = 0; i < 2; i++) {
		const struct pad_options options = {
			.role = i == 0 ? PAD_RESPONDER : PAD_INITIATOR, .max_zero_run = max_zero_run};
		if (is_new) {
			pad_free(pads[i]);
			MUST(pad_new(&pads[i], &medium, PAD_LEN, no_ledger, &options, "pad", NULL) == OK);
		}
		ends[i].pad = pads[i];
	}
}

static void start(struct end *e, enum protection protection)
{
	static const uint8_t key[2][AEAD_KEY_LEN] = {{1}, {2}};
	const bool is_first = e == &ends[0];
	(void)pad_serve(e->pad, now, 1);
	const struct keys_config config = {.local_index = is_first ? 0x1111 : 0x2222,
		.remote_index = is_first ? 0x2222 : 0x1111,
		.cipher = CIPHER_CHACHA20_POLY1305,
		.n_lanes = 1,
		.key_send = protection == PROTECTION_OTP ? NULL : key[is_first],
		.key_receive = protection == PROTECTION_OTP ? NULL : key[!is_first],
		.protection = protection,
		.pad = e->pad};
	MUST(keys_new(&e->keys, &config) == OK);
	if (!e->sealing.mac)
		MUST(poly1305_new(&e->sealing.mac) == OK);
	if (!e->sealing.found)
		e->sealing.found = malloc(SUPPLY_TAKE_MAX);
	MUST(e->sealing.found);
	e->sealing.noise = &noise;
}

/* ---- steps ---- */

static void seal(uint8_t from, size_t n_frames, size_t padding)
{
	struct kept *k = &kept[n_kept++ % KEPT];
	struct end *e = &ends[from];
	const size_t prefix = keys_prefix(e->keys);
	n_frames %= PLAIN_MAX - 300;
	*k = (struct kept){.n_frames = n_frames, .to = (uint8_t)!from};
	fuzz_random(&noise_state, k->frames, n_frames);
	memcpy(k->datagram + DATA_HEADER_LEN + prefix, k->frames, n_frames);
	const size_t plain = prefix + n_frames + padding;
	if (sealing_seal(&e->sealing, e->keys, k->datagram, n_frames, plain, false) == OK)
		k->len = plain + DATA_OVERHEAD;
}

/* Is it what was sealed for this end, byte for byte, and not yet accepted? */
static bool is_due(const struct kept *k, uint8_t to, const uint8_t *data, size_t len)
{
	return k->len && k->len == len && k->to == to && !k->is_accepted && memcmp(k->datagram, data, len) == 0;
}

static void deliver(uint8_t to, const uint8_t *data, size_t len)
{
	struct end *e = &ends[to];
	struct kept *k = kept;
	while (k < kept + KEPT && !is_due(k, to, data, len))
		k++;
	uint8_t *copy = fuzz_copy(VIEW(data, len));
	struct view frames;
	uint64_t counter;
	bool is_newest;
	enum err err = sealing_open(&e->sealing, e->keys, copy, len, &frames, &counter, &is_newest);
	if (err == OK) {
		MUST(k < kept + KEPT && frames.len == k->n_frames);
		MUST(memcmp(frames.data, k->frames, frames.len) == 0);
		k->is_accepted = true;
	} else {
		MUST(k == kept + KEPT || err != ERR_AUTH);
	}
	free(copy);
}

static void deliver_changed(uint8_t to, uint8_t which, struct view changes, size_t cut)
{
	const struct kept *k = &kept[which % KEPT];
	uint8_t datagram[ROOM];
	if (k->len == 0)
		return;
	const size_t len = k->len - cut % k->len;
	memcpy(datagram, k->datagram, len);
	struct reader r = reader_of(changes.data, changes.len);
	while (reader_left(&r) >= 3) {
		const size_t at = reader_u16(&r) % len;
		datagram[at] ^= reader_u8(&r);
	}
	deliver(to, datagram, len);
}

static void deliver_raw(uint8_t to, struct reader *r)
{
	uint8_t datagram[ROOM] = {keys_protection(ends[0].keys) == PROTECTION_OTP ? MSG_PAD_DATA : MSG_DATA};
	struct view raw = fuzz_take(r, reader_u16(r) % (ROOM - 4));
	memcpy(datagram + 4, raw.data, raw.len);
	deliver(to, datagram, 4 + raw.len);
}

static void step(struct reader *r)
{
	const uint8_t op = reader_u8(r), which = reader_u8(r);
	const uint8_t end = op & 1;
	switch (op >> 1 & 7) {
	case 0:
	case 1:
		seal(end, which * (size_t)(op >> 4), op);
		break;
	case 2:
		deliver_changed(end, which, fuzz_take(r, 3 * (size_t)(op >> 4)), 0);
		break;
	case 3:
		deliver_changed(end, which, VIEW("", 0), reader_u16(r));
		break;
	case 4:
		deliver_raw(end, r);
		break;
	case 5:
		now += which * USEC_PER_MS;
		(void)pad_serve(ends[end].pad, now, 1);
		break;
	default: /* as it is */
		deliver_changed(end, which, VIEW("", 0), 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	const uint8_t choice = reader_u8(&r);
	const enum protection protection = choice & 1 ? PROTECTION_PQ_OTP : PROTECTION_OTP;
	if (bytes[0] == 0) {
		noise_state = 99;
		fuzz_random(&noise_state, bytes, sizeof bytes);
		bytes[0] = 1;
	}
	noise_state = 1;
	now += USEC_PER_SEC;
	n_kept = 0;
	memset(kept, 0, sizeof kept);
	take_pads(choice >> 1 & (RUNS_MAX - 1));
	start(&ends[0], protection);
	start(&ends[1], protection);
	for (int i = 0; i < STEPS_MAX && reader_left(&r); i++)
		step(&r);
	keys_free(ends[0].keys);
	keys_free(ends[1].keys);
	return 0;
}
