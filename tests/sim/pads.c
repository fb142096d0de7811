#include "sim/pads.h"

#include "handshake/hello.h"
#include "sim/host.h"
#include "transport/onetime.h"

#include <stdlib.h>

#define CRASHES 3 /* of 1000 writes of the ledger */

struct sim_link *sim_link_new(struct world *w, uint64_t number)
{
	struct sim_link *l = sim_alloc(sizeof *l);
	*l = (struct sim_link){.world = w, .random = random_fork(&w->random, 5000 + number)};
	struct stream_random content = random_fork(&l->random, 1);
	if (pad_layout_of(&l->layout, SIM_PAD_SIZE) != OK)
		abort();
	l->bytes = sim_alloc(SIM_PAD_SIZE);
	l->used = sim_alloc(SIM_PAD_SIZE * sizeof *l->used);
	random_fill(&content, l->bytes, SIM_PAD_SIZE);
	l->burns = random_chance(&l->random, 300);
	l->max_zero_run = random_chance(&l->random, 200) ? 1 : 0;
	l->is_lazy = random_chance(&l->random, 300);
	l->crashes = random_chance(&l->random, 300);
	for (int i = 0; i < 2; i++) {
		l->ends[i] = (struct sim_end){.link = l, .role = i ? PAD_INITIATOR : PAD_RESPONDER};
		l->ends[i].bytes = sim_alloc(SIM_PAD_SIZE);
		memcpy(l->ends[i].bytes, l->bytes, SIM_PAD_SIZE);
	}
	return l;
}

void sim_link_free(struct sim_link *l)
{
	if (!l)
		return;
	for (int i = 0; i < 2; i++)
		free(l->ends[i].bytes);
	free(l->used);
	free(l->bytes);
	free(l);
}

/* ---- the medium ---- */

static enum err on_read(void *context, uint64_t offset, uint8_t *out, size_t len)
{
	const struct sim_end *end = context;
	if (offset + len > SIM_PAD_SIZE)
		world_fail(end->link->world, "a pad is read at %llu", (unsigned long long)offset);
	else
		memcpy(out, end->bytes + offset, len);
	return OK;
}

static enum err on_burn(void *context, uint64_t offset, uint64_t len)
{
	struct sim_end *end = context;
	if (end->is_dead)
		return ERR_IO;
	random_fill(&end->link->random, end->bytes + offset, len);
	return OK;
}

static void crash(void *context, void *owned)
{
	struct sim_end *end = context;
	(void)owned;
	if (end->is_dead && end->host)
		host_crash(end->host);
}

/* Mostly it works. Else the process dies in it: before, in the middle, or after. */
static enum err on_write_record(void *context, unsigned int copy, const uint8_t record[LEDGER_RECORD_LEN])
{
	struct sim_end *end = context;
	struct sim_link *l = end->link;
	if (end->is_dead)
		return ERR_IO;
	size_t n = LEDGER_RECORD_LEN;
	if (l->crashes && end->host && random_chance(&l->random, CRASHES)) {
		end->is_dead = true;
		world_log(l->world, "host %u dies while it writes a ledger", end->host->number);
		n = random_chance(&l->random, 300) ? 0 : random_below(&l->random, LEDGER_RECORD_LEN + 1);
		world_at(l->world, l->world->now, crash, end, NULL);
	}
	memcpy(end->copies[copy], record, n);
	return end->is_dead ? ERR_IO : OK;
}

static void on_settle(void *context)
{
	(void)context; /* lanes and feeder take turns */
}

static void serve(void *context, void *owned)
{
	struct sim_end *end = context;
	struct world *w = end->link->world;
	(void)owned;
	end->has_turn = false;
	if (!end->pad || end->is_dead)
		return;
	usec now = host_clock(end->host), due = pad_serve(end->pad, now, 1700000000 + now / USEC_PER_SEC);
	if (end->has_turn || end->is_dead)
		return;
	end->has_turn = true;
	world_at(w, w->now + (due > now ? due - now : USEC_PER_MS), serve, end, NULL);
}

static void on_wake(void *context)
{
	struct sim_end *end = context;
	struct world *w = end->link->world;
	if (end->pad)
		world_at(w, w->now + random_below(&end->link->random, end->link->is_lazy ? 3000000 : 3000), serve, end,
			NULL);
}

/* ---- life ---- */

struct pad *sim_end_start(struct sim_end *end, struct host *host)
{
	struct sim_link *l = end->link;
	struct fault fault;
	const struct pad_medium medium = {.read = on_read,
		.burn = l->burns ? on_burn : NULL,
		.write_record = on_write_record,
		.settle = on_settle,
		.wake = on_wake,
		.context = end};
	struct pad_options options = {.role = end->role, .max_zero_run = l->max_zero_run, .burns = l->burns};
	end->is_dead = false;
	end->host = NULL; /* whoever begins does not die of it */
	if (pad_new(&end->pad, &medium, SIM_PAD_SIZE, end->copies, &options, "pad", &fault) != OK) {
		world_fail(l->world, "host %u cannot use its pad again: %s", host->number, fault.text);
		return NULL;
	}
	end->host = host;
	on_wake(end);
	return end->pad;
}

void sim_end_stop(struct sim_end *end, bool politely)
{
	end->is_dead |= !politely;
	pad_free(end->pad);
	end->pad = NULL;
	end->host = NULL;
}

/* ---- the proof ---- */

/* Not the pad's own hash: any that tells one datagram from another. Never 0. */
static uint64_t hash_of(const struct datagram *d)
{
	uint64_t hash = 1469598103934665603U;
	for (size_t i = 0; i < d->len; i++)
		hash = (hash ^ d->data[i]) * 1099511628211U;
	return hash | 1;
}

static void use(struct sim_link *l, const struct sim_end *from, uint64_t offset, uint64_t hash)
{
	if (l->used[offset] && l->used[offset] != hash)
		world_fail(l->world, "host %u uses byte %llu of a pad, which has been used", from->host->number,
			(unsigned long long)offset);
	l->used[offset] = hash;
}

static struct poly1305 *tags(void)
{
	static struct poly1305 *mac;
	if (!mac && poly1305_new(&mac) != OK)
		abort();
	return mac;
}

/* As the receiver would read it, but with the pad as it was made. */
static bool check_data(struct sim_link *l, const struct sim_end *from, const struct datagram *d)
{
	static uint8_t walk[3 * 65536];
	uint64_t position, hash = hash_of(d);
	size_t n, have = 0;
	if (!pad_position(&l->layout, from->role, le64_get(d->data + 8), &position))
		return false;
	uint64_t end = l->layout.n_blocks * PAD_BLOCK;
	for (; have < sizeof walk && position + have < end; have++)
		walk[have] = l->bytes[pad_offset(&l->layout, from->role, position + have)];
	if (have < ONETIME_KEY_LEN || onetime_check(tags(), walk, d->data, d->len, &n) != OK)
		return false; /* another link's */
	size_t span = n ? onetime_span(walk + ONETIME_KEY_LEN, have - ONETIME_KEY_LEN, n, l->max_zero_run) : 0;
	if (n && !span)
		world_fail(l->world, "host %u sends more than its pad has", from->host->number);
	l->datagrams++;
	for (size_t i = 0; i < ONETIME_KEY_LEN + span; i++)
		use(l, from, pad_offset(&l->layout, from->role, position + i), hash);
	return true;
}

/* The slot's bytes for one direction: used by the bytes of one datagram, however often that is sent. */
static bool check_hello(struct sim_link *l, const struct sim_end *from, const struct datagram *d, bool is_welcome)
{
	struct hello hello;
	enum err err = is_welcome ? welcome_parse(&hello, d->data, d->len) : hello_parse(&hello, d->data, d->len);
	if (err != OK || hello.slot >= l->layout.n_slots)
		return false;
	const uint8_t *slot = l->bytes + pad_slot_offset(hello.slot);
	struct poly1305 *mac = tags();
	err = is_welcome ? welcome_open(mac, slot, d->data, d->len, &hello)
			 : hello_open(mac, slot, d->data, d->len, &hello);
	if (err != OK)
		return false; /* another link's */
	uint64_t first = pad_slot_offset(hello.slot) + (is_welcome ? 96 : 0), hash = hash_of(d);
	for (uint64_t i = 0; i < 96; i++)
		use(l, from, first + i, hash);
	return true;
}

bool sim_link_check(struct sim_link *l, const struct sim_end *from, const struct datagram *d)
{
	if (d->len == 0 || !from->pad)
		return false;
	if (d->data[0] == MSG_PAD_DATA)
		return d->len >= DATA_OVERHEAD && check_data(l, from, d);
	return check_hello(l, from, d, d->data[0] == MSG_PAD_WELCOME);
}
