#include "compat/carrier.h"

#include "net/udp_batch.h"
#include "transport/join.h"
#include "transport/segment.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define OUT_SLOTS UDP_SEGMENTS_MAX
#define ROOMS 2          /* that carrier_room promises */
#define READS_AT_ONCE 64 /* of the interface, before the thread looks whether it has to stop */
#define RECEIVE_SLOTS 64
#define DRAINED_MAX 100000 /* packets thrown away before the start: a flood must not hold it up for ever */

struct carrier {
	struct carrier_config config;
	int stop_fd;
	pthread_t out_thread, in_thread;
	bool out_runs, in_runs;

	/* The way out. */
	uint8_t *packet;  /* TUN_READ_SIZE bytes: what the interface gave */
	uint8_t *segment; /* as many: one cut out of it */
	uint8_t *slots;   /* OUT_SLOTS * CARRIER_DATAGRAM_MAX bytes */
	struct iovec datagrams[OUT_SLOTS];
	size_t n_datagrams;

	/* The way in. */
	struct udp_batch *batch;
	struct joiner joiner;
	usec now;

	_Atomic unsigned int trouble;
	_Atomic usec heard_at;
	pthread_mutex_t fault_lock; /* both threads may fail at once */
	struct fault fault;
	struct carrier_counters counters;
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void tell(struct carrier *c, unsigned int bit)
{
	if (atomic_fetch_or(&c->trouble, bit) & bit)
		return;
	/* Full only when it has been written 2^64 times: it wakes all the same. */
	(void)!write(c->config.event_fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void fail(struct carrier *c, const char *what)
{
	int error = errno;
	pthread_mutex_lock(&c->fault_lock);
	errno = error;
	if (c->fault.code == OK)
		(void)!fault_errno(&c->fault, "%s", what);
	pthread_mutex_unlock(&c->fault_lock);
	tell(c, CARRIER_FAILED);
}

/* Waits for one descriptor; false: the thread is to end. */
static bool wait_for(struct carrier *c, int fd, const char *what)
{
	struct pollfd polled[2] = {{.fd = fd, .events = POLLIN}, {.fd = c->stop_fd, .events = POLLIN}};
	while (poll(polled, 2, -1) < 0) {
		if (errno != EINTR) {
			fail(c, what);
			return false;
		}
	}
	return polled[1].revents == 0;
}

/* ---- the way out ---- */

static void send_all(struct carrier *c)
{
	struct udp_route route;
	size_t n = c->n_datagrams;
	c->n_datagrams = 0;
	if (n == 0)
		return;
	if (!c->config.protocol.route(c->config.protocol.context, &route)) {
		count(&c->counters.no_route, n);
		return;
	}
	uint64_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += c->datagrams[i].iov_len;
	enum err err = udp_send_each(c->config.udp, &route, c->datagrams, n);
	if (err == ERR_IO && errno == ECONNREFUSED)
		tell(c, CARRIER_REFUSED);
	else if (err != OK)
		count(&c->counters.unsent, 1);
	count(&c->counters.sent, n);
	count(&c->counters.sent_bytes, bytes);
}

uint8_t *carrier_room(struct carrier *c)
{
	if (c->n_datagrams + ROOMS > OUT_SLOTS)
		send_all(c);
	return c->slots + c->n_datagrams * CARRIER_DATAGRAM_MAX;
}

void carrier_send(struct carrier *c, const uint8_t *datagram, size_t len)
{
	assert(c->n_datagrams < OUT_SLOTS);
	c->datagrams[c->n_datagrams++] = (struct iovec){.iov_base = (void *)(uintptr_t)datagram, .iov_len = len};
}

/* The peer knows nothing of checksums that are left to the tag. */
static void seal_segments(struct carrier *c, struct segmenter *s)
{
	s->partial = false;
	for (size_t n; (n = segmenter_next(s, c->segment)) > 0;)
		c->config.protocol.seal(c->config.protocol.context, c, c->segment, n);
}

/* What cannot be parsed travels as it is: it is for the peer's system to judge. */
static void seal_as_it_is(struct carrier *c, const struct virtio_net_hdr *header, uint8_t *packet, size_t len)
{
	bool needs_sum = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE ||
		(needs_sum && ip_complete_checksum(packet, len, header->csum_start, header->csum_offset) != OK)) {
		count(&c->counters.unreadable, 1);
		return;
	}
	c->config.protocol.seal(c->config.protocol.context, c, packet, len);
}

static void take_packet(struct carrier *c, size_t len)
{
	struct virtio_net_hdr header;
	struct ether_frame ether;
	struct segmenter s;
	uint8_t *packet = c->packet + TUN_HEADER_LEN;
	memcpy(&header, c->packet, sizeof header);
	len -= TUN_HEADER_LEN;
	enum err err;
	if (c->config.layer == 3)
		err = segmenter_init(&s, &header, packet, len);
	else if ((err = ether_parse(&ether, packet, len)) == OK)
		err = segmenter_init_frame(&s, &header, &ether, packet, len);
	if (err == OK)
		seal_segments(c, &s);
	else
		seal_as_it_is(c, &header, packet, len);
}

/* ERR_AGAIN: nothing waits any more; else the thread is to end. */
static enum err take_packets(struct carrier *c)
{
	for (int i = 0; i < READS_AT_ONCE; i++) {
		size_t len;
		enum err err = tun_read(c->config.tun, 0, c->packet, TUN_READ_SIZE, &len);
		if (err == OK)
			take_packet(c, len);
		else
			return err;
	}
	return ERR_AGAIN;
}

static void *out_main(void *context)
{
	struct carrier *c = context;
	enum err err = ERR_AGAIN;
	while (err == ERR_AGAIN && wait_for(c, tun_fd(c->config.tun, 0), "cannot wait for the interface")) {
		err = take_packets(c);
		if (err == ERR_IO)
			fail(c, "cannot read from the interface");
		else if (err == ERR_NOT_FOUND)
			tell(c, CARRIER_GONE);
		send_all(c);
	}
	return NULL;
}

/* ---- the way in ---- */

static void write_packet(void *context, const struct iovec *iov, int n)
{
	struct carrier *c = context;
	enum err err = tun_writev(c->config.tun, 0, iov, (size_t)n);
	if (err == ERR_NOT_FOUND)
		tell(c, CARRIER_GONE);
	if (err != OK)
		count(&c->counters.unwritten, 1);
}

void carrier_deliver(struct carrier *c, const uint8_t *packet, size_t len)
{
	struct virtio_net_hdr header = {0};
	const struct iovec iov[] = {{.iov_base = &header, .iov_len = sizeof header},
		{.iov_base = (void *)(uintptr_t)packet, .iov_len = len}};
	struct ip_packet ip;
	struct ether_frame ether;
	enum err err;
	atomic_store_explicit(&c->heard_at, c->now, memory_order_relaxed);
	if (c->config.layer == 3) {
		if ((err = ip_parse(&ip, packet, len)) == OK)
			err = join_packet(&c->joiner, packet, len, &ip, false);
	} else if ((err = ether_parse(&ether, packet, len)) == OK) {
		err = join_frame(&c->joiner, packet, len, &ether, false);
	}
	if (err != OK)
		write_packet(c, iov, 2);
}

void carrier_flush(struct carrier *c)
{
	join_flush(&c->joiner);
	if (c->config.protocol.flushed)
		c->config.protocol.flushed(c->config.protocol.context);
}

static void take_datagrams(struct carrier *c)
{
	struct udp_batch *batch = c->batch;
	uint64_t bytes = 0, n = 0;
	c->now = clock_now();
	for (size_t i = 0; i < batch->n; i++) {
		struct udp_message *m = &batch->messages[i];
		for (size_t at = 0; at < m->len; at += m->segment, n++) {
			size_t len = m->len - at < m->segment ? m->len - at : m->segment;
			c->config.protocol.open(c->config.protocol.context, c, &m->remote, m->data + at, len);
		}
		bytes += m->len;
	}
	carrier_flush(c);
	count(&c->counters.received, n);
	count(&c->counters.received_bytes, bytes);
}

static void *in_main(void *context)
{
	struct carrier *c = context;
	while (wait_for(c, udp_fd(c->config.udp), "cannot wait for datagrams")) {
		enum err err = udp_receive(c->config.udp, c->batch);
		if (err == OK)
			take_datagrams(c);
		else if (err == ERR_IO && errno == ECONNREFUSED)
			tell(c, CARRIER_REFUSED);
		else if (err == ERR_IO && (errno == EBADF || errno == ENOTSOCK || errno == EFAULT || errno == EINVAL)) {
			fail(c, "cannot receive from the network");
			break;
		}
	}
	return NULL;
}

/* ---- beginning and end ---- */

/* What the system wanted to send while there was no peer is stale. */
static void drain(struct carrier *c)
{
	size_t len;
	for (int i = 0; i < DRAINED_MAX && tun_read(c->config.tun, 0, c->packet, TUN_READ_SIZE, &len) == OK; i++)
		;
}

static enum err prepare(struct carrier *c, struct fault *fault)
{
	c->packet = malloc(TUN_READ_SIZE);
	c->segment = malloc(TUN_READ_SIZE);
	c->slots = malloc((size_t)OUT_SLOTS * CARRIER_DATAGRAM_MAX);
	c->batch = udp_batch_new(RECEIVE_SLOTS, UDP_RECEIVE_SIZE);
	if (!c->packet || !c->segment || !c->slots || !c->batch)
		return fault_set(fault, ERR_NOMEM, "no memory to carry packets with (free some)");
	joiner_init(
		&c->joiner, (struct join_output){.deliver = write_packet, .context = c}, tun_has_uso(c->config.tun));
	c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return c->stop_fd < 0 ? fault_errno(fault, "cannot make an event descriptor") : OK;
}

static enum err run(struct carrier *c, struct fault *fault)
{
	errno = pthread_create(&c->out_thread, NULL, out_main, c);
	c->out_runs = errno == 0;
	if (c->out_runs) {
		errno = pthread_create(&c->in_thread, NULL, in_main, c);
		c->in_runs = errno == 0;
	}
	return c->in_runs ? OK : fault_errno(fault, "cannot start a thread");
}

enum err carrier_start(struct carrier **ret, const struct carrier_config *config, struct fault *fault)
{
	struct carrier *c = calloc(1, sizeof *c);
	if (!c || pthread_mutex_init(&c->fault_lock, NULL) != 0) {
		free(c);
		return fault_set(fault, ERR_NOMEM, "no memory to carry packets with (free some)");
	}
	c->config = *config;
	c->stop_fd = -1;
	enum err err = prepare(c, fault);
	if (err == OK) {
		drain(c);
		err = run(c, fault);
	}
	if (err == OK)
		*ret = c;
	else
		carrier_stop(c);
	return err;
}

void carrier_stop(struct carrier *c)
{
	if (!c)
		return;
	if (c->stop_fd >= 0)
		(void)!write(c->stop_fd, &(uint64_t){1}, sizeof(uint64_t));
	if (c->out_runs)
		(void)pthread_join(c->out_thread, NULL);
	if (c->in_runs)
		(void)pthread_join(c->in_thread, NULL);
	if (c->stop_fd >= 0)
		(void)close(c->stop_fd);
	udp_batch_free(c->batch);
	free(c->slots);
	free(c->segment);
	free(c->packet);
	(void)pthread_mutex_destroy(&c->fault_lock);
	free(c);
}

unsigned int carrier_trouble(struct carrier *c)
{
	return atomic_exchange(&c->trouble, 0);
}

const struct fault *carrier_fault(const struct carrier *c)
{
	return &c->fault;
}

const struct carrier_counters *carrier_counters(const struct carrier *c)
{
	return &c->counters;
}

usec carrier_heard_at(const struct carrier *c)
{
	return atomic_load_explicit(&c->heard_at, memory_order_relaxed);
}

usec carrier_now(const struct carrier *c)
{
	return c->now;
}
