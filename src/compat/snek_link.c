#include "compat/snek_link.h"

#include "base/rng.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct snek_link {
	struct snek_sender *sender;
	struct snek_receiver *receiver;
	struct carrier *carrier;
	struct udp *udp;
	struct addr remote;
	bool is_even; /* the peer is jorm: snek_sender_cut_evenly; the receiving thread's */
	usec began;
	uint64_t sent_seen;
	_Atomic uint64_t unsealed; /* packets that the protocol has no form for */
};

/* ---- the carrier's calls ---- */

static void seal(void *context, struct carrier *carrier, const uint8_t *packet, size_t len)
{
	struct snek_link *link = context;
	uint8_t *room = carrier_room(carrier);
	struct snek_datagram out[SNEK_DATAGRAMS_MAX] = {{.data = room}, {.data = room + CARRIER_DATAGRAM_MAX}};
	size_t n;
	static_assert(SNEK_ROOM <= CARRIER_DATAGRAM_MAX && SNEK_DATAGRAMS_MAX == 2, "the carrier's room");
	if (snek_seal(link->sender, packet, len, out, &n) != OK)
		atomic_fetch_add_explicit(&link->unsealed, 1, memory_order_relaxed);
	for (size_t i = 0; i < n; i++)
		carrier_send(carrier, out[i].data, out[i].len);
}

static void deliver(void *context, const uint8_t *packet, size_t len)
{
	carrier_deliver(context, packet, len);
}

static void flush(void *context)
{
	carrier_flush(context);
}

static void open_datagram(
	void *context, struct carrier *carrier, const struct addr *remote, uint8_t *datagram, size_t len)
{
	const struct snek_link *link = context;
	const struct snek_output output = {.deliver = deliver, .flush = flush, .context = carrier};
	snek_receive(link->receiver, datagram, len, carrier_now(carrier), &output);
}

static void flushed(void *context)
{
	struct snek_link *link = context;
	snek_receiver_release(link->receiver);
	if (!link->is_even && snek_receiver_peer_counts(link->receiver)) {
		snek_sender_cut_evenly(link->sender);
		link->is_even = true;
	}
}

static bool route(void *context, struct udp_route *ret)
{
	const struct snek_link *link = context;
	*ret = (struct udp_route){.remote = link->remote};
	return true;
}

/* ---- beginning and end ---- */

enum err snek_link_start(struct snek_link **ret, const struct snek_link_config *config, struct fault *fault)
{
	const struct rng rng = rng_system();
	struct snek_link *link = calloc(1, sizeof *link);
	if (!link) {
		udp_close(config->udp);
		return fault_set(fault, ERR_NOMEM, "no memory for a session (free some)");
	}
	link->udp = config->udp;
	link->remote = config->remote;
	link->began = clock_now();
	enum err err = snek_sender_new(&link->sender, config->data_key, &rng);
	if (err == OK)
		err = snek_receiver_new(&link->receiver, config->data_key, link->sender);
	if (err != OK)
		(void)!fault_set(fault, err, "cannot set up a session: %s", err_text(err));
	const struct carrier_config carrier = {.tun = config->tun,
		.udp = config->udp,
		.layer = 3,
		.event_fd = config->event_fd,
		.protocol = {.seal = seal, .open = open_datagram, .flushed = flushed, .route = route, .context = link}};
	if (err == OK)
		err = carrier_start(&link->carrier, &carrier, fault);
	if (err == OK)
		*ret = link;
	else
		snek_link_stop(link);
	return err;
}

void snek_link_stop(struct snek_link *link)
{
	if (!link)
		return;
	carrier_stop(link->carrier);
	snek_receiver_free(link->receiver);
	snek_sender_free(link->sender);
	udp_close(link->udp);
	free(link);
}

struct carrier *snek_link_carrier(struct snek_link *link)
{
	return link->carrier;
}

const struct addr *snek_link_remote(const struct snek_link *link)
{
	return &link->remote;
}

usec snek_link_heard_at(const struct snek_link *link)
{
	usec heard = carrier_heard_at(link->carrier);
	return heard > link->began ? heard : link->began;
}

bool snek_link_has_sent(struct snek_link *link)
{
	uint64_t sent = carrier_counters(link->carrier)->sent;
	bool has = sent != link->sent_seen;
	link->sent_seen = sent;
	return has;
}

const char *snek_link_text(const struct snek_link *link, char out[static SNEK_LINK_TEXT_LEN])
{
	const struct carrier_counters *c = carrier_counters(link->carrier);
	const struct snek_counters *r = snek_receiver_counters(link->receiver);
	(void)snprintf(out, SNEK_LINK_TEXT_LEN,
		"sent %llu datagrams (%llu bytes), received %llu (%llu bytes), packets in %llu; dropped: forged %llu, "
		"malformed %llu, replayed %llu, reflected %llu, not IP %llu, incomplete %llu, not sealed %llu, not "
		"sent "
		"%llu, not taken by the interface %llu",
		(unsigned long long)c->sent, (unsigned long long)c->sent_bytes, (unsigned long long)c->received,
		(unsigned long long)c->received_bytes, (unsigned long long)r->delivered, (unsigned long long)r->forged,
		(unsigned long long)r->malformed, (unsigned long long)r->replayed, (unsigned long long)r->reflected,
		(unsigned long long)r->not_ip, (unsigned long long)(r->expired + r->evicted),
		(unsigned long long)(link->unsealed + c->unreadable), (unsigned long long)c->unsent,
		(unsigned long long)c->unwritten);
	return out;
}
