/*
 * PadHello, PadWelcome and PadData from whoever has the pad, and from whoever has not. The first byte chooses which,
 * and whether the tag is made right.
 */
#include "fuzz.h"

#include "handshake/hello.h"
#include "transport/onetime.h"

#define PAD_LEN 4096

static uint8_t pad[PAD_LEN];
static struct poly1305 *mac;

static void set_up(void)
{
	uint64_t state = 7;
	if (mac)
		return;
	MUST(poly1305_new(&mac) == OK);
	fuzz_random(&state, pad, sizeof pad);
	for (size_t i = 200; i < PAD_LEN; i++) /* runs of zeros of many lengths */
		if (i / 64 % (i % 7 + 2) == 0)
			pad[i] = 0;
}

static void sign(uint8_t *message, size_t len, const uint8_t *key)
{
	if (len < POLY1305_TAG_LEN)
		return;
	const size_t body = len - POLY1305_TAG_LEN;
	MUST(poly1305_tag(mac, key, VIEW(message, body), message + body) == OK);
}

static void take_hello(uint8_t *message, size_t len, bool is_signed)
{
	struct hello clear, whole;
	uint8_t again[PAD_HELLO_LEN];
	if (is_signed)
		sign(message, len, pad);
	if (hello_parse(&clear, message, len) != OK) {
		MUST(hello_open(mac, pad, message, len, &whole) == ERR_FORMAT);
		return;
	}
	enum err err = hello_open(mac, pad, message, len, &whole);
	MUST(!is_signed || err != ERR_AUTH);
	if (err != OK)
		return;
	MUST(whole.sender == clear.sender && whole.slot == clear.slot);
	MUST(hello_build(mac, pad, &whole, again) == OK && memcmp(again, message, len) == 0);
}

static void take_welcome(uint8_t *message, size_t len, bool is_signed)
{
	struct hello clear, whole;
	uint8_t again[PAD_WELCOME_LEN];
	if (is_signed)
		sign(message, len, pad + 96);
	if (welcome_parse(&clear, message, len) != OK) {
		MUST(welcome_open(mac, pad, message, len, &whole) == ERR_FORMAT);
		return;
	}
	enum err err = welcome_open(mac, pad, message, len, &whole);
	MUST(!is_signed || err != ERR_AUTH);
	if (err != OK)
		return;
	MUST(whole.sender == clear.sender && whole.receiver == clear.receiver && whole.slot == clear.slot);
	MUST(welcome_build(mac, pad, &whole, again) == OK && memcmp(again, message, len) == 0);
}

static void take_data(uint8_t *message, size_t len, bool is_signed)
{
	size_t n = SIZE_MAX;
	if (is_signed)
		sign(message, len, pad);
	enum err err = onetime_check(mac, pad, message, len, &n);
	MUST(!is_signed || err != ERR_AUTH);
	if (err == OK)
		MUST(n <= len - DATA_OVERHEAD - ONETIME_PREFIX_LEN);
	else
		MUST(n == SIZE_MAX);
}

/* MaxZeroRun, len, then the bytes of the pad. */
static void take_mask(const uint8_t *bytes, size_t available)
{
	struct reader r = reader_of(bytes, available);
	const uint8_t max_zero_run = reader_u8(&r);
	const size_t len = reader_u16(&r);
	const size_t room = reader_left(&r);
	uint8_t *mask = fuzz_copy(fuzz_take(&r, room));
	const size_t span = onetime_span(mask, room, len, max_zero_run);
	MUST(span <= room && (span == 0 || span >= len) && (max_zero_run || len > room || span == len));
	if (span) {
		uint8_t *data = calloc(1, len);
		MUST(data && onetime_span(mask, span, len, max_zero_run) == span);
		MUST(onetime_span(mask, span - 1, len, max_zero_run) == 0);
		onetime_xor(data, len, mask, span, max_zero_run);
		size_t zeros = 0;
		for (size_t i = 0; i < len; i++) {
			zeros = data[i] ? 0 : zeros + 1;
			MUST(max_zero_run == 0 || zeros <= max_zero_run);
		}
		onetime_xor(data, len, mask, span, max_zero_run);
		for (size_t i = 0; i < len; i++)
			MUST(data[i] == 0);
		free(data);
	}
	free(mask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	set_up();
	if (len == 0)
		return 0;
	uint8_t *copy = fuzz_copy(VIEW(data + 1, len - 1));
	const bool is_signed = data[0] & 4;
	switch (data[0] % 4) {
	case 0:
		take_hello(copy, len - 1, is_signed);
		break;
	case 1:
		take_welcome(copy, len - 1, is_signed);
		break;
	case 2:
		take_data(copy, len - 1, is_signed);
		break;
	default:
		take_mask(copy, len - 1);
	}
	free(copy);
	return 0;
}
