#include "daemon/report.h"

static json_t *age_or_null(usec then, usec now)
{
	return then ? json_integer((json_int_t)((now > then ? now - then : 0) / USEC_PER_SEC)) : json_null();
}

static json_t *allowed_ips(const struct config_peer *peer)
{
	json_t *list = json_array();
	for (size_t i = 0; i < peer->allowed_ips.count; i++) {
		char text[ADDR_TEXT_LEN];
		json_array_append_new(list, json_string(prefix_format(&peer->allowed_ips.items[i], text)));
	}
	return list;
}

static json_t *peer_document(const struct report_source *source, uint32_t number, usec now)
{
	struct peer_status p;
	char id[KEY_ID_TEXT_LEN], where[ADDR_TEXT_LEN];
	if (!engine_peer_status(source->engine, number, &p))
		return NULL;
	bool on = p.is_established;
	json_t *o = json_object();
	json_object_set_new(o, "name", json_string(p.name));
	json_object_set_new(o, "key_id", json_string(key_id_format(p.key_id, id)));
	json_object_set_new(
		o, "endpoint", addr_is_unset(&p.endpoint) ? json_null() : json_string(addr_format(&p.endpoint, where)));
	json_object_set_new(o, "allowed_ips", allowed_ips(&source->config->peers[number]));
	json_object_set_new(o, "state", json_string(on ? "established" : p.is_connecting ? "connecting" : "idle"));
	json_object_set_new(o, "last_handshake_s", age_or_null(p.established_at, now));
	json_object_set_new(o, "protection", json_string("post-quantum"));
	json_object_set_new(o, "kem", json_string("ML-KEM-1024 + X25519"));
	json_object_set_new(o, "signature_local", json_string(sig_alg_name(identity_public(source->identity)->alg)));
	json_object_set_new(o, "signature_peer", on ? json_string(sig_alg_name(p.peer_alg)) : json_null());
	json_object_set_new(o, "cipher", on ? json_string(cipher_name(p.cipher)) : json_null());
	json_object_set_new(o, "preshared_key", json_boolean(p.has_psk));
	json_object_set_new(o, "path_mtu", on ? json_integer(p.path_mtu) : json_null());
	json_object_set_new(o, "epoch", json_integer(p.epoch));
	json_object_set_new(o, "rx_bytes", json_integer((json_int_t)p.rx_bytes));
	json_object_set_new(o, "tx_bytes", json_integer((json_int_t)p.tx_bytes));
	json_object_set_new(o, "rx_packets", json_integer((json_int_t)p.rx_packets));
	json_object_set_new(o, "tx_packets", json_integer((json_int_t)p.tx_packets));
	json_object_set_new(o, "last_receive_s", age_or_null(p.last_receive, now));
	json_object_set_new(o, "reject_reason", p.rejected[0] ? json_string(p.rejected) : json_null());
	return o;
}

static json_t *handshakes_document(const struct engine *engine)
{
	struct handshake_counts c = engine_handshake_counts(engine);
	json_t *o = json_object();
	json_object_set_new(o, "initiated", json_integer((json_int_t)c.initiated));
	json_object_set_new(o, "answered", json_integer((json_int_t)c.answered));
	json_object_set_new(o, "established", json_integer((json_int_t)c.established));
	json_object_set_new(o, "rejected", json_integer((json_int_t)c.rejected));
	json_object_set_new(o, "rekeys", json_integer((json_int_t)c.rekeys));
	json_object_set_new(o, "cookies", json_integer((json_int_t)c.cookies));
	return o;
}

json_t *report_status(const struct report_source *source, usec now)
{
	char id[KEY_ID_TEXT_LEN];
	json_t *peers = json_array(), *drops = json_object(), *o = json_object();
	json_object_set_new(o, "version", json_string(JORM_VERSION));
	json_object_set_new(o, "interface", json_string(source->interface));
	json_object_set_new(o, "mtu", json_integer(source->mtu));
	json_object_set_new(o, "listen_port", json_integer(source->port));
	json_object_set_new(o, "key_id", json_string(key_id_format(identity_key_id(source->identity), id)));
	json_object_set_new(o, "algorithm", json_string(sig_alg_name(identity_public(source->identity)->alg)));
	json_object_set_new(o, "uptime_s", age_or_null(source->started, now));
	for (uint32_t i = 0; i < engine_peer_count(source->engine); i++) {
		json_t *peer = peer_document(source, i, now);
		if (peer)
			json_array_append_new(peers, peer);
	}
	json_object_set_new(o, "peers", peers);
	for (int i = 0; i < DROP_COUNT; i++)
		json_object_set_new(drops, drop_name((enum drop)i),
			json_integer((json_int_t)engine_drops(source->engine, (enum drop)i)));
	json_object_set_new(o, "drops", drops);
	json_object_set_new(o, "handshakes", handshakes_document(source->engine));
	return o;
}
