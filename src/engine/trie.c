#include "engine/trie.h"

#include <stdatomic.h>
#include <stdlib.h>

struct node {
	uint8_t key[16]; /* left-aligned, bits beyond `bits` are zero */
	uint8_t bits;
	_Atomic(void *) value; /* NULL: only a fork, or removed */
	_Atomic(struct node *) child[2];
};

struct trie {
	_Atomic(struct node *) root[2]; /* IPv6, IPv4 */
};

enum err trie_new(struct trie **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? OK : ERR_NOMEM;
}

/* Depth is at most 129, so recursion is bounded. */
static void node_free(struct node *n)
{
	if (!n)
		return;
	node_free(atomic_load(&n->child[0]));
	node_free(atomic_load(&n->child[1]));
	free(n);
}

void trie_free(struct trie *t)
{
	if (!t)
		return;
	node_free(atomic_load(&t->root[0]));
	node_free(atomic_load(&t->root[1]));
	free(t);
}

static unsigned bit_at(const uint8_t *key, unsigned bit)
{
	return (unsigned)key[bit / 8] >> (7 - bit % 8) & 1U;
}

/* How many leading bits are equal, at most max. */
static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned max)
{
	unsigned bits = 0;
	while (bits + 8 <= max && a[bits / 8] == b[bits / 8])
		bits += 8;
	while (bits < max && bit_at(a, bits) == bit_at(b, bits))
		bits++;
	return bits;
}

static struct node *node_new(const uint8_t key[16], unsigned bits, void *value)
{
	struct node *n = calloc(1, sizeof *n);
	if (!n)
		return NULL;
	memcpy(n->key, key, (bits + 7) / 8);
	if (bits % 8)
		n->key[bits / 8] &= (uint8_t)(0xff00U >> bits % 8);
	n->bits = (uint8_t)bits;
	atomic_store_explicit(&n->value, value, memory_order_relaxed);
	return n;
}

/* Puts a node for key/bits above `below`, with which it has `common` leading bits. */
static struct node *node_above(struct node *below, const uint8_t key[16], unsigned bits, unsigned common, void *value)
{
	struct node *n = node_new(key, common, common == bits ? value : NULL);
	if (!n)
		return NULL;
	if (common < bits) {
		struct node *leaf = node_new(key, bits, value);
		if (!leaf) {
			free(n);
			return NULL;
		}
		atomic_store_explicit(&n->child[bit_at(key, common)], leaf, memory_order_relaxed);
	}
	atomic_store_explicit(&n->child[bit_at(below->key, common)], below, memory_order_relaxed);
	return n;
}

enum err trie_insert(struct trie *t, const struct prefix *prefix, void *value)
{
	uint8_t key[16] = {0};
	unsigned bits = prefix->bits;
	memcpy(key, prefix->v4 ? prefix->ip + 12 : prefix->ip, prefix->v4 ? 4 : 16);

	_Atomic(struct node *) *link = &t->root[prefix->v4];
	struct node *n;
	while ((n = atomic_load(link))) {
		unsigned common = common_bits(n->key, key, n->bits < bits ? n->bits : bits);
		if (common < n->bits)
			break;
		if (n->bits == bits) {
			atomic_store(&n->value, value);
			return OK;
		}
		link = &n->child[bit_at(key, n->bits)];
	}
	struct node *made =
		n ? node_above(n, key, bits, common_bits(n->key, key, n->bits < bits ? n->bits : bits), value)
		  : node_new(key, bits, value);
	if (!made)
		return ERR_NOMEM;
	atomic_store_explicit(link, made, memory_order_release);
	return OK;
}

static void remove_below(struct node *n, const void *value)
{
	if (!n)
		return;
	if (atomic_load(&n->value) == value)
		atomic_store(&n->value, NULL);
	remove_below(atomic_load(&n->child[0]), value);
	remove_below(atomic_load(&n->child[1]), value);
}

void trie_remove(struct trie *t, const void *value)
{
	remove_below(atomic_load(&t->root[0]), value);
	remove_below(atomic_load(&t->root[1]), value);
}

static struct node *find(const struct trie *t, const struct prefix *prefix)
{
	uint8_t key[16] = {0};
	memcpy(key, prefix->v4 ? prefix->ip + 12 : prefix->ip, prefix->v4 ? 4 : 16);
	struct node *n = atomic_load_explicit(&t->root[prefix->v4], memory_order_acquire);
	while (n && n->bits <= prefix->bits && common_bits(n->key, key, n->bits) == n->bits) {
		if (n->bits == prefix->bits)
			return n;
		n = atomic_load_explicit(&n->child[bit_at(key, n->bits)], memory_order_acquire);
	}
	return NULL;
}

void *trie_covering(const struct trie *t, const struct prefix *prefix, unsigned least)
{
	uint8_t key[16] = {0};
	void *best = NULL;
	memcpy(key, prefix->v4 ? prefix->ip + 12 : prefix->ip, prefix->v4 ? 4 : 16);
	struct node *n = atomic_load_explicit(&t->root[prefix->v4], memory_order_acquire);
	while (n && n->bits <= prefix->bits && common_bits(n->key, key, n->bits) == n->bits) {
		void *value = atomic_load_explicit(&n->value, memory_order_acquire);
		if (value && n->bits >= least)
			best = value;
		if (n->bits == prefix->bits)
			break;
		n = atomic_load_explicit(&n->child[bit_at(key, n->bits)], memory_order_acquire);
	}
	return best;
}

void trie_remove_prefix(struct trie *t, const struct prefix *prefix, const void *value)
{
	struct node *n = find(t, prefix);
	if (n && atomic_load(&n->value) == value)
		atomic_store(&n->value, NULL);
}

void *trie_get(const struct trie *t, const struct prefix *prefix)
{
	struct node *n = find(t, prefix);
	return n ? atomic_load(&n->value) : NULL;
}

void *trie_lookup(const struct trie *t, bool v4, const uint8_t *address)
{
	unsigned max = v4 ? 32 : 128;
	void *best = NULL;
	struct node *n = atomic_load_explicit(&t->root[v4], memory_order_acquire);
	while (n && common_bits(n->key, address, n->bits) == n->bits) {
		void *value = atomic_load_explicit(&n->value, memory_order_acquire);
		if (value)
			best = value;
		if (n->bits == max)
			break;
		n = atomic_load_explicit(&n->child[bit_at(address, n->bits)], memory_order_acquire);
	}
	return best;
}
