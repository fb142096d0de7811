#include "daemon/pads.h"

#include "engine/grace.h"
#include "pad/file.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WAIT_MAX_MS 60000

/* A pad in use. */
struct pads_item {
	struct pads *pads;
	struct pads_item *next;
	struct pads_wish wish; /* its path is owned */
	struct pad_file *file;
	struct pad *pad;
	_Atomic bool is_woken;
	usec due; /* of the next chores; the thread's */
};

struct pads {
	char folder[PATH_MAX];
	int wake_fd;
	_Atomic bool must_stop;
	bool is_running;
	pthread_t thread;
	pthread_mutex_t lock; /* of the list, and of: */
	pthread_cond_t served;
	struct pads_item *serving; /* what the thread is busy with, without the lock; NULL: nothing */
	struct pads_item *first;   /* changed by the control thread alone */
};

/* ---- what pads call ---- */

static void settle(void *context)
{
	(void)context;
	grace_wait();
}

static void poke(const struct pads *p)
{
	const uint64_t one = 1;
	ssize_t written = write(p->wake_fd, &one, sizeof one);
	(void)written; /* it fails only when it is full of pokes */
}

/* By lanes, so it is a system call only for the first of many. */
static void wake(void *context)
{
	struct pads_item *item = context;
	if (!atomic_exchange(&item->is_woken, true))
		poke(item->pads);
}

/* ---- the thread ---- */

/* Under the lock, which is given up meanwhile. */
static void serve(struct pads *p, struct pads_item *item)
{
	p->serving = item;
	pthread_mutex_unlock(&p->lock);
	usec due = pad_serve(item->pad, clock_now(), clock_wall() / USEC_PER_SEC);
	pthread_mutex_lock(&p->lock);
	item->due = due;
	p->serving = NULL;
	pthread_cond_broadcast(&p->served);
}

/* All that have been woken, or are due; returns when the next is. */
static usec serve_all(struct pads *p)
{
	usec first = USEC_NEVER;
	pthread_mutex_lock(&p->lock);
	/* While one is served others may go from the list, but not it itself. */
	for (struct pads_item *item = p->first; item; item = item->next) {
		if (atomic_exchange(&item->is_woken, false) || clock_now() >= item->due)
			serve(p, item);
		first = item->due < first ? item->due : first;
	}
	pthread_mutex_unlock(&p->lock);
	return first;
}

static void wait_for_work(const struct pads *p, usec due)
{
	struct pollfd readable = {.fd = p->wake_fd, .events = POLLIN};
	uint64_t pokes;
	usec now = clock_now();
	usec ms = due > now ? (due - now + USEC_PER_MS - 1) / USEC_PER_MS : 0;
	(void)poll(&readable, 1, ms > WAIT_MAX_MS ? WAIT_MAX_MS : (int)ms);
	ssize_t got = read(p->wake_fd, &pokes, sizeof pokes);
	(void)got; /* nothing: it is time */
}

static void *run(void *argument)
{
	struct pads *p = argument;
	grace_register_thread();
	while (!atomic_load(&p->must_stop))
		wait_for_work(p, serve_all(p));
	grace_unregister_thread();
	return NULL;
}

/* ---- life ---- */

enum err pads_new(struct pads **ret, const char *folder, struct fault *fault)
{
	struct pads *p = calloc(1, sizeof *p);
	if (!p)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	if (strlen(folder) >= sizeof p->folder) {
		free(p);
		return fault_set(fault, ERR_IO, "the path of StateDirectory is too long for a folder of ledgers in it");
	}
	memcpy(p->folder, folder, strlen(folder) + 1);
	p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wake_fd < 0) {
		enum err err = fault_errno(fault, "cannot make the descriptor of the pads' thread");
		free(p);
		return err;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->served, NULL);
	*ret = p;
	return OK;
}

enum err pads_start(struct pads *p, struct fault *fault)
{
	errno = pthread_create(&p->thread, NULL, run, p);
	if (errno)
		return fault_errno(fault, "cannot start the pads' thread");
	p->is_running = true;
	return OK;
}

static void item_free(struct pads_item *item)
{
	pad_free(item->pad);
	pad_file_close(item->file);
	free((char *)(uintptr_t)item->wish.path);
	free(item);
}

void pads_free(struct pads *p)
{
	if (!p)
		return;
	atomic_store(&p->must_stop, true);
	poke(p);
	if (p->is_running)
		pthread_join(p->thread, NULL);
	for (struct pads_item *item = p->first, *next; item; item = next) {
		next = item->next;
		item_free(item);
	}
	pthread_cond_destroy(&p->served);
	pthread_mutex_destroy(&p->lock);
	close(p->wake_fd);
	free(p);
}

/* ---- pads ---- */

static enum err item_open(struct pads_item *item, struct fault *fault)
{
	const struct pad_file_config config = {.path = item->wish.path,
		.folder = item->pads->folder,
		.burns = item->wish.options.burns,
		.allows_weak = item->wish.allows_weak,
		.settle = settle,
		.wake = wake,
		.callback_context = item};
	enum err err = pad_file_open(&item->file, &config, fault);
	if (err != OK)
		return err;
	struct pad_medium medium = pad_file_medium(item->file);
	return pad_new(&item->pad, &medium, pad_file_size(item->file), pad_file_copies(item->file), &item->wish.options,
		item->wish.path, fault);
}

enum err pads_open(struct pads *p, const struct pads_wish *wish, struct pad **ret, struct fault *fault)
{
	struct pads_item *item = calloc(1, sizeof *item);
	char *path = strdup(wish->path);
	if (!item || !path) {
		free(item);
		free(path);
		return fault_set(fault, ERR_NOMEM, "out of memory");
	}
	item->pads = p;
	item->wish = *wish;
	item->wish.path = path;
	enum err err = item_open(item, fault);
	if (err != OK) {
		item_free(item);
		return err;
	}
	*ret = item->pad;
	pthread_mutex_lock(&p->lock);
	item->next = p->first;
	p->first = item;
	pthread_mutex_unlock(&p->lock);
	poke(p);
	return OK;
}

void pads_close(struct pads *p, struct pad *pad)
{
	struct pads_item **at = &p->first, *item;
	pthread_mutex_lock(&p->lock);
	while ((*at)->pad != pad)
		at = &(*at)->next;
	item = *at;
	while (p->serving == item)
		pthread_cond_wait(&p->served, &p->lock);
	*at = item->next;
	pthread_mutex_unlock(&p->lock);
	item_free(item);
}

bool pads_is_as_wished(const struct pads *p, const struct pad *pad, const struct pads_wish *wish)
{
	const struct pads_item *item = p->first;
	while (item->pad != pad)
		item = item->next;
	const struct pad_options *is = &item->wish.options, *wanted = &wish->options;
	return strcmp(item->wish.path, wish->path) == 0 && is->role == wanted->role && is->burns == wanted->burns &&
	       is->max_zero_run == wanted->max_zero_run && is->first == wanted->first;
}
