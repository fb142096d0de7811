/*
 * The server's disk, as far as leases are on it: who has had which address, from when to when. It outlives the server's
 * engine. Whatever is written into it must be free: a lease that contradicts another fails the run.
 */
#pragma once

#include "base/addr.h"
#include "sim/world.h"

#define BOOK_NOBODY UINT32_MAX

struct book_entry {
	uint32_t client;
	struct prefix address;
	usec from, until; /* USEC_NEVER: it is a lease now */
};
struct book {
	struct world *world;
	struct book_entry *entries;
	size_t n, size;
};

void book_init(struct book *b, struct world *w);
void book_done(struct book *b);

bool book_same(const struct prefix *a, const struct prefix *b);
void book_keep(struct book *b, uint32_t client, const struct prefix *address);
void book_drop(struct book *b, const struct prefix *address);

/* Who has the address; BOOK_NOBODY. */
uint32_t book_holder(const struct book *b, const struct prefix *address);
/* What the client has of that family; NULL: nothing. */
const struct prefix *book_of(const struct book *b, uint32_t client, bool v4);
/* Did the client have it at some time between these? */
bool book_had(const struct book *b, uint32_t client, const struct prefix *address, usec from, usec to);
/* The leases there are, in the order in which they were given; NULL: there are fewer. */
const struct book_entry *book_at(const struct book *b, size_t at);
