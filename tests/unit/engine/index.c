/* The table of keys: what is published is found, what is taken out is found by nobody new. */
#include "seeded.h"

#include "engine/grace.h"
#include "engine/index.h"

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define KEYS 500

static struct keys *new_keys(uint32_t local_index)
{
	static const uint8_t key[AEAD_KEY_LEN];
	struct keys_config config = {.local_index = local_index,
		.cipher = CIPHER_CHACHA20_POLY1305,
		.n_lanes = 1,
		.key_send = key,
		.key_receive = key};
	struct keys *keys;
	assert_err(keys_new(&keys, &config), OK);
	return keys;
}

static void test_found_until_removed(void **state)
{
	(void)state;
	struct seeded seed = {1};
	struct rng rng = seeded_rng(&seed);
	struct index *index;
	struct keys *keys[KEYS];
	uint32_t numbers[KEYS];
	assert_err(index_new(&index), OK);
	for (int i = 0; i < KEYS; i++) {
		numbers[i] = index_pick(index, &rng);
		keys[i] = new_keys(numbers[i]);
		assert_err(index_add(index, keys[i]), OK);
	}
	for (int i = 0; i < KEYS; i++)
		assert_ptr_equal(index_find_owned(index, numbers[i]), keys[i]);
	for (int i = 0; i < KEYS; i += 2)
		index_remove(index, keys[i]);
	grace_read_begin();
	for (int i = 0; i < KEYS; i++)
		assert_ptr_equal(index_find(index, numbers[i]), i % 2 ? keys[i] : NULL);
	grace_read_end();
	index_reclaim(index);
	index_reclaim(index);
	for (int i = 0; i < KEYS; i++)
		assert_ptr_equal(index_find_owned(index, numbers[i]), i % 2 ? keys[i] : NULL);
	index_remove(index, NULL);
	index_free(index); /* with what is still in it */
	index_free(NULL);
}

static void test_an_index_names_one_session(void **state)
{
	(void)state;
	struct index *index;
	struct keys *first = new_keys(7), *second = new_keys(7);
	assert_err(index_new(&index), OK);
	assert_err(index_add(index, first), OK);
	assert_err(index_add(index, second), ERR_EXISTS);
	index_remove(index, second); /* was never in: the other one stays */
	assert_ptr_equal(index_find_owned(index, 7), first);
	index_remove(index, first);
	assert_null(index_find_owned(index, 7));
	assert_err(index_add(index, second), OK);
	assert_ptr_equal(index_find_owned(index, 7), second);
	index_free(index);
}

/* Gives 0, then a number that is taken, then a free one. */
static void scripted(void *context, uint8_t *out, size_t n)
{
	static const uint32_t draws[] = {0, 7, 8};
	uint32_t *at = context;
	assert_int_equal(n, sizeof *draws);
	memcpy(out, &draws[(*at)++], sizeof *draws);
}

static void test_a_picked_index_is_free_and_not_zero(void **state)
{
	(void)state;
	struct index *index;
	uint32_t at = 0;
	struct rng rng = {scripted, &at};
	assert_err(index_new(&index), OK);
	assert_err(index_add(index, new_keys(7)), OK);
	assert_int_equal(index_pick(index, &rng), 8);
	index_free(index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_until_removed),
		cmocka_unit_test(test_an_index_names_one_session),
		cmocka_unit_test(test_a_picked_index_is_free_and_not_zero),
	};
	grace_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	grace_unregister_thread();
	return failed;
}
