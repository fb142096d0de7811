#include "carrier_ends.h"

#include "base/bytes.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- the protocol ---- */

uint16_t packet_sum(const uint8_t *data, size_t len, uint32_t start)
{
	uint32_t total = start;
	for (size_t i = 0; i < len; i++)
		total += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

bool packet_is_complete(const uint8_t *ip, size_t len, size_t mtu)
{
	if (len < IP_LEN || len > mtu || ip[0] != 0x45 || be16_get(ip + 2) != len ||
		packet_sum(ip, IP_LEN, 0) != 0xffff)
		return false;
	const size_t rest = len - IP_LEN;
	return packet_sum(ip + IP_LEN, rest, packet_sum(ip + 12, 8, (uint32_t)(ip[9] + rest))) == 0xffff;
}

static void seal(void *context, struct carrier *carrier, const uint8_t *packet, size_t len)
{
	struct protocol *p = context;
	uint8_t *room = carrier_room(carrier);
	atomic_fetch_add(&p->sealed, 1);
	if (packet[0] >> 4 == 4) {
		atomic_fetch_add(&p->sealed_v4, 1);
		if (!packet_is_complete(packet, len, p->mtu))
			atomic_fetch_add(&p->wrong, 1);
	}
	if (len >= CARRIER_DATAGRAM_MAX)
		return;
	room[0] = MARK;
	memcpy(room + 1, packet, len);
	carrier_send(carrier, room, len + 1);
}

static void open_datagram(
	void *context, struct carrier *carrier, const struct addr *remote, uint8_t *datagram, size_t len)
{
	struct protocol *p = context;
	const uint8_t *packet = datagram + 1;
	atomic_fetch_add(&p->opened, 1);
	if (datagram[0] != MARK || len < 2 || len > CARRIER_DATAGRAM_MAX)
		return;
	if (p->keeps) {
		if (p->pooled == POOL)
			carrier_flush(carrier);
		packet = memcpy(p->pool[p->pooled++], packet, len - 1);
	}
	carrier_deliver(carrier, packet, len - 1);
}

/* What was delivered is written: whoever still reads it finds something else there. */
static void flushed(void *context)
{
	struct protocol *p = context;
	atomic_fetch_add(&p->flushes, 1);
	memset(p->pool, 0xee, sizeof p->pool);
	p->pooled = 0;
}

static bool route(void *context, struct udp_route *ret)
{
	struct protocol *p = context;
	*ret = (struct udp_route){.remote = p->remote};
	return p->has_route;
}

/* ---- an interface, a socket, and what is between ---- */

struct udp *end_udp(void)
{
	struct udp *udp = NULL;
	const struct udp_config config = {.bind = netns_addr("127.0.0.1", 0), .is_plain = true};
	assert_int_equal(udp_open(&udp, &config, NULL), OK);
	return udp;
}

struct addr end_address(const struct udp *udp)
{
	return netns_addr("127.0.0.1", udp_local_port(udp));
}

void end_interface(struct end *e, unsigned int layer, const char *prefix)
{
	struct fault fault = {0};
	if (tun_open(&e->tun, &(struct tun_config){.n_queues = 1, .layer = layer}, &fault))
		fail_msg("%s", fault.text);
	assert_int_equal(netlink_link_set_up(e->netlink, tun_ifindex(e->tun), NULL), OK);
	netns_address(e->netlink, tun_ifindex(e->tun), prefix);
}

void end_config(struct end *e, unsigned int layer, const struct addr *remote)
{
	e->protocol.remote = *remote;
	e->protocol.has_route = true;
	e->protocol.mtu = 1500;
	e->config = (struct carrier_config){.tun = e->tun,
		.udp = e->udp,
		.layer = layer,
		.protocol = {.seal = seal,
			.open = open_datagram,
			.flushed = flushed,
			.route = route,
			.context = &e->protocol},
		.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	assert_true(e->config.event_fd >= 0);
}

void end_start(struct end *e)
{
	struct fault fault = {0};
	if (carrier_start(&e->carrier, &e->config, &fault) != OK)
		fail_msg("%s", fault.text);
}

void end_stop(struct end *e)
{
	carrier_stop(e->carrier);
	e->carrier = NULL;
}

void end_free(struct end *e)
{
	end_stop(e);
	if (e->config.event_fd >= 0)
		(void)close(e->config.event_fd);
	udp_close(e->udp);
	tun_close(e->tun);
	netlink_close(e->netlink);
	free(e);
}

/* ---- waiting ---- */

void await(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	if (poll(&polled, 1, WAIT_MS) != 1)
		fail_msg("nothing came within %d s", WAIT_MS / 1000);
}

unsigned int await_trouble(struct end *e)
{
	uint64_t n;
	await(e->config.event_fd);
	assert_int_equal(read(e->config.event_fd, &n, sizeof n), sizeof n);
	return carrier_trouble(e->carrier);
}

void await_count(const _Atomic uint64_t *counter, uint64_t least)
{
	const usec deadline = clock_now() + WAIT_MS * USEC_PER_MS;
	while (atomic_load(counter) < least) {
		if (clock_now() > deadline)
			fail_msg("the counter is %llu, not %llu", (unsigned long long)atomic_load(counter),
				(unsigned long long)least);
		netns_settle();
	}
}
