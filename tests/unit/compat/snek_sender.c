/* What goes out: the older program's sizes for every packet, its layout, and nonces that never come again. */
#include "snek_peer.h"

#include "compat/snek_sender.h"
#include "crypto/kdf.h"

#include <pthread.h>

struct sending {
	struct snek_sender *sender;
	struct aead *peer;
	struct snek_datagram out[SNEK_DATAGRAMS_MAX];
	size_t n;
};

/* What the sender draws: its first nonce, and an id. */
struct drawn {
	uint8_t bytes[16];
	size_t at;
};

static void fill(void *context, uint8_t *out, size_t n)
{
	struct drawn *d = context;
	assert_true(d->at + n <= sizeof d->bytes);
	memcpy(out, &d->bytes[d->at], n);
	d->at += n;
}

static struct sending *begin(const char *drawn)
{
	struct sending *s = calloc(1, sizeof *s);
	struct drawn d = {0};
	HEX(key, SNEK_CASE_DATA_KEY);
	assert_non_null(s);
	assert_int_equal(hex_read(d.bytes, sizeof d.bytes, drawn), sizeof d.bytes);
	assert_int_equal(snek_sender_new(&s->sender, key, &(struct rng){.fill = fill, .context = &d}), OK);
	assert_int_equal(d.at, sizeof d.bytes);
	assert_int_equal(aead_new(&s->peer, CIPHER_CHACHA20_POLY1305, AEAD_OPEN, key), OK);
	for (size_t i = 0; i < SNEK_DATAGRAMS_MAX; i++) {
		s->out[i].data = malloc(SNEK_ROOM); /* exactly, for the address sanitiser */
		assert_non_null(s->out[i].data);
	}
	return s;
}

static void end(struct sending *s)
{
	for (size_t i = 0; i < SNEK_DATAGRAMS_MAX; i++)
		free(s->out[i].data);
	snek_sender_free(s->sender);
	aead_free(s->peer);
	free(s);
}

static void seal(struct sending *s, size_t len)
{
	uint8_t *packet = malloc(len);
	assert_non_null(packet);
	case_packet(packet, len);
	assert_int_equal(snek_seal(s->sender, packet, len, s->out, &s->n), OK);
	free(packet);
}

/* The sizes of "Usual datagram sizes", not by the rule but by the list. */
static void expected_sizes(size_t n, size_t ret[static 2])
{
	ret[1] = 0;
	if (n <= 60)
		ret[0] = 105;
	else if (n <= 64)
		ret[0] = 106 + n - 61;
	else if (n <= 252)
		ret[0] = 297;
	else if (n <= 256)
		ret[0] = 298 + n - 253;
	else if (n <= 508)
		ret[0] = 553;
	else if (n <= 512)
		ret[0] = 554 + n - 509;
	else {
		ret[0] = 1573;
		ret[1] = n <= 1532 ? 53 : 54 + n - 1533;
	}
}

/* Puts the ciphertext together by the format's table and opens it; the plaintext's length. */
static size_t open_all(struct sending *s, uint8_t text[static 2048], uint64_t seq, uint32_t id)
{
	size_t len = 0;
	uint8_t nonce[AEAD_NONCE_LEN] = {0};
	for (size_t i = 0; i < s->n; i++) {
		const uint8_t *d = s->out[i].data;
		const size_t header = s->n > 1 ? 37 : 25;
		assert_int_equal(d[0], s->n > 1 ? 3 : 1);
		assert_int_equal(le64_get(d + 1), seq + i);
		assert_int_equal(le32_get(d + 9), s->out[i].len - header);
		if (s->n > 1) {
			assert_int_equal(le32_get(d + 13), s->out[0].len + s->out[1].len - 74);
			assert_int_equal(le32_get(d + 17), id);
			assert_int_equal(le16_get(d + 21), i);
			assert_int_equal(le16_get(d + 23), 2);
		}
		if (i > 0)
			assert_memory_equal(nonce, d + header - 12, 12);
		memcpy(nonce, d + header - 12, 12);
		memcpy(text + len, d + header, s->out[i].len - header);
		len += s->out[i].len - header;
	}
	assert_int_equal(aead_open(s->peer, nonce, NULL, 0, text, len - AEAD_TAG_LEN), OK);
	return len - AEAD_TAG_LEN;
}

static void test_every_packet_has_the_older_programs_sizes_and_layout(void **state)
{
	(void)state;
	struct sending *s = begin("000102030405060708090a0bfeffffff");
	uint8_t text[2048], packet[SNEK_PACKET_MAX];
	uint64_t seq = 0;
	uint32_t id = 0xfffffffe;
	for (size_t n = 1; n <= SNEK_PACKET_MAX; n++) {
		size_t sizes[2];
		expected_sizes(n, sizes);
		seal(s, n);
		assert_int_equal(s->n, sizes[1] ? 2 : 1);
		assert_int_equal(s->out[0].len, sizes[0]);
		if (sizes[1])
			assert_int_equal(s->out[1].len, sizes[1]);
		const size_t len = open_all(s, text, seq, id);
		assert_int_equal(be32_get(text), n);
		case_packet(packet, n);
		assert_memory_equal(text + 4, packet, n);
		for (size_t i = 4 + n; i < len; i++)
			assert_int_equal(text[i], 0);
		seq += s->n;
		id += s->n > 1;
	}
	end(s);
}

/* The chunks one behind the other are what they are otherwise; both datagrams are as long, or the second one less. */
static void test_even_halves(void **state)
{
	(void)state;
	struct sending *s = begin("000102030405060708090a0bfeffffff"),
		       *usual = begin("000102030405060708090a0bfeffffff");
	uint8_t text[2048], usual_text[2048];
	uint64_t seq = 0;
	uint32_t id = 0xfffffffe;
	snek_sender_cut_evenly(s->sender);
	for (size_t n = 1; n <= SNEK_PACKET_MAX; n++) {
		seal(s, n);
		seal(usual, n);
		assert_int_equal(s->n, usual->n);
		const size_t len = open_all(s, text, seq, id);
		assert_int_equal(open_all(usual, usual_text, seq, id), len);
		assert_memory_equal(text, usual_text, len);
		if (s->n == 1)
			assert_int_equal(s->out[0].len, usual->out[0].len);
		else
			assert_true(s->out[0].len - s->out[1].len <= 1 && s->out[0].len <= 37 + 778);
		seq += s->n;
		id += s->n > 1;
	}
	end(s);
	end(usual);
}

/* The vectors' padding is not zeros, so only those without any are the same to the byte. */
static void test_packets_without_padding_are_as_in_the_vectors(void **state)
{
	(void)state;
	static const struct {
		const char *drawn; /* the nonce's last 4 bytes are `before` less than the vector's */
		size_t before, len;
		const char *sha256; /* of the datagrams */
	} cases[] = {
		{"030405060708090a050c0d0e00000000", 6, 64,
			"06bd86196ee6d4da9e90416492653d2655d62cc6847e35bfbc0565e22c6c0b0f"},
		{"060708090a0b0c0d020f101100000000", 12, 256,
			"ee7d54c002f501d48a73931da510f2674dc8c3a4fede25a97ab61ddb37b57ab2"},
		{"08090a0b0c0d0e0f0011121300000000", 16, 512,
			"81f8293a2cd23e098b2913bfbeff488ab39f4b9cb141c7227e40c71ba57ac60f"},
		{"0b0c0d0e0f101112fd1315160f030201", 22, 1533,
			"1ac669506bd4e89d944bf7a7de461474ce8b09e3c464f9490dbad3d67d567b99"},
		{"0c0d0e0f10111213fc14161710030201", 24, 1536,
			"5d61ed6b22dc785122035af5d8e87d4098e3a97980185858392448ca88e4f2b7"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sending *s = begin(cases[i].drawn);
		uint8_t hash[HASH_SHA256_LEN], expected[HASH_SHA256_LEN];
		for (size_t k = 0; k < cases[i].before; k++)
			seal(s, 1);
		seal(s, cases[i].len);
		assert_int_equal(
			HASH_SHA256(hash, VIEW(s->out[0].data, s->out[0].len), VIEW(s->out[1].data, s->out[1].len)),
			OK);
		assert_int_equal(hex_read(expected, sizeof expected, cases[i].sha256), sizeof expected);
		assert_memory_equal(hash, expected, sizeof hash);
		end(s);
	}
}

/* As a number of 96 bits would. */
static void test_nonces_count_and_carry(void **state)
{
	(void)state;
	static const struct {
		const char *drawn;
		uint64_t high;
	} cases[] = {
		{"00000000000000000000000000000000", 0},
		{"0807060504030201fdffffff00000000", 0x0102030405060708},
		{"ffffffffffffffffffffffff00000000", UINT64_MAX},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sending *s = begin(cases[i].drawn);
		uint8_t first[16];
		assert_int_equal(hex_read(first, sizeof first, cases[i].drawn), sizeof first);
		uint64_t high = cases[i].high;
		uint32_t low = le32_get(first + 8);
		for (int k = 0; k < 100; k++) {
			seal(s, k % 2 ? 1000 : 10);
			const uint8_t *nonce = s->out[0].data + (s->n > 1 ? 25 : 13);
			assert_int_equal(le64_get(nonce), high);
			assert_int_equal(le32_get(nonce + 8), low);
			assert_true(snek_sender_is_own(s->sender, nonce));
			high += ++low == 0;
		}
		end(s);
	}
}

static void test_others_nonces_are_not_its_own(void **state)
{
	(void)state;
	struct sending *s = begin("0807060504030201feffffff00000000");
	HEX(before, "0707060504030201feffffff");
	HEX(first, "080706050403020100000000");
	HEX(carried, "090706050403020100000000");
	HEX(far, "0807060504030281feffffff");
	assert_true(snek_sender_is_own(s->sender, first));
	assert_false(snek_sender_is_own(s->sender, before));
	assert_false(snek_sender_is_own(s->sender, far));
	assert_false(snek_sender_is_own(s->sender, carried));
	for (int i = 0; i < 3; i++)
		seal(s, 1);
	assert_true(snek_sender_is_own(s->sender, first));
	assert_true(snek_sender_is_own(s->sender, carried));
	assert_false(snek_sender_is_own(s->sender, before));
	assert_false(snek_sender_is_own(s->sender, far));
	end(s);
}

static void test_packets_that_do_not_fit_are_refused_and_cost_nothing(void **state)
{
	(void)state;
	struct sending *s = begin("00000000000000000000000000000000");
	static uint8_t packet[70000];
	size_t n = 7;
	assert_int_equal(snek_seal(s->sender, packet, 0, s->out, &n), ERR_ARGUMENT);
	assert_int_equal(n, 0);
	n = 7;
	assert_int_equal(snek_seal(s->sender, packet, SNEK_PACKET_MAX + 1, s->out, &n), ERR_TOO_BIG);
	assert_int_equal(n, 0);
	assert_int_equal(snek_seal(s->sender, packet, sizeof packet, s->out, &n), ERR_TOO_BIG);
	seal(s, 20);
	assert_int_equal(le64_get(s->out[0].data + 1), 0);
	assert_int_equal(le32_get(s->out[0].data + 13 + 8), 0);
	end(s);
}

#define THREAD_PACKETS 20000

static void *seal_many(void *context)
{
	struct sending *s = context;
	const uint8_t packet[1] = {0x45};
	for (int i = 0; i < THREAD_PACKETS; i++) {
		if (snek_seal(s->sender, packet, sizeof packet, s->out, &s->n) != OK)
			return s;
	}
	return NULL;
}

/* The receiving thread asks while the sending one seals, and comes to a carry. */
static void test_nonces_are_known_to_another_thread(void **state)
{
	(void)state;
	struct sending *s = begin("000000000000000000e0ffff00000000");
	HEX(first, "000000000000000000000000");
	HEX(carried, "010000000000000000000000");
	HEX(never, "020000000000000000000000");
	pthread_t thread;
	void *failed;
	bool has_ended = false;
	assert_int_equal(pthread_create(&thread, NULL, seal_many, s), 0);
	while (!has_ended) {
		has_ended = pthread_tryjoin_np(thread, &failed) == 0;
		assert_true(snek_sender_is_own(s->sender, first));
		assert_false(snek_sender_is_own(s->sender, never));
	}
	assert_true(snek_sender_is_own(s->sender, carried));
	assert_null(failed);
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_packet_has_the_older_programs_sizes_and_layout),
		cmocka_unit_test(test_even_halves),
		cmocka_unit_test(test_packets_without_padding_are_as_in_the_vectors),
		cmocka_unit_test(test_nonces_count_and_carry),
		cmocka_unit_test(test_others_nonces_are_not_its_own),
		cmocka_unit_test(test_packets_that_do_not_fit_are_refused_and_cost_nothing),
		cmocka_unit_test(test_nonces_are_known_to_another_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
