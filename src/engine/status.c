/* What `jorm status` shows of the engine. */
#include "engine/padlink.h"
#include "engine/private.h"

#include <stdio.h>

const char *drop_name(enum drop drop)
{
	static const char *const names[] = {
#define X(name, text, help) [DROP_##name] = text,
		DROP_LIST(X)
#undef X
	};
	return drop < DROP_COUNT ? names[drop] : "unknown";
}

uint32_t engine_peer_count(const struct engine *e)
{
	return e->n_peers;
}

uint32_t engine_own_stations(const struct engine *e)
{
	return e->bridge ? bridge_own_stations(e->bridge) : 0;
}

uint64_t engine_drops(const struct engine *e, enum drop drop)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i <= e->config.n_lanes; i++)
		sum += atomic_load_explicit(&e->lanes[i]->drops[drop], memory_order_relaxed);
	return sum;
}

struct handshake_counts engine_handshake_counts(const struct engine *e)
{
	return e->counts;
}

const struct accept *engine_accepted(const struct engine *e, uint32_t number)
{
	const struct peer *p = engine_peer(e, number);
	return p ? p->accepted : NULL;
}

bool engine_peer_status(const struct engine *e, uint32_t number, struct peer_status *ret)
{
	struct peer *p = engine_peer(e, number);
	if (!p)
		return false;
	struct route *route = atomic_load(&p->route);
	*ret = (struct peer_status){
		.name = p->name,
		.key_id = p->key_id,
		.endpoint = route ? route->to.remote : p->configured,
		.is_established = p->active,
		.is_connecting = p->initiator || (p->padlink && p->padlink->call),
		.has_psk = p->has_psk,
		.protection = p->protection,
		.has_pad = p->pad,
		.established_at = p->established_at,
		.last_receive = atomic_load(&p->last_receive),
		.stations = atomic_load(&p->port.macs.count),
		.rx_bytes = atomic_load(&p->rx_bytes),
		.tx_bytes = atomic_load(&p->tx_bytes),
		.rx_packets = atomic_load(&p->rx_packets),
		.tx_packets = atomic_load(&p->tx_packets),
	};
	if (p->n_leased) {
		ret->addresses = p->leased;
		ret->n_addresses = p->n_leased;
	} else if (p->accepted) {
		ret->addresses = p->accepted->addresses;
		ret->n_addresses = p->accepted->n_addresses;
	}
	if (p->active) {
		ret->cipher = keys_cipher(p->active->current);
		ret->peer_alg = p->active->peer_alg;
		ret->epoch = p->active->n_epochs;
		ret->path_plain = p->path.found;
		ret->path_mtu = path_mtu_of_plain(p->path.found, route && addr_is_v4(route->to.remote.ip));
	}
	(void)snprintf(ret->rejected, sizeof ret->rejected, "%s", p->rejected);
	return true;
}
