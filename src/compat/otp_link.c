#include "compat/otp_link.h"

#include "crypto/kdf.h"
#include "pad/file.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SERVE_EVERY_MS 500

struct otp_link {
	struct otp_link_config config;
	struct pad_file *file;
	struct otp_pad *pad;
	struct carrier *carrier;

	int wake_fd; /* of the thread that looks after the pad */
	pthread_t thread;
	bool is_running;
	_Atomic bool must_stop;

	pthread_mutex_t lock; /* of: */
	struct addr peer;     /* port 0: not known */

	_Atomic uint64_t foreign;  /* datagrams of another address than the peer's */
	_Atomic uint64_t homeless; /* frames while nobody knew where to */
};

/* ---- looking after the pad ---- */

static void wake(void *context)
{
	const struct otp_link *link = context;
	/* Full only when it has been written 2^64 times: it wakes all the same. */
	(void)!write(link->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void *serve(void *context)
{
	struct otp_link *link = context;
	while (!atomic_load(&link->must_stop)) {
		struct pollfd readable = {.fd = link->wake_fd, .events = POLLIN};
		uint64_t wakes;
		(void)poll(&readable, 1, SERVE_EVERY_MS);
		(void)!read(link->wake_fd, &wakes, sizeof wakes); /* nothing: it is time */
		otp_pad_serve(link->pad, clock_now());
	}
	return NULL;
}

/* ---- the carrier's calls ---- */

bool otp_link_peer(struct otp_link *link, struct addr *ret)
{
	pthread_mutex_lock(&link->lock);
	*ret = link->peer;
	pthread_mutex_unlock(&link->lock);
	return !addr_is_unset(ret);
}

static bool route(void *context, struct udp_route *ret)
{
	*ret = (struct udp_route){0};
	return otp_link_peer(context, &ret->remote);
}

static void seal(void *context, struct carrier *carrier, const uint8_t *packet, size_t len)
{
	struct otp_link *link = context;
	struct addr peer;
	size_t n;
	/* No key for what cannot go anywhere. */
	if (!otp_link_peer(link, &peer)) {
		atomic_fetch_add_explicit(&link->homeless, 1, memory_order_relaxed);
		return;
	}
	if (len > CARRIER_DATAGRAM_MAX - OTP_OVERHEAD)
		len = 0; /* counted there as what the protocol does not carry */
	uint8_t *room = carrier_room(carrier);
	if (otp_pad_seal(link->pad, packet, len, room, &n) == OK)
		carrier_send(carrier, room, n);
}

/* An end that was told where its peer is goes on sending there: the port of what comes may be another. */
static void follow(struct otp_link *link, const struct addr *remote)
{
	if (!addr_is_unset(&link->config.peer))
		return;
	pthread_mutex_lock(&link->lock);
	link->peer = *remote;
	pthread_mutex_unlock(&link->lock);
}

static void open_datagram(
	void *context, struct carrier *carrier, const struct addr *remote, uint8_t *datagram, size_t len)
{
	struct otp_link *link = context;
	size_t frame_len;
	bool is_new;
	if (!addr_is_unset(&link->config.peer) && memcmp(remote->ip, link->config.peer.ip, sizeof remote->ip) != 0) {
		atomic_fetch_add_explicit(&link->foreign, 1, memory_order_relaxed);
		return;
	}
	if (otp_pad_open(link->pad, carrier_now(carrier), datagram, len, &frame_len, &is_new) != OK)
		return;
	if (is_new)
		follow(link, remote);
	carrier_deliver(carrier, datagram, frame_len);
}

/* ---- beginning and end ---- */

static enum err open_pad(struct otp_link *link, struct fault *fault)
{
	const struct otp_link_config *c = &link->config;
	const struct pad_file_config file = {.path = c->key_file,
		.folder = c->folder,
		.allows_weak = c->allows_weak,
		.is_otptunnel = true,
		.wake = wake,
		.callback_context = link};
	link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link->wake_fd < 0)
		return fault_errno(fault, "cannot make an event descriptor");
	enum err err = pad_file_open(&link->file, &file, fault);
	if (err != OK)
		return err;
	const struct pad_medium medium = pad_file_medium(link->file);
	return otp_pad_new(&link->pad, &medium, pad_file_size(link->file), pad_file_ledger_id(link->file),
		pad_file_copies(link->file), &c->pad, c->key_file, fault);
}

enum err otp_link_new(struct otp_link **ret, const struct otp_link_config *config, struct fault *fault)
{
	struct otp_link *link = calloc(1, sizeof *link);
	if (!link || pthread_mutex_init(&link->lock, NULL) != 0) {
		free(link);
		return fault_set(fault, ERR_NOMEM, "no memory to open the key file with (free some)");
	}
	link->config = *config;
	link->peer = config->peer;
	link->wake_fd = -1;
	enum err err = open_pad(link, fault);
	link->config.key_file = link->config.folder = NULL;
	if (err == OK)
		*ret = link;
	else
		otp_link_free(link);
	return err;
}

enum err otp_link_start(struct otp_link *link, struct tun *tun, struct udp *udp, int event_fd, struct fault *fault)
{
	const struct carrier_config config = {.tun = tun,
		.udp = udp,
		.layer = 2,
		.event_fd = event_fd,
		.protocol = {.seal = seal, .open = open_datagram, .route = route, .context = link}};
	errno = pthread_create(&link->thread, NULL, serve, link);
	if (errno != 0)
		return fault_errno(fault, "cannot start a thread");
	link->is_running = true;
	return carrier_start(&link->carrier, &config, fault);
}

void otp_link_free(struct otp_link *link)
{
	if (!link)
		return;
	carrier_stop(link->carrier);
	atomic_store(&link->must_stop, true);
	if (link->is_running) {
		wake(link);
		(void)pthread_join(link->thread, NULL);
	}
	otp_pad_free(link->pad);
	pad_file_close(link->file);
	if (link->wake_fd >= 0)
		(void)close(link->wake_fd);
	(void)pthread_mutex_destroy(&link->lock);
	free(link);
}

struct carrier *otp_link_carrier(const struct otp_link *link)
{
	return link->carrier;
}

struct otp_pad *otp_link_pad(const struct otp_link *link)
{
	return link->pad;
}

uint64_t otp_link_size(const struct otp_link *link)
{
	return pad_file_size(link->file);
}

bool otp_link_is_exposed(const struct otp_link *link)
{
	return pad_file_is_exposed(link->file);
}

enum err otp_link_mac(const struct otp_link *link, uint8_t ret[static 6])
{
	uint8_t sum[HASH_SHA256_LEN];
	const uint8_t role = (uint8_t)link->config.pad.role;
	enum err err = HASH_SHA256(sum, VIEW_TEXT("jorm otptunnel mac v1"),
		VIEW(pad_file_ledger_id(link->file), PAD_ID_LEN), VIEW(&role, 1));
	memcpy(ret, sum, 6);
	if (err == OK)
		ret[0] = (uint8_t)((ret[0] & 0xfc) | 2); /* of one station, given out by nobody */
	return err;
}

uint64_t otp_link_foreign(const struct otp_link *link)
{
	return link->foreign;
}

const char *otp_link_text(struct otp_link *link, char out[static OTP_LINK_TEXT_LEN])
{
	const struct otp_counters *p = otp_pad_counters(link->pad);
	const struct carrier_counters *c = carrier_counters(link->carrier);
	struct otp_pad_status status;
	otp_pad_status(link->pad, &status);
	(void)snprintf(out, OTP_LINK_TEXT_LEN,
		"frames out %" PRIu64 ", in %" PRIu64 "; key: next offset %" PRIu64 ", %" PRIu64
		" bytes left, peer's seen up to %" PRIu64 "; dropped on the way out: no peer %" PRIu64
		", key not ready %" PRIu64 ", key used up %" PRIu64 ", odd sizes %" PRIu64 ", not sent %" PRIu64
		"; on the way in: malformed %" PRIu64 ", other source %" PRIu64 ", reflected %" PRIu64
		", behind the file's end %" PRIu64 ", forged %" PRIu64 ", replayed %" PRIu64
		", from a peer that began again %" PRIu64 ", not looked up %" PRIu64
		", not taken by the interface %" PRIu64,
		p->sealed, p->opened, status.next, status.left, status.received, link->homeless, p->unready, p->used_up,
		p->odd + c->unreadable, c->unsent, p->malformed, link->foreign, p->reflected, p->outside, p->forged,
		p->replayed, p->restarted, p->unread, c->unwritten);
	return out;
}
