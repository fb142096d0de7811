/*
 * What comes in and is dropped: every input that the older program drops, or dies of, counted by its reason and
 * followed by a good packet, which has to be delivered.
 */
#include "snek_peer.h"

/* ---- what it drops, as the older one does ---- */

static void test_what_holds_no_ip_packet(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX], nonce[AEAD_NONCE_LEN], text[100];
	static const char *const texts[] = {"", "00", "000000", "00000000", "0000000045", "ffffffff45", "8000000045",
		"0000060145", "7fffffff45", "0000000105", "0000000150", "0000000175", "00000001f0", "0000000100",
		"0000001400000000000000000000000000000000", "00000001",
		"00000600"}; /* the last two: nothing behind the length, which ends the older receiver */
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const size_t len = hex_read(text, sizeof text, texts[i]);
		peer_nonce(p, nonce);
		peer_gives(p, datagram, peer_frame(datagram, 1, i, nonce, VIEW(text, peer_seals(p, nonce, text, len))));
		assert_int_equal(p->n_heard, 0);
		assert_int_equal(counters(p)->not_ip, i + 1);
		assert_int_equal(peer_drops(p), 2 * i + 1);
		assert_alive(p);
		peer_gives(p, datagram, 25 + len + 16); /* it is remembered all the same */
	}
	assert_int_equal(counters(p)->replayed, sizeof texts / sizeof *texts);
	peer_free(p);
}

/* ---- what ends the older receiver ---- */

static void assert_dropped(struct snek_peer *p, const uint8_t *datagram, size_t len, const _Atomic uint64_t *counter)
{
	const uint64_t before = *counter, drops = peer_drops(p);
	peer_gives(p, datagram, len);
	assert_int_equal(p->n_heard, 0);
	assert_int_equal(*counter, before + 1);
	assert_int_equal(peer_drops(p), drops + 1);
	assert_alive(p);
}

static void test_fatal_a_frame_whose_tag_does_not_fit(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX], chunk[100];
	for (size_t len = 0; len <= sizeof chunk; len++) { /* a right header over anything */
		uint8_t nonce[AEAD_NONCE_LEN];
		peer_nonce(p, nonce);
		seeded_bytes(&p->random, chunk, sizeof chunk);
		assert_dropped(
			p, datagram, peer_frame(datagram, 1, len, nonce, VIEW(chunk, len)), &counters(p)->forged);
	}
	const size_t len = peer_datagram(p, datagram, 1, 40);
	for (size_t i = SNEK_HEADER_LEN - AEAD_NONCE_LEN; i < len; i++) { /* a good one, with a bit changed */
		datagram[i] ^= 0x10;
		assert_dropped(p, datagram, len, &counters(p)->forged);
		datagram[i] ^= 0x10;
	}
	peer_gives(p, datagram, len); /* forgeries do not use it up */
	assert_heard(p, 40);
	peer_free(p);
}

static void test_fatal_stray_bytes_and_hellos(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t bytes[SNEK_HEADER_LEN];
	memset(bytes, 0xff, sizeof bytes);
	assert_dropped(p, bytes, 1, &counters(p)->malformed);
	for (uint8_t byte = 0; byte < 4; byte++) {
		memset(bytes, byte, sizeof bytes);
		for (size_t len = 1; len < sizeof bytes; len++)
			assert_dropped(p, bytes, len, &counters(p)->malformed);
	}
	peer_free(p);
}

static void test_fatal_an_empty_datagram(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	assert_dropped(p, NULL, 0, &counters(p)->malformed);
	peer_free(p);
}

static void test_fatal_a_chunk_length_that_lies(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX];
	const size_t len = peer_datagram(p, datagram, 1, 40);
	const uint32_t right = le32_get(datagram + 9);
	static const uint32_t more[] = {1, 2, 1000, 0x7fffffff, 0xffffffff - 60, 0xffffff00};
	for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
		le32_put(datagram + 9, right + more[i]);
		assert_dropped(p, datagram, len, &counters(p)->malformed);
	}
	/* Too small: what is left over is no frame. */
	for (uint32_t less = 1; less < SNEK_HEADER_LEN; less++) {
		le32_put(datagram + 9, right - less);
		peer_gives(p, datagram, len);
		assert_int_equal(p->n_heard, 0);
		assert_int_equal(counters(p)->forged, less);
		assert_int_equal(counters(p)->malformed, 6 + less);
		assert_alive(p);
	}
	le32_put(datagram + 9, right);
	peer_gives(p, datagram, len);
	assert_heard(p, 40);
	peer_free(p);
}

static void test_fatal_a_datagram_over_2048_bytes(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	static uint8_t datagram[70000], text[70000];
	static const size_t plain[] = {2008, 2009, 3072, 9000, 60000};
	uint8_t nonce[AEAD_NONCE_LEN];
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		peer_nonce(p, nonce);
		const size_t len = peer_seals(p, nonce, text, peer_plaintext(text, 1000, 1000, plain[i]));
		assert_dropped(
			p, datagram, peer_frame(datagram, 1, i, nonce, VIEW(text, len)), &counters(p)->malformed);
	}
	peer_free(p);
}

static void test_fatal_an_index_not_below_the_count(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX], nonce[AEAD_NONCE_LEN], chunk[50] = {0};
	static const uint16_t pairs[][2] = {{2, 2}, {3, 2}, {65535, 2}, {64, 64}, {65535, 65535}};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		peer_nonce(p, nonce);
		const struct part part = {.index = pairs[i][0], .count = pairs[i][1]};
		const size_t len = peer_part(datagram, &part, nonce, chunk, sizeof chunk);
		assert_dropped(p, datagram, len, &counters(p)->malformed);
	}
	/* Below its own count, but not below the first one's, which the older receiver goes by. */
	struct part part = {.id = 5, .index = 0, .count = 2};
	peer_nonce(p, nonce);
	const size_t total = peer_seals(p, nonce, chunk, peer_plaintext(chunk, 20, 20, 30));
	peer_gives(p, datagram, peer_part(datagram, &part, nonce, chunk, 30));
	part.index = 2;
	part.count = 3;
	assert_dropped(p, datagram, peer_part(datagram, &part, nonce, chunk, 10), &counters(p)->malformed);
	part.index = 1; /* a right one with a wrong count is taken, as it is there */
	peer_gives(p, datagram, peer_part(datagram, &part, nonce, chunk + 30, total - 30));
	assert_heard(p, 20);
	peer_free(p);
}

static void test_fragments_beyond_the_limits(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX], nonce[AEAD_NONCE_LEN], chunk[1536] = {0};
	static const uint16_t counts[] = {65, 66, 1000, 65535};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		peer_nonce(p, nonce);
		const struct part part = {.index = 1, .count = counts[i]};
		const size_t len = peer_part(datagram, &part, nonce, chunk, sizeof chunk);
		assert_dropped(p, datagram, len, &counters(p)->malformed);
	}
	struct part part = {.count = 64};
	peer_nonce(p, nonce);
	for (; part.index < 5; part.index++) /* 7680 of 8192 bytes */
		peer_gives(p, datagram, peer_part(datagram, &part, nonce, chunk, 1536));
	assert_dropped(p, datagram, peer_part(datagram, &part, nonce, chunk, 513), &counters(p)->malformed);
	peer_free(p);
}

/* ---- cut short, seen before, our own ---- */

static void test_every_truncation_of_good_datagrams(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagrams[2][SNEK_DATAGRAM_MAX];
	size_t len[2];
	uint64_t drops = 0;
	for (size_t n = 20; n <= 500; n += 160) {
		len[0] = peer_datagram(p, datagrams[0], n, n);
		for (size_t cut = 0; cut < len[0]; cut++)
			peer_gives(p, datagrams[0], cut);
		assert_int_equal(peer_drops(p), drops += len[0]);
		peer_gives(p, datagrams[0], len[0]);
		assert_heard(p, n);
	}
	peer_halves(p, datagrams, len, 1000, 1536);
	for (size_t k = 0; k < 2; k++) {
		for (size_t cut = 0; cut < len[k]; cut++)
			peer_gives(p, datagrams[k], cut);
		assert_int_equal(p->n_heard, 0);
		assert_int_equal(peer_drops(p), drops += len[k]);
		peer_gives(p, datagrams[k], len[k]);
	}
	assert_heard(p, 1536);
	peer_free(p);
}

static void test_replays(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX], datagrams[2][SNEK_DATAGRAM_MAX];
	size_t len[2];
	len[0] = peer_datagram(p, datagram, 77, 40);
	peer_gives(p, datagram, len[0]);
	assert_heard(p, 40);
	static const uint64_t seqs[] = {77, 76, 78, 0, 1U << 20, UINT64_C(1) << 50, UINT64_MAX};
	for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++) {
		le64_put(datagram + 1, seqs[i]);
		assert_dropped(p, datagram, len[0], &counters(p)->replayed);
	}
	/* In fragments: each is known again, in both orders. */
	peer_halves(p, datagrams, len, 80, 1536);
	peer_gives(p, datagrams[0], len[0]);
	peer_gives(p, datagrams[1], len[1]);
	assert_heard(p, 1536);
	for (size_t i = 0; i < 4; i++) {
		datagrams[i % 2][17] = (uint8_t)i; /* another id */
		assert_dropped(p, datagrams[i % 2], len[i % 2], &counters(p)->replayed);
	}
	/* As a whole what came in fragments. */
	memmove(datagrams[0] + 13, datagrams[0] + 25, len[0] - 25);
	memcpy(datagrams[0] + len[0] - 12, datagrams[1] + 37, len[1] - 37);
	datagrams[0][0] = 1;
	le32_put(datagrams[0] + 9, 1556);
	assert_dropped(p, datagrams[0], 25 + 1556, &counters(p)->replayed);
	peer_free(p);
}

static void test_our_own_frames_are_known(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t packet[SNEK_PACKET_MAX], room[2][SNEK_ROOM];
	struct snek_datagram out[SNEK_DATAGRAMS_MAX] = {{.data = room[0]}, {.data = room[1]}};
	for (size_t n = 1; n < 1000; n += 7) {
		size_t n_out;
		case_packet(packet, n);
		assert_int_equal(snek_seal(p->own, packet, n, out, &n_out), OK);
		for (size_t i = 0; i < n_out; i++)
			assert_dropped(p, out[i].data, out[i].len, &counters(p)->reflected);
	}
	peer_free(p);
}

/* ---- all of it ---- */

/* Whatever comes, good packets do. */
static void test_noise(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX];
	for (unsigned i = 0; i < 20000; i++) {
		const size_t len = seeded_below(&p->random, i % 100 ? 200 : sizeof datagram);
		seeded_bytes(&p->random, datagram, len);
		if (len > 12) { /* most get past the header */
			datagram[9] = (uint8_t)seeded_below(&p->random, 64);
			memset(datagram + 10, 0, 3);
		}
		if (len > 25 && seeded_chance(&p->random, 70)) {
			le32_put(datagram + 17, seeded_below(&p->random, 4));
			le16_put(datagram + 21, (uint16_t)seeded_below(&p->random, 4));
			le16_put(datagram + 23, 4);
		}
		peer_gives(p, datagram, len);
		assert_int_equal(p->n_heard, 0);
	}
	const uint64_t evicted = counters(p)->evicted;
	assert_true(counters(p)->forged > 1000 && counters(p)->malformed > 1000 && evicted > 1000);
	peer_gives(p, datagram, peer_datagram(p, datagram, 1, 100));
	assert_heard(p, 100);
	peer_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_holds_no_ip_packet),
		cmocka_unit_test(test_fatal_a_frame_whose_tag_does_not_fit),
		cmocka_unit_test(test_fatal_stray_bytes_and_hellos),
		cmocka_unit_test(test_fatal_an_empty_datagram),
		cmocka_unit_test(test_fatal_a_chunk_length_that_lies),
		cmocka_unit_test(test_fatal_a_datagram_over_2048_bytes),
		cmocka_unit_test(test_fatal_an_index_not_below_the_count),
		cmocka_unit_test(test_fragments_beyond_the_limits),
		cmocka_unit_test(test_every_truncation_of_good_datagrams),
		cmocka_unit_test(test_replays),
		cmocka_unit_test(test_our_own_frames_are_known),
		cmocka_unit_test(test_noise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
