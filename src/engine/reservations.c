#include "engine/reservations.h"

static unsigned bits_in_mapped(const struct prefix *p)
{
	return p->bits + (p->v4 ? 96U : 0);
}

/* The bits of byte `at` that are the host's. */
static uint8_t host_mask(const struct prefix *p, unsigned at)
{
	unsigned bits = bits_in_mapped(p);
	if (bits >= at * 8 + 8)
		return 0;
	return (uint8_t)(bits <= at * 8 ? 0xffU : 0xffU >> bits % 8);
}

void prefix_first(uint8_t ret[static 16], const struct prefix *p)
{
	for (unsigned i = 0; i < 16; i++)
		ret[i] = p->ip[i] & (uint8_t)~host_mask(p, i);
}

void prefix_last(uint8_t ret[static 16], const struct prefix *p)
{
	for (unsigned i = 0; i < 16; i++)
		ret[i] = p->ip[i] | host_mask(p, i);
}

static int compare_holders(const struct reservation *a, const struct reservation *b)
{
	return a->for_key != b->for_key ? a->for_key - b->for_key : memcmp(a->key_id, b->key_id, KEY_ID_LEN);
}

static int compare_prefixes(const struct reservation *a, const struct reservation *b)
{
	if (a->prefix.bits != b->prefix.bits)
		return b->prefix.bits - a->prefix.bits;
	return a->prefix.v4 != b->prefix.v4 ? a->prefix.v4 - b->prefix.v4 : memcmp(a->prefix.ip, b->prefix.ip, 16);
}

static int by_prefix(const void *a, const void *b)
{
	int order = compare_prefixes(a, b);
	return order ? order : compare_holders(a, b);
}

static int by_key(const void *a, const void *b)
{
	int order = compare_holders(a, b);
	return order ? order : compare_prefixes(a, b);
}

static struct reservation of_holder(const uint8_t *key_id)
{
	struct reservation r = {.for_key = key_id != NULL};
	if (key_id)
		memcpy(r.key_id, key_id, KEY_ID_LEN);
	return r;
}

void reservations_init(struct reservations *r)
{
	*r = (struct reservations){.by_prefix = {.compare = by_prefix}, .by_key = {.compare = by_key}};
}

void reservations_done(struct reservations *r)
{
	for (size_t i = 0; i < r->by_prefix.count; i++)
		free(r->by_prefix.at[i]);
	free(r->by_prefix.at);
	free(r->by_key.at);
}

enum err reservations_add(struct reservations *r, const struct prefix *prefix, const uint8_t key_id[KEY_ID_LEN])
{
	struct reservation wanted = of_holder(key_id);
	wanted.prefix = *prefix;
	prefix_first(wanted.prefix.ip, prefix);
	if (sorted_find(&r->by_prefix, &wanted))
		return OK;
	struct reservation *made = malloc(sizeof *made);
	if (!made || sorted_reserve(&r->by_prefix) != OK || sorted_reserve(&r->by_key) != OK) {
		free(made);
		return ERR_NOMEM;
	}
	*made = wanted;
	sorted_add(&r->by_prefix, made);
	sorted_add(&r->by_key, made);
	r->of_length[prefix->v4][prefix->bits]++;
	return OK;
}

/* Where those of a holder begin in by_key: no prefix comes before the longest one with the lowest address. */
static size_t place_of(const struct reservations *r, const uint8_t *key_id)
{
	struct reservation before = of_holder(key_id);
	before.prefix.bits = 128;
	return sorted_place(&r->by_key, &before);
}

void reservations_remove(struct reservations *r, const uint8_t key_id[KEY_ID_LEN])
{
	const struct reservation holder = of_holder(key_id);
	size_t first = place_of(r, key_id), after = first;
	for (; after < r->by_key.count && compare_holders(r->by_key.at[after], &holder) == 0; after++) {
		struct reservation *gone = r->by_key.at[after];
		sorted_remove(&r->by_prefix, gone);
		r->of_length[gone->prefix.v4][gone->prefix.bits]--;
		free(gone);
	}
	if (after > first)
		memmove(r->by_key.at + first, r->by_key.at + after, (r->by_key.count - after) * sizeof(void *));
	r->by_key.count -= after - first;
}

/* The longest over the address for whomever: of several of that prefix the first, and whether there are several. */
static const struct reservation *longest(
	const struct reservations *r, const struct prefix *address, int bits_min, bool *ret_is_shared)
{
	struct reservation wanted = {.prefix = *address};
	for (int bits = address->v4 ? 32 : 128; bits >= bits_min; bits--) {
		if (r->of_length[address->v4][bits] == 0)
			continue;
		wanted.prefix.bits = (uint8_t)bits;
		prefix_first(wanted.prefix.ip, &wanted.prefix);
		size_t place = sorted_place(&r->by_prefix, &wanted);
		if (place == r->by_prefix.count || compare_prefixes(r->by_prefix.at[place], &wanted) != 0)
			continue;
		*ret_is_shared =
			place + 1 < r->by_prefix.count && compare_prefixes(r->by_prefix.at[place + 1], &wanted) == 0;
		return r->by_prefix.at[place];
	}
	return NULL;
}

const struct reservation *reservations_against(
	const struct reservations *r, const struct prefix *address, const uint8_t key_id[KEY_ID_LEN], uint8_t bits_min)
{
	bool is_shared;
	const struct reservation *found = longest(r, address, bits_min, &is_shared);
	bool is_own = found && !is_shared && found->for_key && memcmp(found->key_id, key_id, KEY_ID_LEN) == 0;
	return is_own ? NULL : found;
}

const struct reservation *reservations_of(const struct reservations *r, const uint8_t key_id[KEY_ID_LEN], size_t at)
{
	const struct reservation holder = of_holder(key_id);
	size_t place = place_of(r, key_id) + at;
	bool is_there = place < r->by_key.count && compare_holders(r->by_key.at[place], &holder) == 0;
	return is_there ? r->by_key.at[place] : NULL;
}
