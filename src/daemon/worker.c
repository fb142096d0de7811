#include "daemon/worker.h"

#include "base/clock.h"
#include "engine/grace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Batches are short, so that what comes the other way does not wait for milliseconds. */
#define BATCH_PACKETS 64                /* read from the interface at most ... */
#define BATCH_BYTES ((size_t)64 * 1024) /* ... or as soon as they are so many bytes */
#define BATCH_MESSAGES 8                /* received at once, each up to 64 KiB of datagrams ... */
#define BATCH_LARGE 2                   /* ... or so many, while they are large */
#define LARGE_MESSAGE ((size_t)16 * 1024)

/* The helper begins when one thread carries so much in so short a time (about 1 Gbit/s), and ends when the
 * interface had nothing for it for a while. */
#define SPLIT_BYTES ((uint64_t)256 * 1024)
#define SPLIT_WINDOW (2 * USEC_PER_MS)
#define SPLIT_IDLE_MS 10

static_assert(sizeof(struct virtio_net_hdr) == TUN_HEADER_LEN);

/* ---- what the lanes call ---- */

static enum err on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len, size_t segment)
{
	struct worker *w = context;
	struct udp_route route = {.remote = to->remote, .ifindex = to->interface};
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
	return (struct lane_io){.send = on_send,
		.deliver = on_deliver,
		.post = on_post,
		.context = w,
		.joins_udp = tun_has_uso(w->tun)};
}

/* ---- batches ---- */

/* One batch of packets from the interface; returns its bytes. */
static size_t pump_tun(struct worker *w, struct worker_thread *t, usec now)
{
	size_t bytes = 0;
	lane_begin(t->lane, now);
	for (int i = 0; i < BATCH_PACKETS && bytes < BATCH_BYTES; i++) {
		struct virtio_net_hdr header;
		size_t len;
		enum err err = tun_read(w->tun, w->tun_queue, t->packet, TUN_READ_SIZE, &len);
		if (err == ERR_NOT_FOUND)
			atomic_store(&w->has_lost_interface, true);
		if (err != OK)
			break;
		memcpy(&header, t->packet, sizeof header);
		lane_packet(t->lane, &header, t->packet + sizeof header, len - sizeof header);
		bytes += len;
	}
	lane_end(t->lane);
	return bytes;
}

/* One batch of datagrams; returns its bytes. */
static size_t pump_udp(struct worker *w, usec now)
{
	struct lane *lane = w->own.lane;
	size_t bytes = 0;
	if (udp_receive(w->udp, w->batch) != OK)
		return 0;
	lane_begin(lane, now);
	for (size_t i = 0; i < w->batch->n; i++) {
		struct udp_message *m = &w->batch->messages[i];
		struct endpoint from = {.remote = m->remote, .interface = m->remote.scope ? m->ifindex : 0};
		memcpy(from.local_ip, m->local_ip, sizeof from.local_ip);
		lane_datagrams(lane, &from, m->data, m->len, m->segment);
		bytes += m->len;
	}
	lane_end(lane);
	w->batch->limit = bytes > LARGE_MESSAGE * w->batch->n ? BATCH_LARGE : w->batch->capacity;
	return bytes;
}

/* ---- one thread or two ---- */

static int watch_tun(struct worker *w, const struct worker_thread *t, bool on)
{
	int fd = tun_fd(w->tun, w->tun_queue);
	struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.fd = fd};
	return epoll_ctl(t->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

/* While both change over, both may read the interface for a moment: two neighbouring packets may then change
 * places, no more. */
static void split(struct worker *w)
{
	atomic_store(&w->is_split, true);
	(void)watch_tun(w, &w->own, false);
	(void)watch_tun(w, &w->helper, true);
}

static void unsplit(struct worker *w)
{
	(void)watch_tun(w, &w->helper, false);
	(void)watch_tun(w, &w->own, true);
	atomic_store(&w->is_split, false);
}

static void consider_split(struct worker *w, size_t bytes, usec now)
{
	if (atomic_load_explicit(&w->is_split, memory_order_relaxed))
		return;
	if (now - w->since > SPLIT_WINDOW) {
		w->since = now;
		w->bytes = 0;
	}
	w->bytes += bytes;
	if (w->bytes >= SPLIT_BYTES)
		split(w);
}

static void *own_run(void *argument)
{
	struct worker *w = argument;
	struct epoll_event ready[4];
	grace_register_thread();
	for (bool stop = false; !stop && !atomic_load(&w->has_lost_interface);) {
		int n = epoll_wait(w->own.epoll_fd, ready, 4, -1);
		usec now = clock_now();
		size_t bytes = 0;
		for (int i = 0; i < n; i++) {
			if (ready[i].data.fd == w->stop_fd)
				stop = true;
			else if (ready[i].data.fd == udp_fd(w->udp))
				bytes += pump_udp(w, now);
			else
				bytes += pump_tun(w, &w->own, now);
		}
		consider_split(w, bytes, now);
	}
	grace_unregister_thread();
	return NULL;
}

static void *helper_run(void *argument)
{
	struct worker *w = argument;
	struct epoll_event ready[4];
	grace_register_thread();
	for (bool stop = false; !stop && !atomic_load(&w->has_lost_interface);) {
		int n = epoll_wait(w->helper.epoll_fd, ready, 4, atomic_load(&w->is_split) ? SPLIT_IDLE_MS : -1);
		for (int i = 0; i < n; i++) {
			if (ready[i].data.fd == w->stop_fd)
				stop = true;
			else
				(void)pump_tun(w, &w->helper, clock_now());
		}
		if (n == 0)
			unsplit(w);
	}
	grace_unregister_thread();
	return NULL;
}

/* ---- life ---- */

static enum err watch(const struct worker_thread *t, int fd, uint32_t events, struct fault *fault)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	if (epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return fault_errno(fault, "cannot watch a descriptor");
	return OK;
}

static enum err thread_prepare(struct worker *w, struct worker_thread *t, uint32_t tun_events, struct fault *fault)
{
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll_fd < 0)
		return fault_errno(fault, "cannot make a worker's descriptors");
	t->packet = malloc(TUN_READ_SIZE);
	if (!t->packet)
		return fault_set(fault, ERR_NOMEM, "no memory for a worker's buffers");
	enum err err = watch(t, w->stop_fd, EPOLLIN, fault);
	if (err == OK)
		err = watch(t, tun_fd(w->tun, w->tun_queue), tun_events, fault);
	return err;
}

static enum err thread_start(struct worker *w, struct worker_thread *t, void *(*run)(void *), struct fault *fault)
{
	errno = pthread_create(&t->thread, NULL, run, w);
	if (errno)
		return fault_errno(fault, "cannot start a worker thread");
	t->is_running = true;
	return OK;
}

enum err worker_start(struct worker *w, struct fault *fault)
{
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->stop_fd < 0)
		return fault_errno(fault, "cannot make a worker's descriptors");
	w->batch = udp_batch_new(BATCH_MESSAGES, UDP_RECEIVE_SIZE);
	if (!w->batch)
		return fault_set(fault, ERR_NOMEM, "no memory for a worker's buffers");
	enum err err = thread_prepare(w, &w->own, EPOLLIN, fault);
	if (err == OK)
		err = watch(&w->own, udp_fd(w->udp), EPOLLIN, fault);
	if (err == OK)
		err = thread_prepare(w, &w->helper, 0, fault);
	if (err == OK)
		err = thread_start(w, &w->own, own_run, fault);
	if (err == OK)
		err = thread_start(w, &w->helper, helper_run, fault);
	return err;
}

static void thread_done(struct worker_thread *t)
{
	if (t->is_running)
		pthread_join(t->thread, NULL);
	if (t->epoll_fd > 0)
		close(t->epoll_fd);
	free(t->packet);
	*t = (struct worker_thread){0};
}

void worker_stop(struct worker *w)
{
	if (w->stop_fd > 0) {
		uint64_t one = 1;
		ssize_t written = write(w->stop_fd, &one, sizeof one); /* stays readable: both threads see it */
		(void)written;                                         /* a fresh eventfd takes it */
	}
	thread_done(&w->own);
	thread_done(&w->helper);
	if (w->stop_fd > 0)
		close(w->stop_fd);
	udp_batch_free(w->batch);
	w->stop_fd = 0;
	w->batch = NULL;
}
