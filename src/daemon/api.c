/* What the operations of the local API do (docs/api.md). */
#include "base/log.h"
#include "control/peer.h"
#include "daemon/metrics.h"
#include "daemon/private.h"

#include <stdio.h>
#include <string.h>

bool daemon_report_peer(void *context, uint32_t number, struct report_peer *ret)
{
	struct daemon *d = context;
	struct roster_peer peer;
	if (!roster_peer(d->roster, number, &peer))
		return false;
	*ret = (struct report_peer){
		.origin = peer.source == ROSTER_FILE     ? REPORT_FILE
			  : peer.source == ROSTER_FOLDER ? REPORT_FOLDER
							 : REPORT_ADDED,
		.allowed_ips = peer.config->allowed_ips.items,
		.n_allowed_ips = peer.config->allowed_ips.count,
		.pad = peer.pad,
		.given = engine_accepted(d->engine, number),
	};
	return true;
}

/* Kept first, then used: what has been answered with "ok" is there after a crash, too. */
static enum err add_peer(struct daemon *d, const json_t *body, struct fault *fault)
{
	struct control_peer asked;
	struct roster_peer there;
	uint32_t number;
	enum err err = control_peer_parse(&asked, body, fault);
	if (err != OK)
		return err;
	const struct config_peer *peer = &asked.config;
	struct store *store = state_store(d->state);
	struct store_peer row = {.keepalive_s = peer->keepalive_s, .added_at = (int64_t)(clock_wall() / USEC_PER_SEC)};
	if (roster_find(d->roster, peer->name, &there))
		err = fault_set(fault, ERR_EXISTS, "there is a peer %s already", peer->name);
	else if (engine_find_peer(d->engine, peer->key_id, &number) == OK && roster_peer(d->roster, number, &there))
		err = fault_set(fault, ERR_EXISTS, "this key is %s's already", there.config->name);
	if (err == OK && d->config->layer == 2 && peer->allowed_ips.count)
		err = fault_set(fault, ERR_ARGUMENT,
			"allowed IPs have no meaning with Layer = 2, where it is learned which MAC addresses are behind a "
			"peer: leave them out");
	if (err == OK && peer->endpoint_host && !roster_is_numeric(peer->endpoint_host))
		err = fault_set(fault, ERR_ARGUMENT,
			"an added peer's endpoint must be an IP address: the daemon looks up only names that stand in "
			"%s",
			d->path);
	if (err == OK && !roster_takes_keys(d->config, fault))
		err = ERR_STATE;
	if (err == OK && !store)
		err = fault_set(fault, ERR_STATE, "nothing can be kept: the state could not be opened (see the log)");
	if (err == OK) {
		(void)snprintf(row.name, sizeof row.name, "%s", peer->name);
		memcpy(row.key_id, peer->key_id, KEY_ID_LEN);
		(void)snprintf(row.endpoint, sizeof row.endpoint, "%s", peer->endpoint ? peer->endpoint : "");
		(void)snprintf(row.allowed_ips, sizeof row.allowed_ips, "%s", asked.allowed_ips);
		err = store_peer_put(store, &row, fault);
	}
	if (err == OK)
		err = daemon_reload_peers(d, fault);
	if (err == OK)
		log_info("peer %s is added", row.name);
	control_peer_done(&asked);
	return err;
}

static enum err remove_peer(struct daemon *d, const char *name, struct fault *fault)
{
	struct roster_peer peer;
	if (!roster_find(d->roster, name, &peer))
		return fault_set(fault, ERR_NOT_FOUND, "there is no peer %s", name);
	if (peer.source == ROSTER_FILE)
		return fault_set(fault, ERR_STATE, "%s stands in %s: remove it there, then jorm reload", name, d->path);
	if (peer.source == ROSTER_FOLDER && peer.pad)
		return fault_set(fault, ERR_STATE, "%s is a pad of the folder %s: remove %s.pad there", name,
			d->config->pads, name);
	if (peer.source == ROSTER_FOLDER)
		return fault_set(fault, ERR_STATE, "%s is a key of the folder %s: remove %s.pub there", name,
			d->config->authorized_keys, name);
	enum err err = store_peer_delete(state_store(d->state), name, fault);
	return err == OK ? daemon_reload_peers(d, fault) : err;
}

static enum err free_lease(struct daemon *d, const char *text, struct fault *fault)
{
	struct prefix address;
	if (prefix_parse(&address, text) != OK || address.bits != (address.v4 ? 32 : 128))
		return fault_set(fault, ERR_FORMAT, "'%s' is no IP address", text);
	if (engine_free_lease(d->engine, &address) != OK)
		return fault_set(fault, ERR_NOT_FOUND, "nobody has %s", text);
	log_info("the lease of %s is freed", text);
	return OK;
}

static void answer(struct control_reply *reply, json_t *document)
{
	reply->document = document;
	if (!document)
		reply->err = fault_set(&reply->fault, ERR_NOMEM, "out of memory");
}

void daemon_call(void *context, const struct control_call *call, struct control_reply *reply)
{
	struct daemon *d = context;
	usec now = clock_now();
	switch (call->operation) {
	case CONTROL_STATUS:
		answer(reply, report_status(&d->report, now));
		break;
	case CONTROL_PEERS:
		answer(reply, report_peers(&d->report, now));
		break;
	case CONTROL_PEER:
		reply->document = report_peer(&d->report, call->name, NULL, now);
		if (!reply->document)
			reply->err = fault_set(&reply->fault, ERR_NOT_FOUND, "there is no peer %s", call->name);
		break;
	case CONTROL_PEER_ADD:
		reply->err = add_peer(d, call->body, &reply->fault);
		break;
	case CONTROL_PEER_REMOVE:
		reply->err = remove_peer(d, call->name, &reply->fault);
		break;
	case CONTROL_LEASES:
		answer(reply, report_leases(&d->report));
		break;
	case CONTROL_LEASE_FREE:
		reply->err = free_lease(d, call->name, &reply->fault);
		break;
	case CONTROL_COUNTERS:
		answer(reply, report_counters(&d->report));
		break;
	case CONTROL_RELOAD:
		reply->err = daemon_reload(d, &reply->fault);
		break;
	case CONTROL_DOWN:
		log_info("uid %u takes the tunnel down", call->uid);
		d->must_stop = d->must_lift = true;
		break;
	case CONTROL_METRICS:
		reply->text = metrics_text(&d->report, now);
		break;
	case CONTROL_EVENTS: /* the server's own */
		break;
	}
}
