/*
 * The control stream: two ends over a link that loses, repeats and reorders; every message arrives
 * once and in order. What is dropped or confirmed leaves no hole in the order of parts.
 */
#include "seeded.h"

#include "transport/stream.h"
#include "wire/frame.h"

#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define FRAME_MAX (FRAME_HEADER_LEN + CONTROL_HEADER_LEN + STREAM_PART_MAX)
#define LINK_MAX 64

struct flying {
	uint8_t to;
	size_t len;
	uint8_t data[FRAME_MAX];
};

struct link {
	struct seeded seed;
	uint32_t loss, repeat; /* percent */
	bool reorders;
	usec now;
	struct stream *ends[2];
	struct flying flying[LINK_MAX];
	size_t n_flying;
};

static void link_open(struct link *l)
{
	assert_err(stream_new(&l->ends[0]), OK);
	assert_err(stream_new(&l->ends[1]), OK);
}

static void link_close(struct link *l)
{
	stream_free(l->ends[0]);
	stream_free(l->ends[1]);
}

static void fly(struct link *l, uint8_t to, const uint8_t *frame, size_t len)
{
	if (seeded_chance(&l->seed, l->loss) || l->n_flying == LINK_MAX)
		return;
	struct flying *f = &l->flying[l->n_flying++];
	f->to = to;
	f->len = len;
	memcpy(f->data, frame, len);
}

static void poll_ends(struct link *l)
{
	for (uint8_t i = 0; i < 2; i++) {
		uint8_t frame[FRAME_MAX];
		struct writer w = writer_of(frame, sizeof frame);
		while (stream_poll(l->ends[i], l->now, &w)) {
			assert_false(w.failed);
			fly(l, !i, frame, w.at);
			if (seeded_chance(&l->seed, l->repeat))
				fly(l, !i, frame, w.at);
			w = writer_of(frame, sizeof frame);
		}
		assert_true(stream_deadline(l->ends[i]) > l->now); /* else its owner would never sleep */
	}
}

/* Takes one frame off the link and feeds it in. ERR_NOT_FOUND: none flies. */
static enum err arrive(struct link *l, uint8_t *to, uint8_t *type, struct view *message)
{
	if (!l->n_flying)
		return ERR_NOT_FOUND;
	size_t at = l->reorders ? seeded_below(&l->seed, (uint32_t)l->n_flying) : 0;
	struct flying f = l->flying[at];
	l->n_flying--;
	memmove(&l->flying[at], &l->flying[at + 1], (l->n_flying - at) * sizeof f);
	struct reader r = reader_of(f.data, f.len);
	struct frame frame;
	assert_err(frame_next(&r, &frame), OK);
	assert_int_equal(frame.kind, FRAME_CONTROL);
	assert_true(reader_done(&r));
	*to = f.to;
	return stream_input(l->ends[f.to], VIEW(frame.body, frame.len), type, message);
}

/* To the next time that anything is due. */
static bool sleep_until_due(struct link *l)
{
	usec due = stream_deadline(l->ends[0]), other = stream_deadline(l->ends[1]);
	due = other < due ? other : due;
	if (due == USEC_NEVER)
		return false;
	if (due > l->now)
		l->now = due;
	return true;
}

/* ---- messages that tell their number ---- */

#define MESSAGES 30

static size_t make_message(uint8_t *out, uint8_t end, uint32_t number)
{
	struct seeded seed = {number * 2 + end};
	static const uint32_t lengths[] = {
		0, 1, STREAM_PART_MAX - 1, STREAM_PART_MAX, STREAM_PART_MAX + 1, CONTROL_MESSAGE_MAX};
	size_t len = number < 6 ? lengths[number] : seeded_below(&seed, 5000);
	seeded_bytes(&seed, out, len);
	return len;
}

struct progress {
	uint32_t sent, got;
};

static void send_next(struct link *l, uint8_t end, struct progress *p)
{
	static uint8_t body[CONTROL_MESSAGE_MAX];
	while (p->sent < MESSAGES) {
		size_t len = make_message(body, end, p->sent);
		enum err err = stream_send(l->ends[end], (enum control_type)(1 + p->sent % 200), VIEW(body, len));
		if (err == ERR_FULL)
			return;
		assert_err(err, OK);
		p->sent++;
	}
}

static void check_got(uint8_t sender, struct progress *p, uint8_t type, struct view message)
{
	static uint8_t expected[CONTROL_MESSAGE_MAX];
	size_t len = make_message(expected, sender, p->got);
	assert_true(p->got < p->sent);
	assert_int_equal(type, 1 + p->got % 200);
	assert_int_equal(message.len, len);
	assert_memory_equal(message.data, expected, len);
	p->got++;
}

static void run(struct link *l)
{
	struct progress progress[2] = {0};
	link_open(l);
	for (uint32_t steps = 0; progress[0].got < MESSAGES || progress[1].got < MESSAGES; steps++) {
		assert_true(steps < 200000);
		send_next(l, 0, &progress[0]);
		send_next(l, 1, &progress[1]);
		poll_ends(l);
		uint8_t to, type;
		struct view message;
		enum err err = arrive(l, &to, &type, &message);
		if (err == OK)
			check_got(!to, &progress[!to], type, message);
		else if (err == ERR_NOT_FOUND)
			assert_true(sleep_until_due(l));
		else
			assert_err(err, ERR_AGAIN);
	}
	link_close(l);
}

static void test_every_message_arrives_once_and_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 12; seed++) {
		struct link l = {.seed = {seed},
			.loss = (uint32_t)(seed % 4) * 12,
			.repeat = (uint32_t)(seed % 3) * 20,
			.reorders = seed % 2};
		run(&l);
	}
}

static void test_when_all_is_acknowledged_nothing_is_due(void **state)
{
	(void)state;
	struct link l = {0};
	link_open(&l);
	assert_true(stream_deadline(l.ends[0]) == USEC_NEVER);
	assert_err(stream_send(l.ends[0], CONTROL_CLOSE, VIEW_TEXT("bye")), OK);
	assert_true(stream_has(l.ends[0], CONTROL_CLOSE));
	uint8_t to, type;
	struct view message;
	poll_ends(&l);
	assert_err(arrive(&l, &to, &type, &message), OK);
	poll_ends(&l);
	assert_err(arrive(&l, &to, &type, &message), ERR_AGAIN); /* the acknowledgement */
	assert_false(stream_has(l.ends[0], CONTROL_CLOSE));
	poll_ends(&l);
	assert_err(arrive(&l, &to, &type, &message), ERR_NOT_FOUND);
	assert_true(stream_deadline(l.ends[0]) == USEC_NEVER);
	assert_true(stream_deadline(l.ends[1]) == USEC_NEVER);
	link_close(&l);
}

static void test_repeats_come_later_and_later(void **state)
{
	(void)state;
	struct link l = {.loss = 100, .now = 77};
	link_open(&l);
	assert_err(stream_send(l.ends[0], CONTROL_CLOSE, VIEW(NULL, 0)), OK);
	static const usec waits_ms[] = {250, 500, 1000, 2000, 4000, 4000, 4000};
	for (size_t i = 0; i < sizeof waits_ms / sizeof *waits_ms; i++) {
		poll_ends(&l);
		assert_int_equal(stream_deadline(l.ends[0]) - l.now, waits_ms[i] * USEC_PER_MS);
		l.now = stream_deadline(l.ends[0]);
	}
	link_close(&l);
}

static void test_limits(void **state)
{
	(void)state;
	struct link l = {0};
	link_open(&l);
	static const uint8_t large[CONTROL_MESSAGE_MAX + 1];
	assert_err(stream_send(l.ends[0], CONTROL_CLOSE, VIEW(large, sizeof large)), ERR_TOO_BIG);
	for (int i = 0; i < STREAM_QUEUE_MAX; i++)
		assert_err(stream_send(l.ends[0], CONTROL_CLOSE, VIEW(large, 10)), OK);
	assert_err(stream_send(l.ends[0], CONTROL_CLOSE, VIEW(large, 10)), ERR_FULL);
	uint8_t small[FRAME_MAX - 1];
	struct writer w = writer_of(small, sizeof small);
	assert_false(stream_poll(l.ends[0], 0, &w)); /* no room: nothing is begun */
	assert_int_equal(w.at, 0);
	link_close(&l);
}

/* ---- ids ---- */

static struct control_part last_part(const struct link *l)
{
	struct control_part part;
	const struct flying *f = &l->flying[l->n_flying - 1];
	assert_err(control_parse(&part, VIEW(f->data + FRAME_HEADER_LEN, f->len - FRAME_HEADER_LEN)), OK);
	return part;
}

static void test_ids_start_at_one_and_skip_zero(void **state)
{
	(void)state;
	struct link l = {0};
	link_open(&l);
	uint32_t expected = 1;
	for (uint32_t i = 0; i < 65535 + 10; i++) {
		uint8_t to, type;
		struct view message;
		assert_err(stream_send(l.ends[0], CONTROL_CLOSE, VIEW_TEXT("x")), OK);
		poll_ends(&l);
		assert_int_equal(last_part(&l).id, expected);
		assert_err(arrive(&l, &to, &type, &message), OK);
		poll_ends(&l);
		assert_int_equal(last_part(&l).ack, expected);
		assert_int_equal(last_part(&l).type, CONTROL_ACK);
		assert_err(arrive(&l, &to, &type, &message), ERR_AGAIN);
		expected = expected == 65535 ? 1 : expected + 1;
	}
	link_close(&l);
}

/* ---- dropping and confirming ---- */

/* Delivers what flies; returns how many messages came, the last one's type in *type. */
static int deliver_all(struct link *l, uint8_t *type)
{
	int messages = 0;
	for (;;) {
		uint8_t to;
		struct view message;
		poll_ends(l);
		enum err err = arrive(l, &to, type, &message);
		if (err == ERR_NOT_FOUND)
			return messages;
		messages += err == OK;
	}
}

static const uint8_t two_parts[STREAM_PART_MAX + 100];

static void test_a_dropped_message_is_not_sent_if_not_begun(void **state)
{
	(void)state;
	struct link l = {0};
	link_open(&l);
	assert_err(stream_send(l.ends[0], CONTROL_REKEY1, VIEW_ARRAY(two_parts)), OK);
	assert_err(stream_send(l.ends[0], CONTROL_CLOSE, VIEW(NULL, 0)), OK);
	stream_drop(l.ends[0], CONTROL_REKEY1);
	assert_false(stream_has(l.ends[0], CONTROL_REKEY1));
	poll_ends(&l);
	assert_int_equal(last_part(&l).id, 1);
	assert_int_equal(last_part(&l).type, CONTROL_CLOSE);
	link_close(&l);
}

static void test_a_part_on_its_way_is_repeated_though_its_message_is_dropped(void **state)
{
	(void)state;
	struct link l = {.loss = 100};
	uint8_t type = 0;
	link_open(&l);
	assert_err(stream_send(l.ends[0], CONTROL_REKEY1, VIEW_ARRAY(two_parts)), OK);
	poll_ends(&l); /* lost */
	stream_drop(l.ends[0], CONTROL_REKEY1);
	assert_false(stream_has(l.ends[0], CONTROL_REKEY1));
	assert_err(stream_send(l.ends[0], CONTROL_REKEY2, VIEW_ARRAY(two_parts)), OK);
	l.loss = 0;
	l.now = stream_deadline(l.ends[0]);
	poll_ends(&l);
	struct control_part part = last_part(&l);
	assert_int_equal(part.id, 1); /* the same part as before ... */
	assert_int_equal(part.type, CONTROL_REKEY1);
	assert_int_equal(part.part, 0);
	assert_int_equal(part.parts, 2);
	assert_int_equal(part.body.len, STREAM_PART_MAX);
	assert_int_equal(deliver_all(&l, &type), 1); /* ... the rest left out, and the next message whole */
	assert_int_equal(type, CONTROL_REKEY2);
	link_close(&l);
}

static void test_a_confirmed_message_counts_as_acknowledged(void **state)
{
	(void)state;
	struct link l = {0};
	uint8_t type = 0, to;
	struct view message;
	link_open(&l);
	assert_err(stream_send(l.ends[0], CONTROL_REKEY2, VIEW_ARRAY(two_parts)), OK);
	assert_err(stream_send(l.ends[0], CONTROL_CLOSE, VIEW(NULL, 0)), OK);
	stream_confirm(l.ends[0], CONTROL_CLOSE); /* not on its way: nothing happens */
	poll_ends(&l);
	assert_err(arrive(&l, &to, &type, &message), ERR_AGAIN);
	poll_ends(&l);
	assert_err(arrive(&l, &to, &type, &message), ERR_AGAIN);
	poll_ends(&l);
	assert_err(arrive(&l, &to, &type, &message), OK);
	assert_int_equal(type, CONTROL_REKEY2);
	stream_confirm(l.ends[0], CONTROL_CLOSE); /* another type is on its way */
	assert_true(stream_has(l.ends[0], CONTROL_REKEY2));
	stream_confirm(l.ends[0], CONTROL_REKEY2);
	assert_false(stream_has(l.ends[0], CONTROL_REKEY2));
	assert_int_equal(deliver_all(&l, &type), 1);
	assert_int_equal(type, CONTROL_CLOSE);
	link_close(&l);
}

/* ---- what a peer might send against the rules ---- */

static enum err feed(struct stream *s, struct control_part part, struct view *message)
{
	static uint8_t body[CONTROL_HEADER_LEN + 60000];
	struct writer w = writer_of(body, sizeof body);
	uint8_t type;
	control_write(&w, &part);
	assert_false(w.failed);
	return stream_input(s, VIEW(body, w.at), &type, message);
}

static void test_parts_that_do_not_fit_lose_their_message_only(void **state)
{
	(void)state;
	static const uint8_t body[16000];
	struct stream *s;
	struct view m;
	assert_err(stream_new(&s), OK);
	assert_err(feed(s, (struct control_part){.id = 2, .type = 5, .parts = 1}, &m), ERR_AGAIN); /* a gap */
	assert_err(feed(s, (struct control_part){.id = 1, .type = 5, .part = 1, .parts = 2}, &m), ERR_AGAIN);
	assert_err(feed(s, (struct control_part){.id = 2, .type = 5, .part = 0, .parts = 2}, &m), ERR_AGAIN);
	assert_err(feed(s, (struct control_part){.id = 3, .type = 6, .part = 1, .parts = 2}, &m), ERR_AGAIN); /* type */
	assert_err(feed(s, (struct control_part){.id = 4, .type = 5, .part = 1, .parts = 2}, &m), ERR_AGAIN);
	assert_err(feed(s, (struct control_part){.id = 5, .type = 5, .part = 0, .parts = 2}, &m), ERR_AGAIN);
	assert_err(
		feed(s, (struct control_part){.id = 6, .type = 5, .part = 1, .parts = 3}, &m), ERR_AGAIN); /* count */
	struct control_part large = {.id = 7, .type = 5, .part = 0, .parts = 2, .body = VIEW_ARRAY(body)};
	assert_err(feed(s, large, &m), ERR_AGAIN);
	large.id = 8;
	large.part = 1;
	assert_err(feed(s, large, &m), ERR_AGAIN); /* over 16 KiB */
	large = (struct control_part){.id = 9, .type = 5, .parts = 1, .body = VIEW(body, 1)};
	assert_err(feed(s, large, &m), OK);
	assert_int_equal(m.len, 1);
	assert_err(feed(s, large, &m), ERR_AGAIN); /* a repeat */
	large.id = 10;
	large.parts = 2;
	assert_err(feed(s, large, &m), ERR_AGAIN);
	large.id = 11;
	large.parts = 1;
	assert_err(feed(s, large, &m), OK); /* a part 0 discards an unfinished message */
	assert_int_equal(m.len, 1);
	stream_free(s);
}

/* Ours are filled but for the last; others may cut theirs as they like. The message stays until the next call. */
static void test_parts_may_have_any_size(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 5000, 0, 3, STREAM_PART_MAX, 10000};
	static uint8_t body[CONTROL_MESSAGE_MAX];
	const uint8_t parts = sizeof sizes / sizeof *sizes;
	struct seeded seed = {7};
	struct stream *s;
	struct view m;
	seeded_bytes(&seed, body, sizeof body);
	assert_err(stream_new(&s), OK);
	size_t at = 0;
	for (uint8_t i = 0; i < parts; i++) {
		struct control_part p = {.id = (uint16_t)(i + 1), .type = 5, .part = i, .parts = parts};
		p.body = VIEW(body + at, sizes[i]);
		assert_err(feed(s, p, &m), i + 1 < parts ? ERR_AGAIN : OK);
		at += sizes[i];
	}
	assert_int_equal(m.len, at);
	assert_memory_equal(m.data, body, at);
	assert_err(stream_send(s, CONTROL_CLOSE, VIEW(NULL, 0)), OK); /* this is no such call */
	assert_memory_equal(m.data, body, at);
	stream_free(s);
}

static void test_acknowledgements_of_other_parts_count_for_nothing(void **state)
{
	(void)state;
	struct link l = {0};
	struct view m;
	link_open(&l);
	assert_err(stream_send(l.ends[0], CONTROL_CLOSE, VIEW(NULL, 0)), OK);
	struct control_part ack = {.type = CONTROL_ACK, .parts = 1, .ack = 1};
	assert_err(feed(l.ends[0], ack, &m), ERR_AGAIN); /* before it is on its way */
	poll_ends(&l);
	for (uint32_t id = 0; id < 65536; id++) {
		ack.ack = (uint16_t)id;
		if (id != 1)
			assert_err(feed(l.ends[0], ack, &m), ERR_AGAIN);
	}
	assert_true(stream_has(l.ends[0], CONTROL_CLOSE));
	ack.ack = 1;
	assert_err(feed(l.ends[0], ack, &m), ERR_AGAIN);
	assert_false(stream_has(l.ends[0], CONTROL_CLOSE));
	link_close(&l);
}

static void test_malformed_bodies_change_nothing(void **state)
{
	(void)state;
	struct stream *s;
	struct view m;
	uint8_t type;
	assert_err(stream_new(&s), OK);
	static const uint8_t body[CONTROL_HEADER_LEN] = {1, 0, 0, 0, 5, 1, 1};
	for (size_t len = 0; len <= sizeof body; len++)
		assert_err(stream_input(s, VIEW(body, len), &type, &m), ERR_FORMAT);
	assert_true(stream_deadline(s) == USEC_NEVER); /* no acknowledgement is owed */
	stream_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_message_arrives_once_and_in_order),
		cmocka_unit_test(test_when_all_is_acknowledged_nothing_is_due),
		cmocka_unit_test(test_repeats_come_later_and_later),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_ids_start_at_one_and_skip_zero),
		cmocka_unit_test(test_a_dropped_message_is_not_sent_if_not_begun),
		cmocka_unit_test(test_a_part_on_its_way_is_repeated_though_its_message_is_dropped),
		cmocka_unit_test(test_a_confirmed_message_counts_as_acknowledged),
		cmocka_unit_test(test_parts_that_do_not_fit_lose_their_message_only),
		cmocka_unit_test(test_parts_may_have_any_size),
		cmocka_unit_test(test_acknowledgements_of_other_parts_count_for_nothing),
		cmocka_unit_test(test_malformed_bodies_change_nothing),
	};
	stream_free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
