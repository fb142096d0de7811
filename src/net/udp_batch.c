#include "net/udp_batch.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/socket.h>

/* What the kernel may add to a message: its local address and the segment size. */
union slot_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

struct udp_slots {
	struct mmsghdr *messages;
	struct iovec *iov;
	struct sockaddr_storage *names;
	union slot_control *controls;
	uint8_t *data;
	size_t used; /* message headers the kernel wrote to, to be set up again */
};

struct udp_batch *udp_batch_new(size_t n_messages, size_t bytes_each)
{
	assert(n_messages >= 1 && n_messages <= 1024 && bytes_each >= 1 && bytes_each <= (1U << 20));
	size_t stride = (bytes_each + 63) / 64 * 64; /* no cache line shared by two messages */
	struct udp_batch *batch = calloc(1, sizeof *batch);
	struct udp_slots *slots = calloc(1, sizeof *slots);
	if (batch)
		*batch = (struct udp_batch){.capacity = n_messages, .limit = n_messages, .slots = slots};
	if (!batch || !slots) {
		free(slots);
		free(batch);
		return NULL;
	}
	batch->messages = calloc(n_messages, sizeof *batch->messages);
	slots->messages = calloc(n_messages, sizeof *slots->messages);
	slots->iov = calloc(n_messages, sizeof *slots->iov);
	slots->names = calloc(n_messages, sizeof *slots->names);
	slots->controls = calloc(n_messages, sizeof *slots->controls);
	slots->data = aligned_alloc(64, n_messages * stride);
	if (!batch->messages || !slots->messages || !slots->iov || !slots->names || !slots->controls || !slots->data) {
		udp_batch_free(batch);
		return NULL;
	}
	for (size_t i = 0; i < n_messages; i++)
		slots->iov[i] = (struct iovec){slots->data + i * stride, bytes_each};
	slots->used = n_messages;
	return batch;
}

void udp_batch_free(struct udp_batch *batch)
{
	if (!batch)
		return;
	free(batch->slots->data);
	free(batch->slots->controls);
	free(batch->slots->names);
	free(batch->slots->iov);
	free(batch->slots->messages);
	free(batch->slots);
	free(batch->messages);
	free(batch);
}

/* The kernel wrote lengths and flags over the headers that it used. */
static void slots_reset(struct udp_slots *slots)
{
	for (size_t i = 0; i < slots->used; i++)
		slots->messages[i].msg_hdr = (struct msghdr){.msg_name = &slots->names[i],
			.msg_namelen = sizeof slots->names[i],
			.msg_iov = &slots->iov[i],
			.msg_iovlen = 1,
			.msg_control = &slots->controls[i],
			.msg_controllen = sizeof slots->controls[i]};
	slots->used = 0;
}

/* False when the data is shorter than what it should be. */
static bool control_read(const struct cmsghdr *c, void *out, size_t len)
{
	if (c->cmsg_len < CMSG_LEN(len))
		return false;
	memcpy(out, CMSG_DATA(c), len);
	return true;
}

static void ip_of_v4(uint8_t ip[16], const struct in_addr *v4)
{
	memset(ip, 0, 10);
	ip[10] = ip[11] = 0xff;
	memcpy(ip + 12, v4, 4);
}

static void controls_parse(struct udp_message *ret, struct msghdr *header)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		struct in6_pktinfo info6;
		struct in_pktinfo info4;
		int segment;
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
			control_read(c, &info6, sizeof info6)) {
			memcpy(ret->local_ip, &info6.ipi6_addr, 16);
			ret->ifindex = info6.ipi6_ifindex;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
			   control_read(c, &info4, sizeof info4)) {
			ip_of_v4(ret->local_ip, &info4.ipi_spec_dst);
			ret->ifindex = (uint32_t)info4.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO &&
			   control_read(c, &segment, sizeof segment)) {
			if (segment > 0 && (size_t)segment < ret->len)
				ret->segment = (size_t)segment;
		}
	}
}

enum err udp_receive(struct udp *udp, struct udp_batch *batch)
{
	struct udp_slots *slots = batch->slots;
	int n;
	batch->n = 0;
	slots_reset(slots);
	do
		n = recvmmsg(udp_fd(udp), slots->messages, (unsigned int)batch->limit, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? ERR_AGAIN : ERR_IO;
	slots->used = (size_t)n;
	for (size_t i = 0; i < slots->used; i++) {
		struct msghdr *header = &slots->messages[i].msg_hdr;
		size_t len = slots->messages[i].msg_len;
		struct udp_message *message = &batch->messages[batch->n];
		*message = (struct udp_message){.data = slots->iov[i].iov_base, .len = len, .segment = len};
		if (len == 0 || header->msg_flags & MSG_TRUNC || addr_of_sockaddr(&message->remote, &slots->names[i]))
			continue;
		controls_parse(message, header);
		batch->n++;
	}
	return OK;
}
