/*
 * Datagrams of OTPTunnel: strange ones, authentic ones anywhere in the key file, changed, repeated and sent back, over
 * restarts. The first byte: bit 0 which end this is, bit 1 whether its peer may begin again. Then steps, each a byte
 * that says what it is. No key byte is ever accepted twice, and what is accepted is what was sent.
 */
#include "fuzz.h"

#include "compat/otp_pad.h"

#define SIZE 4001
#define FRAME_MAX 1600

enum { STRANGE, AUTHENTIC, REFLECTED, TIME, RESTART, STEPS };

struct world {
	uint8_t file[SIZE];
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	bool was_accepted[SIZE];
	struct otp_pad_options options;
	struct otp_pad *pad;
	struct md5 *md5;
	usec now;
};

static enum err read_file(void *context, uint64_t offset, uint8_t *out, size_t len)
{
	const struct world *w = context;
	MUST(offset <= SIZE && len <= SIZE - offset);
	memcpy(out, w->file + offset, len);
	return OK;
}

static enum err write_record(void *context, unsigned int copy, const uint8_t record[LEDGER_RECORD_LEN])
{
	struct world *w = context;
	MUST(copy < LEDGER_COPIES);
	memcpy(w->copies[copy], record, LEDGER_RECORD_LEN);
	return OK;
}

static void wake(void *context)
{
	(void)context;
}

static void start(struct world *w)
{
	const struct pad_medium medium = {.read = read_file, .write_record = write_record, .wake = wake, .context = w};
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN], id[PAD_ID_LEN];
	struct fault fault;
	memcpy(copies, w->copies, sizeof copies);
	MUST(otptunnel_id(id, w->file) == OK);
	MUST(otp_pad_new(&w->pad, &medium, SIZE, id, copies, &w->options, "key", &fault) == OK);
}

/* Opens a copy; `expected` is NULL for what must be refused unless it happens to be right. */
static void offer(struct world *w, struct view datagram, const uint8_t *expected)
{
	uint8_t *copy = fuzz_copy(datagram);
	const uint8_t *bytes = datagram.data;
	uint64_t offset = 0;
	size_t frame_len;
	bool is_new;
	if (otp_pad_open(w->pad, w->now, copy, datagram.len, &frame_len, &is_new) == OK) {
		MUST(datagram.len >= OTP_DATAGRAM_MIN && frame_len == datagram.len - OTP_OVERHEAD);
		for (size_t i = datagram.len - OTP_OFFSET_LEN; i < datagram.len; i++)
			offset = offset << 8 | bytes[i];
		MUST(offset % 2 == otptunnel_parity(otptunnel_role_other(w->options.role)));
		for (size_t i = 0; i < frame_len + MD5_LEN; i++) {
			MUST(offset + 2 * i < SIZE);
			MUST(w->options.peer_restarts || !w->was_accepted[offset + 2 * i]);
			w->was_accepted[offset + 2 * i] = true;
			MUST(i >= frame_len || copy[i] == (bytes[i] ^ w->file[offset + 2 * i]));
		}
		MUST(!expected || memcmp(copy, expected, frame_len) == 0);
	}
	free(copy);
}

static void strange(struct world *w, struct reader *r)
{
	offer(w, fuzz_take(r, reader_u16(r)), NULL);
}

/* Of these bytes, at this place, with this byte of it changed, if there is one. */
static void authentic(struct world *w, struct reader *r)
{
	const enum pad_role peer = otptunnel_role_other(w->options.role);
	uint8_t frame[FRAME_MAX] = {0}, key[FRAME_MAX + MD5_LEN], datagram[FRAME_MAX + OTP_OVERHEAD];
	const size_t len = OTP_FRAME_MIN + reader_u16(r) % (FRAME_MAX - OTP_FRAME_MIN);
	const uint64_t position = reader_u16(r), change = reader_u16(r);
	const struct view given = fuzz_take(r, 8);
	memcpy(frame, given.data, given.len);
	if (position + len + MD5_LEN > otptunnel_share(peer, SIZE))
		return;
	for (size_t i = 0; i < len + MD5_LEN; i++)
		key[i] = w->file[otptunnel_offset(peer, position + i)];
	MUST(otp_frame_seal(w->md5, datagram, frame, len, key, otptunnel_offset(peer, position)) == OK);
	const bool is_changed = change < len + OTP_OVERHEAD;
	if (is_changed)
		datagram[change] ^= 1;
	offer(w, VIEW(datagram, len + OTP_OVERHEAD), is_changed ? NULL : frame);
}

static void reflected(struct world *w, struct reader *r)
{
	uint8_t frame[256] = {0}, datagram[256 + OTP_OVERHEAD];
	size_t n, len = reader_u8(r);
	if (otp_pad_seal(w->pad, frame, len, datagram, &n) != OK)
		return;
	MUST(n == len + OTP_OVERHEAD);
	const uint64_t before = otp_pad_counters(w->pad)->opened;
	offer(w, VIEW(datagram, n), NULL);
	MUST(otp_pad_counters(w->pad)->opened == before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	struct world *w = calloc(1, sizeof *w);
	uint64_t random = 1;
	const uint8_t first = reader_u8(&r);
	MUST(w && md5_new(&w->md5) == OK);
	fuzz_random(&random, w->file, SIZE);
	w->now = USEC_PER_SEC;
	w->options = (struct otp_pad_options){
		.role = first & 1 ? PAD_OTP_SERVER : PAD_OTP_CLIENT, .peer_restarts = first & 2};
	start(w);
	while (reader_left(&r) > 0) {
		switch (reader_u8(&r) % STEPS) {
		case STRANGE:
			strange(w, &r);
			break;
		case AUTHENTIC:
			authentic(w, &r);
			break;
		case REFLECTED:
			reflected(w, &r);
			break;
		case TIME:
			w->now += reader_u16(&r) * USEC_PER_MS;
			otp_pad_serve(w->pad, w->now);
			break;
		default:
			otp_pad_free(w->pad);
			start(w);
		}
	}
	otp_pad_free(w->pad);
	md5_free(w->md5);
	free(w);
	return 0;
}
