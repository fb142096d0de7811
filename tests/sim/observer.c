#include "sim/observer.h"

#include "base/bytes.h"
#include "transport/path.h"

#include <inttypes.h>
#include <stdlib.h>

void observer_init(struct observer *o, struct world *w, const struct host *hosts)
{
	*o = (struct observer){.world = w, .hosts = hosts, .size = 256};
	o->sessions = sim_alloc(o->size * sizeof *o->sessions);
}

void observer_done(struct observer *o)
{
	free(o->sessions);
}

/* 198.18.0.NUMBER, of the block for benchmarks (RFC 2544). */
struct addr victim_address(uint32_t number)
{
	return (struct addr){.ip = {[10] = 0xff, 0xff, 198, 18, 0, (uint8_t)number}, .port = 4242};
}

uint32_t victim_of(const struct addr *address)
{
	struct addr first = victim_address(0);
	return memcmp(address->ip, first.ip, 15) == 0 ? address->ip[15] : VICTIMS;
}

/* ---- no counter twice ---- */

static struct session_seen *find(const struct observer *o, uint32_t host, uint32_t index)
{
	uint32_t at = (index ^ host * 0x9e3779b9U) % o->size;
	while (o->sessions[at].index && !(o->sessions[at].index == index && o->sessions[at].host == host))
		at = (at + 1) % o->size;
	return &o->sessions[at];
}

static void grow(struct observer *o)
{
	struct session_seen *old = o->sessions;
	uint32_t size = o->size;
	o->size = 2 * size;
	o->sessions = sim_alloc(o->size * sizeof *o->sessions);
	for (uint32_t i = 0; i < size; i++)
		if (old[i].index)
			*find(o, old[i].host, old[i].index) = old[i];
	free(old);
}

static void check_counter(struct observer *o, uint32_t host, const struct datagram *d)
{
	uint32_t index = le32_get(d->data + 4);
	uint64_t counter = le64_get(d->data + 8);
	struct session_seen *s = find(o, host, index);
	if (!s->index) {
		*s = (struct session_seen){.host = host, .index = index};
		if (++o->n_sessions > o->size / 2) {
			grow(o);
			s = find(o, host, index);
		}
	}
	if (index == 0)
		world_fail(o->world, "host %u sends to index 0", host);
	else if (counter < s->next)
		world_fail(o->world, "host %u uses counter %" PRIu64 " of index %08x again", host, counter, index);
	s->next = counter + 1;
}

/* ---- sizes ---- */

static void check_size(struct observer *o, uint32_t host, const struct datagram *d)
{
	const struct host *h = &o->hosts[host];
	size_t plain = d->len - DATA_OVERHEAD;
	if (d->len < DATA_OVERHEAD) {
		world_fail(o->world, "host %u sends a Data datagram of %zu bytes", host, d->len);
	} else if (h->config.padding == PADDING_BUCKETS) {
		bool is_bucket =
			plain == 64 || plain == 256 || plain == 512 || (plain >= PATH_PLAIN_MIN && plain % 64 == 0);
		if (!is_bucket)
			world_fail(o->world, "host %u sends a plaintext of %zu bytes, which is no bucket", host, plain);
	}
}

void observer_sent(struct observer *o, uint32_t from, const struct datagram *d)
{
	uint32_t victim = victim_of(&d->to);
	o->datagrams++;
	o->bytes += d->len;
	if (memmem(d->data, d->len, INNER_MARKER, INNER_MARKER_LEN))
		world_fail(o->world, "host %u sends plaintext", from);
	if (d->len == 0)
		world_fail(o->world, "host %u sends an empty datagram", from);
	else if (d->data[0] == MSG_DATA) {
		check_size(o, from, d);
		check_counter(o, from, d);
	} else if (d->data[0] == MSG_PAD_DATA) {
		check_size(o, from, d); /* what it uses of its pad: sim/pads */
	} else if (d->len > HS_DATAGRAM_MAX || d->len < HS_DATAGRAM_MIN) {
		world_fail(o->world, "host %u sends a handshake datagram of %zu bytes", from, d->len);
	}
	if (victim == VICTIMS)
		return;
	o->to_victim[from][victim] += d->len;
	if (o->to_victim[from][victim] > 3 * o->from_victim[from][victim])
		world_fail(o->world,
			"host %u has sent %" PRIu64 " bytes (now type %u, %zu) to an address that sent %" PRIu64, from,
			o->to_victim[from][victim], d->data[0], d->len, o->from_victim[from][victim]);
}

void observer_received(struct observer *o, uint32_t to, const struct datagram *d)
{
	uint32_t victim = victim_of(&d->from);
	if (victim < VICTIMS)
		o->from_victim[to][victim] += d->len;
}
