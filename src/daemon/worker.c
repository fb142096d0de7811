#include "daemon/worker.h"

#include "base/clock.h"
#include "engine/grace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A batch of one side is short enough that the other's packets do not wait for milliseconds. */
#define BATCH_MESSAGES 8	/* received at once, each up to 64 KiB of datagrams */
#define BATCH_PACKETS 64	/* read from the interface at most ... */
#define BATCH_BYTES (256 * 1024) /* ... or as soon as they are so many bytes */

static_assert(sizeof(struct virtio_net_hdr) == TUN_HEADER_LEN);

/* ---- what the lane calls ---- */

static enum err on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len, size_t segment)
{
	struct worker *w = context;
	struct udp_route route = { .remote = to->remote, .ifindex = to->interface };
	memcpy(route.local_ip, to->local_ip, sizeof route.local_ip);
	return udp_send(w->udp, &route, data, len, segment);
}

static enum err on_deliver(void *context, const struct iovec *iov, int n)
{
	struct worker *w = context;
	enum err err = tun_writev(w->tun, w->tun_queue, iov, (size_t)n);
	if (err == ERR_NOT_FOUND)
		atomic_store(&w->has_lost_interface, true);
	return err;
}

static enum err on_post(void *context, const struct event *event)
{
	struct worker *w = context;
	return queue_put(w->events, event);
}

struct lane_io worker_io(struct worker *w)
{
	return (struct lane_io){
		.send = on_send, .deliver = on_deliver, .post = on_post, .context = w, .joins_udp = tun_has_uso(w->tun)
	};
}

/* ---- the loop ---- */

/* One batch of packets from the interface. */
static void pump_tun(struct worker *w)
{
	size_t bytes = 0;
	lane_begin(w->lane, clock_now());
	for (int i = 0; i < BATCH_PACKETS && bytes < BATCH_BYTES; i++) {
		struct virtio_net_hdr header;
		size_t len;
		enum err err = tun_read(w->tun, w->tun_queue, w->packet, TUN_READ_SIZE, &len);
		if (err == ERR_NOT_FOUND)
			atomic_store(&w->has_lost_interface, true);
		if (err != OK)
			break;
		memcpy(&header, w->packet, sizeof header);
		lane_packet(w->lane, &header, w->packet + sizeof header, len - sizeof header);
		bytes += len;
	}
	lane_end(w->lane);
}

/* One batch of datagrams. */
static void pump_udp(struct worker *w)
{
	if (udp_receive(w->udp, w->batch) != OK)
		return;
	lane_begin(w->lane, clock_now());
	for (size_t i = 0; i < w->batch->n; i++) {
		struct udp_message *m = &w->batch->messages[i];
		struct endpoint from = { .remote = m->remote, .interface = m->remote.scope ? m->ifindex : 0 };
		memcpy(from.local_ip, m->local_ip, sizeof from.local_ip);
		lane_datagrams(w->lane, &from, m->data, m->len, m->segment);
	}
	lane_end(w->lane);
}

static void *worker_run(void *argument)
{
	struct worker *w = argument;
	struct epoll_event ready[4];
	grace_register_thread();
	for (bool stop = false; !stop && !atomic_load(&w->has_lost_interface);) {
		int n = epoll_wait(w->epoll_fd, ready, 4, -1);
		for (int i = 0; i < n; i++) {
			int fd = ready[i].data.fd;
			if (fd == w->stop_fd)
				stop = true;
			else if (fd == udp_fd(w->udp))
				pump_udp(w);
			else
				pump_tun(w);
		}
	}
	grace_unregister_thread();
	return NULL;
}

/* ---- life ---- */

static enum err watch(struct worker *w, int fd, struct fault *fault)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? fault_errno(fault, "cannot watch a descriptor") : OK;
}

enum err worker_start(struct worker *w, struct fault *fault)
{
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll_fd < 0 || w->stop_fd < 0)
		return fault_errno(fault, "cannot make a worker's descriptors");
	w->packet = malloc(TUN_READ_SIZE);
	w->batch = udp_batch_new(BATCH_MESSAGES, UDP_RECEIVE_SIZE);
	if (!w->packet || !w->batch)
		return fault_set(fault, ERR_NOMEM, "no memory for a worker's buffers");
	enum err err = watch(w, w->stop_fd, fault);
	if (err == OK)
		err = watch(w, udp_fd(w->udp), fault);
	if (err == OK)
		err = watch(w, tun_fd(w->tun, w->tun_queue), fault);
	if (err != OK)
		return err;
	errno = pthread_create(&w->thread, NULL, worker_run, w);
	if (errno)
		return fault_errno(fault, "cannot start a worker thread");
	w->is_running = true;
	return OK;
}

void worker_stop(struct worker *w)
{
	if (w->is_running) {
		uint64_t one = 1;
		ssize_t written = write(w->stop_fd, &one, sizeof one);
		(void)written; /* a fresh eventfd takes it */
		pthread_join(w->thread, NULL);
		w->is_running = false;
	}
	if (w->stop_fd > 0)
		close(w->stop_fd);
	if (w->epoll_fd > 0)
		close(w->epoll_fd);
	free(w->packet);
	udp_batch_free(w->batch);
	w->stop_fd = w->epoll_fd = 0;
	w->packet = NULL;
	w->batch = NULL;
}
