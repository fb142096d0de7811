/* What comes in and is taken: the vectors, and every oddity that the older receiver takes; and the memory of it. */
#include "snek_peer.h"

#include "compat/snek_reassembly.h"
#include "crypto/kdf.h"

/* ---- what it takes ---- */

struct vector {
	size_t packet_len, plain_len;
	const char *sha256; /* of the datagrams, one behind the other */
};

static const struct vector vectors[] = {
	{20, 64, "6cccf3f2d26742ed264b4663eb5994d9cb3ae55b0a85ab392a9c1f2f328b9002"},
	{60, 64, "aee8308d5496dbda66eb308cdce19db99e199c65be54b4bc70e5ed0503981f79"},
	{61, 65, "5d471e2b41dc3597c4d20f83efd96083e0e7a2f30a68c93f7421cd69cd482ed1"},
	{64, 68, "06bd86196ee6d4da9e90416492653d2655d62cc6847e35bfbc0565e22c6c0b0f"},
	{65, 256, "af5d3d47c3d228bb3391fb4d3b9618119c83767e6df33b275f7ddb9ad3914e22"},
	{252, 256, "57853e175834fff641ddeeb3b674bd9eda619d5ba53646bef7f142c3e56c8652"},
	{256, 260, "ee7d54c002f501d48a73931da510f2674dc8c3a4fede25a97ab61ddb37b57ab2"},
	{257, 512, "55dcf4853bfa5400e960c28f6ad911bf6583e6f4952c4a88eba6b58a0f3d39f7"},
	{512, 516, "81f8293a2cd23e098b2913bfbeff488ab39f4b9cb141c7227e40c71ba57ac60f"},
	{513, 1536, "1844b6a29082084c57cc72362786e8ccb607aef16db6647118168809e5bf11cb"},
	{1532, 1536, "b7fb4180c0484d3ff2b0b4337537954c3c047990b1e28ac6a2a5bfe48b64ca9d"},
	{1533, 1537, "1ac669506bd4e89d944bf7a7de461474ce8b09e3c464f9490dbad3d67d567b99"},
	{1536, 1540, "5d61ed6b22dc785122035af5d8e87d4098e3a97980185858392448ca88e4f2b7"},
};

/* The datagrams of the i-th vector by the rule by which all of them were made. Returns how many. */
static size_t vector_datagrams(struct snek_peer *p, size_t i, uint8_t out[2][SNEK_DATAGRAM_MAX], size_t len[2])
{
	const struct vector *v = &vectors[i];
	uint8_t nonce[AEAD_NONCE_LEN], text[SNEK_DATAGRAM_MAX];
	for (size_t k = 0; k < sizeof nonce; k++)
		nonce[k] = (uint8_t)(i + k);
	const size_t total =
		peer_seals(p, nonce, text, peer_plaintext(text, (uint32_t)v->packet_len, v->packet_len, v->plain_len));
	if (total <= 1536) {
		len[0] = peer_frame(out[0], 1, 2 * i, nonce, VIEW(text, total));
		len[1] = 0;
		return 1;
	}
	struct part part = {.seq = 2 * i, .total = (uint32_t)total, .id = (uint32_t)(0x01020304 + i), .count = 2};
	len[0] = peer_part(out[0], &part, nonce, text, 1536);
	part.seq++;
	part.index = 1;
	len[1] = peer_part(out[1], &part, nonce, text + 1536, total - 1536);
	return 2;
}

static void test_the_vectors(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		uint8_t datagrams[2][SNEK_DATAGRAM_MAX], hash[HASH_SHA256_LEN], expected[HASH_SHA256_LEN];
		size_t len[2];
		const size_t n = vector_datagrams(p, i, datagrams, len);
		assert_int_equal(HASH_SHA256(hash, VIEW(datagrams[0], len[0]), VIEW(datagrams[1], len[1])), OK);
		assert_int_equal(hex_read(expected, sizeof expected, vectors[i].sha256), sizeof expected);
		assert_memory_equal(hash, expected, sizeof hash);
		for (size_t k = 0; k < n; k++)
			peer_gives(p, datagrams[k], len[k]);
		assert_heard(p, vectors[i].packet_len);
	}
	assert_int_equal(counters(p)->delivered, sizeof vectors / sizeof *vectors);
	assert_false(snek_receiver_peer_counts(p->receiver));
	assert_int_equal(peer_drops(p), 0);
	peer_free(p);
}

static void test_packets_of_every_size_from_our_sender(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	struct snek_sender *other;
	const struct rng rng = seeded_rng(&p->random);
	uint8_t packet[SNEK_PACKET_MAX], room[2][SNEK_ROOM];
	struct snek_datagram out[SNEK_DATAGRAMS_MAX] = {{.data = room[0]}, {.data = room[1]}};
	HEX(key, SNEK_CASE_DATA_KEY);
	assert_int_equal(snek_sender_new(&other, key, &rng), OK);
	for (size_t n = 1; n <= SNEK_PACKET_MAX; n++) {
		size_t n_out;
		if (n == 1000)
			snek_sender_cut_evenly(other);
		assert_int_equal(snek_receiver_peer_counts(p->receiver), n > 2);
		case_packet(packet, n);
		assert_int_equal(snek_seal(other, packet, n, out, &n_out), OK);
		for (size_t i = 0; i < n_out; i++)
			peer_gives(p, out[i].data, out[i].len);
		assert_heard(p, n);
		for (size_t i = 0; i < n_out; i++) /* nothing stays of what comes twice */
			peer_gives(p, out[i].data, out[i].len);
		assert_int_equal(p->n_heard, 0);
		snek_receiver_release(p->receiver);
	}
	assert_int_equal(peer_drops(p), 512 + 2 * 1024);
	assert_int_equal(counters(p)->replayed, 512 + 2 * 1024);
	snek_sender_free(other);
	peer_free(p);
}

static void test_all_flags_and_any_padding(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t nonce[AEAD_NONCE_LEN], text[SNEK_DATAGRAM_MAX], datagram[SNEK_DATAGRAM_MAX];
	for (unsigned flags = 0; flags < 256; flags++) {
		if (flags & 2)
			continue;
		peer_gives(p, datagram, peer_datagram(p, datagram, flags, 60));
		assert_heard(p, 60);
	}
	/* Up to a datagram of 2048 bytes. */
	for (size_t len = 1540; len <= 2048 - 25 - 16; len++) {
		peer_nonce(p, nonce);
		const size_t total = peer_seals(p, nonce, text, peer_plaintext(text, 1536, 1536, len));
		peer_gives(p, datagram, peer_frame(datagram, 0xfd, len, nonce, VIEW(text, total)));
		assert_heard(p, 1536);
	}
	assert_int_equal(peer_drops(p), 0);
	peer_free(p);
}

static void test_sequence_numbers_may_repeat_and_go_back(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX];
	static const uint64_t seqs[] = {5, 5, 5, 100000, 3, 0, 100000, 99999, 131071, UINT64_MAX, 131072};
	for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++) {
		peer_gives(p, datagram, peer_datagram(p, datagram, seqs[i], 40));
		assert_heard(p, 40);
	}
	peer_free(p);
}

static void test_several_frames_in_a_datagram(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX], expected[SNEK_PACKET_MAX];
	size_t len = 0;
	for (size_t n = 20; n <= 100; n += 20)
		len += peer_datagram(p, &datagram[len], n, n);
	peer_gives(p, datagram, len);
	assert_int_equal(p->n_heard, 5);
	for (size_t i = 0; i < 5; i++) {
		case_packet(expected, 20 + 20 * i);
		assert_int_equal(p->heard_len[i], 20 + 20 * i);
		assert_memory_equal(p->heard[i], expected, p->heard_len[i]);
	}
	p->n_heard = 0;
	/* One forged in the middle costs itself; one that is none costs what follows. */
	len = peer_datagram(p, datagram, 1, 20);
	const size_t second = len;
	len += peer_datagram(p, &datagram[len], 2, 30);
	const size_t third = len;
	len += peer_datagram(p, &datagram[len], 3, 40);
	datagram[third - 1] ^= 1;
	peer_gives(p, datagram, len);
	assert_int_equal(p->n_heard, 2);
	assert_int_equal(p->heard_len[1], 40);
	assert_int_equal(counters(p)->forged, 1);
	p->n_heard = 0;
	len = peer_datagram(p, datagram, 1, 20);
	len += peer_datagram(p, &datagram[len], 2, 30);
	datagram[second + 9] ^= 0x80;
	peer_gives(p, datagram, len);
	assert_heard(p, 20);
	assert_int_equal(counters(p)->malformed, 1);
	assert_alive(p);
	peer_free(p);
}

static void test_a_single_fragment_is_a_whole(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t nonce[AEAD_NONCE_LEN], text[SNEK_DATAGRAM_MAX], datagram[SNEK_DATAGRAM_MAX];
	for (uint16_t count = 0; count < 2; count++) {
		for (uint16_t index = 0; index < 3; index++) {
			peer_nonce(p, nonce);
			const size_t len = peer_seals(p, nonce, text, peer_plaintext(text, 99, 99, 256));
			const struct part part = {.index = index, .count = count};
			peer_gives(p, datagram, peer_part(datagram, &part, nonce, text, len));
			assert_heard(p, 99);
		}
	}
	assert_int_equal(peer_drops(p), 0);
	peer_free(p);
}

/* The excess padding that the older program adds now and then; the last has three fragments. */
static void test_the_older_programs_rare_lengths(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	static const size_t lengths[][2] = {{61, 1600}, {254, 1792}, {512, 2048}, {1533, 3072}, {1536, 3072}};
	uint8_t nonce[AEAD_NONCE_LEN], text[SEALED_MAX], datagram[SNEK_DATAGRAM_MAX];
	uint64_t seq = 0;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		peer_nonce(p, nonce);
		const size_t n = lengths[i][0];
		const size_t total = peer_seals(p, nonce, text, peer_plaintext(text, (uint32_t)n, n, lengths[i][1]));
		struct part part = {.total = (uint32_t)total, .id = 9, .count = (uint16_t)((total + 1535) / 1536)};
		assert_int_equal(part.count, lengths[i][1] == 3072 ? 3 : 2);
		for (size_t at = 0; at < total; at += 1536, part.index++) {
			const size_t len = total - at < 1536 ? total - at : 1536;
			part.seq = seq++;
			assert_int_equal(p->n_heard, 0);
			peer_gives(p, datagram, peer_part(datagram, &part, nonce, text + at, len));
		}
		assert_heard(p, n);
	}
	assert_int_equal(peer_drops(p), 0);
	peer_free(p);
}

struct pieces {
	uint8_t nonce[AEAD_NONCE_LEN], text[SNEK_DATAGRAM_MAX];
	size_t packet_len, n, from[65]; /* piece i is text[from[i]..from[i + 1]) */
	struct part part;
	uint64_t given; /* bit i: piece i was */
};

static void cut_up(struct snek_peer *p, struct pieces *c, uint32_t id)
{
	c->packet_len = 1 + seeded_below(&p->random, SNEK_PACKET_MAX);
	c->n = 2 + seeded_below(&p->random, 63);
	c->given = 0;
	peer_nonce(p, c->nonce);
	const size_t total = peer_seals(p, c->nonce, c->text,
		peer_plaintext(c->text, (uint32_t)c->packet_len, c->packet_len, 4 + c->packet_len));
	c->from[0] = 0;
	c->from[c->n] = total;
	for (size_t i = 1; i < c->n; i++) /* some are empty */
		c->from[i] =
			c->from[i - 1] + seeded_below(&p->random, (uint32_t)(2 * (total - c->from[i - 1]) / c->n + 1));
	c->part = (struct part){.total = (uint32_t)seeded_next(&p->random), .id = id, .count = (uint16_t)c->n};
}

static void give_piece(struct snek_peer *p, struct pieces *c, size_t i)
{
	uint8_t datagram[SNEK_DATAGRAM_MAX];
	c->part.seq = seeded_below(&p->random, 1000);
	c->part.index = (uint16_t)i;
	c->given |= UINT64_C(1) << i;
	peer_gives(p, datagram,
		peer_part(datagram, &c->part, c->nonce, c->text + c->from[i], c->from[i + 1] - c->from[i]));
}

/* Of any sizes, in any order, some of them more than once, packets mixed, and ids in common. */
static void test_fragments_as_odd_as_they_come(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	static struct pieces cuts[8];
	for (size_t i = 0; i < 8; i++)
		cut_up(p, &cuts[i], (uint32_t)(i / 2));
	for (unsigned done = 0; done < 300;) {
		struct pieces *c = &cuts[seeded_below(&p->random, 8)];
		give_piece(p, c, seeded_below(&p->random, (uint32_t)c->n));
		const bool all = c->given == (c->n == 64 ? UINT64_MAX : (UINT64_C(1) << c->n) - 1);
		assert_int_equal(p->n_heard, all);
		if (!all)
			continue;
		assert_heard(p, c->packet_len);
		give_piece(p, c, 0); /* late */
		assert_int_equal(counters(p)->replayed, ++done);
		cut_up(p, c, seeded_below(&p->random, 4));
	}
	assert_int_equal(peer_drops(p), 300);
	assert_true(p->flushes >= 300 / SNEK_REASSEMBLY_WHOLE - 1);
	peer_free(p);
}

static void test_more_is_said_than_there_is(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t nonce[AEAD_NONCE_LEN], text[SNEK_DATAGRAM_MAX], datagram[SNEK_DATAGRAM_MAX];
	for (size_t rest = 1; rest <= 200; rest++) {
		peer_nonce(p, nonce);
		const size_t len = peer_seals(p, nonce, text, peer_plaintext(text, 1536, rest, 4 + rest));
		peer_gives(p, datagram, peer_frame(datagram, 1, rest, nonce, VIEW(text, len)));
		assert_heard(p, rest);
	}
	peer_free(p);
}

/* ---- memory ---- */

/* Reassembled packets stay where they are until they are released. */
static void test_memory_of_delivered_packets(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	const uint8_t *where[SNEK_REASSEMBLY_WHOLE];
	uint8_t expected[SNEK_PACKET_MAX];
	static struct pieces c;
	size_t lengths[SNEK_REASSEMBLY_WHOLE];
	for (unsigned round = 0; round < 3; round++) {
		p->n_heard = 0;
		for (size_t i = 0; i < SNEK_REASSEMBLY_WHOLE; i++) {
			cut_up(p, &c, 1);
			for (size_t k = c.n; k-- > 0;)
				give_piece(p, &c, k);
			where[i] = p->last;
			lengths[i] = c.packet_len;
		}
		assert_int_equal(p->n_heard, SNEK_REASSEMBLY_WHOLE);
		assert_int_equal(p->flushes, round == 2 ? 1 : 0);
		for (size_t i = 0; i < SNEK_REASSEMBLY_WHOLE; i++) {
			case_packet(expected, lengths[i]);
			assert_memory_equal(where[i], expected, lengths[i]);
		}
		if (round == 0) /* the second time it is not, so that there has to be a flush */
			snek_receiver_release(p->receiver);
	}
	assert_int_equal(peer_drops(p), 0);
	peer_free(p);
}

static void test_incomplete_packets_expire(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	static struct pieces c;
	cut_up(p, &c, 1);
	give_piece(p, &c, 0);
	p->now += SNEK_REASSEMBLY_LIFETIME;
	for (size_t i = 1; i < c.n; i++)
		give_piece(p, &c, i);
	assert_int_equal(p->n_heard, 0);
	assert_int_equal(counters(p)->expired, 1);
	give_piece(p, &c, 0);
	assert_heard(p, c.packet_len);
	assert_int_equal(peer_drops(p), 1);
	peer_free(p);
}

/* A flood of first fragments costs what is incomplete, and no more. */
static void test_a_flood_of_fragments(void **state)
{
	(void)state;
	struct snek_peer *p = peer_new();
	uint8_t datagram[SNEK_DATAGRAM_MAX], nonce[AEAD_NONCE_LEN], chunk[1536] = {0};
	struct part part = {.count = 2};
	for (unsigned i = 0; i < 3000; i++, part.id++) {
		peer_nonce(p, nonce);
		peer_gives(p, datagram, peer_part(datagram, &part, nonce, chunk, i % sizeof chunk));
	}
	assert_int_equal(counters(p)->evicted, 3000 - SNEK_REASSEMBLY_OPEN);
	assert_int_equal(p->n_heard, 0);
	static struct pieces c; /* one pushes out another of the flood's */
	cut_up(p, &c, 1);
	for (size_t k = c.n; k-- > 0;)
		give_piece(p, &c, k);
	assert_heard(p, c.packet_len);
	peer_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_vectors),
		cmocka_unit_test(test_packets_of_every_size_from_our_sender),
		cmocka_unit_test(test_all_flags_and_any_padding),
		cmocka_unit_test(test_sequence_numbers_may_repeat_and_go_back),
		cmocka_unit_test(test_several_frames_in_a_datagram),
		cmocka_unit_test(test_a_single_fragment_is_a_whole),
		cmocka_unit_test(test_the_older_programs_rare_lengths),
		cmocka_unit_test(test_fragments_as_odd_as_they_come),
		cmocka_unit_test(test_more_is_said_than_there_is),
		cmocka_unit_test(test_memory_of_delivered_packets),
		cmocka_unit_test(test_incomplete_packets_expire),
		cmocka_unit_test(test_a_flood_of_fragments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
