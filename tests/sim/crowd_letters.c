/* Letters between a crowd's members: who writes, and what is checked when one comes out. */
#include "sim/crowd.h"

struct prefix crowd_own_address(bool v4)
{
	if (v4)
		return (struct prefix){.ip = {[10] = 0xff, 0xff, 10, 99, 0, 1}, .bits = 32, .v4 = true};
	return (struct prefix){.ip = {0xfd, 0x99, [15] = 1}, .bits = 128};
}

struct prefix crowd_network_of(uint32_t client)
{
	return (struct prefix){.ip = {[10] = 0xff, 0xff, 10, 200, (uint8_t)client, 0}, .bits = 24, .v4 = true};
}

/* Is the address the client's to use, as the server has it now? */
static bool is_own(const struct crowd *c, uint32_t client, const struct prefix *address)
{
	const struct member *m = &c->members[client];
	struct prefix network = crowd_network_of(client);
	return book_holder(&c->book, address) == client || (m->has_fixed && book_same(&m->fixed, address)) ||
	       (m->has_network && address->v4 && prefix_contains(&network, address->ip));
}

struct forwarded {
	size_t len;
	uint8_t bytes[LETTER_LEN_MAX];
};

/* The server's kernel sends what is for another client back into the tunnel. */
static void forward(void *context, void *owned)
{
	struct crowd *c = context;
	struct forwarded *f = owned;
	host_write(&c->hosts[SERVER], f->bytes, f->len);
}

static void deliver_at_server(struct crowd *c, struct letter *letter, const uint8_t *bytes, size_t len)
{
	uint32_t from = letter->from, holder = book_holder(&c->book, &letter->to);
	bool is_for_server = false;
	for (int v4 = 0; v4 < 2; v4++) {
		struct prefix own = crowd_own_address(v4);
		is_for_server = is_for_server || book_same(&letter->to, &own);
	}
	if (letter->is_forged)
		world_fail(&c->world, "client %u writes under another's address", from);
	else if (from == SERVER || letter->is_at_server)
		world_fail(&c->world, "a letter of host %u comes out at the server twice", from);
	else if (!c->members[from].is_known)
		world_fail(&c->world, "a letter of client %u comes out after its removal", from);
	else if (!is_own(c, from, &letter->source))
		world_fail(&c->world, "client %u writes under an address that is not its own any more", from);
	else if (c->hosts[SERVER].config.are_peers_apart && holder != BOOK_NOBODY && c->members[holder].is_known &&
		 crowd_has_session(c, holder, NULL))
		world_fail(&c->world, "a letter from client %u to client %u, who are kept apart", from, holder);
	letter->is_at_server = true;
	c->members[from].heard_at_server = c->world.now;
	c->letters.delivered += is_for_server;
	if (is_for_server)
		return;
	struct forwarded *f = sim_alloc(sizeof *f);
	f->len = len;
	memcpy(f->bytes, bytes, len);
	world_at(&c->world, c->world.now + random_below(&c->random, 300), forward, c, f);
}

static void deliver_at_client(struct crowd *c, uint32_t client, struct letter *letter)
{
	const struct member *m = &c->members[client];
	char text[ADDR_TEXT_LEN];
	if (letter->is_delivered)
		world_fail(&c->world, "a letter comes out at client %u twice", client);
	else if (letter->from != SERVER && !letter->is_at_server)
		world_fail(&c->world, "a letter comes out at client %u without the server", client);
	else if (!is_own(c, client, &letter->to) &&
		 !book_had(&c->book, client, &letter->to, letter->sent_at, c->world.now))
		world_fail(
			&c->world, "a letter for %s comes out at client %u", prefix_format(&letter->to, text), client);
	else if (!m->is_known && letter->sent_at > m->removed_at)
		world_fail(&c->world, "client %u, who was removed, is still written to", client);
	letter->is_delivered = true;
	c->members[client].heard_by_it = c->world.now;
	c->letters.delivered++;
}

void crowd_deliver(struct host *h, const struct iovec *iov, int n)
{
	struct crowd *c = crowd_of(h);
	const uint8_t *bytes;
	size_t len;
	struct letter *letter = letters_read(&c->letters, iov, n, &bytes, &len);
	if (letter && h->number == SERVER)
		deliver_at_server(c, letter, bytes, len);
	else if (letter)
		deliver_at_client(c, h->number, letter);
}

/* Some address that a client has, or had; NULL: nobody has one. */
static const struct book_entry *any_lease(struct crowd *c)
{
	if (c->book.n && random_chance(&c->random, 100))
		return &c->book.entries[random_below(&c->random, (uint32_t)c->book.n)];
	const struct book_entry *e = book_at(&c->book, random_below(&c->random, 2 * CLIENTS));
	return e ? e : book_at(&c->book, 0);
}

/* One that it had before, if there was one. */
static bool choose_former(const struct crowd *c, struct letter *letter)
{
	for (size_t i = 0; i < c->book.n; i++) {
		const struct book_entry *e = &c->book.entries[i];
		if (e->client == letter->from && e->until != USEC_NEVER && e->address.v4 == letter->to.v4) {
			letter->source = e->address;
			return true;
		}
	}
	return false;
}

/* A client's own address of that family, or another's, or one that it had before; false: it has none. */
static bool choose_source(struct crowd *c, struct letter *letter)
{
	const struct member *m = &c->members[letter->from];
	const struct book_entry *other = random_chance(&c->random, 50) ? any_lease(c) : NULL;
	bool v4 = letter->to.v4;
	if (random_chance(&c->random, 50) && choose_former(c, letter))
		return true; /* it may be its own again when the letter comes out */
	if (other && other->client != letter->from && other->until == USEC_NEVER && other->address.v4 == v4) {
		letter->source = other->address;
		letter->is_forged = true;
	} else if (v4 && m->has_network && random_chance(&c->random, 200)) {
		letter->source = crowd_network_of(letter->from);
		letter->source.ip[15] = 7;
		letter->source.bits = 32;
	} else if (m->has_view[v4]) {
		letter->source = m->view[v4];
	} else {
		return false;
	}
	return true;
}

void crowd_write_letter(struct crowd *c)
{
	static uint8_t packet[LETTER_LEN_MAX];
	struct letter letter = {
		.from = random_chance(&c->random, 400) ? SERVER : 1 + random_below(&c->random, CLIENTS)};
	const struct book_entry *lease = any_lease(c);
	bool v4 = random_chance(&c->random, 500);
	letter.to = crowd_own_address(v4);
	if (letter.from == SERVER) {
		if (!lease)
			return;
		letter.to = lease->address;
		letter.source = crowd_own_address(letter.to.v4);
	} else {
		if (lease && lease->client != letter.from && random_chance(&c->random, 400))
			letter.to = lease->address;
		if (!choose_source(c, &letter))
			return;
	}
	size_t len = letters_write(&c->letters, &letter, packet);
	host_write(&c->hosts[letter.from], packet, len);
}
