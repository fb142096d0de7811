#include "sim/book.h"

#include <stdlib.h>

void book_init(struct book *b, struct world *w)
{
	*b = (struct book){.world = w};
}

void book_done(struct book *b)
{
	free(b->entries);
}

bool book_same(const struct prefix *a, const struct prefix *b)
{
	return a->v4 == b->v4 && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static struct book_entry *lease_at(const struct book *b, const struct prefix *address)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->entries[i].until == USEC_NEVER && book_same(&b->entries[i].address, address))
			return &b->entries[i];
	return NULL;
}

uint32_t book_holder(const struct book *b, const struct prefix *address)
{
	const struct book_entry *e = lease_at(b, address);
	return e ? e->client : BOOK_NOBODY;
}

const struct prefix *book_of(const struct book *b, uint32_t client, bool v4)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct book_entry *e = &b->entries[i];
		if (e->client == client && e->until == USEC_NEVER && e->address.v4 == v4)
			return &e->address;
	}
	return NULL;
}

bool book_had(const struct book *b, uint32_t client, const struct prefix *address, usec from, usec to)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct book_entry *e = &b->entries[i];
		if (e->client == client && book_same(&e->address, address) && e->from <= to && e->until >= from)
			return true;
	}
	return false;
}

const struct book_entry *book_at(const struct book *b, size_t at)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->entries[i].until == USEC_NEVER && at-- == 0)
			return &b->entries[i];
	return NULL;
}

void book_keep(struct book *b, uint32_t client, const struct prefix *address)
{
	char text[ADDR_TEXT_LEN];
	uint32_t holder = book_holder(b, address);
	const struct prefix *has = book_of(b, client, address->v4);
	if (address->bits != (address->v4 ? 32 : 128))
		world_fail(b->world, "client %u is given a network: %s", client, prefix_format(address, text));
	if (holder == client)
		return;
	if (holder != BOOK_NOBODY)
		world_fail(b->world, "client %u is given %s, which client %u has", client, prefix_format(address, text),
			holder);
	if (has)
		world_fail(b->world, "client %u is given %s and has another", client, prefix_format(address, text));
	if (b->n == b->size) {
		b->size = b->size ? 2 * b->size : 256;
		b->entries = realloc(b->entries, b->size * sizeof *b->entries);
		if (!b->entries)
			exit(2);
	}
	b->entries[b->n++] =
		(struct book_entry){.client = client, .address = *address, .from = b->world->now, .until = USEC_NEVER};
}

void book_drop(struct book *b, const struct prefix *address)
{
	struct book_entry *e = lease_at(b, address);
	if (e)
		e->until = b->world->now;
}
