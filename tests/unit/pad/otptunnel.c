/* What pads know of otptunnel: the name of its ledger, whose bytes are whose, and from where on nobody has used any. */
#include "seeded.h"

#include "crypto/kdf.h"
#include "pad/otptunnel.h"

#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static void test_the_id_is_a_hash_of_the_head(void **state)
{
	(void)state;
	struct seeded seed = {1};
	uint8_t head[OTPTUNNEL_HEAD_LEN], id[PAD_ID_LEN], other[PAD_ID_LEN], sum[HASH_SHA256_LEN];
	seeded_bytes(&seed, head, sizeof head);
	assert_err(otptunnel_id(id, head), OK);
	assert_err(HASH_SHA256(sum, VIEW_TEXT("jorm otptunnel pad id v1"), VIEW_ARRAY(head)), OK);
	assert_memory_equal(id, sum, sizeof id);
	assert_memory_not_equal(id, head, sizeof id); /* which is key */
	for (size_t i = 0; i < sizeof head; i++) {
		head[i] ^= 1;
		assert_err(otptunnel_id(other, head), OK);
		assert_memory_not_equal(other, id, sizeof id);
		head[i] ^= 1;
	}
}

/* Each byte of a file belongs to one of the ends, whatever its size. */
static void test_the_ends_share_all_bytes(void **state)
{
	(void)state;
	for (uint64_t size = 64; size < 70; size++) {
		unsigned int owners[70] = {0};
		for (enum pad_role role = PAD_OTP_CLIENT; role <= PAD_OTP_SERVER; role++)
			for (uint64_t i = 0; i < otptunnel_share(role, size); i++) {
				assert_true(otptunnel_offset(role, i) < size);
				owners[otptunnel_offset(role, i)]++;
			}
		for (uint64_t i = 0; i < size; i++)
			assert_int_equal(owners[i], 1);
	}
	assert_int_equal(otptunnel_offset(PAD_OTP_CLIENT, 0), 0);
	assert_int_equal(otptunnel_offset(PAD_OTP_SERVER, 0), 1);
	assert_int_equal(otptunnel_role_other(PAD_OTP_CLIENT), PAD_OTP_SERVER);
	assert_int_equal(otptunnel_role_other(PAD_OTP_SERVER), PAD_OTP_CLIENT);
}

static void test_what_is_unused_is_behind_both_marks(void **state)
{
	(void)state;
	const struct {
		uint64_t sent, received, from;
	} cases[] = {{0, 1, 0}, {70, 1, 70}, {0, 71, 71}, {70, 71, 71}, {72, 71, 72}, {1000, 1, 1000}, {0, 1001, 1000}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct ledger l = {
			.pad_size = 1000, .role = PAD_OTP_CLIENT, .sent = cases[i].sent, .received = cases[i].received};
		assert_true(otptunnel_ledger_is_consistent(&l));
		assert_int_equal(otptunnel_unused_from(&l), cases[i].from);
		assert_int_equal(otptunnel_ledger_is_used(&l), cases[i].from > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_id_is_a_hash_of_the_head),
		cmocka_unit_test(test_the_ends_share_all_bytes),
		cmocka_unit_test(test_what_is_unused_is_behind_both_marks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
