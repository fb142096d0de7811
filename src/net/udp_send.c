#include "net/udp_private.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>

/* What one udp_send still has to send. */
struct burst {
	const uint8_t *data;
	size_t len, segment;
	union udp_name name;
	socklen_t name_len;
	const struct udp_route *pin; /* NULL: from whatever address the kernel chooses */
};

/* Ancillary data: a segment size and a source address at most. */
union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
};

static void control_add(union control *control, size_t *at, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)(control->bytes + *at);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	*at += CMSG_SPACE(len);
}

static void control_add_pin(union control *control, size_t *at, bool ipv6, const struct udp_route *route)
{
	/* One form for both families: the kernel reads a mapped address here when it sends IPv4. */
	if (ipv6) {
		struct in6_pktinfo info = {.ipi6_ifindex = route->ifindex};
		memcpy(&info.ipi6_addr, route->local_ip, 16);
		/* An interface alone: "any" has to be of the remote's family. */
		if (addr_is_v4(route->remote.ip) && memcmp(route->local_ip, ip_zero, 16) == 0)
			memcpy(&info.ipi6_addr, ip_any_v4, 16);
		control_add(control, at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
	} else {
		struct in_pktinfo info = {.ipi_ifindex = (int)route->ifindex};
		memcpy(&info.ipi_spec_dst, route->local_ip + 12, 4);
		control_add(control, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
	}
}

/* Fills all of *message but its iov. segment 0: one datagram. */
static void message_fill(
	struct msghdr *message, union control *control, const struct udp *udp, struct burst *burst, size_t segment)
{
	size_t at = 0;
	memset(control, 0, sizeof *control);
	if (segment)
		control_add(control, &at, IPPROTO_UDP, UDP_SEGMENT, &(uint16_t){(uint16_t)segment}, sizeof(uint16_t));
	if (burst->pin)
		control_add_pin(control, &at, udp->ipv6, burst->pin);
	*message = (struct msghdr){.msg_name = &burst->name,
		.msg_namelen = burst->name_len,
		.msg_control = at ? control : NULL,
		.msg_controllen = at};
}

/* Returns 0 or errno's value, as do the next two. */
static int burst_send_whole(struct udp *udp, struct burst *burst, size_t segment)
{
	union control control;
	struct msghdr message;
	message_fill(&message, &control, udp, burst, segment);
	struct iovec iov = {(void *)(uintptr_t)burst->data, burst->len};
	message.msg_iov = &iov;
	message.msg_iovlen = 1;
	while (sendmsg(udp->fd, &message, MSG_DONTWAIT) < 0)
		if (errno != EINTR)
			return errno;
	burst->len = 0;
	return 0;
}

static int burst_send_singly(struct udp *udp, struct burst *burst)
{
	union control control;
	struct msghdr message;
	struct mmsghdr messages[UDP_SEGMENTS_MAX];
	struct iovec iov[UDP_SEGMENTS_MAX];
	message_fill(&message, &control, udp, burst, 0);
	while (burst->len > 0) {
		unsigned int n = 0;
		for (size_t at = 0; at < burst->len; at += burst->segment, n++) {
			size_t left = burst->len - at;
			iov[n].iov_base = (void *)(uintptr_t)(burst->data + at);
			iov[n].iov_len = left < burst->segment ? left : burst->segment;
			messages[n] = (struct mmsghdr){.msg_hdr = message};
			messages[n].msg_hdr.msg_iov = &iov[n];
			messages[n].msg_hdr.msg_iovlen = 1;
		}
		int sent = sendmmsg(udp->fd, messages, n, MSG_DONTWAIT);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno;
		for (int i = 0; i < sent; i++) {
			burst->data += iov[i].iov_len;
			burst->len -= iov[i].iov_len;
		}
	}
	return 0;
}

static int burst_send(struct udp *udp, struct burst *burst)
{
	if (burst->len <= burst->segment)
		return burst_send_whole(udp, burst, 0);
	if (!udp_has_segment(udp))
		return burst_send_singly(udp, burst);
	int error = burst_send_whole(udp, burst, burst->segment);
	/* The card has no checksum offload, or IPsec is in the way: neither will change soon. */
	if (error == EIO)
		atomic_store_explicit(&udp->segment, false, memory_order_relaxed);
	/* EINVAL has several causes (segment above the MTU, stale source address): one by one, each has
	 * an errno of its own. */
	if (error == EIO || error == EINVAL)
		error = burst_send_singly(udp, burst);
	return error;
}

/* errno's value, kept, as what udp_send gives. */
static enum err result_of(int error)
{
	errno = error;
	switch (error) {
	case 0:
		return OK;
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return ERR_AGAIN;
	case EMSGSIZE:
		return ERR_TOO_BIG;
	default:
		return ERR_IO;
	}
}

enum err udp_send(struct udp *udp, const struct udp_route *route, const uint8_t *data, size_t len, size_t segment)
{
	assert(len >= 1 && len <= UDP_SEND_MAX && segment >= 1 && (len - 1) / segment < UDP_SEGMENTS_MAX);
	struct burst burst = {.data = data, .len = len, .segment = segment};
	if (!udp_name_of(&burst.name, &burst.name_len, udp->ipv6, &route->remote)) {
		errno = EAFNOSUPPORT;
		return ERR_IO;
	}
	if (route->ifindex || memcmp(route->local_ip, ip_zero, 16) != 0)
		burst.pin = route;

	int error = burst_send(udp, &burst);
	if (error == EAGAIN || error == ENOBUFS)
		error = burst_send(udp, &burst);
	if (burst.pin && (error == EINVAL || error == EADDRNOTAVAIL || error == ENETUNREACH || error == ENODEV)) {
		burst.pin = NULL;
		error = burst_send(udp, &burst);
	}
	return result_of(error);
}

/* ---- datagrams of any sizes ---- */

/* Neighbours that one message can carry: as long as the first, the last one possibly shorter. */
static size_t run_of(const struct udp *udp, const struct iovec *datagrams, size_t n)
{
	const size_t segment = datagrams[0].iov_len;
	size_t len = segment, run = 1;
	if (!udp_has_segment(udp) || segment > atomic_load_explicit(&udp->segment_max, memory_order_relaxed))
		return 1;
	while (run < n && datagrams[run - 1].iov_len == segment && datagrams[run].iov_len <= segment &&
		len + datagrams[run].iov_len <= UDP_SEND_MAX)
		len += datagrams[run++].iov_len;
	return run;
}

/* What one udp_send_each has in hand: messages of runs. */
struct round {
	struct mmsghdr messages[UDP_SEGMENTS_MAX];
	union control controls[UDP_SEGMENTS_MAX];
	size_t runs[UDP_SEGMENTS_MAX]; /* datagrams in each */
	unsigned int n;
};

/* Of up to UDP_SEGMENTS_MAX datagrams. */
static void round_fill(
	struct round *round, const struct udp *udp, struct burst *burst, const struct iovec *datagrams, size_t n)
{
	round->n = 0;
	for (size_t at = 0; at < n; at += round->runs[round->n++]) {
		struct msghdr *message = &round->messages[round->n].msg_hdr;
		size_t run = run_of(udp, datagrams + at, n - at);
		message_fill(message, &round->controls[round->n], udp, burst, run > 1 ? datagrams[at].iov_len : 0);
		message->msg_iov = (struct iovec *)(uintptr_t)(datagrams + at);
		message->msg_iovlen = run;
		round->runs[round->n] = run;
	}
}

/* As many as the kernel takes at once; how many datagrams that were, or errno's value of the first. */
static size_t round_send(const struct udp *udp, struct round *round, int *ret_error)
{
	size_t done = 0;
	int sent;
	do
		sent = sendmmsg(udp->fd, round->messages, round->n, MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	*ret_error = sent < 0 ? errno : 0;
	for (int i = 0; i < sent; i++)
		done += round->runs[i];
	return done;
}

/* What a refused run says of later ones; true: its datagrams may go out singly. */
static bool learn_segment(struct udp *udp, const struct round *round, int error)
{
	if (round->runs[0] == 1 || (error != EIO && error != EINVAL && error != EMSGSIZE))
		return false;
	/* The card has no checksum offload; or a segment is larger than the path takes in one piece. */
	if (error == EIO)
		atomic_store_explicit(&udp->segment, false, memory_order_relaxed);
	else
		atomic_store_explicit(
			&udp->segment_max, round->messages[0].msg_hdr.msg_iov->iov_len - 1, memory_order_relaxed);
	return true;
}

enum err udp_send_each(struct udp *udp, const struct udp_route *route, const struct iovec *datagrams, size_t n)
{
	struct burst burst = {0};
	struct round round;
	int first_error = 0;
	bool was_tried = false;
	if (!udp_name_of(&burst.name, &burst.name_len, udp->ipv6, &route->remote))
		return result_of(EAFNOSUPPORT);
	if (route->ifindex || memcmp(route->local_ip, ip_zero, 16) != 0)
		burst.pin = route;
	for (size_t at = 0; at < n;) {
		int error;
		round_fill(&round, udp, &burst, datagrams + at, n - at < UDP_SEGMENTS_MAX ? n - at : UDP_SEGMENTS_MAX);
		size_t sent = round_send(udp, &round, &error);
		at += sent;
		if (!error) {
			was_tried = false;
			continue;
		}
		if (learn_segment(udp, &round, error))
			continue;
		/* An answer to something earlier took the place of this one; and a full queue may have room again. */
		was_tried = (error == ECONNREFUSED || error == ENOBUFS) && !was_tried;
		if (!was_tried || error == ECONNREFUSED)
			first_error = first_error ? first_error : error;
		if (error == EAGAIN)
			break;
		at += was_tried ? 0 : round.runs[0];
	}
	return result_of(first_error);
}
