#include "store/private.h"

#include <string.h>

static bool is_sound(const struct store_peer *peer)
{
	return store_is_text(peer->name, sizeof peer->name) && peer->name[0] &&
	       store_is_text(peer->endpoint, sizeof peer->endpoint) &&
	       store_is_text(peer->allowed_ips, sizeof peer->allowed_ips) && peer->added_at >= 0;
}

enum err store_peer_put(struct store *store, const struct store_peer *peer, struct fault *fault)
{
	if (!is_sound(peer))
		return fault_set(
			fault, ERR_ARGUMENT, "a stored peer has a name, and texts that end within their arrays");
	sqlite3_stmt *insert = store->statements[PEER_INSERT];
	(void)sqlite3_bind_text(insert, 1, peer->name, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob(insert, 2, peer->key_id, sizeof peer->key_id, SQLITE_STATIC);
	(void)sqlite3_bind_text(insert, 3, peer->endpoint, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(insert, 4, peer->allowed_ips, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int(insert, 5, peer->keepalive_s);
	(void)sqlite3_bind_int64(insert, 6, peer->added_at);
	int rc = store_run(store, PEER_INSERT);
	if (rc == SQLITE_OK)
		return OK;
	if (rc != SQLITE_CONSTRAINT_UNIQUE && rc != SQLITE_CONSTRAINT_PRIMARYKEY)
		return store_fault(store->db, rc, store->path, "record a peer in", fault);

	sqlite3_stmt *named = store->statements[PEER_HAS_NAME];
	(void)sqlite3_bind_text(named, 1, peer->name, -1, SQLITE_STATIC);
	bool has_name = store_run(store, PEER_HAS_NAME) == SQLITE_ROW;
	return has_name ? fault_set(fault, ERR_EXISTS,
				  "a peer named %s was added before: remove it first, or choose another name",
				  peer->name)
			: fault_set(fault, ERR_EXISTS,
				  "the key of peer %s was added before under another name: remove that peer first",
				  peer->name);
}

enum err store_peer_delete(struct store *store, const char *name, struct fault *fault)
{
	(void)sqlite3_bind_text(store->statements[PEER_DELETE], 1, name, -1, SQLITE_STATIC);
	int rc = store_run(store, PEER_DELETE);
	if (rc != SQLITE_OK)
		return store_fault(store->db, rc, store->path, "remove a peer from", fault);
	if (sqlite3_changes(store->db) == 0)
		return fault_set(fault, ERR_NOT_FOUND,
			"no peer named %s was added at run time (one of the configuration is removed there)", name);
	return OK;
}

static bool peer_of_row(sqlite3_stmt *row, struct store_peer *ret)
{
	struct store_peer peer = {
		.keepalive_s = (uint16_t)sqlite3_column_int(row, 4), .added_at = sqlite3_column_int64(row, 5)};
	if (!store_column_text(row, 0, peer.name, sizeof peer.name) ||
		!store_column_bytes(row, 1, peer.key_id, sizeof peer.key_id) ||
		!store_column_text(row, 2, peer.endpoint, sizeof peer.endpoint) ||
		!store_column_text(row, 3, peer.allowed_ips, sizeof peer.allowed_ips))
		return false;
	*ret = peer;
	return true;
}

enum err store_peers(struct store *store, bool (*each)(void *context, const struct store_peer *peer), void *context,
	struct fault *fault)
{
	sqlite3_stmt *all = store->statements[PEER_ALL];
	struct store_peer peer;
	bool goes_on = true;
	int rc = SQLITE_DONE;
	while (goes_on && (rc = sqlite3_step(all)) == SQLITE_ROW) {
		if (!peer_of_row(all, &peer)) {
			rc = SQLITE_CORRUPT;
			break;
		}
		goes_on = each(context, &peer);
	}
	(void)sqlite3_reset(all);
	return rc == SQLITE_DONE || !goes_on ? OK : store_fault(store->db, rc, store->path, "read the peers in", fault);
}
