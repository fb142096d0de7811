#include "daemon/resolver.h"

#include "base/log.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RETRY_MAX_MS 60000

struct answer {
	bool is_wanted, is_fresh; /* not known yet; known, not taken yet */
	struct addr address;
};

struct resolver {
	const struct config *config;
	pthread_t thread;
	pthread_mutex_t lock;
	bool is_running;
	int fd, stop_fd;         /* something to take; the thread is to end */
	struct answer answers[]; /* one a peer */
};

static enum err lookup(const char *host, uint16_t port, int flags, struct addr *ret, int *ret_code)
{
	char service[8];
	(void)snprintf(service, sizeof service, "%u", port);
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = flags | AI_NUMERICSERV};
	struct addrinfo *list;
	*ret_code = getaddrinfo(host, service, &hints, &list);
	if (*ret_code)
		return ERR_FORMAT;
	struct sockaddr_storage sa = {0};
	memcpy(&sa, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	return addr_of_sockaddr(ret, &sa);
}

enum err resolver_numeric(const char *host, uint16_t port, struct addr *ret)
{
	int code;
	return lookup(host, port, AI_NUMERICHOST, ret, &code);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof one);
	(void)written; /* fails only when it is readable already */
}

/* One look-up of each name still wanted; true if all are known. */
static bool lookup_all(struct resolver *r)
{
	bool all = true;
	for (size_t i = 0; i < r->config->peer_count; i++) {
		const struct config_peer *peer = &r->config->peers[i];
		struct addr address;
		int code;
		pthread_mutex_lock(&r->lock);
		bool wanted = r->answers[i].is_wanted;
		pthread_mutex_unlock(&r->lock);
		if (!wanted)
			continue;
		if (lookup(peer->endpoint_host, peer->endpoint_port, AI_ADDRCONFIG, &address, &code) != OK) {
			log_warning("peer %s: cannot look up %s: %s; trying again", peer->name, peer->endpoint_host,
				gai_strerror(code));
			all = false;
			continue;
		}
		pthread_mutex_lock(&r->lock);
		r->answers[i] = (struct answer){.is_fresh = true, .address = address};
		pthread_mutex_unlock(&r->lock);
		signal_fd(r->fd);
	}
	return all;
}

static void *resolver_run(void *argument)
{
	struct resolver *r = argument;
	struct pollfd stop = {.fd = r->stop_fd, .events = POLLIN};
	int wait_ms = 1000;
	while (!lookup_all(r) && poll(&stop, 1, wait_ms) == 0)
		wait_ms = 2 * wait_ms < RETRY_MAX_MS ? 2 * wait_ms : RETRY_MAX_MS;
	return NULL;
}

enum err resolver_start(struct resolver **ret, const struct config *config, struct fault *fault)
{
	struct resolver *r = calloc(1, sizeof *r + config->peer_count * sizeof r->answers[0]);
	if (!r)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	r->config = config;
	pthread_mutex_init(&r->lock, NULL);
	r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->fd < 0 || r->stop_fd < 0) {
		enum err err = fault_errno(fault, "cannot make an eventfd");
		resolver_stop(r);
		return err;
	}
	for (size_t i = 0; i < config->peer_count; i++) {
		const struct config_peer *peer = &config->peers[i];
		struct answer *a = &r->answers[i];
		if (!peer->endpoint_host)
			continue;
		a->is_fresh = resolver_numeric(peer->endpoint_host, peer->endpoint_port, &a->address) == OK;
		a->is_wanted = !a->is_fresh;
	}
	signal_fd(r->fd);
	errno = pthread_create(&r->thread, NULL, resolver_run, r);
	if (errno) {
		enum err err = fault_errno(fault, "cannot start the resolver's thread");
		resolver_stop(r);
		return err;
	}
	r->is_running = true;
	*ret = r;
	return OK;
}

void resolver_stop(struct resolver *r)
{
	if (!r)
		return;
	if (r->is_running) {
		signal_fd(r->stop_fd);
		pthread_join(r->thread, NULL);
	}
	if (r->fd >= 0)
		close(r->fd);
	if (r->stop_fd >= 0)
		close(r->stop_fd);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int resolver_fd(const struct resolver *r)
{
	return r->fd;
}

enum err resolver_take(struct resolver *r, size_t *peer, struct addr *ret)
{
	enum err err = ERR_AGAIN;
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; err == ERR_AGAIN && i < r->config->peer_count; i++) {
		struct answer *a = &r->answers[i];
		if (a->is_fresh) {
			a->is_fresh = false;
			*peer = i;
			*ret = a->address;
			err = OK;
		}
	}
	if (err == ERR_AGAIN) {
		uint64_t count;
		ssize_t got = read(r->fd, &count, sizeof count);
		(void)got; /* empty already is fine */
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}
