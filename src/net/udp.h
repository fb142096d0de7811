/*
 * UDP sockets that carry many datagrams a system call: segmentation offload on the way out,
 * coalescing on the way in, and replies that leave from the address the peer used.
 *
 * One socket serves IPv6 and IPv4 where the machine has IPv6, IPv4 alone where it has not; the
 * caller sees IPv4-mapped addresses in both cases. Datagrams are never fragmented (but by plain
 * sockets), and the kernel's idea of the path's MTU is ignored: finding it is the transport's task (RFC 8899).
 * Where the kernel or the network card lacks an offload, the same calls do the same with more
 * system calls.
 *
 * `struct udp` owns its descriptor. udp_send may be called on one socket by several threads at a
 * time. Receiving is udp_batch.h.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define UDP_SEND_MAX 65507  /* bytes in one udp_send */
#define UDP_SEGMENTS_MAX 64 /* datagrams in one udp_send */

struct udp;

struct udp_config {
	struct addr bind;    /* ip all zero: any address; port 0: the kernel chooses */
	struct udp *join;    /* NULL: the port must be free. Else an open socket whose address and port
				this one shares; the kernel spreads peers over them (`bind` is not read) */
	size_t buffer_bytes; /* kernel buffers, each direction; 0: 8 MiB */
	uint32_t mark;       /* firewall mark of what is sent (SO_MARK); 0: none */
	bool is_plain;       /* for protocols that know nothing of paths: datagrams that are too large for one are
				fragmented by IP */
};

/*
 * Opens and binds a socket. On error *ret is unchanged and *fault says what to do:
 *   ERR_EXISTS       another program has the port
 *   ERR_NOT_FOUND    no interface has the address, or the link-local address's scope is missing
 *   ERR_PERMISSION   a port below 1024, or a mark, without the capability
 *   ERR_UNSUPPORTED  an IPv6 address on a machine without IPv6
 *   ERR_NOMEM, ERR_IO
 * A smaller kernel buffer than asked for is not an error.
 */
enum err udp_open(struct udp **ret, const struct udp_config *config, struct fault *fault);
void udp_close(struct udp *udp); /* NULL is allowed */

uint16_t udp_local_port(const struct udp *udp);
int udp_fd(const struct udp *udp);           /* to wait on; non-blocking, stays the socket's */
bool udp_has_segment(const struct udp *udp); /* can still change to false: a network card may refuse */
bool udp_has_gro(const struct udp *udp);
bool udp_has_ipv6(const struct udp *udp);

/*
 * From now on only datagrams of `remote` arrive, and a port that nobody has open at the other end shows: udp_send,
 * udp_send_each and udp_receive give ERR_IO with ECONNREFUSED once for each such answer. Goes on sending to a route's
 * remote. ERR_IO (errno kept: no route there).
 */
enum err udp_connect(struct udp *udp, const struct addr *remote);

/* The error that an answer from the network has left on a connected socket, as errno's value, and clears it; 0: none.
 */
int udp_take_error(struct udp *udp);

/* Where to, and which of our addresses from. */
struct udp_route {
	struct addr remote;
	uint8_t local_ip[16]; /* all zero: the kernel chooses */
	uint32_t ifindex;     /* 0: the kernel's routing decides, which is right for all but link-local peers */
};

/*
 * Sends len bytes as datagrams of `segment` bytes, the last one possibly shorter.
 * 1 <= len <= UDP_SEND_MAX, segment >= 1, at most UDP_SEGMENTS_MAX datagrams (asserted).
 * If the route's local_ip or ifindex does not exist any more, the datagrams go out as if they
 * were zero. On error some of the datagrams may have left.
 *   ERR_AGAIN    the kernel has no room now: drop, or try later
 *   ERR_TOO_BIG  a datagram is larger than the outgoing interface's MTU
 *   ERR_IO       anything else, errno kept: ENETUNREACH, EHOSTUNREACH, EPERM (a firewall),
 *                EAFNOSUPPORT (an IPv6 peer, no IPv6 here) ...; may pass by itself
 */
enum err udp_send(struct udp *udp, const struct udp_route *route, const uint8_t *data, size_t len, size_t segment);

/*
 * Sends n datagrams of any sizes, each 1..UDP_SEND_MAX bytes; neighbours of one size go out together. What fails is
 * left out and the rest goes on, but after ERR_AGAIN the rest is dropped. Errors as udp_send's; of several the first
 * one, errno kept. ERR_IO with ECONNREFUSED: the answer to an earlier datagram; all of these went out.
 */
enum err udp_send_each(struct udp *udp, const struct udp_route *route, const struct iovec *datagrams, size_t n);
