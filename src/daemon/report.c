#include "daemon/report.h"

#include "daemon/report_pad.h"

#include <string.h>

static json_t *age_or_null(usec then, usec now)
{
	return then ? json_integer((json_int_t)((now > then ? now - then : 0) / USEC_PER_SEC)) : json_null();
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *prefixes_document(const struct prefix *prefixes, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		char text[ADDR_TEXT_LEN];
		json_array_append_new(list, json_string(prefix_format(&prefixes[i], text)));
	}
	return list;
}

static json_t *servers_document(const uint8_t (*servers)[16], size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		char text[ADDR_TEXT_LEN];
		json_array_append_new(list, json_string(addr_format_ip(servers[i], text)));
	}
	return list;
}

/* ---- peers ---- */

const char *report_state(const struct peer_status *status)
{
	return status->is_established ? "established" : status->is_connecting ? "connecting" : "idle";
}

struct report_peer report_known(const struct report_source *source, uint32_t at)
{
	struct report_peer known = {0};
	if (source->peer) {
		if (!source->peer(source->context, at, &known))
			known = (struct report_peer){0};
	} else if (at < source->config->peer_count) {
		known.allowed_ips = source->config->peers[at].allowed_ips.items;
		known.n_allowed_ips = source->config->peers[at].allowed_ips.count;
	}
	return known;
}

static json_t *given_document(const struct accept *given)
{
	if (!given)
		return json_null();
	json_t *o = json_object(), *domains = json_array();
	for (size_t i = 0; i < given->n_domains; i++)
		json_array_append_new(domains, json_string(given->domains[i]));
	json_object_set_new(o, "addresses", prefixes_document(given->addresses, given->n_addresses));
	json_object_set_new(o, "routes", prefixes_document(given->routes, given->n_routes));
	json_object_set_new(o, "dns", servers_document(given->dns, given->n_dns));
	json_object_set_new(o, "domains", domains);
	json_object_set_new(o, "mtu", given->mtu ? number(given->mtu) : json_null());
	json_object_set_new(o, "keepalive_s", given->keepalive_s ? number(given->keepalive_s) : json_null());
	return o;
}

/* What a link rests on, in words. */
static const char *protection_name(const struct peer_status *p)
{
	switch (p->protection) {
	case PROTECTION_OTP:
		return "information-theoretic";
	case PROTECTION_PQ_OTP:
		return "pad + AEAD";
	case PROTECTION_PQ:
		break;
	}
	return p->has_pad ? "AEAD, pad in key exchange" : "AEAD";
}

static json_t *pad_document(struct pad *pad)
{
	struct pad_status status;
	if (!pad)
		return json_null();
	pad_status(pad, &status);
	return report_pad(&status, clock_wall() / USEC_PER_SEC);
}

static json_t *text_or_null(bool is_known, const char *text)
{
	return is_known ? json_string(text) : json_null();
}

/* How its session is protected, if it has one. */
static void protection_add(json_t *o, const struct report_source *source, const struct peer_status *p, struct pad *pad)
{
	bool has_keys = p->protection != PROTECTION_OTP && source->identity, on = p->is_established && has_keys;
	const char *local = source->identity ? sig_alg_name(identity_public(source->identity)->alg) : "";
	json_object_set_new(o, "protection", json_string(protection_name(p)));
	json_object_set_new(o, "pad", pad_document(pad));
	json_object_set_new(o, "kem", text_or_null(has_keys, "ML-KEM-1024 + X25519"));
	json_object_set_new(o, "signature_local", text_or_null(has_keys, local));
	json_object_set_new(o, "signature_peer", text_or_null(on, sig_alg_name(p->peer_alg)));
	json_object_set_new(o, "cipher", text_or_null(on, cipher_name(p->cipher)));
	json_object_set_new(o, "preshared_key", json_boolean(p->has_psk));
	json_object_set_new(o, "path_mtu", p->is_established ? number(p->path_mtu) : json_null());
	json_object_set_new(o, "epoch", number(p->epoch));
}

static json_t *peer_document(const struct report_source *source, uint32_t at, const struct peer_status *p, usec now)
{
	static const char *const origins[] = {
		[REPORT_FILE] = "file", [REPORT_FOLDER] = "folder", [REPORT_ADDED] = "added"};
	struct report_peer known = report_known(source, at);
	char id[KEY_ID_TEXT_LEN], where[ADDR_TEXT_LEN];
	json_t *o = json_object();
	json_object_set_new(o, "name", json_string(p->name));
	json_object_set_new(o, "source", json_string(origins[known.origin]));
	json_object_set_new(o, "key_id", json_string(key_id_format(p->key_id, id)));
	json_object_set_new(o, "endpoint",
		addr_is_unset(&p->endpoint) ? json_null() : json_string(addr_format(&p->endpoint, where)));
	json_object_set_new(o, "allowed_ips", prefixes_document(known.allowed_ips, known.n_allowed_ips));
	/* the engine's are ours where the peer gave them to us */
	json_object_set_new(o, "addresses", prefixes_document(p->addresses, known.given ? 0 : p->n_addresses));
	json_object_set_new(o, "given", given_document(known.given));
	json_object_set_new(o, "stations", source->config->layer == 2 ? number(p->stations) : json_null());
	json_object_set_new(o, "state", json_string(report_state(p)));
	json_object_set_new(o, "last_handshake_s", age_or_null(p->established_at, now));
	protection_add(o, source, p, known.pad);
	json_object_set_new(o, "rx_bytes", number(p->rx_bytes));
	json_object_set_new(o, "tx_bytes", number(p->tx_bytes));
	json_object_set_new(o, "rx_packets", number(p->rx_packets));
	json_object_set_new(o, "tx_packets", number(p->tx_packets));
	json_object_set_new(o, "last_receive_s", age_or_null(p->last_receive, now));
	json_object_set_new(o, "reject_reason", p->rejected[0] ? json_string(p->rejected) : json_null());
	return o;
}

static json_t *peers_list(const struct report_source *source, usec now)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < engine_peer_count(source->engine); i++) {
		struct peer_status p;
		if (engine_peer_status(source->engine, i, &p))
			json_array_append_new(list, peer_document(source, i, &p, now));
	}
	return list;
}

json_t *report_peers(const struct report_source *source, usec now)
{
	return json_pack("{s:o}", "peers", peers_list(source, now));
}

json_t *report_peer(const struct report_source *source, const char *name, uint32_t *ret_number, usec now)
{
	for (uint32_t i = 0; i < engine_peer_count(source->engine); i++) {
		struct peer_status p;
		if (!engine_peer_status(source->engine, i, &p) || strcmp(p.name, name) != 0)
			continue;
		if (ret_number)
			*ret_number = i;
		return peer_document(source, i, &p, now);
	}
	return NULL;
}

/* ---- leases ---- */

size_t report_leases_used(const struct engine *engine)
{
	struct lease lease;
	size_t n = 0;
	while (engine_lease(engine, n, &lease))
		n++;
	return n;
}

json_t *report_leases(const struct report_source *source)
{
	json_t *list = json_array();
	struct lease lease;
	for (size_t i = 0; engine_lease(source->engine, i, &lease); i++) {
		char address[ADDR_TEXT_LEN], id[KEY_ID_TEXT_LEN];
		struct peer_status p = {0};
		uint32_t at;
		/* whoever has it may not be a peer any more */
		bool known = engine_find_peer(source->engine, lease.key_id, &at) == OK &&
			     engine_peer_status(source->engine, at, &p);
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s?, s:b}", "address", addr_format_ip(lease.address.ip, address),
				      "key_id", key_id_format(lease.key_id, id), "peer", known ? p.name : NULL,
				      "connected", known && p.is_established));
	}
	return json_pack("{s:o}", "leases", list);
}

/* ---- counters ---- */

static json_t *drops_document(const struct engine *engine)
{
	json_t *o = json_object();
	for (int i = 0; i < DROP_COUNT; i++)
		json_object_set_new(o, drop_name((enum drop)i), number(engine_drops(engine, (enum drop)i)));
	return o;
}

static json_t *handshakes_document(const struct engine *engine)
{
	struct handshake_counts c = engine_handshake_counts(engine);
	json_t *o = json_object();
	json_object_set_new(o, "initiated", number(c.initiated));
	json_object_set_new(o, "answered", number(c.answered));
	json_object_set_new(o, "established", number(c.established));
	json_object_set_new(o, "rejected", number(c.rejected));
	json_object_set_new(o, "refused", number(c.refused));
	json_object_set_new(o, "rekeys", number(c.rekeys));
	json_object_set_new(o, "cookies", number(c.cookies));
	return o;
}

json_t *report_counters(const struct report_source *source)
{
	return json_pack("{s:o, s:o}", "drops", drops_document(source->engine), "handshakes",
		handshakes_document(source->engine));
}

/* ---- the whole ---- */

json_t *report_status(const struct report_source *source, usec now)
{
	char id[KEY_ID_TEXT_LEN];
	json_t *o = json_object();
	json_object_set_new(o, "version", json_string(JORM_VERSION));
	json_object_set_new(o, "interface", json_string(source->interface));
	json_object_set_new(o, "layer", number(source->config->layer));
	json_object_set_new(o, "own_stations",
		source->config->layer == 2 ? number(engine_own_stations(source->engine)) : json_null());
	json_object_set_new(o, "mtu", number(source->mtu));
	json_object_set_new(o, "listen_port", number(source->port));
	const struct identity *identity = source->identity;
	json_object_set_new(
		o, "key_id", identity ? json_string(key_id_format(identity_key_id(identity), id)) : json_null());
	json_object_set_new(
		o, "algorithm", identity ? json_string(sig_alg_name(identity_public(identity)->alg)) : json_null());
	json_object_set_new(o, "uptime_s", age_or_null(source->started, now));
	json_object_set_new(o, "sandbox", source->sandbox ? json_string(source->sandbox) : json_null());
	json_object_set_new(o, "kill_switch", json_boolean(source->config->kill_switch));
	json_object_set_new(o, "dns",
		source->dns ? servers_document((const uint8_t(*)[16])source->dns->servers, source->dns->server_count)
			    : json_array());
	json_object_set_new(o, "leases", json_pack("{s:o}", "used", number(report_leases_used(source->engine))));
	json_object_set_new(o, "peers", peers_list(source, now));
	json_object_set_new(o, "drops", drops_document(source->engine));
	json_object_set_new(o, "handshakes", handshakes_document(source->engine));
	return o;
}

const char *report_notice_name(enum notice notice)
{
	static const char *const names[] = {
		[NOTICE_ESTABLISHED] = "established",
		[NOTICE_REJECTED] = "rejected",
		[NOTICE_REFUSED] = "refused",
		[NOTICE_LOST] = "lost",
		[NOTICE_MOVED] = "moved",
		[NOTICE_CLOSED] = "closed",
		[NOTICE_PATH] = "path",
		[NOTICE_LEASE] = "lease",
		[NOTICE_LAYER] = "layer",
		[NOTICE_PAD] = "pad",
	};
	return names[notice];
}

json_t *report_notice(enum notice notice, const char *peer, const char *text)
{
	return json_pack("{s:s, s:s?, s:s, s:I}", "event", report_notice_name(notice), "peer", peer, "text", text,
		"time", (json_int_t)(clock_wall() / USEC_PER_SEC));
}
