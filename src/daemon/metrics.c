#include "daemon/metrics.h"

#include "pad/pad.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void metrics_label(FILE *out, const char *value)
{
	for (const char *c = value; *c; c++) {
		if (*c == '\\' || *c == '"')
			fputc('\\', out);
		if (*c == '\n')
			fputs("\\n", out);
		else
			fputc(*c, out);
	}
}

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample(FILE *out, const char *name, const char *label, const char *value, uint64_t n)
{
	fprintf(out, "%s{%s=\"", name, label);
	metrics_label(out, value);
	fprintf(out, "\"} %" PRIu64 "\n", n);
}

static uint64_t age_s(usec then, usec now)
{
	return (now > then ? now - then : 0) / USEC_PER_SEC;
}

/* ---- the tunnel ---- */

static void tunnel_print(FILE *out, const struct report_source *source, usec now)
{
	char id[KEY_ID_TEXT_LEN] = "";
	family(out, "jorm_info", "gauge", "What serves this tunnel; always 1.");
	fputs("jorm_info{version=\"" JORM_VERSION "\",interface=\"", out);
	metrics_label(out, source->interface);
	if (source->identity)
		key_id_format(identity_key_id(source->identity), id);
	fprintf(out, "\",key_id=\"%s\"} 1\n", id);
	family(out, "jorm_uptime_seconds", "gauge", "Since the tunnel was set up.");
	fprintf(out, "jorm_uptime_seconds %" PRIu64 "\n", age_s(source->started, now));
	family(out, "jorm_leases_used", "gauge", "Addresses of the pools that are given to a peer.");
	fprintf(out, "jorm_leases_used %zu\n", report_leases_used(source->engine));
}

static void peer_states_print(FILE *out, const struct report_source *source)
{
	uint64_t established = 0, connecting = 0, idle = 0;
	for (uint32_t i = 0; i < engine_peer_count(source->engine); i++) {
		struct peer_status p;
		if (!engine_peer_status(source->engine, i, &p))
			continue;
		established += p.is_established;
		connecting += !p.is_established && p.is_connecting;
		idle += !p.is_established && !p.is_connecting;
	}
	family(out, "jorm_peers", "gauge", "Peers by the state of their sessions.");
	sample(out, "jorm_peers", "state", "established", established);
	sample(out, "jorm_peers", "state", "connecting", connecting);
	sample(out, "jorm_peers", "state", "idle", idle);
}

static void drops_print(FILE *out, const struct engine *engine)
{
	family(out, "jorm_drops_total", "counter", "Datagrams and packets dropped, by reason.");
	for (int i = 0; i < DROP_COUNT; i++)
		sample(out, "jorm_drops_total", "reason", drop_name((enum drop)i), engine_drops(engine, (enum drop)i));
}

static void handshakes_print(FILE *out, const struct engine *engine)
{
	struct handshake_counts c = engine_handshake_counts(engine);
	const struct {
		const char *result;
		uint64_t n;
	} rows[] = {{"initiated", c.initiated}, {"answered", c.answered}, {"established", c.established},
		{"rejected", c.rejected}, {"refused", c.refused}, {"rekeys", c.rekeys}, {"cookies", c.cookies}};
	family(out, "jorm_handshakes_total", "counter", "Handshakes, by how far they came.");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		sample(out, "jorm_handshakes_total", "result", rows[i].result, rows[i].n);
}

/* ---- peers ---- */

static bool established_of(const struct peer_status *p, usec now, uint64_t *ret)
{
	*ret = p->is_established;
	return true;
}

static bool handshake_of(const struct peer_status *p, usec now, uint64_t *ret)
{
	*ret = age_s(p->established_at, now);
	return p->established_at;
}

static bool rx_bytes_of(const struct peer_status *p, usec now, uint64_t *ret)
{
	*ret = p->rx_bytes;
	return true;
}

static bool tx_bytes_of(const struct peer_status *p, usec now, uint64_t *ret)
{
	*ret = p->tx_bytes;
	return true;
}

static bool rx_packets_of(const struct peer_status *p, usec now, uint64_t *ret)
{
	*ret = p->rx_packets;
	return true;
}

static bool tx_packets_of(const struct peer_status *p, usec now, uint64_t *ret)
{
	*ret = p->tx_packets;
	return true;
}

/* All samples of one name stand together, so each goes over all peers. */
static void peers_print(FILE *out, const struct engine *engine, usec now)
{
	static const struct {
		const char *name, *type, *help;
		bool (*value)(const struct peer_status *p, usec now, uint64_t *ret); /* false: it has none */
	} rows[] = {
		{"jorm_peer_established", "gauge", "1 if there is a session with this peer.", established_of},
		{"jorm_peer_last_handshake_seconds", "gauge", "Since the last full handshake.", handshake_of},
		{"jorm_peer_receive_bytes_total", "counter", "Bytes of packets from this peer.", rx_bytes_of},
		{"jorm_peer_transmit_bytes_total", "counter", "Bytes of packets to this peer.", tx_bytes_of},
		{"jorm_peer_receive_packets_total", "counter", "Packets from this peer.", rx_packets_of},
		{"jorm_peer_transmit_packets_total", "counter", "Packets to this peer.", tx_packets_of},
	};
	for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
		family(out, rows[row].name, rows[row].type, rows[row].help);
		for (uint32_t i = 0; i < engine_peer_count(engine); i++) {
			struct peer_status p;
			uint64_t n;
			if (engine_peer_status(engine, i, &p) && rows[row].value(&p, now, &n))
				sample(out, rows[row].name, "peer", p.name, n);
		}
	}
}

/* ---- pads ---- */

struct pad_row {
	const char *peer;
	struct pad_status status;
};

/* Each is asked once, since that may wait for a disk. */
static size_t pads_gather(struct pad_row *rows, const struct report_source *source)
{
	size_t n = 0;
	for (uint32_t i = 0; i < engine_peer_count(source->engine); i++) {
		struct peer_status p;
		if (!engine_peer_status(source->engine, i, &p))
			continue;
		struct pad *pad = report_known(source, i).pad;
		if (!pad)
			continue;
		rows[n].peer = p.name;
		pad_status(pad, &rows[n++].status);
	}
	return n;
}

static void rows_print(FILE *out, const struct pad_row *rows, size_t n)
{
#define FIELD(field) offsetof(struct pad_status, field)
	static const struct {
		const char *name, *help;
		size_t field; /* a uint64_t */
	} families[] = {
		{"jorm_peer_pad_size_bytes", "Size of the one-time pad shared with this peer.", FIELD(size)},
		{"jorm_peer_pad_sent_bytes", "Bytes of the pad that we have used.", FIELD(sent)},
		{"jorm_peer_pad_received_bytes", "Bytes of the pad that the peer has used.", FIELD(received)},
		{"jorm_peer_pad_left_bytes", "Bytes of the pad that we may still use.", FIELD(left)},
		{"jorm_peer_pad_peer_left_bytes", "Bytes of the pad that the peer may still use.", FIELD(peer_left)},
		{"jorm_peer_pad_burned_bytes", "Bytes of the pad that have been overwritten.", FIELD(burned)},
	};
#undef FIELD
	for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
		family(out, families[f].name, "gauge", families[f].help);
		for (size_t i = 0; i < n; i++) {
			uint64_t value;
			memcpy(&value, (const char *)&rows[i].status + families[f].field, sizeof value);
			sample(out, families[f].name, "peer", rows[i].peer, value);
		}
	}
	family(out, "jorm_peer_pad_slots_left", "gauge", "How often the pad can still be used to connect.");
	for (size_t i = 0; i < n; i++)
		sample(out, "jorm_peer_pad_slots_left", "peer", rows[i].peer, rows[i].status.slots_left);
	family(out, "jorm_peer_pad_usable", "gauge", "0 if the pad is used up, old or failed, and nothing is sent.");
	for (size_t i = 0; i < n; i++)
		sample(out, "jorm_peer_pad_usable", "peer", rows[i].peer, rows[i].status.state <= PAD_LOW);
}

/* Only where there are pads. false: memory ran out. */
static bool pads_print(FILE *out, const struct report_source *source)
{
	struct pad_row *rows = calloc(engine_peer_count(source->engine) + 1, sizeof *rows);
	size_t n = rows ? pads_gather(rows, source) : 0;
	if (n)
		rows_print(out, rows, n);
	bool is_done = rows;
	free(rows);
	return is_done;
}

char *metrics_text(const struct report_source *source, usec now)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	tunnel_print(out, source, now);
	peer_states_print(out, source);
	drops_print(out, source->engine);
	handshakes_print(out, source->engine);
	peers_print(out, source->engine, now);
	bool failed = !pads_print(out, source) || ferror(out);
	if (fclose(out) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}
