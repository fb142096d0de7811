/*
 * Cryptokey routing: longest-prefix match from an address to a peer, IPv4 and IPv6
 * (docs/architecture.md). A path-compressed binary trie. Any number of threads look up while one
 * changes it: a change is one pointer published; nodes live until the trie is freed (their number is
 * bounded by the distinct prefixes ever inserted), so a reader never meets freed memory.
 */
#pragma once

#include "base/addr.h"

struct trie;

enum err trie_new(struct trie **ret);
void trie_free(struct trie *t); /* NULL is fine; no reader may be left */

/* Host bits of the prefix are ignored. A prefix that is there already gets the new value.
 * `value` is borrowed, not NULL. ERR_NOMEM. One writer at a time. */
enum err trie_insert(struct trie *t, const struct prefix *prefix, void *value);

/* Every prefix with this value stops matching. The value may still be in a reader's hands until a
 * grace period has passed. */
void trie_remove(struct trie *t, const void *value);

/* That prefix alone stops matching, if it has this value. */
void trie_remove_prefix(struct trie *t, const struct prefix *prefix, const void *value);

/* The value of exactly this prefix, or NULL. */
void *trie_get(const struct trie *t, const struct prefix *prefix);

/* The value of the longest prefix, of at least `least` bits, that contains this one or is it; NULL: none does. */
void *trie_covering(const struct trie *t, const struct prefix *prefix, unsigned least);

/* The value of the longest matching prefix, or NULL. address: 4 or 16 bytes. Any thread. */
void *trie_lookup(const struct trie *t, bool v4, const uint8_t *address);
