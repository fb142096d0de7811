#include "load_stream.h"

#include "wire/frame.h"

#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define PLAIN (STREAM_DATAGRAM - DATA_OVERHEAD)
#define PACKET (PLAIN - FRAME_HEADER_LEN)

bool stream_transmit(
	int socket, const struct sockaddr_in *to, uint32_t source, const uint8_t *data, size_t len, uint16_t segment)
{
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(source)};
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof info) + CMSG_SPACE(sizeof segment)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr message = {.msg_name = (void *)(uintptr_t)to,
		.msg_namelen = sizeof *to,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(sizeof info) + (segment ? CMSG_SPACE(sizeof segment) : 0)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof info);
	memcpy(CMSG_DATA(c), &info, sizeof info);
	if (segment) {
		c = CMSG_NXTHDR(&message, c);
		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof segment);
		memcpy(CMSG_DATA(c), &segment, sizeof segment);
	}
	return sendmsg(socket, &message, 0) == (ssize_t)len;
}

static uint16_t header_checksum(const struct iphdr *ip)
{
	uint16_t words[sizeof *ip / 2];
	uint32_t sum = 0;
	memcpy(words, ip, sizeof words);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* A UDP packet without a checksum, in a frame. */
static void write_packet(uint8_t *plain, uint32_t from, uint32_t to)
{
	struct iphdr ip = {.version = 4,
		.ihl = sizeof ip / 4,
		.tot_len = htons(PACKET),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = htonl(from),
		.daddr = htonl(to)};
	struct udphdr udp = {.source = htons(7000), .dest = htons(7000), .len = htons(PACKET - sizeof ip)};
	ip.check = header_checksum(&ip);
	frame_put_header(plain, FRAME_IP, 0, PACKET);
	memcpy(plain + FRAME_HEADER_LEN, &ip, sizeof ip);
	memcpy(plain + FRAME_HEADER_LEN + sizeof ip, &udp, sizeof udp);
}

void stream_round(const struct stream_plan *plan, uint64_t *packets, uint64_t *bytes)
{
	static uint8_t datagrams[STREAM_BURST_MAX * STREAM_DATAGRAM];
	for (unsigned i = 0; i < plan->n_clients; i++) {
		struct client *c = &plan->clients[i];
		if (!c->is_up)
			continue;
		uint64_t counter = keys_take_counters(c->keys, plan->burst);
		for (unsigned n = 0; n < plan->burst; n++) {
			uint8_t *datagram = datagrams + (size_t)n * STREAM_DATAGRAM;
			write_packet(datagram + DATA_HEADER_LEN, plan->inner + i, plan->to);
			if (keys_seal(c->keys, 0, datagram, PLAIN, counter + n) != OK)
				return;
		}
		if (stream_transmit(plan->socket, &plan->server, plan->source + i, datagrams,
			    (size_t)plan->burst * STREAM_DATAGRAM, STREAM_DATAGRAM)) {
			*packets += plan->burst;
			*bytes += (uint64_t)plan->burst * PACKET;
		}
	}
}
