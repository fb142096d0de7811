/*
 * The ledger's record: what was written is read, and nothing else is. Two copies written in turn against a model of a
 * disk that tears: whatever part of a write arrives, the record is the one before or the new one.
 */
#include "seeded.h"

#include "crypto/kdf.h"
#include "pad/ledger.h"

#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define PAD_SIZE (((uint64_t)100 << 20) + 12345)
#define SECTOR 64 /* smaller than any disk's: more tears */

static struct ledger sample(void)
{
	return (struct ledger){
		.sequence = 41,
		.pad_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		.pad_size = PAD_SIZE,
		.role = PAD_INITIATOR,
		.boundary = 700,
		.sent = 1000000,
		.received = 2000000,
		.burned_sent = 900000,
		.burned_received = 2000000,
		.hello = 17,
		.peer_saw = 999999,
		.peer_saw_hello = 16,
		.used_at_first = 3000000,
		.first_s = 1789000000,
	};
}

static void assert_same(const struct ledger *a, const struct ledger *b)
{
	assert_int_equal(a->sequence, b->sequence);
	assert_memory_equal(a->pad_id, b->pad_id, PAD_ID_LEN);
	assert_int_equal(a->pad_size, b->pad_size);
	assert_int_equal(a->role, b->role);
	assert_int_equal(a->boundary, b->boundary);
	assert_int_equal(a->sent, b->sent);
	assert_int_equal(a->received, b->received);
	assert_int_equal(a->burned_sent, b->burned_sent);
	assert_int_equal(a->burned_received, b->burned_received);
	assert_int_equal(a->hello, b->hello);
	assert_int_equal(a->peer_saw, b->peer_saw);
	assert_int_equal(a->peer_saw_hello, b->peer_saw_hello);
	assert_int_equal(a->used_at_first, b->used_at_first);
	assert_int_equal(a->first_s, b->first_s);
}

static void test_what_is_written_is_read(void **state)
{
	(void)state;
	struct ledger in = sample(), out;
	uint8_t record[LEDGER_RECORD_LEN];
	assert_err(ledger_encode(record, &in), OK);
	assert_err(ledger_decode(&out, record), OK);
	assert_same(&in, &out);

	struct pad_layout layout;
	assert_err(pad_layout_of(&layout, PAD_SIZE), OK);
	const uint64_t walk = layout.n_blocks * PAD_BLOCK;
	in = (struct ledger){.sequence = UINT64_MAX,
		.pad_size = PAD_SIZE,
		.role = PAD_RESPONDER,
		.boundary = layout.n_blocks,
		.sent = walk,
		.received = walk,
		.burned_sent = walk,
		.burned_received = walk,
		.hello = layout.n_slots,
		.peer_saw = walk,
		.peer_saw_hello = layout.n_slots,
		.used_at_first = 2 * walk,
		.first_s = UINT64_MAX};
	assert_err(ledger_encode(record, &in), OK);
	assert_err(ledger_decode(&out, record), OK);
	assert_same(&in, &out);
}

static struct ledger sample_of_otptunnel(void)
{
	return (struct ledger){
		.sequence = 7, .pad_size = PAD_SIZE, .role = PAD_OTP_CLIENT, .sent = 4000, .received = 3001};
}

static void test_what_otptunnel_writes_is_read(void **state)
{
	(void)state;
	struct ledger in = sample_of_otptunnel(), out;
	uint8_t record[LEDGER_RECORD_LEN];
	assert_err(ledger_encode(record, &in), OK);
	assert_err(ledger_decode(&out, record), OK);
	assert_same(&in, &out);
	/* The smallest file, an odd one, all used: 33 even offsets, and 32 odd ones. */
	in = (struct ledger){.sequence = 1, .pad_size = 65, .role = PAD_OTP_SERVER, .sent = 65, .received = 66};
	assert_err(ledger_encode(record, &in), OK);
	assert_err(ledger_decode(&out, record), OK);
	assert_same(&in, &out);
}

static void test_what_otptunnel_never_writes_is_refused(void **state)
{
	(void)state;
	struct ledger bad[10];
	for (size_t i = 0; i < 10; i++)
		bad[i] = sample_of_otptunnel();
	bad[0].role = PAD_OTP_SERVER; /* of another parity than its marks */
	bad[1].sent = PAD_SIZE + 3;
	bad[2].received = PAD_SIZE + 2;
	bad[3].sent++;
	bad[4].received++;
	bad[5].boundary = 1;
	bad[6].burned_sent = 1;
	bad[7].peer_saw = 1;
	bad[8].pad_size = 63;
	bad[8].sent = 0;
	bad[8].received = 1;
	bad[9].pad_size = PAD_SIZE_MAX + 1;
	for (size_t i = 0; i < 10; i++) {
		uint8_t record[LEDGER_RECORD_LEN];
		struct ledger out;
		assert_err(ledger_encode(record, &bad[i]), OK);
		assert_err(ledger_decode(&out, record), ERR_FORMAT);
	}
}

static void test_a_changed_bit_is_noticed(void **state)
{
	(void)state;
	const struct ledger in = sample(), before = {.sequence = 5};
	uint8_t record[LEDGER_RECORD_LEN];
	assert_err(ledger_encode(record, &in), OK);
	for (size_t bit = 0; bit < sizeof record * 8; bit++) {
		struct ledger out = before;
		record[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_err(ledger_decode(&out, record), ERR_FORMAT);
		assert_same(&out, &before);
		record[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

static void test_a_truncated_record_is_noticed(void **state)
{
	(void)state;
	const struct ledger in = sample();
	for (size_t len = 0; len < LEDGER_RECORD_LEN; len++) {
		uint8_t record[LEDGER_RECORD_LEN];
		struct ledger out;
		assert_err(ledger_encode(record, &in), OK);
		memset(record + len, 0, sizeof record - len);
		assert_err(ledger_decode(&out, record), ERR_FORMAT);
	}
}

/* A record with a right checksum all the same. */
static void seal(uint8_t record[LEDGER_RECORD_LEN])
{
	const size_t summed = LEDGER_RECORD_LEN - HASH_SHA256_LEN;
	assert_err(HASH_SHA256(record + summed, VIEW(record, summed)), OK);
}

static void test_another_version_or_kind_is_refused(void **state)
{
	(void)state;
	const struct ledger in = sample();
	/* the magic; the version; what a later version may put behind our fields */
	const size_t places[] = {0, 7, 8, 11, 200, LEDGER_RECORD_LEN - HASH_SHA256_LEN - 1};
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		uint8_t record[LEDGER_RECORD_LEN];
		struct ledger out;
		assert_err(ledger_encode(record, &in), OK);
		seal(record);
		assert_err(ledger_decode(&out, record), OK);
		record[places[i]] ^= 2;
		seal(record);
		assert_err(ledger_decode(&out, record), ERR_FORMAT);
	}
}

static void test_numbers_that_contradict_are_refused(void **state)
{
	(void)state;
	struct pad_layout layout;
	assert_err(pad_layout_of(&layout, PAD_SIZE), OK);
	const uint64_t walk = layout.n_blocks * PAD_BLOCK;
	struct ledger bad[13];
	for (size_t i = 0; i < 13; i++)
		bad[i] = sample();
	bad[0].role = (enum pad_role)0;
	bad[1].role = (enum pad_role)3;
	bad[2].boundary = layout.n_blocks + 1;
	bad[3].sent = walk + 1;
	bad[4].received = walk + 1;
	bad[5].burned_sent = bad[5].sent + 1;
	bad[6].burned_received = bad[6].received + 1;
	bad[7].hello = layout.n_slots + 1;
	bad[8].peer_saw = walk + 1;
	bad[9].peer_saw_hello = layout.n_slots + 1;
	bad[10].used_at_first = bad[10].sent + bad[10].received + 1;
	bad[11].pad_size = PAD_SIZE_MIN - 1;
	bad[12].pad_size = UINT64_MAX;
	for (size_t i = 0; i < 13; i++) {
		uint8_t record[LEDGER_RECORD_LEN];
		struct ledger out;
		assert_err(ledger_encode(record, &bad[i]), OK);
		assert_err(ledger_decode(&out, record), ERR_FORMAT);
	}
}

static void test_the_newer_copy_counts(void **state)
{
	(void)state;
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN] = {0};
	struct ledger out = {.sequence = 77}, older = sample(), newer = sample();
	assert_err(ledger_choose(&out, copies), ERR_NOT_FOUND);
	assert_int_equal(out.sequence, 77);
	newer.sequence++;
	newer.sent++;
	for (size_t i = 0; i < LEDGER_COPIES; i++) {
		memset(copies, 0, sizeof copies);
		assert_err(ledger_encode(copies[i], &older), OK);
		assert_err(ledger_choose(&out, copies), OK);
		assert_same(&out, &older);
		assert_err(ledger_encode(copies[1 - i], &newer), OK);
		assert_err(ledger_choose(&out, copies), OK);
		assert_same(&out, &newer);
		copies[1 - i][100] ^= 1; /* damaged */
		assert_err(ledger_choose(&out, copies), OK);
		assert_same(&out, &older);
		copies[i][100] ^= 1; /* both */
		assert_err(ledger_choose(&out, copies), ERR_FORMAT);
		memset(copies[i], 0, sizeof copies[i]);
		assert_err(ledger_choose(&out, copies), ERR_FORMAT); /* not taken for a pad that was never used */
	}
}

/* The outcome of a write of `newer` that was torn: the record before or the new one, or, where there was none, nothing
 * that could be taken for a record. */
static void assert_torn(
	const uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN], const struct ledger *older, const struct ledger *newer)
{
	struct ledger out;
	enum err err = ledger_choose(&out, copies);
	if (err == OK)
		assert_same(&out, out.sequence == newer->sequence || !older ? newer : older);
	else
		assert_true(!older && (err == ERR_NOT_FOUND || err == ERR_FORMAT));
}

static void test_torn_writes_leave_the_one_before(void **state)
{
	(void)state;
	struct seeded seed = {9};
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN] = {0}, torn[LEDGER_COPIES][LEDGER_RECORD_LEN];
	struct ledger older = sample();
	older.sequence = 0;
	for (int round = 0; round < 40; round++) {
		struct ledger newer = older;
		uint8_t record[LEDGER_RECORD_LEN];
		newer.sequence++;
		newer.sent += seeded_below(&seed, 100000);
		newer.received += seeded_below(&seed, 100000);
		assert_err(ledger_encode(record, &newer), OK);
		const size_t copy = newer.sequence % LEDGER_COPIES;
		const struct ledger *before = round ? &older : NULL;
		for (size_t cut = 0; cut <= LEDGER_RECORD_LEN; cut++) {
			memcpy(torn, copies, sizeof torn);
			memcpy(torn[copy], record, cut);
			assert_torn(torn, before, &newer);
			memcpy(torn[copy], copies[copy], cut); /* the end came first */
			memcpy(torn[copy] + cut, record + cut, LEDGER_RECORD_LEN - cut);
			assert_torn(torn, before, &newer);
		}
		for (unsigned int set = 0; set < 1U << LEDGER_RECORD_LEN / SECTOR; set++) {
			memcpy(torn, copies, sizeof torn);
			for (size_t s = 0; s < LEDGER_RECORD_LEN / SECTOR; s++)
				if (set >> s & 1)
					memcpy(torn[copy] + s * SECTOR, record + s * SECTOR, SECTOR);
			assert_torn(torn, before, &newer);
		}
		memcpy(copies[copy], record, sizeof record);
		older = newer;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_what_otptunnel_writes_is_read),
		cmocka_unit_test(test_what_otptunnel_never_writes_is_refused),
		cmocka_unit_test(test_a_changed_bit_is_noticed),
		cmocka_unit_test(test_a_truncated_record_is_noticed),
		cmocka_unit_test(test_another_version_or_kind_is_refused),
		cmocka_unit_test(test_numbers_that_contradict_are_refused),
		cmocka_unit_test(test_the_newer_copy_counts),
		cmocka_unit_test(test_torn_writes_leave_the_one_before),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
