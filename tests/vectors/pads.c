/*
 * One-time pads against jorm4.json, which an independent program made from docs/protocol.md: the layout and both walks,
 * PadData, the plaintext of pq+otp, PadHello and PadWelcome, and the marks, byte for byte.
 */
#include "seeded.h"

#include "handshake/hello.h"
#include "pad/layout.h"
#include "reference.h"
#include "transport/onetime.h"
#include "wire/accept.h"
#include "wire/control.h"
#include "wire/request.h"

#include <stdio.h>

static json_t *pads;
static struct poly1305 *mac;

static void layouts_match(void **state)
{
	(void)state;
	size_t i, k;
	json_t *vector, *step;
	json_array_foreach(field(pads, "layouts"), i, vector)
	{
		struct pad_layout l;
		assert_int_equal(pad_layout_of(&l, number(vector, "size")), OK);
		assert_int_equal(l.n_slots, number(vector, "n_slots"));
		assert_int_equal(l.traffic, number(vector, "traffic"));
		assert_int_equal(l.n_blocks, number(vector, "n_blocks"));
		json_array_foreach(field(vector, "walk"), k, step)
		{
			const uint64_t at = number(step, "position"), up = number(step, "responder"),
				       down = number(step, "initiator");
			uint64_t position;
			assert_int_equal(pad_offset(&l, PAD_RESPONDER, at), up);
			assert_int_equal(pad_offset(&l, PAD_INITIATOR, at), down);
			assert_true(pad_position(&l, PAD_RESPONDER, up, &position));
			assert_int_equal(position, at);
			assert_true(pad_position(&l, PAD_INITIATOR, down, &position));
			assert_int_equal(position, at);
		}
	}
	assert_in_range(i, 3, 99);
}

/* The reference's noise, for padding. */
static void fill_noise(void *context, uint8_t *out, size_t n)
{
	const struct blob *noise = context;
	assert_int_equal(n, noise->len);
	memcpy(out, noise->data, n);
}

static void check_pad_data(json_t *v)
{
	struct blob pad = bytes(v, "pad"), frames = bytes(v, "frames"), noise = bytes(v, "noise");
	const struct rng rng = {.fill = fill_noise, .context = &noise};
	struct onetime how = {.receiver = (uint32_t)number(v, "receiver"),
		.offset = number(v, "offset"),
		.pad = pad.data,
		.max_zero_run = (uint8_t)number(v, "max_zero_run")};
	how.span = onetime_span(pad.data + ONETIME_KEY_LEN, pad.len - ONETIME_KEY_LEN, frames.len, how.max_zero_run);
	assert_int_equal(ONETIME_KEY_LEN + how.span, number(v, "pad_used"));

	uint8_t datagram[2048], *body = datagram + DATA_HEADER_LEN + ONETIME_PREFIX_LEN;
	const size_t plain = ONETIME_PREFIX_LEN + frames.len + noise.len;
	memcpy(body, frames.data, frames.len);
	assert_int_equal(onetime_seal(mac, &how, datagram, frames.len, plain, &rng), OK);
	assert_bytes(datagram, plain + DATA_OVERHEAD, v, "datagram");

	size_t n;
	assert_int_equal(onetime_check(mac, pad.data, datagram, plain + DATA_OVERHEAD, &n), OK);
	assert_int_equal(n, frames.len);
	onetime_xor(body, n, pad.data + ONETIME_KEY_LEN, how.span, how.max_zero_run);
	assert_memory_equal(body, frames.data, n);
}

/* What a Data of pq+otp carries: the same mask, without key and length before it. */
static void check_masked(json_t *v)
{
	struct blob pad = bytes(v, "pad"), frames = bytes(v, "frames"), expected = bytes(v, "masked_plaintext");
	const uint8_t max_zero_run = (uint8_t)number(v, "max_zero_run"), *mask = pad.data + ONETIME_KEY_LEN;
	const size_t span = onetime_span(mask, pad.len - ONETIME_KEY_LEN, frames.len, max_zero_run);
	assert_int_equal(span, number(v, "masked_pad_used"));
	assert_int_equal(le64_get(expected.data), number(v, "offset"));
	assert_int_equal(le16_get(expected.data + 8), frames.len);
	onetime_xor(expected.data + PAD_PREFIX_LEN, frames.len, mask, span, max_zero_run);
	assert_memory_equal(expected.data + PAD_PREFIX_LEN, frames.data, frames.len);
}

static void pad_data_matches(void **state)
{
	(void)state;
	size_t i, with_runs = 0;
	json_t *vector;
	json_array_foreach(field(pads, "data"), i, vector)
	{
		check_pad_data(vector);
		check_masked(vector);
		with_runs += number(vector, "pad_used") > ONETIME_KEY_LEN + bytes(vector, "frames").len;
	}
	assert_true(i > 3 && with_runs > 1);
}

static struct hello hello_of(json_t *v)
{
	struct hello h = {.sender = (uint32_t)number(v, "sender"),
		.receiver = (uint32_t)number(v, "receiver"),
		.slot = (uint32_t)number(v, "slot"),
		.marks = {.sent = number(v, "sent"),
			.received = number(v, "received"),
			.boundary = number(v, "boundary"),
			.status = (uint8_t)number(v, "status"),
			.max_zero_run = (uint8_t)number(v, "max_zero_run")}};
	struct blob random = bytes(v, "random");
	memcpy(h.marks.random, random.data, sizeof h.marks.random);
	return h;
}

static void hellos_match(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	json_array_foreach(field(pads, "hellos"), i, vector)
	{
		struct hello h = hello_of(vector), opened;
		struct blob slot = bytes(vector, "slot_bytes");
		uint8_t hello[PAD_HELLO_LEN], welcome[PAD_WELCOME_LEN];
		assert_int_equal(hello_build(mac, slot.data, &h, hello), OK);
		assert_bytes(hello, sizeof hello, vector, "hello");
		assert_int_equal(welcome_build(mac, slot.data, &h, welcome), OK);
		assert_bytes(welcome, sizeof welcome, vector, "welcome");
		assert_int_equal(hello_open(mac, slot.data, hello, sizeof hello, &opened), OK);
		assert_int_equal(opened.marks.boundary, h.marks.boundary);
		assert_int_equal(welcome_open(mac, slot.data, welcome, sizeof welcome, &opened), OK);
		assert_int_equal(opened.marks.received, h.marks.received);
	}
	assert_in_range(i, 2, 99);
}

static void marks_match(void **state)
{
	(void)state;
	json_t *v = field(pads, "marks");
	struct padmarks m = {.sent = number(v, "sent"),
		.received = number(v, "received"),
		.boundary = number(v, "boundary"),
		.max_zero_run = (uint8_t)number(v, "max_zero_run")};
	struct blob id = bytes(v, "pad_id");
	memcpy(m.pad_id, id.data, sizeof m.pad_id);
	const struct request request = {.has_pad_marks = true, .pad_marks = m};
	const struct accept accept = {.has_pad_marks = true, .pad_marks = m};
	uint8_t body[REQUEST_BODY_MAX];
	struct writer w = writer_of(body, sizeof body);
	request_write(&w, &request);
	assert_bytes(body, w.at, v, "request");
	w = writer_of(body, sizeof body);
	accept_write(&w, &accept);
	assert_bytes(body, w.at, v, "accept");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts_match),
		cmocka_unit_test(pad_data_matches),
		cmocka_unit_test(hellos_match),
		cmocka_unit_test(marks_match),
	};
	json_error_t error;
	json_t *vectors = argc == 2 ? json_load_file(argv[1], 0, &error) : NULL;
	if (!vectors) {
		fprintf(stderr, "usage: %s jorm4.json (%s)\n", argv[0], argc == 2 ? error.text : "no file given");
		return 1;
	}
	pads = json_object_get(vectors, "pads");
	if (!pads || poly1305_new(&mac) != OK) {
		fprintf(stderr, "%s: no pads in the file, or no Poly1305\n", argv[0]);
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	poly1305_free(mac);
	json_decref(vectors);
	return failed;
}
