#include "engine/padlink.h"
#include "engine/peer.h"

#include "engine/private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PROOF_FIRST (100 * USEC_PER_MS)

void peer_configure(struct peer *p, const struct peer_config *config)
{
	(void)snprintf(p->name, sizeof p->name, "%s", config->name);
	p->initiates = config->initiates;
	p->keepalive = config->keepalive;
	p->takes = config->takes;
	p->has_psk = config->has_psk;
	secret_wipe(p->psk, sizeof p->psk);
	if (config->has_psk)
		memcpy(p->psk, config->psk, PSK_LEN);
	p->protection = config->protection;
	p->pad = config->pad;
}

enum err peer_new(struct peer **ret, struct engine *e, const struct peer_config *config, uint32_t number)
{
	struct peer *p = calloc(1, sizeof *p);
	if (!p)
		return ERR_NOMEM;
	p->engine = e;
	p->number = number;
	p->port.peer = p;
	memcpy(p->key_id, config->key_id, KEY_ID_LEN);
	peer_configure(p, config);
	p->must_connect = config->initiates;
	p->has_smaller_id = memcmp(p->key_id, engine_own_id(&e->config), KEY_ID_LEN) < 0;
	if (p->pad && padlink_new(p) != OK) {
		free(p);
		return ERR_NOMEM;
	}
	p->staged_tail = &p->staged_head;
	atomic_store(&p->plain_max, PATH_PLAIN_MIN);
	/* After a restart the peer may still hold parts of packets from before, for 2 s. */
	atomic_store(&p->fragment_id, rng_u32(&e->rng));
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return OK;
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	initiator_free(p->initiator);
	padlink_free(p);
	session_free(p->active);
	session_free(p->pending[0]);
	session_free(p->pending[1]);
	session_free(p->old);
	staged_free(p->staged_head);
	fragments_free(p->fragments);
	free(p->allowed);
	free(p->accepted);
	free(atomic_load(&p->route));
	pthread_mutex_destroy(&p->lock);
	secret_wipe(p, sizeof *p);
	free(p);
}

void peer_notice(struct peer *p, enum notice notice, const char *format, ...)
{
	char text[256];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	const struct engine_host *host = &p->engine->config.host;
	if (host->notice)
		host->notice(host->context, notice, p->name, text);
}

void peer_announce(struct peer *p, const struct session *s, const char *where)
{
	if (keys_protection(s->current) == PROTECTION_OTP) {
		peer_notice(p, NOTICE_ESTABLISHED, "session with %s at %s: one-time pad", p->name, where);
		return;
	}
	peer_notice(p, NOTICE_ESTABLISHED, "session with %s at %s: %s%s, peer signed with %s, X25519 + ML-KEM-1024%s%s",
		p->name, where, keys_protection(s->current) == PROTECTION_PQ_OTP ? "one-time pad inside " : "",
		cipher_name(keys_cipher(s->current)), sig_alg_name(s->peer_alg), p->has_psk ? " + pre-shared key" : "",
		p->pad && p->protection == PROTECTION_PQ ? " + pad" : "");
}

void peer_wake(struct peer *p, usec when)
{
	if (p->timer.place == 0 || when < p->timer.due)
		timers_set(&p->engine->timers, &p->timer, when);
}

/* ---- where it is ---- */

void peer_set_route(struct peer *p, const struct endpoint *to, bool is_proven, usec now)
{
	struct engine *e = p->engine;
	struct route *old = atomic_load(&p->route);
	if (old && addr_equal(&old->to.remote, &to->remote) && memcmp(old->to.local_ip, to->local_ip, 16) == 0 &&
		old->to.interface == to->interface) {
		if (is_proven)
			atomic_store(&old->is_proven, true);
		return;
	}
	struct route *route = calloc(1, sizeof *route);
	if (!route)
		return; /* the old address stays; the next datagram tries again */
	route->to = *to;
	atomic_store(&route->is_proven, is_proven);
	atomic_store_explicit(&p->route, route, memory_order_release);
	bool has_moved = !old || !addr_equal(&old->to.remote, &to->remote);
	if (old) {
		old->next_removed = e->removed_routes;
		e->removed_routes = old;
	}
	if (!is_proven) {
		rng_fill(&e->rng, p->proof, sizeof p->proof);
		p->proof_due = now;
		p->proof_interval = PROOF_FIRST;
	}
	if (has_moved) {
		path_reset(&p->path,
			path_plain_of_mtu(e->config.host.interface_mtu(e->config.host.context, &to->remote)), now);
		peer_publish_path(p);
	}
	peer_wake(p, now);
}

/* The largest packet that fits one datagram; at layer 2 that of a frame without a tag. */
static uint32_t inner_max(const struct peer *p)
{
	size_t prefix = p->active ? keys_prefix(p->active->current) : 0;
	uint32_t link = p->engine->bridge ? ETHER_HEADER_LEN : 0;
	return p->path.found - FRAME_HEADER_LEN - (uint32_t)prefix - link;
}

void peer_publish_path(struct peer *p)
{
	struct engine *e = p->engine;
	atomic_store(&p->plain_max, p->path.found);
	/* Only a path that grows, or that may have been the best, changes anything: with many peers it is rare. */
	uint32_t size = inner_max(p);
	if (p->path.state == PATH_FOUND && (size > e->tunnel_mtu || p->was_best))
		engine_publish_mtu(e);
	if (p->path.state == PATH_FOUND)
		p->was_best = size == e->tunnel_mtu;
}

void engine_publish_mtu(struct engine *e)
{
	if (e->config.tunnel_mtu || !e->config.host.tunnel_mtu)
		return;
	/* The best that any peer takes: for the others packets are cut into fragments, and TCP learns their
	 * smaller size from the other end. Never below IPv6's minimum. */
	uint32_t best = PATH_MTU_MIN;
	for (uint32_t i = 0; i < e->n_peers; i++) {
		const struct peer *q = e->peers[i];
		if (q && q->active && q->path.state == PATH_FOUND && inner_max(q) > best)
			best = inner_max(q);
	}
	if (best != e->tunnel_mtu) {
		e->tunnel_mtu = best;
		e->config.host.tunnel_mtu(e->config.host.context, best);
	}
}

/* ---- packets that wait ---- */

enum err peer_stage(struct peer *p, const void *header, size_t header_len, const uint8_t *packet, size_t len)
{
	struct staged *s = malloc(sizeof *s + header_len + len);
	if (!s)
		return ERR_NOMEM;
	s->next = NULL;
	s->len = header_len + len;
	memcpy(s->bytes, header, header_len);
	memcpy(s->bytes + header_len, packet, len);
	pthread_mutex_lock(&p->lock);
	bool fits = p->n_staged < STAGED_MAX && p->staged_bytes + s->len <= STAGED_BYTES_MAX;
	if (fits) {
		*p->staged_tail = s;
		p->staged_tail = &s->next;
		p->n_staged++;
		p->staged_bytes += s->len;
	}
	pthread_mutex_unlock(&p->lock);
	if (!fits)
		free(s);
	return fits ? OK : ERR_FULL;
}

bool peer_has_staged(struct peer *p)
{
	pthread_mutex_lock(&p->lock);
	bool any = p->staged_head;
	pthread_mutex_unlock(&p->lock);
	return any;
}

struct staged *peer_unstage(struct peer *p)
{
	pthread_mutex_lock(&p->lock);
	struct staged *list = p->staged_head;
	p->staged_head = NULL;
	p->staged_tail = &p->staged_head;
	p->n_staged = 0;
	p->staged_bytes = 0;
	pthread_mutex_unlock(&p->lock);
	return list;
}

void staged_free(struct staged *list)
{
	while (list) {
		struct staged *next = list->next;
		secret_wipe(list->bytes, list->len);
		free(list);
		list = next;
	}
}
