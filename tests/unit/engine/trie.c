/* The routing trie against a deliberately naive model: a list of prefixes, searched from end to end. */
#include "seeded.h"

#include "engine/trie.h"

#include <string.h>

#define MODEL_MAX 3000
#define VALUES 40

struct entry {
	struct prefix prefix;
	const void *value;
};

static struct entry model[MODEL_MAX];
static uint32_t n_model;
static int values[VALUES]; /* only their addresses matter */

static void to_prefix(struct prefix *p, const uint8_t *address, uint8_t bits, bool v4)
{
	*p = (struct prefix){.bits = bits, .v4 = v4};
	if (v4)
		p->ip[10] = p->ip[11] = 0xff;
	memcpy(p->ip + (v4 ? 12 : 0), address, v4 ? 4 : 16);
}

static bool bit_of(const uint8_t *bytes, unsigned bit)
{
	return bytes[bit / 8] & 0x80 >> bit % 8;
}

static bool covers(const struct prefix *p, bool v4, const uint8_t *address)
{
	if (p->v4 != v4)
		return false;
	for (unsigned bit = 0; bit < p->bits; bit++)
		if (bit_of(p->ip + (v4 ? 12 : 0), bit) != bit_of(address, bit))
			return false;
	return true;
}

static void model_insert(const struct prefix *p, const void *value)
{
	for (uint32_t i = 0; i < n_model; i++)
		if (model[i].prefix.bits == p->bits && covers(&model[i].prefix, p->v4, p->ip + (p->v4 ? 12 : 0))) {
			model[i].value = value;
			return;
		}
	model[n_model++] = (struct entry){*p, value};
}

static void model_remove(const void *value)
{
	for (uint32_t i = 0; i < n_model; i++)
		if (model[i].value == value)
			model[i--] = model[--n_model];
}

static const void *model_lookup(bool v4, const uint8_t *address)
{
	const struct entry *best = NULL;
	for (uint32_t i = 0; i < n_model; i++)
		if (covers(&model[i].prefix, v4, address) && (!best || model[i].prefix.bits > best->prefix.bits))
			best = &model[i];
	return best ? best->value : NULL;
}

/* Addresses that share long beginnings, so that prefixes nest. */
static void random_address(struct seeded *seed, uint8_t *out, bool v4)
{
	memset(out, 0x55, 16);
	unsigned bits = v4 ? 32 : 128, kept = seeded_below(seed, bits + 1);
	for (unsigned bit = kept; bit < bits; bit++)
		if (seeded_chance(seed, 50))
			out[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
}

static void compare(const struct trie *trie, struct seeded *seed, int lookups)
{
	for (int i = 0; i < lookups; i++) {
		uint8_t address[16];
		bool v4 = seeded_chance(seed, 50);
		random_address(seed, address, v4);
		if (n_model && seeded_chance(seed, 50)) { /* near to something that is there */
			const struct prefix *p = &model[seeded_below(seed, n_model)].prefix;
			v4 = p->v4;
			memcpy(address, p->ip + (v4 ? 12 : 0), v4 ? 4 : 16);
			if (seeded_chance(seed, 50)) {
				unsigned bit = seeded_below(seed, v4 ? 32 : 128);
				address[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
			}
		}
		assert_ptr_equal(trie_lookup(trie, v4, address), model_lookup(v4, address));
	}
}

static void test_random_tables_agree_with_a_list(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 25; round++) {
		struct seeded seed = {round};
		struct trie *trie;
		assert_int_equal(trie_new(&trie), OK);
		n_model = 0;
		for (int i = 0; i < 300; i++) {
			if (seeded_chance(&seed, 3)) {
				const void *value = &values[seeded_below(&seed, VALUES)];
				trie_remove(trie, value);
				model_remove(value);
			} else {
				struct prefix p;
				uint8_t address[16];
				bool v4 = seeded_chance(&seed, 50);
				random_address(&seed, address, v4);
				to_prefix(&p, address, (uint8_t)seeded_below(&seed, v4 ? 33 : 129), v4);
				void *value = &values[seeded_below(&seed, VALUES)];
				assert_int_equal(trie_insert(trie, &p, value), OK);
				model_insert(&p, value);
			}
			compare(trie, &seed, 10);
		}
		for (int i = 0; i < VALUES; i++) {
			trie_remove(trie, &values[i]);
			model_remove(&values[i]);
		}
		assert_int_equal(n_model, 0);
		compare(trie, &seed, 10);
		trie_free(trie);
	}
}

static void test_an_empty_table_has_no_route(void **state)
{
	(void)state;
	struct trie *trie;
	static const uint8_t address[16];
	assert_int_equal(trie_new(&trie), OK);
	assert_null(trie_lookup(trie, true, address));
	assert_null(trie_lookup(trie, false, address));
	trie_free(trie);
	trie_free(NULL);
}

static void test_families_are_apart(void **state)
{
	(void)state;
	struct trie *trie;
	struct prefix everything;
	static const uint8_t address[16];
	assert_int_equal(trie_new(&trie), OK);
	to_prefix(&everything, address, 0, true);
	assert_int_equal(trie_insert(trie, &everything, &values[0]), OK);
	assert_ptr_equal(trie_lookup(trie, true, address), &values[0]);
	assert_null(trie_lookup(trie, false, address));
	to_prefix(&everything, address, 0, false);
	assert_int_equal(trie_insert(trie, &everything, &values[1]), OK);
	assert_ptr_equal(trie_lookup(trie, false, address), &values[1]);
	trie_remove(trie, &values[0]);
	assert_null(trie_lookup(trie, true, address));
	assert_ptr_equal(trie_lookup(trie, false, address), &values[1]);
	trie_free(trie);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_tables_agree_with_a_list),
		cmocka_unit_test(test_an_empty_table_has_no_route),
		cmocka_unit_test(test_families_are_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
