/* PadHello and PadWelcome: what is built opens with the same slot, and nothing else does. */
/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "handshake/hello.h"

#include "../seeded.h"

static struct poly1305 *mac;
static uint8_t slot[HELLO_SLOT_LEN];

static const struct hello example = {
	.sender = 0x11223344,
	.receiver = 0x55667788,
	.slot = 0x99aabbcc,
	.marks =
		{
			.sent = 0x0102030405060708,
			.received = 0x1112131415161718,
			.boundary = 0x2122232425262728,
			.random = {1, 2, 3, 4, 5, 6, 7, 8},
			.status = HELLO_DIFFERENT,
			.max_zero_run = 9,
		},
};

/* Both messages by one set of tests. */
struct message {
	size_t len, marks_at, part; /* part: what of the slot is its own */
	enum err (*build)(struct poly1305 *, const uint8_t *, const struct hello *, uint8_t *);
	enum err (*parse)(struct hello *, const uint8_t *, size_t);
	enum err (*open)(struct poly1305 *, const uint8_t *, const uint8_t *, size_t, struct hello *);
};
static struct message hello = {PAD_HELLO_LEN, 12, 0, hello_build, hello_parse, hello_open};
static struct message welcome = {PAD_WELCOME_LEN, 16, 96, welcome_build, welcome_parse, welcome_open};

static int set_up(void **state)
{
	(void)state;
	struct seeded seed = {7};
	seeded_bytes(&seed, slot, sizeof slot);
	return poly1305_new(&mac) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	poly1305_free(mac);
	return 0;
}

static void build(const struct message *m, const struct hello *from, uint8_t out[static PAD_WELCOME_LEN])
{
	assert_int_equal(m->build(mac, slot, from, out), OK);
}

static void check_refused(const struct message *m, const uint8_t *data, size_t len, enum err expected)
{
	struct hello got, before;
	memset(&got, 0xa5, sizeof got);
	memcpy(&before, &got, sizeof got);
	assert_int_equal(m->open(mac, slot, data, len, &got), expected);
	assert_memory_equal(&got, &before, sizeof got);
}

static void check_is_example(const struct hello *got, bool has_receiver)
{
	assert_int_equal(got->sender, example.sender);
	assert_int_equal(got->receiver, has_receiver ? example.receiver : 0);
	assert_int_equal(got->slot, example.slot);
}

static void what_is_built_opens(void **state)
{
	const struct message *m = *state;
	uint8_t data[PAD_WELCOME_LEN];
	struct hello got;
	build(m, &example, data);
	assert_int_equal(m->open(mac, slot, data, m->len, &got), OK);
	check_is_example(&got, m == &welcome);
	assert_int_equal(got.marks.sent, example.marks.sent);
	assert_int_equal(got.marks.received, example.marks.received);
	assert_int_equal(got.marks.boundary, example.marks.boundary);
	assert_memory_equal(got.marks.random, example.marks.random, sizeof got.marks.random);
	assert_int_equal(got.marks.status, example.marks.status);
	assert_int_equal(got.marks.max_zero_run, example.marks.max_zero_run);

	assert_int_equal(m->parse(&got, data, m->len), OK);
	check_is_example(&got, m == &welcome);
	assert_int_equal(got.marks.sent, 0);
}

/* docs/protocol.md, "One-time pads", byte by byte. */
static void the_layout_is_the_protocols(void **state)
{
	const struct message *m = *state;
	uint8_t data[PAD_WELCOME_LEN], tag[POLY1305_TAG_LEN];
	const uint8_t header[] = {m == &hello ? 6 : 8, 4, 0, 0, 0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55};
	const uint8_t n_slot[] = {0xcc, 0xbb, 0xaa, 0x99};
	const uint8_t marks[PAD_MARKS_LEN] = {8, 7, 6, 5, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,
		0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 3, 9};
	build(m, &example, data);
	assert_memory_equal(data, header, m->marks_at - 4);
	assert_memory_equal(data + m->marks_at - 4, n_slot, 4);
	for (size_t i = 0; i < sizeof marks; i++)
		assert_int_equal(data[m->marks_at + i] ^ slot[m->part + 32 + i], marks[i]);
	const size_t body = m->marks_at + PAD_MARKS_LEN;
	assert_int_equal(m->len, body + sizeof tag);
	assert_int_equal(poly1305_tag(mac, slot + m->part, VIEW(data, body), tag), OK);
	assert_memory_equal(data + body, tag, sizeof tag);
}

static void another_length_is_refused(void **state)
{
	const struct message *m = *state;
	uint8_t data[2 * PAD_WELCOME_LEN] = {0};
	struct hello got;
	build(m, &example, data);
	for (size_t len = 0; len < sizeof data; len++) {
		if (len == m->len)
			continue;
		check_refused(m, data, len, ERR_FORMAT);
		assert_int_equal(m->parse(&got, data, len), ERR_FORMAT);
	}
}

static void another_bit_is_refused(void **state)
{
	const struct message *m = *state;
	uint8_t data[PAD_WELCOME_LEN];
	build(m, &example, data);
	for (size_t bit = 0; bit < 8 * m->len; bit++) {
		data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		check_refused(m, data, m->len, bit < 32 ? ERR_FORMAT : ERR_AUTH);
		data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	check_refused(m == &hello ? &welcome : &hello, data, m->len, ERR_FORMAT);
}

/* Only the bytes of a slot that the message has for itself open it: no hello is made with a welcome's. */
static void another_slot_is_refused(void **state)
{
	const struct message *m = *state;
	uint8_t data[PAD_WELCOME_LEN];
	struct hello got;
	build(m, &example, data);
	for (size_t at = 0; at < sizeof slot; at++) {
		slot[at] ^= 0x40; /* not of those bits that Poly1305 leaves out of its key, but in four bytes */
		const bool is_left_out = at - m->part < 16 && at % 4 == 3;
		const bool is_key = at >= m->part && at < m->part + POLY1305_KEY_LEN && !is_left_out;
		const bool is_mask = at >= m->part + POLY1305_KEY_LEN && at < m->part + 96;
		const enum err err = m->open(mac, slot, data, m->len, &got);
		slot[at] ^= 0x40;
		if (is_key)
			assert_int_equal(err, ERR_AUTH);
		else if (is_mask && at >= m->part + POLY1305_KEY_LEN + 34)
			assert_int_equal(err, ERR_FORMAT); /* zeros that are none */
		else
			assert_int_equal(err, OK);
	}
}

/* From whoever has the pad: authentic, but what must be zeros is not. */
static void zeros_must_be_zeros(void **state)
{
	const struct message *m = *state;
	uint8_t data[PAD_WELCOME_LEN];
	for (size_t at = 0; at < PAD_MARKS_LEN; at++) {
		build(m, &example, data);
		data[m->marks_at + at] ^= 1;
		const size_t body = m->marks_at + PAD_MARKS_LEN;
		assert_int_equal(poly1305_tag(mac, slot + m->part, VIEW(data, body), data + body), OK);
		struct hello got;
		if (at >= 34)
			check_refused(m, data, m->len, ERR_FORMAT);
		else
			assert_int_equal(m->open(mac, slot, data, m->len, &got), OK);
	}
}

#define OF(which, test)                                                                                                \
	{                                                                                                              \
		.name = #test ", " #which, .test_func = (test), .initial_state = &(which)                              \
	}
#define OF_BOTH(test) OF(hello, test), OF(welcome, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OF_BOTH(what_is_built_opens),
		OF_BOTH(the_layout_is_the_protocols),
		OF_BOTH(another_length_is_refused),
		OF_BOTH(another_bit_is_refused),
		OF_BOTH(another_slot_is_refused),
		OF_BOTH(zeros_must_be_zeros),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
